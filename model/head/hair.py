# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Hair combed back into a knot: a shell over the scalp whose strands run from edge to knot."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from model.head.clip import clipped
from model.head.part import Part
from model.head.source import Points

CENTRE: Final = np.array([0.0, 0.62, 0.05])     # of the skull, dm from the pivot
KNOT: Final = np.array([0.0, 0.42, -0.98])      # middle of the knot
KNOT_SIZE: Final = np.array([0.27, 0.25, 0.2])  # its half-axes

#: The hairline: degrees around the vertical through CENTRE (0 = ahead) and heights, dm.
_LINE_AT: Final = (0, 14, 30, 44, 56, 66, 74, 80, 88, 96, 104, 112, 124, 140, 160, 180)
_LINE: Final = (0.96, 0.955, 0.93, 0.86, 0.75, 0.58, 0.40, 0.26, 0.30, 0.50, 0.44, 0.10, -0.16,
                -0.30, -0.36, -0.36)


def depth(at: Points) -> Points:
    """Return how far inside the hairline (..., 3) points lie, dm; negative on the face."""
    turn = np.degrees(np.arctan2(np.abs(at[..., 0]), at[..., 2] - CENTRE[2]))
    return at[..., 1] - np.interp(turn, _LINE_AT, _LINE)


def shell(skin: Part) -> Part:
    """Return the hair as a thickened copy of the scalp."""
    inside = depth(skin.positions)
    cap = clipped(replace(skin, deltas={}, shade=np.zeros((0, 3))), inside)
    inside = depth(cap.positions)
    crown = np.clip((cap.positions[:, 1] - 0.2) / 0.9, 0, 1)
    thick = (0.05 + 0.055 * crown) * np.clip(inside / 0.25, 0, 1) ** 0.7 + 0.003
    axis = (KNOT - CENTRE) / np.linalg.norm(KNOT - CENTRE)
    turn, fall = _combed(cap.positions, axis)
    thick = thick * (1 + 0.03 * np.sin(23 * turn) * np.clip(fall, 0, 1))
    return replace(cap, name='Hair', material='hair',
                   positions=cap.positions + cap.normals() * thick[:, None],
                   uvs=_uvs(turn, fall))


def _combed(at: Points, axis: Points) -> tuple[Points, Points]:
    """Return the angle of each point around the axis to the knot, and from it (radians)."""
    arm = at - CENTRE
    arm = arm / np.linalg.norm(arm, axis=1, keepdims=True)
    up = np.cross([1.0, 0, 0], axis)
    return np.arctan2(arm[:, 0], arm @ up), np.arccos(np.clip(arm @ axis, -1, 1))


def _uvs(turn: Points, fall: Points) -> Points:
    """Return uvs whose columns run to the knot; mirror images share their strands."""
    return np.stack([np.clip(np.abs(turn) / np.pi, 0.001, 0.999),
                     np.clip(fall / np.pi, 0, 1)], 1)


def knot(rings: int = 14, sectors: int = 22) -> Part:
    """Return the knot at the back of the head."""
    fall, turn = np.meshgrid(np.linspace(0.02, np.pi - 0.02, rings),
                             2 * np.pi * np.arange(sectors) / sectors, indexing='ij')
    ridge = 1 + 0.035 * np.sin(5 * turn + 4 * fall)
    ball = np.stack([np.sin(fall) * np.cos(turn), np.sin(fall) * np.sin(turn), -np.cos(fall)], -1)
    at = (KNOT + (ball * ridge[..., None]) * KNOT_SIZE).reshape(-1, 3)
    row = np.arange(rings - 1)[:, None] * sectors
    here, after = np.arange(sectors), (np.arange(sectors) + 1) % sectors
    a, b = row + here, row + after
    triangles = np.concatenate([np.stack([a, a + sectors, b + sectors], -1).reshape(-1, 3),
                                np.stack([a, b + sectors, b], -1).reshape(-1, 3)])
    twist = 2 * turn / (2 * np.pi)
    uvs = np.stack([0.5 + 0.45 * np.sin(np.pi * twist), fall / np.pi], -1).reshape(-1, 2)
    return Part('HairKnot', 'hair', at, triangles[:, ::-1], uvs, np.arange(len(at)))
