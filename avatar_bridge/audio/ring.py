# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The newest samples by absolute index, in memory that never grows."""

from __future__ import annotations

import numpy as np

from avatar_bridge.frames import Samples


class AudioRing:
    """
    Holds samples from the oldest one still wanted to the newest one heard.

    `push` appends; `take` hands out a range and `forget` frees what lies before an index. The
    buffer grows only while more is asked to be held than ever before.
    """

    def __init__(self, capacity: int = 4096) -> None:
        """Start with room for `capacity` samples."""
        self._buffer = np.zeros(capacity, np.float32)
        self.start = 0                  # absolute index of the oldest sample held
        self.end = 0                    # absolute index after the newest

    def push(self, samples: Samples) -> None:
        """Append `samples` after the newest one."""
        held = self.end - self.start
        if held + len(samples) > len(self._buffer):
            grown = np.zeros(2 * (held + len(samples)), np.float32)
            grown[:held] = self._buffer[:held]
            self._buffer = grown
        self._buffer[held:held + len(samples)] = samples
        self.end += len(samples)

    def take(self, start: int, end: int) -> Samples:
        """Return a copy of samples [start, end); they must be held."""
        assert self.start <= start <= end <= self.end, (self.start, start, end, self.end)
        return self._buffer[start - self.start:end - self.start].copy()

    def forget(self, before: int) -> None:
        """Free the samples before index `before`."""
        drop = min(max(0, before - self.start), self.end - self.start)
        held = self.end - self.start - drop
        self._buffer[:held] = self._buffer[drop:drop + held].copy()
        self.start += drop

    def reset(self) -> None:
        """Forget everything and count from 0 again."""
        self.start = self.end = 0
