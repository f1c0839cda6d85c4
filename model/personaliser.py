# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Who speaks, from the sound alone: DiffusionTalker's personaliser (arXiv 2503.18159), streaming.

A small causal encoder feeds two attentive statistics poolings (Okabe et al. 2018), one for the
person and one for the moment; cross-attention fuses both into the personal vector. The statistics
are running totals in which the past fades, so the state is of one size for ever, and hearing
somebody piece by piece is hearing him at once. Before anything is heard stands what was learnt of
voices in general.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple, Protocol

import torch
from torch import Tensor, nn
import torch.nn.functional as F

from model.layers import Attention
from model.live_denoiser import TOKEN_SECONDS, MelEncoder
from model.metrics import UPPER_FACE

MEMORY: Final = 30.0            # seconds after which what was heard of a voice counts 1 / e
SURPRISE: Final = 4.0           # log weight that attention gives a token at most
SECOND: Final = -math.log(MEMORY)       # log weight of a second of sound, to begin with


class VoiceSizes(Protocol):
    """What a configuration says of a personaliser."""

    voice_width: int            # of the encoder
    voice_blocks: int
    pieces: int                 # tokens that each embedding is cut into for their fusion
    piece: int                  # width of one
    personal: int               # length of the personal vector


class Voice(NamedTuple):
    """What is known of a voice; rows have length 1 where they are embeddings."""

    identity: Tensor            # (batch, pieces * piece) embedding of the person
    emotion: Tensor             # (batch, pieces * piece) embedding of the moment
    personal: Tensor            # (batch, personal), fused


class StatisticsPool(nn.Module):
    """Attentive mean and deviation of tokens, as running totals; `y, totals = f(x, totals)`."""

    def __init__(self, width: int, outputs: int) -> None:
        """Pool `width` channels into `outputs` features."""
        super().__init__()
        self.score = nn.Linear(width, width)
        self.mean = nn.Parameter(torch.zeros(width))            # what is believed before
        self.deviation = nn.Parameter(torch.ones(width))
        self.doubt = nn.Parameter(torch.full((width,), SECOND))     # log weight of that belief
        self.out = nn.Linear(2 * width, outputs)

    def forward(self, x: Tensor, totals: Tensor) -> tuple[Tensor, Tensor]:
        """
        Map x (batch, time, width).

        :param totals: (batch, 3, width) sums of weight, weight * x and weight * x^2
        :returns: (batch, outputs) and the new totals
        """
        count = torch.ones_like(x[:, :, :1]).cumsum(dim=1) * (TOKEN_SECONDS / MEMORY)
        age, all_of_it = count[:, -1:] - count, count[:, -1:]
        # In shares of the memory, so that totals stay as small as what they are made of.
        weight = torch.exp(SURPRISE * torch.tanh(self.score(x)) - age) * (TOKEN_SECONDS / MEMORY)
        heard = torch.stack([weight, weight * x, weight * x * x], dim=1).sum(dim=2)
        totals = totals * torch.exp(-all_of_it) + heard
        believed = torch.stack([torch.ones_like(self.mean), self.mean,
                                self.mean**2 + self.deviation**2]) * self.doubt.exp()
        weight, first, second = (totals + believed).unbind(dim=1)
        mean = first / weight
        deviation = (second / weight - mean**2).clamp(min=1e-4).sqrt()
        return self.out(torch.cat([mean, deviation], dim=1)), totals


class Personaliser(nn.Module):
    """Features in, the voice as far as it is known out; state in and out."""

    def __init__(self, config: VoiceSizes) -> None:
        """Make the encoder, the poolings and their fusion."""
        super().__init__()
        width, embedding = config.voice_width, config.pieces * config.piece
        self.cut = (config.pieces, config.piece)
        self.width = config.personal
        self.encoder = MelEncoder(width, config.voice_blocks)
        self.identity = StatisticsPool(width, embedding)
        self.emotion = StatisticsPool(width, embedding)
        self.fuse = Attention(config.piece, heads=1)
        self.out = nn.Linear(embedding, config.personal)
        self.norm = nn.LayerNorm(config.personal)

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """Return the encoder's caches, and totals of nothing heard."""
        nothing = [torch.zeros(batch, 3, len(pool.mean)) for pool in (self.identity, self.emotion)]
        return [*self.encoder.initial_state(batch), *nothing]

    def forward(self, features: Tensor, state: list[Tensor]) -> tuple[Voice, list[Tensor]]:
        """Hear an even number of features (batch, time, 80)."""
        tokens, caches = self.encoder(features, state[:-2])
        identity, person = self.identity(tokens, state[-2])
        emotion, moment = self.emotion(tokens, state[-1])
        voice = self._fused(of_length_one(identity), of_length_one(emotion))
        return voice, [*caches, person, moment]

    def _fused(self, identity: Tensor, emotion: Tensor) -> Voice:
        person, moment = (math.sqrt(row.shape[1]) * row.reshape(len(row), *self.cut)
                          for row in (identity, emotion))
        unbiased = torch.zeros_like(person[:1, :1, :1])
        fused = person + self.fuse(person, self.fuse.remember(moment), unbiased)
        return Voice(identity, emotion, self.norm(self.out(fused.flatten(1))))


class UpperFace(nn.Module):
    """How brows and eyes move, as an embedding that personal vectors are compared with."""

    def __init__(self, width: int) -> None:
        """Make an embedding of `width` features."""
        super().__init__()
        self.up = nn.Linear(3 * len(UPPER_FACE), 2 * width)
        self.down = nn.Linear(2 * width, width)

    def forward(self, motion: Tensor) -> Tensor:
        """Embed motion (batch, frames, 52), standardised: its mean, deviation and speed."""
        upper = motion[:, :, list(UPPER_FACE)]
        speed = upper.diff(dim=1).abs().mean(dim=1)
        told = torch.cat([upper.mean(dim=1), upper.std(dim=1), speed], dim=1)
        return of_length_one(self.down(F.gelu(self.up(told), approximate='tanh')))


def of_length_one(rows: Tensor) -> Tensor:
    """Return (batch, width) rows with their lengths taken out."""
    return rows * torch.rsqrt((rows * rows).sum(dim=1, keepdim=True) + 1e-8)
