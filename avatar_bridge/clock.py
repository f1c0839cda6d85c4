# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Clocks; the only module that imports `time`."""

from __future__ import annotations

import time


class MonotonicClock:
    """Nanoseconds since the Unix epoch, read once; from then on a clock that never jumps."""

    def __init__(self) -> None:
        """Anchor the steady clock to the wall clock of this moment."""
        self._anchor = time.time_ns() - time.monotonic_ns()

    def now(self) -> int:
        """Return the time in nanoseconds."""
        return self._anchor + time.monotonic_ns()

    def process(self) -> int:
        """Return the processor time that this process has used, nanoseconds."""
        return time.process_time_ns()

    def sleep_until(self, deadline: int) -> None:
        """Sleep; never returns before `deadline`."""
        while (left := deadline - self.now()) > 0:
            time.sleep(left / 1_000_000_000)


class ManualClock:
    """Time that moves only when told: an hour in a second."""

    def __init__(self, start: int = 0) -> None:
        """Start at `start` nanoseconds."""
        self._now = start

    def now(self) -> int:
        """Return the time in nanoseconds."""
        return self._now

    def sleep_until(self, deadline: int) -> None:
        """Jump to `deadline`."""
        self._now = max(self._now, deadline)

    def advance(self, nanoseconds: int) -> None:
        """Let time pass."""
        self._now += nanoseconds
