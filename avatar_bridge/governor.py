# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Keeping up: fewer steps when computing takes too long, a guess when even one is too slow."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

BRIDGE: Final = 0               # what `choose` returns for a hop that is not predicted
BUSY: Final = 0.8               # load above which a step is given up
EASY: Final = 0.6               # load, foreseen with one step more, that is dared
MEMORY: Final = 0.5             # seconds of audio that the load is averaged over
CALM: Final = 2.0               # seconds of audio between two additions


class Governor:
    """
    Choose the steps of the next hop from what the last ones cost; no clock, no thread.

    Load is compute time over the time of the audio: above 1 the audio would pile up.
    """

    def __init__(self, steps: int, hop: Fraction) -> None:
        """Start with `steps`; `hop` in seconds."""
        self.asked = steps
        self._hop = int(hop * 1_000_000_000)
        self._load = 0.0
        self._calm = 0.0
        self._steps = steps

    @property
    def steps(self) -> int:
        """Steps that are in use."""
        return min(self._steps, self.asked)

    @property
    def load(self) -> float:
        """Compute time per time of audio, averaged over half a second."""
        return self._load

    def ask(self, steps: int) -> None:
        """Take `steps` as the wish from now on."""
        self.asked = self._steps = steps

    def choose(self, behind: int) -> int:
        """Return steps, or `BRIDGE`, for audio that has waited `behind` nanoseconds."""
        if behind > 2 * self._hop:
            self._give_up_a_step()
            return BRIDGE
        if behind > self._hop:
            self._give_up_a_step()
        return self.steps

    def observe(self, audio: float, compute: float) -> None:
        """Note that `audio` seconds took `compute` seconds."""
        share = min(1.0, audio / MEMORY)
        self._load += share * (compute / audio - self._load)
        self._calm += audio
        if self._load > BUSY:
            self._give_up_a_step()
        elif self._calm > CALM and self.steps < self.asked and self._foreseen() < EASY:
            self._steps = self.steps + 1
            self._calm = 0.0

    def _foreseen(self) -> float:
        return self._load * (self.steps + 1) / self.steps

    def _give_up_a_step(self) -> None:
        """Take one step less, and a part of the load away, so that the next is not hasty."""
        if self.steps > 1:
            self._load *= (self.steps - 1) / self.steps
            self._steps = self.steps - 1
        self._calm = 0.0
