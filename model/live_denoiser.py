# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Network `live`: a causal mel encoder and a block-causal denoiser, both biased in seconds.

Blocks of frames are denoised together; a block sees itself and the blocks before it, each frame at
its own noise level (diffusion forcing, Chen et al. 2024). Audio is seen as far as it was heard, so
the look-ahead is whatever the caller gives, and any frame rate works.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
import torch.nn.functional as F

from avatar_bridge import rig
from avatar_bridge.audio import mel
from model.condition import Condition, Cut
from model.layers import Attention, CausalConv, ConvBlock, SecondsBias, TimestepEmbedding, Told

EAR = 'ear.'                                          # parameters that serve in training only,
SPEECH = 'speech.'                                    # and those that tell whether somebody speaks
TOKEN_SECONDS = 2 * mel.STRIDE / mel.SAMPLE_RATE      # the encoder halves the feature rate


@dataclass(frozen=True)
class LiveConfig:
    """Sizes of the network and how far it looks, in seconds."""

    width: int = 192
    heads: int = 4
    layers: int = 3
    feed_forward: int = 512
    encoder_blocks: int = 6
    encoder_dilations: tuple[int, ...] = ()     # of blocks behind them, which hear longer ago
    styles: int = 1
    phones: int = 0                     # classes that its ear is trained to tell; set by `train`
    speech: bool = False                # it says whether somebody speaks; set by `train`
    told: tuple[str, ...] = ()          # of `layers.Told`: what a distilled network knows besides
    motion_span: tuple[float, float] = (-0.45, 0.45)
    audio_span: tuple[float, float] = (-0.5, 0.25)


