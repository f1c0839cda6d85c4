# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The head is never quite still: it drifts, breathes, and stirs with the voice."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from avatar_bridge import rig
from avatar_bridge.stream.moment import Moment, Spring, noise

DRIFT: Final = tuple(map(math.radians, (2.0, 1.0, 1.0)))    # yaw, pitch, roll of slow noise
STIR: Final = tuple(map(math.radians, (0.7, 0.6, 0.5)))     # of quicker noise
SLOW: Final = 2.4               # seconds between knots
QUICK: Final = 0.9
CHANNELS: Final = 6             # yaw, pitch, roll, inner and outer brows, breath
SPEAKING: Final = 0.6           # how much larger all of it is while speaking
BREATH: Final = 0.25            # Hz
UNEVEN: Final = 0.15            # of a breath: no two are of the same length
BREATH_PITCH: Final = math.radians(0.5)
NOD: Final = math.radians(5.0)  # down, where the jaw opens by 1 more than lately
BROWS: Final = 0.03             # weight

INNER: Final = rig.INDEX['browInnerUp']
OUTER: Final = [rig.INDEX[f'browOuterUp{side}'] for side in ('Left', 'Right')]


class Nod(NamedTuple):
    """The head dips with what the jaw does beyond its average."""

    jaw: Spring = Spring()
    usual: Spring = Spring()

    def step(self, moment: Moment) -> Nod:
        """Return it one frame later."""
        return Nod(self.jaw.step(moment.jaw, rate=12.0, dt=moment.dt),
                   self.usual.step(moment.jaw, rate=1.5, dt=moment.dt))

    @property
    def pitch(self) -> float:
        """Radians, up."""
        return -NOD * (self.jaw.x - self.usual.x)


def sway(seed: int, moment: Moment, nod: Nod) -> tuple[list[float], tuple[float, float]]:
    """Return yaw, pitch and roll in radians, and the weights of inner and outer brows."""
    slow = noise(seed, moment.t, spacing=SLOW, channels=CHANNELS)
    quick = noise(seed + 1, moment.t, spacing=QUICK, channels=len(STIR))
    larger = 1.0 + SPEAKING * moment.voice
    head = [larger * (drift * far + stir * near)
            for drift, far, stir, near in zip(DRIFT, slow, STIR, quick, strict=False)]
    phase = 2.0 * math.pi * (BREATH * moment.t + UNEVEN * slow[5])
    # Speech takes its breath in the pauses: the quiet rhythm is not seen through it.
    head[1] += BREATH_PITCH * math.sin(phase) * (1.0 - 0.6 * moment.voice) + nod.pitch
    inner, outer = (0.5 * BROWS * larger * (1.0 + math.tanh(value)) for value in slow[3:5])
    return head, (inner, outer)


def raise_brows(weights: list[float], inner: float, outer: float) -> None:
    """Raise the brows in the 52 `weights`."""
    weights[INNER] += inner
    for brow in OUTER:
        weights[brow] += outer
