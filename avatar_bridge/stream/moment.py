# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What the parts of idle life share: the moment, chance, springs and slow noise."""

from __future__ import annotations

from functools import lru_cache
import math
from operator import mul
from typing import Final, NamedTuple

import numpy as np

BLINKS: Final = 1               # streams of chance: what one part draws never moves another
GAZE: Final = 2
SWAY: Final = 3


class Moment(NamedTuple):
    """What idle life knows of one frame."""

    t: float                    # seconds since life began
    dt: float                   # seconds since the frame before
    speech: bool
    began: bool                 # speech is heard since this frame
    ended: bool                 # or no longer
    voice: float                # how much has been spoken lately, 0 to 1
    jaw: float                  # weight of jawOpen, before idle life


class Spring(NamedTuple):
    """Something that follows a target without overshoot, the same at every fps."""

    x: float = 0.0
    v: float = 0.0              # 1/s

    def step(self, target: float, *, rate: float, dt: float) -> Spring:
        """Return it `dt` seconds later; it covers most of the way in 3 / `rate` seconds."""
        away = self.x - target
        pull = self.v + rate * away
        decay = math.exp(-rate * dt)
        return Spring(target + (away + pull * dt) * decay, (self.v - rate * pull * dt) * decay)


def chance(seed: int, part: int, number: int) -> np.random.Generator:
    """Return the generator of one event: whatever happened elsewhere, it draws the same."""
    return np.random.default_rng((seed, part, number))


@lru_cache(maxsize=64)
def knot(seed: int, number: int, channels: int) -> tuple[float, ...]:
    """Return values with deviation 1, one for each channel."""
    return tuple(chance(seed, SWAY, number).standard_normal(channels).tolist())


def noise(seed: int, t: float, *, spacing: float, channels: int) -> list[float]:
    """
    Return smooth noise at `t` seconds, deviation about 0.6, one value for each channel.

    A cubic B-spline over random knots `spacing` seconds apart: twice differentiable, nothing
    faster than about 0.5 / `spacing` Hz, and a function of time alone.
    """
    cell = math.floor(t / spacing)
    u = t / spacing - cell
    # plain numbers: for six channels numpy costs five times as much
    shares = ((1 - u) ** 3, (3 * u - 6) * u * u + 4, ((3 - 3 * u) * u + 3) * u + 1, u ** 3)
    knots = [knot(seed, cell + place, channels) for place in range(len(shares))]
    return [sum(map(mul, shares, values)) / 6 for values in zip(*knots, strict=True)]