class MelEncoder(nn.Module):
    """Features (batch, time, 80) -> tokens (batch, time / 2, width), causal, state in and out."""

    streams = True

    def __init__(self, width: int, blocks: int, dilations: Sequence[int] = ()) -> None:
        """Make an encoder of so many blocks, and of one more for each dilation behind them."""
        super().__init__()
        self.front = CausalConv(mel.BANDS, width, kernel=6, stride=2)
        self.blocks = nn.ModuleList(ConvBlock(width, dilation=dilation)
                                    for dilation in (*[1] * blocks, *dilations))
        self.norm = nn.LayerNorm(width)

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """Return what silence for ever leaves in the first layer, zeros behind it."""
        silence = float(mel.log_compress(torch.zeros(1).numpy())[0])
        shapes = [(mel.BANDS, self.front.history)]
        shapes += [(block.norm.normalized_shape[0], block.depthwise.history)
                   for block in self.blocks]
        return [torch.full((batch, *shape), silence if index == 0 else 0.0)
                for index, shape in enumerate(shapes)]

    def forward(self, features: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Encode an even number of features."""
        x, first = self.front(features.transpose(1, 2), state[0])
        after = [first]
        for block, before in zip(self.blocks, state[1:], strict=True):
            x, now = block(x, before)
            after.append(now)
        return self.norm(x.transpose(1, 2)), after


class Listener(nn.Module):
    """A network with an encoder, and layers whose attention `audio` hears its tokens."""

    encoder: nn.Module
    layers: nn.ModuleList

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """Return the encoder's caches before the first sample."""
        return self.encoder.initial_state(batch)

    def listen(self, features: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return keys and values (batch, layers, tokens, 2 width) of new features."""
        tokens, state = self.encoder(features, state)
        return torch.stack([layer.audio.remember(tokens) for layer in self.layers], dim=1), state


class TrunkLayer(nn.Module):
    """Self-attention, cross-attention and a perceptron, each modulated by the noise level."""

    def __init__(self, config: LiveConfig) -> None:
        """Make one layer."""
        super().__init__()
        width = config.width
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=False)
                                   for _ in range(3))
        self.modulation = nn.Parameter(torch.zeros(6, width))
        self.motion = Attention(width, config.heads)
        self.audio = Attention(width, config.heads)
        self.up = nn.Linear(width, config.feed_forward)
        self.down = nn.Linear(config.feed_forward, width)
        self.null = nn.Parameter(0.02 * torch.randn(2 * width))

    def forward(self, x: Tensor, heard: Tensor, modulation: Tensor,
                biases: tuple[Tensor, Tensor]) -> Tensor:
        """Map x (batch, frames, width); `modulation` (batch, frames, 6, width)."""
        shift = modulation + self.modulation
        y = self.norms[0](x) * (1 + shift[:, :, 0]) + shift[:, :, 1]
        x = x + self.motion(y, self.motion.remember(y), biases[0])
        y = self.norms[1](x) * (1 + shift[:, :, 2]) + shift[:, :, 3]
        null = self.null.expand(heard.shape[0], 1, -1)
        x = x + self.audio(y, torch.cat([null, heard], dim=1), biases[1])
        y = self.norms[2](x) * (1 + shift[:, :, 4]) + shift[:, :, 5]
        return x + self.down(F.gelu(self.up(y), approximate='tanh'))


class LiveDenoiser(Listener):
    """The whole network: `listen` and `align` once per hop, `denoise` once per step."""

    def __init__(self, config: LiveConfig) -> None:
        """Make the network."""
        super().__init__()
        self.config = config
        self.encoder = MelEncoder(config.width, config.encoder_blocks,
                                  config.encoder_dilations)
        self.into = nn.Linear(len(rig.NAMES), config.width)
        self.timestep = TimestepEmbedding(config.width)
        self.style = nn.Embedding(config.styles, config.width)
        self.told = Told(config.told, config.width)
        self.modulate = nn.Linear(config.width, 6 * config.width)
        self.layers = nn.ModuleList(TrunkLayer(config) for _ in range(config.layers))
        self.motion_bias = SecondsBias(config.heads, config.motion_span)
        self.audio_bias = SecondsBias(config.heads, config.audio_span)
        self.norm = nn.LayerNorm(config.width)
        self.out = nn.Linear(config.width, len(rig.NAMES))
        nn.init.zeros_(self.out.weight)
        if config.phones:
            self.ear = nn.Linear(2 * config.layers * config.width, config.phones)
        if config.speech:
            self.speech = speech_head(2 * config.width)

    def classes(self, heard: Tensor) -> Tensor:
        """Return logits (batch, tokens, phones) of what sounds, from what `listen` returned."""
        return self.ear(heard.transpose(1, 2).flatten(2))

    def speaks(self, heard: Tensor) -> Tensor:
        """Return log odds (batch, tokens) that somebody spoke in the token before each."""
        return self.speech(heard[:, 0])[..., 0]

    def align(self, cut: Cut) -> tuple[Tensor, Tensor]:
        """
        Return the attention biases of a window, the same for every step and layer.

        :returns: motion (batch, heads, frames, frames), audio (batch, heads, frames, 1 + tokens)
        """
        motion = cut.seen(self.motion_bias(cut.times, cut.times))
        audio = cut.heard(self.audio_bias(cut.times, cut.token_times))
        return motion, F.pad(audio, (1, 0))         # the null token in front is always heard

    def denoise(self, noisy: Tensor, timesteps: Tensor, condition: Condition) -> Tensor:
        """
        Estimate the clean coefficients (batch, frames, 52).

        :param noisy: (batch, frames, 52), standardised
        :param timesteps: (batch, frames) noise times
        """
        told = condition.style + self.told(condition)
        level = F.silu(self.timestep(timesteps) + told[:, None])
        modulation = self.modulate(level).reshape(*level.shape[:2], 6, level.shape[2])
        x = self.into(noisy)
        for index, layer in enumerate(self.layers):
            x = layer(x, condition.heard[:, index], modulation,
                      (condition.motion, condition.audio))
        return self.out(self.norm(x))


def speech_head(inputs: int) -> nn.Sequential:
    """Return what says of (..., inputs) the log odds of speech, (..., 1)."""
    return nn.Sequential(nn.Linear(inputs, 32), nn.Tanh(), nn.Linear(32, 16), nn.Tanh(),
                         nn.Linear(16, 1))


class Regressor(LiveDenoiser):
    """
    The same trunk without noise: one pose for each sound, the mean of what could be.

    The deterministic baseline that diffusion is compared with.
    """

    def denoise(self, noisy: Tensor, timesteps: Tensor, condition: Condition) -> Tensor:
        """Estimate the coefficients (batch, frames, 52) from what is heard alone."""
        return super().denoise(torch.zeros_like(noisy), torch.ones_like(timesteps), condition)
