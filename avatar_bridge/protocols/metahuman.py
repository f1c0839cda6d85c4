# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
MetaHumans do not know mouthClose: their ARKit mapping has no pose for it.

What it does, lips that meet over an open jaw, is said with shapes that they do know.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from avatar_bridge.frames import Weights
from avatar_bridge.rig import INDEX

#: How much of mouthClose goes into the shapes that press and roll the lips together.
SHARE: Final = {'mouthRollLower': 0.4, 'mouthRollUpper': 0.3,
                'mouthPressLeft': 0.4, 'mouthPressRight': 0.4}
#: How much of the jaw it takes back where the two cancel each other.
JAW: Final = 0.9

_JAW, _CLOSE = INDEX['jawOpen'], INDEX['mouthClose']
_SHAPES = [INDEX[name] for name in SHARE]
_SHARES = np.array(list(SHARE.values()), np.float32)


def sealed(weights: Weights) -> Weights:
    """Return (52,) weights without mouthClose whose lips meet all the same."""
    close = min(float(weights[_CLOSE]), float(weights[_JAW]))
    seal = close / max(float(weights[_JAW]), 1e-6)      # 1: shut, however far the jaw is down
    folded = weights.copy()
    folded[_CLOSE] = 0
    folded[_JAW] -= JAW * close
    folded[_SHAPES] = np.minimum(folded[_SHAPES] + _SHARES * seal * min(1.0, 4 * close), 1)
    return folded
