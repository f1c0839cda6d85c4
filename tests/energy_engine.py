# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""A small real engine for tests about time: the jaw opens as far as the audio is loud."""

from fractions import Fraction

import numpy as np

from avatar_bridge.frames import FaceFrame
from avatar_bridge.rig import INDEX, NAMES
from avatar_bridge.stream.idle import IdleLife
from avatar_bridge.timeline import StreamSpec, Timeline

JAW = INDEX['jawOpen']


def free(_steps):
    """Cost nothing."""


class EnergyEngine:
    """
    Streams as the network does: hop by hop, one look-ahead late.

    `cost` is called with the steps of each predicted hop, 0 for a bridged one: a place for a test
    to let time pass.
    """

    def __init__(self, fps=60, *, hop=0.05, lookahead=0.05, cost=free):
        timeline = Timeline(fps=Fraction(fps))
        self.spec = StreamSpec.from_seconds(timeline, window=0.5, hop=hop, lookahead=lookahead)
        self.steps = 2
        self.gain = 1.0
        self._cost = cost
        self.life = IdleLife(Fraction(fps))
        self.reset()

    @property
    def latency(self):
        return self.spec.latency

    @property
    def sample_rate(self):
        return 16000

    def nearest_steps(self, wanted):
        return wanted or 2

    def set_gains(self, gains):
        self.gain = gains.get('jawOpen', gains.get('all', 1.0))

    def reset(self):
        self._heard = np.zeros(0, np.float32)
        self._forgotten = 0
        self._given = 0
        self.life.reset()

    def push(self, samples):
        return self.life.push(self._frames(samples, self.steps))

    def bridge(self, samples):
        return self.life.push(self._frames(samples, 0))

    def flush(self):
        total = self.spec.timeline.frames_in(self._end)
        frames = self.life.push(self._frame(index) for index in range(self._given, total))
        self._heard, self._forgotten, self._given = np.zeros(0, np.float32), 0, 0
        return frames

    @property
    def _end(self):
        return self._forgotten + len(self._heard)

    def _frames(self, samples, steps):
        self._heard = np.concatenate([self._heard, samples])
        frames = []
        while self.spec.timeline.first_sample(
                self._given + self.spec.hop + self.spec.lookahead) <= self._end:
            self._cost(steps)
            frames += [self._frame(self._given + index) for index in range(self.spec.hop)]
            self._given += self.spec.hop
        first = self.spec.timeline.first_sample(self._given)
        self._heard = self._heard[first - self._forgotten:]
        self._forgotten = first
        return frames

    def _frame(self, index):
        first, end = (self.spec.timeline.first_sample(index + after) - self._forgotten
                      for after in (0, 1))
        weights = np.zeros(len(NAMES), np.float32)
        heard = self._heard[first:end]
        if len(heard):
            weights[JAW] = min(1.0, self.gain * float(np.abs(heard).mean()))
        return FaceFrame(index, weights)
