# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Network `diffspeaker`: biased conditional attention after DiffSpeaker (arXiv 2402.05712).

Style and noise time are two more keys and values in front of both attentions of every layer, never
queries, never biased. A frame listens to one audio token. Frames hardly penalise each other within
a second. What is ours: everything is measured in seconds, so any frame rate works, and what a
frame may see and hear is cut as in network `live`, so it streams.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
import torch.nn.functional as F

from avatar_bridge import rig
from model.condition import UNSEEN, Condition, Cut
from model.layers import Attention, SecondsBias, TimestepEmbedding
from model.live_denoiser import Listener, MelEncoder

TOLD: Final = 2                 # condition tokens: style and noise time
TICK: Final = 1e-4              # seconds that rounding may move a time


@dataclass(frozen=True)
class BiasedConfig:
    """Sizes of the network, what its attention is like, and how far it looks, in seconds."""

    width: int = 192
    heads: int = 4
    layers: int = 1
    feed_forward: int = 384
    encoder: str = 'mel'            # or a folder or hub id of `model.speech_encoders`
    encoder_blocks: int = 6
    styles: int = 1
    motion_bias: str = 'periodic'   # of `MOTION`
    audio_bias: str = 'diagonal'    # of `AUDIO`
    period: float = 1.0             # of the periodic bias
    reach: float = 0.05             # how far ahead of a frame its one token may lie
    motion_span: tuple[float, float] = (-0.45, 0.45)
    audio_span: tuple[float, float] = (-0.5, 0.25)


class PeriodicBias(nn.Module):
    """
    DiffSpeaker's bias between frames: a step down for each whole period between them.

    Its position code has the same period; a window that slides has no origin to count from, so of
    that code only what depends on the distance is kept, as a learnt Fourier series.
    """

    def __init__(self, heads: int, period: float, span: tuple[float, float], *, waves: int = 8,
                 ) -> None:
        """Bias distances key - query within `span` seconds."""
        super().__init__()
        self.period, self.span = period, span
        slopes = [2.0 ** (-8.0 * (head + 1) / heads) for head in range(heads)]
        self.register_buffer('slopes', torch.tensor(slopes))
        self.register_buffer('rates', 2.0 * torch.pi / period * torch.arange(1, waves + 1))
        self.shape = nn.Parameter(torch.zeros(heads, 2 * waves))

    def forward(self, query_times: Tensor, key_times: Tensor) -> Tensor:
        """Return (batch, heads, queries, keys) from (batch, queries) and (batch, keys)."""
        distance = key_times[:, None, :] - query_times[:, :, None]
        angles = distance[..., None] * self.rates
        waves = torch.cat([torch.sin(angles), torch.cos(angles)], dim=-1)
        learnt = torch.matmul(waves, self.shape.transpose(0, 1)).permute(0, 3, 1, 2)
        steps = whole_periods(distance, self.period)[:, None]
        bias = learnt - self.slopes[None, :, None, None] * steps
        seen = (distance >= self.span[0]) & (distance <= self.span[1])
        return torch.where(seen[:, None], bias, torch.full_like(bias, UNSEEN))


def whole_periods(distance: Tensor, period: float) -> Tensor:
    """
    Return how many whole periods lie between frames `distance` seconds apart.

    A frame exactly n periods in the past counts n, one in the future n - 1, as in the paper.
    """
    past = torch.floor((TICK - distance) / period)
    future = torch.ceil((distance - TICK) / period) - 1.0
    return torch.where(distance > 0, future, past).clamp(min=0.0)


class DiagonalBias(nn.Module):
    """DiffSpeaker's bias towards sound: each frame hears one token, the newest it may."""

    def __init__(self, reach: float) -> None:
        """Hear no token that lies more than `reach` seconds after the frame."""
        super().__init__()
        self.reach = reach

    def forward(self, cut: Cut) -> Tensor:
        """Return (batch, 1, frames, tokens)."""
        newest = torch.minimum(cut.times + self.reach, cut.horizons)[:, :, None]
        times = cut.token_times[:, None, :].expand(-1, cut.times.shape[1], -1)
        times = torch.where(times <= newest, times, torch.full_like(times, UNSEEN))
        heard = (times == times.max(dim=2, keepdim=True).values) & (times > UNSEEN)
        return torch.where(heard, 0.0, UNSEEN)[:, None]


