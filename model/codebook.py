# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Motion as codes: a causal autoencoder whose latents come from one codebook (CodeTalker's idea).

A frame's latent is split into components, each replaced by the nearest of the codebook's vectors.
Nothing looks ahead and nothing is averaged over time (the paper normalises over the whole clip),
so both halves stream: `y, state = f(x, state)`. Frames may come at any rate; both halves are told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
import torch.nn.functional as F

from avatar_bridge import rig
from model.layers import ConvBlock

COMMITMENT = 0.25               # share of the quantisation loss that pulls the encoder
MEMORY = 0.99                   # decay of a code's share in use, for each batch
DEAD = 0.05                     # of an even share; who is used less is moved


@dataclass(frozen=True)
class CodebookConfig:
    """Sizes of the autoencoder and its codebook."""

    width: int = 128
    blocks: int = 3                     # causal convolutions on each side
    components: int = 8                 # parts of a frame's latent, each with a code of its own
    code_width: int = 16                # numbers in a code's vector
    codebook_size: int = 256            # vectors, shared by all components


class Quantised(NamedTuple):
    """Latents as the codebook has them."""

    latents: Tensor         # (batch, frames, components code_width); gradients pass straight
    codes: Tensor           # (batch, frames, components)
    loss: Tensor            # how far vectors and latents are from each other


class MotionStack(nn.Module):
    """Causal convolutions over frames; half of the autoencoder."""

    def __init__(self, inputs: int, outputs: int, config: CodebookConfig) -> None:
        """Map `inputs` numbers a frame to `outputs`."""
        super().__init__()
        self.into = nn.Linear(inputs, config.width)
        self.rate = nn.Linear(1, config.width)
        self.blocks = nn.ModuleList(ConvBlock(config.width) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.width)
        self.out = nn.Linear(config.width, outputs)

    def settled(self, frame: Tensor, interval: Tensor) -> list[Tensor]:
        """Return the state after `frame` (batch, inputs) for ever."""
        x = self._enter(frame[:, None], interval)
        state = []
        for block in self.blocks:
            held = x.expand(-1, -1, block.depthwise.history)
            state.append(held)
            x, _ = block(x, held)
        return state

    def forward(self, frames: Tensor, interval: Tensor, state: list[Tensor],
                ) -> tuple[Tensor, list[Tensor]]:
        """Map frames (batch, frames, inputs) that are `interval` (batch, 1) seconds apart."""
        x = self._enter(frames, interval)
        after = []
        for block, before in zip(self.blocks, state, strict=True):
            x, now = block(x, before)
            after.append(now)
        return self.out(self.norm(x.transpose(1, 2))), after

    def _enter(self, frames: Tensor, interval: Tensor) -> Tensor:
        x = self.into(frames) + self.rate(30.0 * interval - 1.0)[:, None]
        return x.transpose(1, 2)


class Codebook(nn.Module):
    """Vectors that latents are made of, and how much each is used."""

    def __init__(self, config: CodebookConfig) -> None:
        """Make a codebook of dead codes: the first batch brings them to life."""
        super().__init__()
        self.components = config.components
        self.vectors = nn.Parameter(torch.randn(config.codebook_size, config.code_width))
        self.register_buffer('usage', torch.zeros(config.codebook_size))

    def nearest(self, latents: Tensor) -> Tensor:
        """Return the codes (…, components) nearest to latents (…, components code_width)."""
        return closeness(latents, self.vectors).argmax(dim=-1)

    def latents(self, codes: Tensor) -> Tensor:
        """Return the latents (…, components code_width) of codes (…, components)."""
        return F.embedding(codes, self.vectors).flatten(-2)

    def quantise(self, latents: Tensor) -> Quantised:
        """Replace each component by its nearest vector (van den Oord et al. 2017)."""
        codes = self.nearest(latents.detach())
        chosen = self.latents(codes)
        loss = (F.mse_loss(chosen, latents.detach())
                + COMMITMENT * F.mse_loss(latents, chosen.detach()))
        return Quantised(straight_through(chosen, latents), codes, loss)

    @torch.no_grad()
    def count(self, codes: Tensor) -> None:
        """Remember which codes a batch used."""
        share = torch.bincount(codes.flatten(), minlength=len(self.usage)) / codes.numel()
        self.usage.lerp_(share, 1 - MEMORY)

    @torch.no_grad()
    def revive(self, latents: Tensor, rng: np.random.Generator) -> int:
        """Move the dead codes onto latents of this batch; return how many there were."""
        dead = (self.usage < DEAD / len(self.usage)).nonzero()[:, 0]
        parts = latents.reshape(-1, self.vectors.shape[1])
        chosen = torch.from_numpy(rng.integers(0, len(parts), len(dead))).to(parts.device)
        self.vectors[dead] = parts[chosen]
        self.usage[dead] = 1 / len(self.usage)
        return len(dead)


class MotionCodebook(nn.Module):
    """The autoencoder: coefficients -> latents -> codes -> coefficients."""

    def __init__(self, config: CodebookConfig) -> None:
        """Make the autoencoder."""
        super().__init__()
        self.config = config
        latent = config.components * config.code_width
        self.encoder = MotionStack(len(rig.NAMES), latent, config)
        self.codebook = Codebook(config)
        self.decoder = MotionStack(latent, len(rig.NAMES), config)

    def encode(self, motion: Tensor, interval: Tensor) -> Tensor:
        """Return the latents of (batch, frames, 52) coefficients, the first held before."""
        return self.encoder(motion, interval, self.encoder.settled(motion[:, 0], interval))[0]

    def codes(self, motion: Tensor, interval: Tensor) -> Tensor:
        """Return the codes (batch, frames, components) of coefficients."""
        return self.codebook.nearest(self.encode(motion, interval))

    def decode(self, latents: Tensor, interval: Tensor, before: Tensor) -> Tensor:
        """Return coefficients; `before` (batch, latent) was held before the first frame."""
        return self.decoder(latents, interval, self.decoder.settled(before, interval))[0]


def closeness(latents: Tensor, vectors: Tensor) -> Tensor:
    """Return (…, components, size): minus squared distances to all vectors."""
    parts = latents.unflatten(-1, (-1, vectors.shape[1]))
    cross = torch.matmul(parts, vectors.transpose(0, 1))
    return 2 * cross - vectors.square().sum(dim=1) - parts.square().sum(dim=-1, keepdim=True)


def straight_through(chosen: Tensor, latents: Tensor) -> Tensor:
    """Return `chosen` with the gradient of `latents`."""
    return latents + (chosen - latents).detach()


def intervals(batch: int, fps: float, device: torch.device | str = 'cpu') -> Tensor:
    """Return (batch, 1) seconds between frames."""
    return torch.full((batch, 1), 1.0 / fps, device=device)
