# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Parts cut out of the base mesh: the skin down to the shoulders, teeth, tongue, lashes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.head.part import Part
from model.head.source import BaseMesh, Points, Quads
from model.head.subdivision import catmull_clark, surface

BELOW: Final = 4.9              # dm on the base mesh: nothing lower is looked at
STILL: Final = 1e-4             # dm that do not count as moving


def joined(mesh: BaseMesh, *groups: str) -> Quads:
    """Return the faces of some groups together."""
    return Quads(np.concatenate([mesh.groups[name].corners for name in groups]),
                 np.concatenate([mesh.groups[name].uv_corners for name in groups]))


def part(name: str, material: str, quads: Quads, uvs: Points, vertices: Points,
         shapes: Mapping[str, Points], keep: NDArray[np.bool_],
         refine: NDArray[np.bool_]) -> Part:
    """Return the kept faces after one level of subdivision, fine where asked for."""
    level = catmull_clark(quads.corners, len(vertices))
    made = surface(quads, uvs, level, keep, refine)
    matrix = level.matrix[made.vertices]
    deltas = {shape: matrix @ field for shape, field in shapes.items()}
    moving = {shape: np.where(np.abs(field).max(1, keepdims=True) < STILL, 0, field)
              for shape, field in deltas.items() if np.abs(field).max() >= STILL}
    return Part(name, material, matrix @ vertices, made.triangles,
                np.stack([made.uvs[:, 0], 1 - made.uvs[:, 1]], 1), made.vertices, moving)


def whole(name: str, material: str, quads: Quads, mesh: BaseMesh, vertices: Points,
          shapes: Mapping[str, Points]) -> Part:
    """Return all faces, all fine."""
    every = np.ones(len(quads.corners), bool)
    return part(name, material, quads, mesh.uvs, vertices, shapes, every, every)
