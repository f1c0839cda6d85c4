# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Where the eyes look: fixations and saccades; sources of the figures are in decision 0012."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from avatar_bridge import rig
from avatar_bridge.stream.blinks import LIDS, SIDES, WIDE
from avatar_bridge.stream.moment import GAZE, Moment, Spring, chance

EYE_DEGREES: Final = 30.0       # that an eyeLook weight of 1 turns the eye

FASTEST: Final = 0.021          # seconds: the main sequence of saccades
FOR_EACH_DEGREE: Final = 0.0022     # seconds
SHORTEST, LONGEST = 0.3, 3.0    # seconds of a fixation
SETTLED: Final = 0.15           # seconds between two saccades at least
AT_VIEWER: Final = (1.1, 0.6)   # median and spread of a fixation there, log-normal
ELSEWHERE: Final = (0.65, 0.45)
AVERT: Final = (0.12, 0.3)      # share of saccades that leave the viewer: in silence, speaking
AVERT_FIRST: Final = 0.6        # of beginnings of speech
RETURN: Final = 0.75            # share of saccades from elsewhere that go back to the viewer
ABOUT: Final = (0.8, 0.5)       # degrees, deviation of fixations on the viewer's face
NEAREST, MEAN, FARTHEST = 3.0, 6.0, 14.0    # degrees elsewhere: exponential, cut
UPRIGHT: Final = 0.6            # vertical shifts are smaller
BLINK_FROM: Final = 9.0         # degrees of a shift that may take a blink along
WITH_BLINK: Final = 0.5         # share of those that do
INWARD: Final = 1.5             # degrees of each eye: the viewer is a good metre away
FOLLOW: Final = 0.25            # share of gaze that the head takes over
TURN_RATE: Final = 6.0          # 1/s: how soon
LOWER: Final = 0.012            # weight on the lids for each degree down
RAISE: Final = 0.008            # weight of wide eyes for each degree up

LOOKS: Final = [tuple(rig.INDEX[f'eyeLook{way}{side}'] for way in ways) for side, ways in zip(
    SIDES, (('Out', 'In', 'Up', 'Down'), ('In', 'Out', 'Up', 'Down')), strict=True)]

Angles = tuple[float, float]    # yaw to the subject's left, pitch up, degrees


class Gaze(NamedTuple):
    """The newest saccade, and when the next one is due."""

    number: int = 0             # saccades so far
    origin: Angles = (0.0, 0.0)
    target: Angles = (0.0, 0.0)
    start: float = 0.0          # seconds
    head: tuple[Spring, Spring] = (Spring(), Spring())      # its turn at the start, degrees
    until: float = 0.0          # when the fixation ends
    elsewhere: bool = False
    with_blink: bool = False

    @classmethod
    def begin(cls, seed: int, t: float) -> Gaze:
        """Return eyes on the viewer, from `t` on."""
        return cls(start=t, until=t + SHORTEST + float(chance(seed, GAZE, 0).random()))

    @property
    def duration(self) -> float:
        """Seconds that the saccade takes."""
        return FASTEST + FOR_EACH_DEGREE * math.dist(self.origin, self.target)

    def direction(self, t: float) -> Angles:
        """Return where the eyes look at `t`."""
        u = min(1.0, max(0.0, (t - self.start) / self.duration))
        way = u ** 3 * (10.0 - 15.0 * u + 6.0 * u * u)      # of least jerk
        return (self.origin[0] + way * (self.target[0] - self.origin[0]),
                self.origin[1] + way * (self.target[1] - self.origin[1]))

    def turn(self, t: float) -> Angles:
        """Return by how much the head turns with the eyes at `t`."""
        yaw, pitch = self._head(t)
        return yaw.x, pitch.x

    def step(self, seed: int, moment: Moment) -> Gaze:
        """Return it one frame later."""
        t, until, share = moment.t, self.until, AVERT[0] + (AVERT[1] - AVERT[0]) * moment.voice
        settled = max(t, self.start + self.duration + SETTLED)
        if moment.ended and self.elsewhere:
            until = min(until, settled)             # back to the viewer: it is their turn
        elif moment.began and not self.elsewhere:
            until, share = min(until, settled), AVERT_FIRST
        if t < until:
            return self if until == self.until else self._replace(until=until)
        # It begins between two frames, or with the frame that brought it forward.
        return self._next(seed, until if until > t - moment.dt else t, share)

    def _next(self, seed: int, start: float, share: float) -> Gaze:
        rng = chance(seed, GAZE, self.number + 1)
        elsewhere = bool(rng.random() < (1.0 - RETURN if self.elsewhere else share))
        median, spread = ELSEWHERE if elsewhere else AT_VIEWER
        target = away(rng) if elsewhere else (ABOUT[0] * rng.standard_normal(),
                                              ABOUT[1] * rng.standard_normal())
        stay = min(LONGEST, max(SHORTEST, median * math.exp(spread * rng.standard_normal())))
        shift = math.dist(self.target, target)
        return Gaze(self.number + 1, self.target, target, start, self._head(start), start + stay,
                    elsewhere, shift > BLINK_FROM and bool(rng.random() < WITH_BLINK))

    def _head(self, t: float) -> tuple[Spring, Spring]:
        yaw, pitch = (spring.step(FOLLOW * target, rate=TURN_RATE, dt=t - self.start)
                      for spring, target in zip(self.head, self.target, strict=True))
        return yaw, pitch


def away(rng: np.random.Generator) -> Angles:
    """Return a direction that is not the viewer's."""
    size = min(FARTHEST, NEAREST + (MEAN - NEAREST) * rng.standard_exponential())
    angle = rng.uniform(0.0, 2.0 * math.pi)
    return size * math.cos(angle), UPRIGHT * size * math.sin(angle)


def turn_eyes(weights: list[float], direction: Angles, inward: float = 0.0) -> list[float]:
    """
    Turn the eyes in the 52 `weights` by `direction`, beyond where the model turned them.

    Each turns `inward` by some degrees, too. Returns yaw and pitch of the left and of the right
    eye in radians, as the weights say them now.
    """
    eyes = []
    for side, (left, right, up, down) in enumerate(LOOKS):
        yaw = direction[0] + (inward if side else -inward)
        eyes += [math.radians(turned(weights, left, right, yaw)),
                 math.radians(turned(weights, up, down, direction[1]))]
        weights[LIDS[side]] += LOWER * max(0.0, -direction[1])
        weights[WIDE[side]] += RAISE * max(0.0, direction[1])
    return eyes


def turned(weights: list[float], one: int, other: int, degrees: float) -> float:
    """Share an angle between two opposite weights, of which one stays 0; return degrees."""
    there = weights[one] - weights[other] + degrees / EYE_DEGREES
    there = min(1.0, max(-1.0, there))
    weights[one], weights[other] = max(0.0, there), max(0.0, -there)
    return there * EYE_DEGREES
