# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What a denoiser is told of a window: where it lies, what is heard, how somebody speaks."""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor

UNSEEN: Final = -1e4            # attention bias of what must not be seen or heard


class Cut(NamedTuple):
    """Where the frames and tokens of a window lie; times in seconds."""

    times: Tensor           # (batch, frames) start of each frame
    blocks: Tensor          # (batch, frames) block number; a frame sees blocks up to its own
    horizons: Tensor        # (batch, frames) no token that was complete later is heard
    token_times: Tensor     # (batch, tokens) when each token was complete

    def seen(self, bias: Tensor) -> Tensor:
        """Return a bias between frames (batch, heads, frames, frames), later blocks unseen."""
        visible = self.blocks[:, None, :, None] >= self.blocks[:, None, None, :]
        return torch.where(visible, bias, torch.full_like(bias, UNSEEN))

    def heard(self, bias: Tensor) -> Tensor:
        """Return a bias towards tokens (batch, heads, frames, tokens), later ones unheard."""
        audible = self.token_times[:, None, None, :] <= self.horizons[:, None, :, None]
        return torch.where(audible, bias, torch.full_like(bias, UNSEEN))


class Condition(NamedTuple):
    """What the denoiser hears and how far it sees."""

    heard: Tensor           # (batch, layers, tokens, 2 width), from `listen`
    motion: Tensor          # (batch, heads, frames, frames), from `align`
    audio: Tensor           # (batch, heads, frames, 1 + tokens), from `align`
    style: Tensor           # (batch, style width) the way of speaking
    step_size: Tensor | None = None     # (batch,) noise time to the next evaluation, 0: no matter
    guidance: Tensor | None = None      # (batch,) scale; both only for who is told
