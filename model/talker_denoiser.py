# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Network `diffusiontalker`: a denoiser that speaks as the voice it hears (arXiv 2503.18159).

The trunk is that of network `live`. The personal vector stands beside every audio feature before
keys and values are made of them, as in the paper, and joins the noise time in modulating layers.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from model.condition import Condition
from model.live_denoiser import LiveConfig, LiveDenoiser
from model.personaliser import Personaliser, UpperFace, Voice


@dataclass(frozen=True)
class TalkerConfig(LiveConfig):
    """Sizes of the trunk and of the personaliser."""

    voice_width: int = 64
    voice_blocks: int = 2
    pieces: int = 4
    piece: int = 32
    personal: int = 64


class TalkerDenoiser(LiveDenoiser):
    """A denoiser whose style is a personal vector."""

    def __init__(self, config: TalkerConfig) -> None:
        """Make the network."""
        super().__init__(config)
        del self.style                  # no table: styles are heard
        self.personal = Personaliser(config)
        self.face = UpperFace(config.personal)
        self.level = nn.Linear(config.personal, config.width)
        self.beside = nn.Linear(config.personal, config.layers * 2 * config.width)

    def enrol(self, features: Tensor, state: list[Tensor]) -> tuple[Voice, list[Tensor]]:
        """Return the voice after features (batch, 2 n, 80) of it; begin with `strange`."""
        return self.personal(features, state)

    def strange(self, batch: int = 1) -> list[Tensor]:
        """Return the state before anything of a voice was heard."""
        return self.personal.initial_state(batch)

    def denoise(self, noisy: Tensor, timesteps: Tensor, condition: Condition) -> Tensor:
        """
        Estimate the clean coefficients (batch, frames, 52).

        :param noisy: (batch, frames, 52), standardised
        :param timesteps: (batch, frames) noise times
        """
        # A linear map of audio and vector side by side is the sum of a map of each.
        beside = self.beside(condition.style).reshape(
            len(noisy), self.config.layers, 1, 2 * self.config.width)
        return super().denoise(noisy, timesteps, condition._replace(
            heard=condition.heard + beside, style=self.level(condition.style)))
