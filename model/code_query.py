# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Network `codetalker`: which codes come next, given the codes so far and the sound.

A frame's query is made of the codes before it. It attends to the queries of a bounded past (their
keys and values are remembered, so a frame costs the same after an hour) and to the sound around
its own time, as far as that was heard; both are biased in seconds, so any frame rate works.
"""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
import torch.nn.functional as F

from model.codebook import Codebook, closeness, straight_through
from model.condition import UNSEEN
from model.layers import Attention, SecondsBias
from model.live_denoiser import Listener, MelEncoder


@dataclass(frozen=True)
class QueryConfig:
    """Sizes of the network and how far it looks, in seconds."""

    width: int = 160
    heads: int = 4
    layers: int = 3
    feed_forward: int = 384
    encoder_blocks: int = 5
    styles: int = 1
    head: str = 'codes'                 # 'codes' are classified, or 'latents' are regressed
    motion_past: float = 0.79           # no common frame rate has a frame on this very edge
    audio_span: tuple[float, float] = (-0.5, 0.25)


class Condition(NamedTuple):
    """What a query hears, and how it is biased."""

    heard: Tensor           # (batch, layers, tokens, 2 width), from `listen`
    motion: Tensor          # (batch, heads, frames, past + frames)
    audio: Tensor           # (batch, heads, frames, 1 + tokens)
    style: Tensor           # (batch, width)
    interval: Tensor        # (batch, 1) seconds between frames


class Answer(NamedTuple):
    """What the network says of a frame's codes."""

    scores: Tensor          # (batch, frames, components, codebook size); the largest is the code
    latents: Tensor         # (batch, frames, components code_width) meant


class CodeHead(nn.Module):
    """Classification: a score for each code of each component."""

    def __init__(self, width: int, codebook: Codebook) -> None:
        """Make a linear map to all scores."""
        super().__init__()
        self.components = codebook.components
        self.out = nn.Linear(width, codebook.components * len(codebook.vectors))
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor, vectors: Tensor) -> Answer:
        """Score the codes; the latents are those expected."""
        scores = self.out(x).unflatten(-1, (self.components, -1))
        return Answer(scores, torch.matmul(torch.softmax(scores, dim=-1), vectors).flatten(-2))


class LatentHead(nn.Module):
    """Regression, as in the paper: a latent, whose nearest codes count."""

    def __init__(self, width: int, codebook: Codebook) -> None:
        """Make a linear map to the latents."""
        super().__init__()
        self.out = nn.Linear(width, codebook.components * codebook.vectors.shape[1])

    def forward(self, x: Tensor, vectors: Tensor) -> Answer:
        """Estimate the latents; codes score by how close they are."""
        latents = self.out(x)
        return Answer(closeness(latents, vectors), latents)


HEADS = {'codes': CodeHead, 'latents': LatentHead}


