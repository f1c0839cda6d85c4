# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The last touch: coefficients become weights that a rig can wear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from avatar_bridge import rig
from avatar_bridge.frames import Weights

HALF_LIFE: Final = 0.008        # seconds to cover half a jump
REST_HALF_LIFE: Final = 0.05    # seconds to cover half the way to rest in silence

#: Shapes that part the lips (falling closes the mouth) and shapes that seal them.
PARTING: Final = ('jawOpen', 'mouthFunnel', 'mouthLowerDownLeft', 'mouthLowerDownRight',
                  'mouthUpperUpLeft', 'mouthUpperUpRight')
SEALING: Final = ('mouthClose', 'mouthPressLeft', 'mouthPressRight', 'mouthRollLower',
                  'mouthRollUpper', 'mouthShrugLower')


class Shaper:
    """
    De-standardise, gain, clamp, smooth causally, rest in silence.

    `push` maps frames one to one; `reset` makes it new. Smoothing never softens a closing mouth:
    what parts the lips falls at once, what seals them rises at once.
    """

    def __init__(self, mean: Weights, deviation: Weights, fps: float) -> None:
        """Shape (52,)-standardised frames at `fps`."""
        self._mean, self._deviation = mean, deviation
        self._keep = np.float32(0.5 ** (1.0 / (fps * HALF_LIFE)))
        self._rest_keep = np.float32(0.5 ** (1.0 / (fps * REST_HALF_LIFE)))
        self._closing = np.zeros(len(rig.NAMES), np.float32)
        self._closing[[rig.INDEX[name] for name in PARTING]] = -1.0
        self._closing[[rig.INDEX[name] for name in SEALING]] = 1.0
        self._mouth = np.zeros(len(rig.NAMES), bool)
        self._mouth[list(rig.MOUTH)] = True
        self._gains = np.ones(len(rig.NAMES), np.float32)
        self.reset()

    def reset(self) -> None:
        """Begin with a face at rest."""
        self._last = np.zeros(len(rig.NAMES), np.float32)
        self._awake = np.float32(0.0)

    def set_gains(self, gains: Mapping[str, float]) -> None:
        """Multiply shapes from now on; `all` counts for every shape that is not named."""
        every = gains.get('all', 1.0)
        self._gains = np.array([gains.get(name, every) for name in rig.NAMES], np.float32)

    def push(self, coefficients: Weights, speech: Sequence[bool]) -> Weights:
        """Return (n, 52) weights in [0, 1] of (n, 52) coefficients; `speech` says when to wake."""
        raw = (coefficients * self._deviation + self._mean) * self._gains
        return np.stack([self._shape(np.clip(weights, 0.0, 1.0), awake)
                         for weights, awake in zip(raw, speech, strict=True)])

    def _shape(self, weights: Weights, speech: bool) -> Weights:
        self._awake = np.float32(1.0) if speech else self._awake * self._rest_keep
        weights = np.where(self._mouth, weights * self._awake, weights)
        at_once = (weights - self._last) * self._closing > 0
        smooth = weights + (self._last - weights) * self._keep
        self._last = np.where(at_once, weights, smooth).astype(np.float32)
        close = rig.INDEX['mouthClose']
        self._last[close] = min(self._last[close], self._last[rig.INDEX['jawOpen']])
        return self._last.copy()
