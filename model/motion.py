# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Motion at another frame rate, or moved in time: pure functions on (frames, ...) arrays."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.signal import oaconvolve

Array = NDArray[np.float32]
#: Where half of a motion is let through when frames become fewer, of the new Nyquist frequency.
CUTOFF: Final = 0.8
CROSSINGS: Final = 6            # zero crossings of the filter on each side
BETA: Final = 5.0               # of its Kaiser window: 53 dB


def resample(motion: Array, fps: float, new_fps: float) -> Array:
    """
    Return (frames, ...) motion at another rate; both first frames stand at the same instant.

    What is too fast for the new rate is filtered out first, without delay. Between frames the
    curve is a monotone cubic: it never leaves the range of its neighbours.
    """
    if not (fps > 0 and new_fps > 0):
        raise ValueError(f'frame rates must be above 0, got {fps:g} and {new_fps:g}')
    if len(motion) == 0 or fps == new_fps:
        return motion.astype(np.float32)
    last = (len(motion) - 1) / fps
    times = np.arange(int(np.floor(last * new_fps + 1e-6)) + 1) / new_fps
    return at_times(smoothed(motion, new_fps / fps) if new_fps < fps else motion, fps, times)


def at_times(motion: Array, fps: float, times: NDArray[np.float64]) -> Array:
    """Return (frames, ...) motion at `times`, (n,) seconds; the ends are held."""
    if len(motion) == 1:
        return np.repeat(motion, len(times), axis=0).astype(np.float32)
    own = np.arange(len(motion)) / fps
    curve = PchipInterpolator(own, motion.astype(np.float64), axis=0)
    # Rounding may step over the ends of the range by one part in 10^16.
    return np.clip(curve(np.clip(times, 0, own[-1])), motion.min(axis=0),
                   motion.max(axis=0)).astype(np.float32)


def shift(motion: Array, fps: float, seconds: float) -> Array:
    """Return as much motion, `seconds` later; earlier if below 0. The ends are held."""
    return at_times(motion, fps, np.arange(len(motion)) / fps - seconds)


def smoothed(motion: Array, ratio: float) -> Array:
    """Return motion without what `ratio` times as many frames cannot hold; the ends are held."""
    kernel = low_pass(ratio)
    half = len(kernel) // 2
    flat = motion.reshape(len(motion), -1).astype(np.float64)
    padded = np.pad(flat, ((half, half), (0, 0)), mode='edge')
    low, high = flat.min(axis=0), flat.max(axis=0)
    # The filter rings a little beside a jump; no weight leaves the range that it had.
    return np.clip(oaconvolve(padded, kernel[:, None], mode='valid', axes=0), low, high).reshape(
        motion.shape).astype(np.float32)


@lru_cache(maxsize=32)
def low_pass(ratio: float) -> NDArray[np.float64]:
    """Return the (odd,) taps of a filter for `ratio` times as many frames; their sum is 1."""
    cutoff = CUTOFF * ratio
    half = int(np.ceil(CROSSINGS / cutoff))
    taps = np.sinc(cutoff * np.arange(-half, half + 1)) * np.kaiser(2 * half + 1, BETA)
    return taps / taps.sum()
