# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""How one rig wants the frames: which channels, how strong, how many a second, by which names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
import math
from typing import Final

import numpy as np

from avatar_bridge.frames import FaceFrame, Weights
from avatar_bridge.rig import MOUTH, NAMES

#: Which shapes are ours; the rest belongs to somebody else, a camera, say.
CHANNELS: Final[dict[str, tuple[int, ...]]] = {
    'all': tuple(range(len(NAMES))),
    'mouth': MOUTH,
    'upper': tuple(index for index in range(len(NAMES)) if index not in MOUTH),
}
GAINS: Final = (0.0, 4.0)
RATES: Final = (1, 240)


@dataclass(frozen=True)
class Fitting:
    """What is done to a frame before a rig gets it."""

    channels: str = 'all'           # a name out of CHANNELS
    gain: float = 1.0               # of all weights; they are clamped to [0, 1] again
    rate: Fraction | None = None    # frames a second at most; None: all of them
    profile: str = ''               # how the shapes are called, and mixed, for this rig

    @classmethod
    def from_options(cls, options: Mapping[str, str], profile: str = '') -> Fitting:
        """Understand `channels`, `gain` and `rate` as text; raises `ValueError`."""
        channels = options.get('channels', 'all')
        if channels not in CHANNELS:
            raise ValueError(f'expected channels out of {", ".join(CHANNELS)}, got {channels!r}')
        gain = _number('gain', options.get('gain', '1'), GAINS)
        rate = options.get('rate')
        return cls(channels, gain,
                   None if rate is None else Fraction(_number('rate', rate, RATES)), profile)

    @property
    def owned(self) -> tuple[int, ...]:
        """Indices of the shapes that are ours."""
        return CHANNELS[self.channels]

    def fit(self, weights: Weights) -> Weights:
        """Return (52,) weights as the rig wants them; zero where they are not ours."""
        fitted = np.zeros(len(NAMES), np.float32)
        owned = list(self.owned)
        fitted[owned] = np.clip(weights[owned] * self.gain, 0, 1)
        return fitted

    def pose(self, frame: FaceFrame) -> FaceFrame:
        """Return the frame as the rig wants it; who owns the mouth alone leaves head and eyes."""
        turns = self.channels != 'mouth'
        return frame._replace(weights=self.fit(frame.weights),
                              head=frame.head if turns else None,
                              eyes=frame.eyes if turns else None)

    def is_due(self, index: int, fps: Fraction) -> bool:
        """Return whether frame `index` goes out, so that `rate` of them do in every second."""
        if self.rate is None or self.rate >= fps:
            return True
        return math.floor(index * self.rate / fps) != math.floor((index - 1) * self.rate / fps)


AS_IT_IS: Final = Fitting()


def _number(name: str, text: str, bounds: tuple[float, float]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not bounds[0] <= value <= bounds[1]:
        raise ValueError(f'expected {name} in {bounds[0]}..{bounds[1]}, got {text!r}')
    return value