class QueryLayer(nn.Module):
    """Self-attention over the remembered past, cross-attention to the sound, a perceptron."""

    def __init__(self, config: QueryConfig) -> None:
        """Make one layer."""
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in range(3))
        self.motion = Attention(config.width, config.heads)
        self.audio = Attention(config.width, config.heads)
        self.up = nn.Linear(config.width, config.feed_forward)
        self.down = nn.Linear(config.feed_forward, config.width)
        self.null = nn.Parameter(0.02 * torch.randn(2 * config.width))

    def forward(self, x: Tensor, remembered: Tensor, heard: Tensor,
                biases: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Map x (batch, frames, width); return also the past with these frames."""
        y = self.norms[0](x)
        remembered = torch.cat([remembered, self.motion.remember(y)], dim=1)
        x = x + self.motion(y, remembered, biases[0])
        null = self.null.expand(heard.shape[0], 1, -1)
        x = x + self.audio(self.norms[1](x), torch.cat([null, heard], dim=1), biases[1])
        y = self.up(self.norms[2](x))
        return x + self.down(F.gelu(y, approximate='tanh')), remembered


class CodeQuery(Listener):
    """The whole network: `listen` once per hop, `forward` for many frames or for one."""

    def __init__(self, config: QueryConfig, codebook: Codebook) -> None:
        """Make the network for a trained codebook, which stays as it is."""
        super().__init__()
        if config.head not in HEADS:
            raise ValueError(f'head must be one of {sorted(HEADS)}, got {config.head!r}')
        self.config = config
        self.components = codebook.components
        self.register_buffer('vectors', codebook.vectors.detach().clone())
        self.unknown = nn.Parameter(torch.zeros(1, self.vectors.shape[1]))
        self.encoder = MelEncoder(config.width, config.encoder_blocks)
        self.into = nn.Linear(codebook.components * self.vectors.shape[1], config.width)
        self.rate = nn.Linear(1, config.width)
        self.style = nn.Embedding(config.styles, config.width)
        self.layers = nn.ModuleList(QueryLayer(config) for _ in range(config.layers))
        self.motion_bias = SecondsBias(config.heads, (-config.motion_past, 0.0))
        self.audio_bias = SecondsBias(config.heads, config.audio_span)
        self.norm = nn.LayerNorm(config.width)
        self.head = HEADS[config.head](config.width, codebook)

    @property
    def unknown_code(self) -> int:
        """The code that stands for one which is not known."""
        return len(self.vectors)

    def align(self, times: Tensor, horizons: Tensor, token_times: Tensor,
              ) -> tuple[Tensor, Tensor]:
        """
        Return the attention biases of consecutive frames without a remembered past.

        :param times: (batch, frames) seconds
        :param horizons: (batch, frames) no token that was complete later is heard
        :param token_times: (batch, tokens) when each token was complete
        """
        audio = self.audio_bias(times, token_times)
        audible = token_times[:, None, None, :] <= horizons[:, None, :, None]
        audio = torch.where(audible, audio, torch.full_like(audio, UNSEEN))
        return self.motion_bias(times, times), F.pad(audio, (1, 0))

    def align_one(self, ages: Tensor, delays: Tensor) -> tuple[Tensor, Tensor]:
        """
        Return the biases of one frame behind a remembered past.

        :param ages: (batch, past) seconds since each remembered frame; empty places are old
        :param delays: (batch, tokens) seconds from the frame to the completion of each token
        """
        now = torch.zeros_like(ages[:, :1])
        audio = F.pad(self.audio_bias(now, delays), (1, 0))
        return self.motion_bias(now, torch.cat([-ages, now], dim=1)), audio

    def forget(self, batch: int, past: int = 0) -> Tensor:
        """Return a memory (batch, layers, past, 2 width) of nothing."""
        shape = (batch, len(self.layers), past, 2 * self.config.width)
        return torch.zeros(shape, device=self.vectors.device)

    def forward(self, previous: Tensor, condition: Condition, remembered: Tensor,
                ) -> tuple[Answer, Tensor]:
        """
        Answer for each frame which codes it has.

        :param previous: (batch, frames, components) codes of the frame before each
        :param remembered: (batch, layers, past, 2 width)
        :returns: the answer, and what is remembered with these frames behind it
        """
        table = torch.cat([self.vectors, self.unknown], dim=0)
        x = self.into(F.embedding(previous, table).flatten(-2))
        x = x + (self.rate(30.0 * condition.interval - 1.0) + condition.style)[:, None]
        after = []
        for index, layer in enumerate(self.layers):
            x, joined = layer(x, remembered[:, index], condition.heard[:, index],
                              (condition.motion, condition.audio))
            after.append(joined)
        return self.head(self.norm(x), self.vectors), torch.stack(after, dim=1)

    def chosen(self, answer: Answer) -> Tensor:
        """Return the latents of the best codes, with the gradient of those meant."""
        best = F.embedding(answer.scores.argmax(dim=-1), self.vectors).flatten(-2)
        return straight_through(best, answer.latents)


@torch.no_grad()
def free_run(query: CodeQuery, first: Tensor, condition: Condition) -> Tensor:
    """
    Return the codes (batch, frames, components) that follow `first` (batch, components).

    Each frame continues what the network itself said before, as in use.
    """
    codes, remembered = [first], query.forget(len(first))
    longest = math.ceil(query.config.motion_past / float(condition.interval.min()))
    for frame in range(condition.motion.shape[2]):
        answer, remembered = query(codes[-1][:, None], _at(condition, frame, remembered.shape[2]),
                                   remembered)
        remembered = remembered[:, :, -longest:]
        codes.append(answer.scores[:, 0].argmax(dim=-1))
    return torch.stack(codes[1:], dim=1)


def _at(condition: Condition, frame: int, past: int) -> Condition:
    """Return the condition of one frame: `past` frames before it, tokens that it may hear."""
    audio = condition.audio[:, :, frame:frame + 1]
    near = (audio[:, 0, 0, 1:] > UNSEEN / 2).any(dim=0).nonzero()[:, 0]
    first, last = (int(near[0]), int(near[-1]) + 1) if len(near) else (0, 0)
    return condition._replace(
        heard=condition.heard[:, :, first:last],
        motion=condition.motion[:, :, frame:frame + 1, frame - past:frame + 1],
        audio=torch.cat([audio[..., :1], audio[..., 1 + first:1 + last]], dim=-1))
