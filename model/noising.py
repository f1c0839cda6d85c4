# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What a network of each kind is shown of clean frames, as its sampler will show it; torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from avatar_bridge import rig
from avatar_bridge.diffusion.sampler import SCHEDULES, Level
from model.networks import KINDS


def levels_at(kind: str, timesteps: NDArray[np.float32], device: torch.device) -> Level:
    """Return the levels of noise times (batch, frames), each part (batch, frames, 1)."""
    level = SCHEDULES[KINDS[kind].sampling.schedule]
    parts = np.array([level(timestep) for timestep in timesteps.ravel().tolist()], np.float32)
    return Level(*torch.from_numpy(parts.T.reshape(3, *timesteps.shape, 1)).to(device))


def noised(kind: str, clean: Tensor, noise: Tensor, timesteps: NDArray[np.float32]) -> Tensor:
    """
    Return clean coefficients (batch, frames, 52) at their noise times (batch, frames).

    Where nothing but noise is left, the mouth has as much of it as a sampler starts from; before
    that it needs all of it, for less would tell the network where the lips are.
    """
    level = levels_at(kind, timesteps, clean.device)
    share = torch.ones_like(noise)
    share[..., list(rig.MOUTH)] = KINDS[kind].sampling.mouth_noise
    started = torch.where(level.timestep == 1, share * noise, noise)
    return level.alpha * clean + level.sigma * started
