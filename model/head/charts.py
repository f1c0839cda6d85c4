# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Where each spot of the skin lies in its picture: a cylinder with the face enlarged."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from model.head.source import Points, Quads

AXIS: Final = 0.2               # dm by which the cylinder's axis stands before the pivot
STRIP: Final = 0.12             # of the height, below: what lies inside mouth and nose

#: Degrees around the axis (0 = ahead, + = the subject's left) and the share of the width.
_AROUND: Final = ((-180.0, -62.0, 62.0, 180.0), (0.002, 0.1, 0.9, 0.998))
#: Heights in dm above the pivot and the share of the height.
_UP: Final = ((-1.75, -0.62, 0.66, 1.45), (STRIP + 0.01, 0.22, 0.93, 0.998))


def unrolled(quads: Quads, uvs: Points, vertices: Points) -> tuple[Quads, Points]:
    """
    Return the faces with uvs of their own, (f, 4) corners into (4 f, 2); v upward.

    Faces of MakeHuman's islands inside mouth and nose keep their uvs, scaled into the strip.
    """
    island, outside = _islands(quads, uvs)
    corners = vertices[quads.corners]
    angle = np.degrees(np.arctan2(corners[..., 0], corners[..., 2] - AXIS))
    behind = np.abs(angle) > 120
    side = np.sign(corners[..., 0].mean(1, keepdims=True))
    angle = np.where(behind & (np.sign(angle) != side), angle + 360 * side, angle)
    # a vertex on the midline belongs to both sides
    angle = np.where(np.abs(corners[..., 0]) < 1e-6, np.where(behind, 180 * side, 0), angle)
    places = np.stack([np.interp(angle, *_AROUND), np.interp(corners[..., 1], *_UP)], -1)
    inner = np.unique(island[~np.isin(island, outside)])
    for number, one in enumerate(inner):
        chosen = island == one
        own = uvs[quads.uv_corners[chosen]]
        low, high = own.min((0, 1)), own.max((0, 1))
        width = 1 / len(inner)
        box = np.array([width, STRIP]) * 0.94
        places[chosen] = (np.array([number * width, 0]) + 0.03 * np.array([width, STRIP])
                          + (own - low) / (high - low) * box)
    return (Quads(quads.corners, np.arange(places.size // 2).reshape(-1, 4)),
            places.reshape(-1, 2))


def inside(quads: Quads, uvs: Points) -> np.ndarray:
    """Mark the faces inside mouth and nose."""
    island, outside = _islands(quads, uvs)
    return ~np.isin(island, outside)


def _islands(quads: Quads, uvs: Points) -> tuple[np.ndarray, np.ndarray]:
    """Return each face's island of uvs, and the islands of the outer skin (the two largest)."""
    ends = np.stack([quads.uv_corners, np.roll(quads.uv_corners, -1, 1)], -1).reshape(-1, 2)
    links = sparse.coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])),
                             shape=(len(uvs), len(uvs)))
    label = connected_components(links, directed=False)[1][quads.uv_corners[:, 0]]
    names, counts = np.unique(label, return_counts=True)
    return label, names[np.argsort(-counts, kind='stable')[:2]]
