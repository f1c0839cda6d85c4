# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""When the lids close, and how: sources of the figures are in docs/decisions/0012."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from avatar_bridge import rig
from avatar_bridge.stream.moment import BLINKS, Moment, chance

MEDIAN: Final = 3.2             # seconds from blink to blink; log-normal
SPREAD: Final = 0.55            # of its logarithm
SHORTEST, LONGEST = 1.2, 12.0   # seconds
SPEAKING: Final = 0.75          # intervals while speaking, as a share of those in silence
TWICE: Final = 0.08             # share of blinks that are followed by another at once
READY: Final = 0.9              # seconds after which a blink may be brought forward
WAIT: Final = 0.8               # seconds that a blink waits for the end of a phrase
EARLY: Final = 2.5              # seconds by which the end of a phrase brings one forward
OWN: Final = 0.5                # weight from which on the lids count as closed by the model
SQUINT, CHEEK = 0.12, 0.03      # weights that go with closed lids

SIDES: Final = ('Left', 'Right')
LIDS: Final = [rig.INDEX[f'eyeBlink{side}'] for side in SIDES]
WIDE: Final = [rig.INDEX[f'eyeWide{side}'] for side in SIDES]
SQUINTS: Final = [rig.INDEX[f'eyeSquint{side}'] for side in SIDES]
CHEEKS: Final = [rig.INDEX[f'cheekSquint{side}'] for side in SIDES]


class Blink(NamedTuple):
    """One closing and opening of the lids; seconds."""

    start: float = -math.inf
    closing: float = 0.09
    hold: float = 0.03
    opening: float = 0.19
    depth: float = 1.0
    apart: float = 0.0          # the right lid after the left one

    @property
    def end(self) -> float:
        """When both lids are open again."""
        return self.start + self.closing + self.hold + self.opening + abs(self.apart)

    def closure(self, t: float) -> tuple[float, float]:
        """Return how far the left and the right lid are closed, 0 to 1."""
        if not self.start <= t < self.end:
            return 0.0, 0.0
        since = t - self.start
        return self._lid(since - max(0.0, -self.apart)), self._lid(since - max(0.0, self.apart))

    def _lid(self, since: float) -> float:
        if since < self.closing:
            return self.depth * math.sin(0.5 * math.pi * max(0.0, since) / self.closing) ** 2
        # Lids open fast at first and settle slowly.
        left = min(1.0, max(0.0, 1.0 - (since - self.closing - self.hold) / self.opening))
        return self.depth * math.sin(0.5 * math.pi * left ** 1.5) ** 2


class Blinks(NamedTuple):
    """The newest blink, and when the next one is due."""

    number: int = 0             # blinks so far
    due: float = 0.0            # seconds
    waits: float = WAIT         # seconds that speech may hold it up
    blink: Blink = Blink()

    @classmethod
    def begin(cls, seed: int, t: float) -> Blinks:
        """Return blinks of which the first comes some time after `t`."""
        return cls(due=t + 0.3 + MEDIAN * float(chance(seed, BLINKS, 0).random()))

    def step(self, seed: int, moment: Moment, *, own: float, glance: float) -> Blinks:
        """
        Return them one frame later.

        `own` is the model's weight on the lids: its blinks count too. `glance` is when a shift of
        gaze that takes a blink along begins, infinite where none does.
        """
        t, waiting = moment.t, self
        if t < self.blink.end:
            return self
        if own > OWN:
            return self._replace(due=max(self.due, t + READY))
        ready = self.blink.start + READY
        if moment.ended and ready <= t and self.due < t + EARLY:
            waiting = self._replace(due=t)
        elif ready <= glance < self.due:
            waiting = self._replace(due=glance, waits=0.0)
        start = waiting.due + (waiting.waits if moment.speech else 0.0)
        if t < start:
            return waiting
        # It begins between two frames, or with the frame that ended the speech it waited for.
        return self._next(seed, start if start > t - moment.dt else t, moment.voice)

    def _next(self, seed: int, start: float, voice: float) -> Blinks:
        rng = chance(seed, BLINKS, self.number + 1)
        blink = Blink(start, rng.uniform(0.075, 0.1), rng.uniform(0.015, 0.04),
                      rng.uniform(0.16, 0.21), rng.uniform(0.96, 1.0), rng.uniform(-0.008, 0.008))
        if rng.random() < TWICE and self.waits:
            return Blinks(self.number + 1, blink.end + rng.uniform(0.05, 0.15), 0.0, blink)
        pause = MEDIAN * math.exp(SPREAD * rng.standard_normal())
        pause *= 1.0 - (1.0 - SPEAKING) * voice
        due = start + min(LONGEST, max(SHORTEST, pause))
        return Blinks(self.number + 1, due, WAIT, blink)


def close_lids(weights: list[float], closures: tuple[float, float]) -> None:
    """Close the lids in the 52 `weights` as far as `closures` say, left and right."""
    for side, closure in enumerate(closures):
        if closure > 0.0:
            weights[LIDS[side]] = max(weights[LIDS[side]], closure)
            weights[WIDE[side]] *= 1.0 - closure
            weights[SQUINTS[side]] = max(weights[SQUINTS[side]], SQUINT * closure)
            weights[CHEEKS[side]] = max(weights[CHEEKS[side]], CHEEK * closure)
