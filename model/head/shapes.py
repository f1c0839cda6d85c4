# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The 52 shapes as displacements of the base mesh: Face Units, made exactly symmetric."""

from __future__ import annotations

from typing import Final

import numpy as np

from avatar_bridge.rig import MIRROR, NAMES
from model.head.source import FACE_UNITS, BaseMesh, Points, Source

#: Face Units turn the eyes by 10 to 15 degrees, we by 30: lids follow further, too.
FOLLOWING: Final = {'eyeLookUp': 1.7, 'eyeLookDown': 1.15, 'eyeLookIn': 1.4, 'eyeLookOut': 1.4}

#: Further way of the tip in tongueOut, dm: ahead, up over the lip, down beyond it.
REACH: Final = 0.14
LIFT: Final = 0.10
DROP: Final = 0.12


def face_units(source: Source, mesh: BaseMesh) -> dict[str, Points]:
    """Return (19158, 3) displacements in dm by name; mirror pairs mirror exactly."""
    raw = {name: FOLLOWING.get(name.removesuffix('Left').removesuffix('Right'), 1.0)
           * source.target(FACE_UNITS.format(name), len(mesh.vertices)) for name in NAMES}
    raw['tongueOut'] = raw['tongueOut'] + _further_out(mesh)
    return {name: (raw[name] + mirrored(raw[NAMES[other]], mesh)) / 2
            for name, other in zip(NAMES, MIRROR, strict=True)}


def mirrored(field: Points, mesh: BaseMesh) -> Points:
    """Return a field of vectors as seen in the mirror."""
    return field[mesh.mirror] * [-1, 1, 1]


def _further_out(mesh: BaseMesh) -> Points:
    """
    Return what tongueOut lacks: Face Units end at the lips, ours lies over the lower one.

    The front stretches forward, bends down and narrows towards the tip.
    """
    tongue = np.unique(mesh.groups['helper-tongue'].corners)
    at = mesh.vertices[tongue]
    front = (at[:, 2] - at[:, 2].min()) / np.ptp(at[:, 2])
    moves = np.zeros_like(mesh.vertices)
    moves[tongue, 0] = -0.15 * at[:, 0] * front ** 2
    moves[tongue, 1] = LIFT * front - DROP * front ** 3
    moves[tongue, 2] = REACH * front ** 1.5
    return moves
