# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""A mesh on its way into the file: positions, triangles, uvs, displacements by shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from model.head.source import Indices, Points


@dataclass(frozen=True)
class Part:
    """
    One mesh node.

    Positions (n, 3) and displacements are in decimetres, as in the source; vertices that share a
    `weld` number are one point of the surface (they differ in uv only); it is the number in the
    subdivision, whose first ones are the vertices of the base mesh.
    `shade` (n, 3), where there is one, multiplies the colour (linear, 0..1).
    """

    name: str
    material: str
    positions: Points
    triangles: Indices
    uvs: Points
    weld: Indices
    deltas: Mapping[str, Points] = field(default_factory=dict)
    origin: Points = field(default_factory=lambda: np.zeros(3))
    shade: Points = field(default_factory=lambda: np.zeros((0, 3)))

    def normals(self, positions: Points | None = None) -> Points:
        """Return smooth (n, 3) unit normals, weighted by angle, whole across seams."""
        at = self.positions if positions is None else positions
        corner = at[self.triangles]
        sides = [corner[:, (i + 1) % 3] - corner[:, i] for i in range(3)]
        face = np.cross(sides[0], -sides[2])
        face /= np.maximum(np.linalg.norm(face, axis=1, keepdims=True), 1e-20)
        total = np.zeros((self.weld.max() + 1, 3))
        for i in range(3):
            one, other = sides[i], -sides[i - 1]
            cosine = (one * other).sum(1) / np.maximum(
                np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1), 1e-20)
            angle = np.arccos(np.clip(cosine, -1, 1))
            np.add.at(total, self.weld[self.triangles[:, i]], face * angle[:, None])
        length = np.linalg.norm(total, axis=1, keepdims=True)
        return (total / np.maximum(length, 1e-20))[self.weld]
