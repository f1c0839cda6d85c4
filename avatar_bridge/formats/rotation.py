# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""How a head turns, as unit quaternions (x, y, z, w)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def turned(head: NDArray[np.floating]) -> Floats:
    """
    Return (n, 4) of (n, 3) yaw, pitch, roll.

    Axes are glTF's: y up, the face towards +z, +x the subject's left. Roll comes first, yaw last.
    """
    yaw, pitch, roll = np.asarray(head, float).T
    return product(product(around(1, yaw), around(0, -pitch)), around(2, -roll))


def around(axis: int, angles: Floats) -> Floats:
    """Return (n, 4) rotations by (n,) angles about x, y or z (0, 1, 2)."""
    quaternions = np.zeros((len(angles), 4))
    quaternions[:, axis], quaternions[:, 3] = np.sin(angles / 2), np.cos(angles / 2)
    return quaternions


def product(first: Floats, second: Floats) -> Floats:
    """Return (..., 4) rotations that do `second` and then `first`."""
    (a, s), (b, t) = ((q[..., :3], q[..., 3:]) for q in (first, second))
    return np.concatenate([s * b + t * a + np.cross(a, b),
                           s * t - (a * b).sum(-1, keepdims=True)], -1)


def inverse(quaternions: Floats) -> Floats:
    """Return (..., 4) rotations back."""
    return quaternions * (-1, -1, -1, 1)


def of_matrix(matrix: Floats) -> Floats:
    """Return (4,) of a matrix that turns and scales, (3, 3) or larger."""
    turn = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    # Of the symmetric matrix made of its entries the quaternion is the dominant eigenvector.
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = turn.tolist()
    symmetric = np.array([[xx - yy - zz, xy + yx, xz + zx, zy - yz],
                          [xy + yx, yy - xx - zz, yz + zy, xz - zx],
                          [xz + zx, yz + zy, zz - xx - yy, yx - xy],
                          [zy - yz, xz - zx, yx - xy, xx + yy + zz]])
    found: Floats = np.linalg.eigh(symmetric)[1][:, -1]
    return found if found[3] >= 0 else -found