class SoftBias(nn.Module):
    """Our bias towards sound: every audible token, as its distance in seconds has it."""

    def __init__(self, heads: int, span: tuple[float, float]) -> None:
        """Hear tokens within `span` seconds of a frame."""
        super().__init__()
        self.seconds = SecondsBias(heads, span)

    def forward(self, cut: Cut) -> Tensor:
        """Return (batch, heads, frames, tokens)."""
        return cut.heard(self.seconds(cut.times, cut.token_times))


MOTION = {
    'periodic': lambda config: PeriodicBias(config.heads, config.period, config.motion_span),
    'seconds': lambda config: SecondsBias(config.heads, config.motion_span),
}
AUDIO = {
    'diagonal': lambda config: DiagonalBias(config.reach),
    'seconds': lambda config: SoftBias(config.heads, config.audio_span),
}


class BiasedLayer(nn.Module):
    """Self-attention, cross-attention and a perceptron, each told style and noise time."""

    def __init__(self, config: BiasedConfig) -> None:
        """Make one layer."""
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in range(3))
        self.motion = Attention(config.width, config.heads)
        self.audio = Attention(config.width, config.heads)
        self.up = nn.Linear(config.width, config.feed_forward)
        self.down = nn.Linear(config.feed_forward, config.width)

    def forward(self, x: Tensor, heard: Tensor, told: Tensor, biases: tuple[Tensor, Tensor],
                ) -> Tensor:
        """Map x (batch, frames, width); `told` (batch, 2, width), not normalised."""
        y = self.norms[0](x)
        seen = torch.cat([self.motion.remember(told), self.motion.remember(y)], dim=1)
        x = x + self.motion(y, seen, biases[0])
        heard = torch.cat([self.audio.remember(told), heard], dim=1)
        x = x + self.audio(self.norms[1](x), heard, biases[1])
        return x + self.down(F.gelu(self.up(self.norms[2](x)), approximate='tanh'))


class BiasedDenoiser(Listener):
    """The whole network; one noise time for all frames of a window."""

    def __init__(self, config: BiasedConfig) -> None:
        """Make the network."""
        super().__init__()
        self.config = config
        self.encoder = encoder(config)
        self.into = nn.Linear(len(rig.NAMES), config.width)
        self.timestep = TimestepEmbedding(config.width)
        self.step = nn.Linear(config.width, config.layers * config.width)
        self.style = nn.Embedding(config.styles, config.layers * config.width)
        self.layers = nn.ModuleList(BiasedLayer(config) for _ in range(config.layers))
        self.motion_bias = MOTION[config.motion_bias](config)
        self.audio_bias = AUDIO[config.audio_bias](config)
        self.norm = nn.LayerNorm(config.width)
        self.out = nn.Linear(config.width, len(rig.NAMES))
        nn.init.zeros_(self.out.weight)

    def align(self, cut: Cut) -> tuple[Tensor, Tensor]:
        """
        Return the attention biases of a window, the same for every step and layer.

        :returns: motion (batch, heads, frames, frames), audio (batch, heads, frames, 1 + tokens);
            the first column of audio stands for what a frame is told, which it always hears
        """
        motion = cut.seen(self.motion_bias(cut.times, cut.times))
        audio = self.audio_bias(cut).expand(-1, self.config.heads, -1, -1)
        return motion, F.pad(audio, (1, 0))

    def denoise(self, noisy: Tensor, timesteps: Tensor, condition: Condition) -> Tensor:
        """
        Estimate the clean coefficients (batch, frames, 52).

        :param noisy: (batch, frames, 52), standardised
        :param timesteps: (batch, frames) noise times, all of a window alike: the last one counts
        """
        shape = (len(noisy), 1, self.config.layers, self.config.width)
        step = self.step(F.silu(self.timestep(timesteps[:, -1:])))
        told = torch.cat([condition.style.reshape(shape), step.reshape(shape)], dim=1)
        motion = F.pad(condition.motion, (TOLD, 0))
        audio = torch.cat([condition.audio[..., :1], condition.audio], dim=3)
        x = self.into(noisy)
        for index, layer in enumerate(self.layers):
            x = layer(x, condition.heard[:, index], told[:, :, index], (motion, audio))
        return self.out(self.norm(x))


def encoder(config: BiasedConfig) -> nn.Module:
    """Return what turns sound into tokens: our causal one, or one that hears all at once."""
    if config.encoder == 'mel':
        return MelEncoder(config.width, config.encoder_blocks)
    from model.speech_encoders import SpeechEncoder

    return SpeechEncoder(config.encoder, config.width)
