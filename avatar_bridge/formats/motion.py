# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""A whole take of one avatar, and which of its keys a curve needs."""

from __future__ import annotations

from fractions import Fraction
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


def knots(times: Floats, values: Floats, tolerance: float) -> list[NDArray[np.intp]]:
    """
    Return, for each column of (n, m) values, the indices between which straight lines do.

    Between two of them the line is within `tolerance` of every value. All columns go through the
    same pass, and no value is looked at twice: a take is written while somebody waits for it.
    """
    count = len(values)
    keep = np.zeros(values.shape, bool)
    keep[:1] = keep[-1:] = True
    columns = np.arange(values.shape[1])
    start = np.zeros(len(columns), int)                     # the newest knot of each column
    low, high = np.full(len(columns), -np.inf), np.full(len(columns), np.inf)
    for place in range(1, count):
        for _ in range(2):                                  # again from the knots that are new
            span = times[place] - times[start]
            rise = values[place] - values[start, columns]
            # Half: the line to the value before may leave this corridor by as much as its width.
            least = np.maximum(low, (rise - tolerance / 2) / span)
            most = np.minimum(high, (rise + tolerance / 2) / span)
            ended = least > most
            if not ended.any():
                break
            keep[place - 1, ended] = True
            start[ended] = place - 1
            low[ended], high[ended] = -np.inf, np.inf
        low, high = least, most
    return [np.flatnonzero(column) for column in keep.T]
