# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""A whole take of one avatar, and which of its keys a curve needs."""

from __future__ import annotations

from fractions import Fraction
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.frames import StreamInfo, Weights

Floats = NDArray[np.float64]


class Motion(NamedTuple):
    """Frames in the order in which they are to be seen."""

    info: StreamInfo
    index: NDArray[np.int64]        # type: ignore[assignment]  # (n,) rising; shadows tuple.index
    weights: Weights                # (n, 52) in [0, 1]
    flags: bytes                    # one for each frame
    head: Weights | None = None     # (n, 3) as FaceFrame has it, where any frame turns it
    eyes: Weights | None = None     # (n, 4)
    name: str = 'take'

    @property
    def fps(self) -> Fraction:
        """Frames per second."""
        return self.info.fps

    @property
    def times(self) -> Floats:
        """(n,) seconds since frame 0."""
        return self.index * self.fps.denominator / self.fps.numerator

    @property
    def turns(self) -> Weights:
        """(n, 3) yaw, pitch, roll of the head; zero where nothing turns it."""
        return np.zeros((len(self.index), 3), np.float32) if self.head is None else self.head


def knots(times: Floats, values: Floats, tolerance: float) -> list[int]:
    """
    Return the indices of (n,) values between which straight lines do, within `tolerance`.

    From each knot the line goes as far as there is one that passes all values on its way: about
    one look at each value, since a take is written while somebody waits for it.
    """
    clock, curve = times.tolist(), values.tolist()
    kept = [0] if curve else []
    while kept and kept[-1] < len(curve) - 1:
        kept.append(_reach(clock, curve, kept[-1], tolerance))
    return kept


def _reach(times: list[float], values: list[float], start: int, tolerance: float) -> int:
    """Return how far one straight line from `start` may go."""
    low, high = -math.inf, math.inf         # slopes that pass every value so far
    good = start + 1
    for place in range(start + 1, len(values)):
        span, rise = times[place] - times[start], values[place] - values[start]
        if low <= rise / span <= high:
            good = place
        low, high = max(low, (rise - tolerance) / span), min(high, (rise + tolerance) / span)
        if low > high:
            break
    return good
