# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Fields on vertices spread over the picture that a part's uvs unfold."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from model.head.part import Part
from model.head.source import Points


def spread(part: Part, fields: Points, size: int) -> tuple[Points, np.ndarray]:
    """
    Return (size, size, k) values of (n, k) `fields`, row 0 on top, and which texels are covered.

    Texels that no triangle covers take the value of the nearest one that is, so that filtering
    across the edge of a chart stays clean.
    """
    picture = np.zeros((size, size, fields.shape[1]))
    covered = np.zeros((size, size), bool)
    # glTF's v runs downward
    corners = part.uvs[part.triangles] * size - 0.5
    for triangle, at in zip(part.triangles, corners, strict=True):
        low = np.floor(at.min(0)).astype(int).clip(0)
        high = np.ceil(at.max(0)).astype(int).clip(max=size - 1)
        x, y = np.meshgrid(np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1))
        (ax, ay), (bx, by), (cx, cy) = at
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if abs(area) < 1e-9:
            continue
        second = ((x - ax) * (cy - ay) - (cx - ax) * (y - ay)) / area
        third = ((bx - ax) * (y - ay) - (x - ax) * (by - ay)) / area
        inside = (second >= -0.01) & (third >= -0.01) & (second + third <= 1.01)
        rows, columns = y[inside], x[inside]
        shares = np.stack([1 - second - third, second, third], -1)[inside]
        picture[rows, columns] = shares @ fields[triangle]
        covered[rows, columns] = True
    nearest = ndimage.distance_transform_edt(~covered, return_distances=False,
                                             return_indices=True)
    return picture[tuple(nearest)], covered
