# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
The vertex basis of our head: lips and upper face at rest, and how each of the 52 moves them.

It is the part of `assets/head.glb` on which vertex metrics are computed (`assets/head.md`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.errors import UsageError
from avatar_bridge.rig import NAMES

UNIT: Final = 1e-5              # metres of one step in the file

Floats = NDArray[np.float32]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class HeadBasis:
    """
    Vertices in metres, y up, the face towards +z, +x the subject's left.

    `neutral` (n, 3), `deltas` (52, n, 3) in the order of the rig; `groups` names vertices:
    `inner_lips`, `outer_lips`, `upper_face`, `inner_lip_upper_mid`, `inner_lip_lower_mid`.
    `mirror` (n,) is each vertex's partner on the other side.
    """

    neutral: Floats
    deltas: Floats
    groups: Mapping[str, Indices]
    mirror: Indices

    def vertices(self, weights: NDArray[np.floating]) -> Floats:
        """Return (f, n, 3) vertices in metres of (f, 52) weights."""
        weights = np.asarray(weights, np.float32)
        if weights.ndim != 2 or weights.shape[1] != len(NAMES):
            raise UsageError(f'weights of shape {weights.shape}: expected (frames, {len(NAMES)})')
        placed = np.tile(self.neutral, (len(weights), 1, 1))
        placed += np.tensordot(weights, self.deltas, 1)
        return placed


@cache
def load_head() -> HeadBasis:
    """Return the basis that ships with the package."""
    path = files('avatar_bridge') / 'assets' / 'head.npz'
    with path.open('rb') as file, np.load(file, allow_pickle=False) as stored:
        groups = {name.removeprefix('group_'): stored[name].astype(np.intp)
                  for name in stored.files if name.startswith('group_')}
        return HeadBasis(_metres(stored['neutral']),
                         _metres(stored['deltas']), groups,
                         stored['mirror'].astype(np.intp))


def _metres(steps: NDArray[np.int16]) -> Floats:
    return np.multiply(steps, UNIT, dtype=np.float32)
