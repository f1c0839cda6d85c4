# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""A part cut along a curve: the side where a field is positive, with a clean edge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from model.head.part import Part
from model.head.source import Points

_SNAP = 0.04        # of an edge: a cut nearer to its end goes through the end


def clipped(part: Part, field: Points) -> Part:
    """Return what is left of a part where the (n,) `field` is >= 0; `field` is cut linearly."""
    field = _snapped(part, field)
    sign = np.sign(field)[part.triangles]
    whole = (sign >= 0).all(1) & (sign > 0).any(1)
    crossed = (sign > 0).any(1) & (sign < 0).any(1)
    triangles = [part.triangles[whole]]
    cuts: dict[tuple[int, int], int] = {}
    rows: list[tuple[int, int, float]] = []

    def cut(one: int, other: int) -> int:
        """Return the new vertex between a kept and a dropped one."""
        if (one, other) not in cuts:
            cuts[one, other] = len(field) + len(rows)
            rows.append((one, other, field[one] / (field[one] - field[other])))
        return cuts[one, other]

    extra = []
    for corners in part.triangles[crossed]:
        loop: list[int] = []
        for one, other in zip(corners, np.roll(corners, -1), strict=True):
            if field[one] >= 0:
                loop.append(int(one))
            if field[one] * field[other] < 0:
                loop.append(cut(*((one, other) if field[one] > 0 else (other, one))))
        extra += [(loop[0], loop[i], loop[i + 1]) for i in range(1, len(loop) - 1)]
    triangles.append(np.array(extra, np.int64).reshape(-1, 3))
    return picked(_grown(part, rows), np.concatenate(triangles))


def _snapped(part: Part, field: Points) -> Points:
    """Return the field with 0 where the cut would pass very near a vertex."""
    ends = np.concatenate([part.triangles, np.roll(part.triangles, -1, 1)], 0).reshape(-1)
    others = np.concatenate([np.roll(part.triangles, -1, 1), part.triangles], 0).reshape(-1)
    crossing = field[ends] * field[others] < 0
    share = np.full(len(field), np.inf)
    step = np.abs(field[ends]) / np.maximum(np.abs(field[ends] - field[others]), 1e-12)
    np.minimum.at(share, ends[crossing], step[crossing])
    # the same for all vertices of one point, or a seam would open
    _, node = np.unique(part.weld, return_inverse=True)
    least = np.full(node.max() + 1, np.inf)
    np.minimum.at(least, node, share)
    return np.where(least[node] < _SNAP, 0.0, field)


def _grown(part: Part, rows: list[tuple[int, int, float]]) -> Part:
    """Return a part with vertices added on edges."""
    if not rows:
        return part
    one, other, share = (np.array(column) for column in zip(*rows, strict=True))
    one, other = one.astype(np.int64), other.astype(np.int64)
    weight = share[:, None]

    def wider(values: Points) -> Points:
        return np.concatenate([values, (1 - weight) * values[one] + weight * values[other]])

    pairs = np.stack([part.weld[one], part.weld[other]], 1)
    _, number = np.unique(pairs, axis=0, return_inverse=True)
    weld = np.concatenate([part.weld, part.weld.max() + 1 + number.reshape(-1)])
    return replace(part, positions=wider(part.positions), uvs=wider(part.uvs), weld=weld,
                   shade=wider(part.shade) if len(part.shade) else part.shade,
                   deltas={name: wider(field) for name, field in part.deltas.items()})


def picked(part: Part, triangles: np.ndarray) -> Part:
    """Return a part of these triangles and the vertices that they use."""
    used, renamed = np.unique(triangles, return_inverse=True)
    return replace(part, positions=part.positions[used], uvs=part.uvs[used],
                   triangles=renamed.reshape(-1, 3), weld=part.weld[used],
                   shade=part.shade[used] if len(part.shade) else part.shade,
                   deltas={name: field[used] for name, field in part.deltas.items()})
