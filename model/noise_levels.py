# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
How noisy each frame of a training excerpt is, as samplers will have it; numpy, (frames,).

All at once: a window without a past. In chunks: what follows a past. In a triangle: a ladder of
noise levels behind a past, as rolling sampling has it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
PAST = 0.2                      # final frames are this noisy at most
STARTS = 0.35                   # share of the noise times that lie where a sampler starts
HOPS = (0.03, 0.1)              # seconds that a rolling sampler goes on at once
ABREAST = (1, 2, 4)             # evaluations in which it does so


class Levels(NamedTuple):
    """What each frame is given, and what it sees and hears."""

    timesteps: Array
    blocks: Array               # a frame sees the blocks up to its own
    horizons: Array             # seconds; no token that was complete later is heard


def even(levels: Levels, rng: np.random.Generator) -> Levels:
    """Draw one noise time for all frames."""
    return levels._replace(timesteps=np.full_like(levels.timesteps, anywhere(rng)))


def chunk(levels: Levels, rng: np.random.Generator) -> Levels:
    """Draw a past that is nearly clean, and one noise time for what follows it."""
    last = int(levels.blocks[-1])
    first = min(int(rng.integers(1, last + 2)), last)
    timesteps = np.where(levels.blocks < first, rng.uniform(0.0, PAST), anywhere(rng))
    return levels._replace(timesteps=timesteps.astype(np.float32))


def triangle(levels: Levels, times: NDArray[np.float64], rungs: int, rng: np.random.Generator,
             ) -> Levels:
    """
    Draw a ladder of noise levels behind a past that is nearly clean.

    :param times: (frames,) seconds
    :param rungs: hops in which pure noise becomes clean
    """
    frames = len(times)
    fps = (frames - 1) / float(times[-1] - times[0])
    hop = max(1, round(float(rng.uniform(*HOPS)) * fps))
    first = int(rng.integers(1, max(2, frames - rungs * hop + 1)))
    hops = (np.arange(frames) - first) // hop           # 0 becomes final now, below is the past
    abreast = int(rng.choice(ABREAST))
    rung = hops + 1 - int(rng.integers(abreast)) / abreast
    timesteps = np.where(hops < 0, rng.uniform(0.0, PAST), np.minimum(rung / rungs, 1.0))
    # The frames ahead are denoised together, and none of them hears beyond the newest samples.
    blocks = np.minimum(hops, 0)
    horizons = times[first] + (blocks + 1 + rng.uniform(0.0, 2.0)) * hop / fps
    horizons = np.minimum(horizons, levels.horizons.max())          # the deaf stay deaf
    return Levels(timesteps.astype(np.float32), (blocks - blocks[0]).astype(np.float32),
                  horizons.astype(np.float32))


def anywhere(rng: np.random.Generator) -> float:
    """Draw a noise time."""
    return float(rng.uniform(0.95 if rng.random() < STARTS else 0.0, 1.0))
