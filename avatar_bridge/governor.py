# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What to do when compute is slower than time: fewer steps, then frames without a prediction."""

from __future__ import annotations

from typing import Final

BRIDGE: Final = 0               # what `choose` returns for a hop that is not predicted
TOO_SLOW: Final = 0.75          # share of a hop that predicting it may take
ROOM: Final = 0.5               # share, foreseen with one step more, that is dared
PATIENCE: Final = 40            # hops of room in a row before a step is given back: two seconds
NEW: Final = 0.2                # how much a new measurement counts


class Governor:
    """
    Choose the sampler's steps hop by hop from how long the last hops took; no clock, no thread.

    A frame that would come more than a hop after it is to be seen is not predicted any more: the
    engine bridges from its guess until the stream has caught up.
    """

    def __init__(self, hop: int, steps: int) -> None:
        """Govern hops of `hop` nanoseconds; `steps` are used as long as there is time."""
        self._hop = hop
        self._wanted = self._steps = steps
        self._load = 0.0            # compute time over time of the audio, smoothed
        self._calm = 0              # hops in a row with room for one more step
        self._behind = False

    @property
    def steps(self) -> int:
        """Steps in use."""
        return self._steps

    def want(self, steps: int) -> None:
        """Use `steps` from now on, time permitting."""
        self._load *= steps / self._steps
        self._wanted = self._steps = steps
        self._calm = 0

    def choose(self, slack: int) -> int:
        """Return steps or BRIDGE for the next hop, seen in `slack` nanoseconds from now."""
        was_behind = self._behind
        self._behind = slack < 0 if was_behind else slack < -self._hop
        if self._behind and not was_behind and self._steps > 1:
            self._change(-1)
        return BRIDGE if self._behind else self._steps

    def measured(self, spent: int) -> None:
        """Learn that a predicted hop took `spent` nanoseconds."""
        # one hiccup of the machine is not slowness: it counts as two hops at most
        self._load += NEW * (min(spent / self._hop, 2.0) - self._load)
        if self._load > TOO_SLOW and self._steps > 1:
            self._change(-1)
        elif self._steps < self._wanted and self._load * (1 + 1 / self._steps) < ROOM:
            self._calm += 1
            if self._calm >= PATIENCE:
                self._change(1)
        else:
            self._calm = 0

    def _change(self, steps: int) -> None:
        self._load *= (self._steps + steps) / self._steps
        self._steps += steps
        self._calm = 0


class Steady:
    """No hurry: always the steps that were asked for."""

    def __init__(self, steps: int) -> None:
        """Use `steps`."""
        self._steps = steps

    @property
    def steps(self) -> int:
        """Steps in use."""
        return self._steps

    def want(self, steps: int) -> None:
        """Use `steps` from now on."""
        self._steps = steps

    def choose(self, slack: int) -> int:        # noqa: ARG002 - as a Governor has it
        """Return the steps for the next hop."""
        return self._steps

    def measured(self, spent: int) -> None:
        """Do not care."""
