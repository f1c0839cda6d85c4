# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The moving surface of a head: shapes added up, normals that follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from avatar_bridge import rig

if TYPE_CHECKING:
    from avatar_bridge.gltf import Head

Floats = NDArray[np.float32]

UNSEEN: Final = 1e-6            # metres
ALIKE: Final = 0.3              # cosine of the most that two halves of one vertex may differ


class Mesh:
    """All parts of a head as one list of vertices; `pose` moves them."""

    def __init__(self, head: Head) -> None:
        """Put the parts behind one another."""
        counts = [len(part.positions) for part in head.parts]
        self.starts = np.cumsum([0, *counts[:-1]])      # of the parts
        self.rest = np.concatenate([part.positions for part in head.parts])
        self.triangles = np.concatenate([part.triangles + start for part, start
                                         in zip(head.parts, self.starts, strict=True)])
        deltas = np.zeros((len(rig.NAMES), len(self.rest), 3), np.float32)
        for part, start in zip(head.parts, self.starts, strict=True):
            for shape, delta in zip(part.shapes, part.deltas, strict=True):
                deltas[shape, start:start + len(delta)] += delta
        self._moved = [moved(delta) for delta in deltas]
        self._corners = [np.ascontiguousarray(column) for column in self.triangles.T]
        given = np.concatenate([part.normals for part in head.parts])
        self._welded = np.arange(len(self.rest))
        if not given.any(axis=1).all():         # some part comes without normals of its own
            given = self._normals(self.rest)
        self._welded = welded(self.rest, given)

    def pose(self, weights: NDArray[Any]) -> tuple[Floats, Floats]:
        """Return positions and unit normals, (n, 3) each, for (52,) weights."""
        # Few shapes move at a time, each a part of the face. A product with all of them is as
        # quick on an idle machine, but waits for its threads on one that is busy.
        positions = self.rest.copy()
        for shape in np.flatnonzero(weights):
            where, delta = self._moved[shape]
            positions[where] += np.float32(weights[shape]) * delta
        return positions, self._normals(positions)

    def _normals(self, positions: Floats) -> Floats:
        """Return normals that are smooth over all triangles at a vertex, by area."""
        first, second, third = (positions[corner] for corner in self._corners)
        one, two = second - first, third - first
        flat = np.stack([one[:, 1] * two[:, 2] - one[:, 2] * two[:, 1],
                         one[:, 2] * two[:, 0] - one[:, 0] * two[:, 2],
                         one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]])
        total = np.zeros((3, len(positions)))
        for corner in self._corners:
            vertices = self._welded[corner]
            for axis in range(3):
                total[axis] += np.bincount(vertices, flat[axis], len(positions))
        total /= np.sqrt(np.maximum((total ** 2).sum(0), 1e-30))
        return np.ascontiguousarray(total.T[self._welded], np.float32)


def moved(delta: Floats) -> tuple[NDArray[np.intp], Floats]:
    """Return the vertices that a shape moves, and their (k, 3) part of `delta`."""
    where = np.flatnonzero(np.abs(delta).max(1) > UNSEEN)
    return where, np.ascontiguousarray(delta[where])


def welded(positions: Floats, normals: Floats) -> NDArray[np.intp]:
    """
    Return for each vertex the one that stands for it.

    Vertices that lie in the same place are one, cut apart for the sake of a texture, unless they
    look different ways: lips that touch at rest stay two.
    """
    _, group = np.unique(np.round(positions * 1e6).astype(np.int64), axis=0, return_inverse=True)
    group = group.reshape(-1)
    first = np.full(group.max() + 1, -1)
    first[group[::-1]] = np.arange(len(group))[::-1]
    stands = first[group]
    other = (normals * normals[stands]).sum(1) < ALIKE
    second = np.full(len(first), -1)
    second[group[other][::-1]] = np.flatnonzero(other)[::-1]
    stands[other] = second[group[other]]
    return np.asarray(stands, np.intp)
