# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
A streaming resampler with exact counting and a delay of 1 ms at 48 kHz.

Output sample `n` is the signal at input position `n * down / up`, whatever the block sizes were.
The filtering is scipy's; soxr's streaming form holds back 37 ms at 48 kHz and 120 ms at 8 kHz,
which a latency of 100 ms cannot afford (docs/decisions/0003-resampler.md).
"""

from __future__ import annotations

from functools import lru_cache
import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.frames import Samples

HALF: Final = 20                # zero crossings on each side, at the lower of the two rates
BETA: Final = 8.0               # Kaiser: 80 dB stop band
CUTOFF: Final = 0.92            # of the lower Nyquist frequency


class Resampler:
    """
    Samples at one rate in, samples at another out.

    `push` returns what is determined by now, `flush` the rest as if silence followed: in all
    `ceil(pushed * up / down)` samples. `reset` makes it new.
    """

    def __init__(self, source_rate: int, target_rate: int) -> None:
        """Convert from `source_rate` to `target_rate`, both Hz."""
        divisor = math.gcd(source_rate, target_rate)
        self._up, self._down = target_rate // divisor, source_rate // divisor
        self._identity = self._up == self._down
        if not self._identity:
            self._filter = polyphase_filter(self._up, self._down)
            self._reach = math.ceil(len(self._filter) / 2 / self._up) + 1
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._heard = np.zeros(0, np.float32)
        self._start = 0                 # index of the first sample held, a multiple of down
        self._given = 0                 # output samples returned so far

    def push(self, samples: Samples) -> Samples:
        """Return the output samples that `samples` complete."""
        if self._identity:
            return samples
        self._heard = np.concatenate([self._heard, samples])
        end = self._start + len(self._heard)
        return self._produce(max(self._given, (end - self._reach) * self._up // self._down))

    def flush(self) -> Samples:
        """Return what is left, and be new."""
        if self._identity:
            return np.zeros(0, np.float32)
        total = -(-(self._start + len(self._heard)) * self._up // self._down)
        self._heard = np.concatenate([self._heard, np.zeros(2 * self._reach, np.float32)])
        rest = self._produce(total)
        self.reset()
        return rest

    def _produce(self, until: int) -> Samples:
        from scipy.signal import upfirdn  # 0.2 s to import; not needed at 16 kHz

        if until <= self._given:
            return np.zeros(0, np.float32)
        everything = upfirdn(self._filter, self._heard, self._up, self._down)
        delay = len(self._filter) // 2 // self._down - self._start * self._up // self._down
        fresh = everything[self._given + delay:until + delay].astype(np.float32)
        self._given = until
        self._forget()
        return fresh

    def _forget(self) -> None:
        """Drop what no later output needs, in multiples of `down` so that phases stay put."""
        needed = self._given * self._down // self._up - self._reach
        drop = max(0, (needed - self._start) // self._down) * self._down
        self._heard = self._heard[drop:]
        self._start += drop


@lru_cache(maxsize=8)
def polyphase_filter(up: int, down: int) -> NDArray[np.float32]:
    """Return a Kaiser-windowed sinc whose centre lies on a multiple of `down`."""
    widest = max(up, down)
    half = -(-HALF * widest // down) * down
    position = np.arange(-half, half + 1) / widest
    shape = np.sinc(CUTOFF * position) * np.i0(
        BETA * np.sqrt(np.maximum(0.0, 1.0 - (position * widest / (half + 1)) ** 2)))
    return (shape / shape.sum() * up).astype(np.float32)
