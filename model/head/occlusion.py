# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Ambient occlusion: how much of the sky a vertex sees past the parts of the head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from model.head.part import Part
from model.head.source import Points

DIRECTIONS: Final = 80
CELL: Final = 0.018             # dm, of the depth maps
BIAS: Final = 0.035              # dm behind the nearest surface that still count as seen


def seen(parts: Sequence[Part]) -> list[Points]:
    """Return for each part the (n,) share of the sky before each vertex at rest."""
    placed = [part.positions for part in parts]
    cloud = np.concatenate([_sampled(at, part.triangles)
                            for part, at in zip(parts, placed, strict=True)])
    normals = [part.normals() for part in parts]
    light = [np.zeros(len(at)) for at in placed]
    total = [np.full(len(at), 1e-9) for at in placed]
    for direction in _sky():
        depth = _depth_map(cloud, direction)
        for i, at in enumerate(placed):
            facing = np.clip(normals[i] @ direction, 0, None)
            visible = at @ direction + BIAS > depth(at)
            light[i] += facing * visible
            total[i] += facing
    return [one / all_ for one, all_ in zip(light, total, strict=True)]


def _sky() -> Points:
    """Return unit vectors spread evenly over the sphere (a golden spiral), mirror images too."""
    step = np.arange(DIRECTIONS // 2) + 0.5
    height = 1 - 4 * step / DIRECTIONS
    angle = np.pi * (1 + 5 ** 0.5) * step
    radius = np.sqrt(1 - height ** 2)
    half = np.stack([radius * np.cos(angle), height, radius * np.sin(angle)], 1)
    return np.concatenate([half, half * [-1, 1, 1]])


def _plane(direction: Points) -> tuple[Points, Points]:
    side = np.cross(direction, [0.3, 0.8, 0.52])
    side /= np.linalg.norm(side)
    return side, np.cross(direction, side)


def _sampled(at: Points, triangles: np.ndarray) -> Points:
    """Return points all over the triangles, at most about a cell apart."""
    corner = at[triangles]
    longest = np.max([np.linalg.norm(corner[:, i] - corner[:, i - 1], axis=1)
                      for i in range(3)], axis=0)
    found = [at]
    for many in range(1, 24):
        chosen = corner[(np.ceil(longest / CELL).clip(1, 23)) == many]
        if many > 1 and len(chosen):
            grid = [(a, b, many - a - b) for a in range(many + 1) for b in range(many + 1 - a)]
            found.append((np.array(grid) / many @ chosen).reshape(-1, 3))
    return np.concatenate(found)


def _depth_map(cloud: Points, direction: Points) -> Callable[[Points], Points]:
    """Return what tells, for (n, 3) points, how far out the surface before them lies."""
    side, up = _plane(direction)
    low = np.array([(cloud @ side).min(), (cloud @ up).min()])

    def cells(at: Points) -> tuple[np.ndarray, np.ndarray]:
        return (((at @ side - low[0]) / CELL).astype(int), ((at @ up - low[1]) / CELL).astype(int))

    x, y = cells(cloud)
    nearest = np.full((x.max() + 1, y.max() + 1), -np.inf)
    np.maximum.at(nearest, (x, y), cloud @ direction)
    return lambda at: nearest[cells(at)]
