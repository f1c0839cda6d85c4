# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Fewer triangles for machines that draw without a GPU: quadric edge collapses over poses."""

from __future__ import annotations

from collections.abc import Mapping
import heapq
from typing import Final

import numpy as np

from model.head.clip import picked
from model.head.part import Part
from model.head.source import Points

#: What the thinned face must still look like: a vertex costs what it bends in any of these.
POSES: Final[tuple[Mapping[str, float], ...]] = (
    {}, {'jawOpen': 0.7}, {'eyeBlinkLeft': 1, 'eyeBlinkRight': 1},
    {'mouthSmileLeft': 1, 'mouthSmileRight': 1, 'browInnerUp': 1},
    {'mouthFunnel': 1, 'noseSneerLeft': 1, 'noseSneerRight': 1})
_TURNED: Final = 0.25       # cosine below which a triangle counts as folded over


def decimated(part: Part, count: int, weight: Points | None = None) -> Part:
    """
    Return a part of about `count` triangles, made of some of its vertices.

    Vertices on rims and seams of the picture stay; `weight` (n,) makes places costly.
    """
    thinning = _Thinning(part, np.ones(len(part.positions)) if weight is None else weight)
    return picked(part, thinning.down_to(count))


class _Thinning:
    """Half-edge collapses, cheapest first."""

    def __init__(self, part: Part, weight: Points) -> None:
        still = np.zeros_like(part.positions)
        self._at = np.stack([part.positions + sum(
            (amount * part.deltas.get(name, still) for name, amount in pose.items()), still)
            for pose in POSES], 1)                                  # (n, poses, 3)
        self._triangles = {i: list(map(int, t)) for i, t in enumerate(part.triangles)}
        self._around: list[set[int]] = [set() for _ in part.positions]
        for i, corners in self._triangles.items():
            for vertex in corners:
                self._around[vertex].add(i)
        self._quadrics = self._planes(part.triangles, weight)
        self._fixed = _rim(part)
        self._age = np.zeros(len(part.positions), np.int64)

    def _planes(self, triangles: np.ndarray, weight: Points) -> np.ndarray:
        """Return each vertex's sum of squared distances to its planes, (n, poses, 4, 4)."""
        corner = self._at[triangles]                                # (t, 3, poses, 3)
        normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
        area = np.linalg.norm(normal, axis=-1, keepdims=True)
        normal = normal / np.maximum(area, 1e-12)
        plane = np.concatenate([normal, -(normal * corner[:, 0]).sum(-1, keepdims=True)], -1)
        each = plane[..., :, None] * plane[..., None, :] * area[..., None]
        total = np.zeros((len(self._at), len(POSES), 4, 4))
        for i in range(3):
            np.add.at(total, triangles[:, i], each)
        return total * weight[:, None, None, None]

    def down_to(self, count: int) -> np.ndarray:
        """Collapse until `count` triangles are left, or none can go; return the triangles."""
        heap = [entry for vertex in range(len(self._around)) for entry in self._offers(vertex)]
        heapq.heapify(heap)
        while heap and len(self._triangles) > count:
            _, vertex, onto, age = heapq.heappop(heap)
            if age == self._age[vertex] + self._age[onto] and self._may(vertex, onto):
                for touched in self._collapse(vertex, onto):
                    self._age[touched] += 1
                    for entry in self._offers(touched):
                        heapq.heappush(heap, entry)
        return np.array(list(self._triangles.values()))

    def _neighbours(self, vertex: int) -> set[int]:
        return {corner for i in self._around[vertex] for corner in self._triangles[i]} - {vertex}

    def _offers(self, vertex: int) -> list[tuple[float, int, int, int]]:
        """Return (cost, vertex, onto, age) of moving a vertex onto its cheapest neighbours."""
        if self._fixed[vertex] or not self._around[vertex]:
            return []
        others = sorted(self._neighbours(vertex))
        places = np.concatenate([self._at[others], np.ones((len(others), len(POSES), 1))], -1)
        cost = np.einsum('kpi,pij,kpj->k', places, self._quadrics[vertex], places)
        cost += 1e-7 * ((self._at[others] - self._at[vertex]) ** 2).sum((1, 2))
        best = np.argsort(cost, kind='stable')[:3]
        return [(float(cost[k]), vertex, others[k], int(self._age[vertex] + self._age[others[k]]))
                for k in best]

    def _may(self, vertex: int, onto: int) -> bool:
        """Tell whether a collapse keeps the surface a surface and folds nothing."""
        shared = self._around[vertex] & self._around[onto]
        if len(shared) != 2 or len(self._neighbours(vertex) & self._neighbours(onto)) != 2:
            return False
        kept = [self._triangles[i] for i in sorted(self._around[vertex] - shared)]
        before = self._at[np.array(kept)]
        after = self._at[np.array([[onto if c == vertex else c for c in t] for t in kept])]
        one, two = (np.cross(at[:, 1] - at[:, 0], at[:, 2] - at[:, 0]) for at in (before, after))
        sizes = np.linalg.norm(one, axis=-1) * np.linalg.norm(two, axis=-1)
        facing = ((one * two).sum(-1) > _TURNED * sizes)[:, 0]
        return bool(facing.all() and (sizes[:, 0] > 1e-12).all())

    def _collapse(self, vertex: int, onto: int) -> list[int]:
        """Move a vertex onto another; return whose offers changed."""
        for i in sorted(self._around[vertex]):
            if onto in self._triangles[i]:
                for corner in self._triangles.pop(i):
                    self._around[corner].discard(i)
            else:
                self._triangles[i] = [onto if c == vertex else c for c in self._triangles[i]]
                self._around[onto].add(i)
        self._around[vertex].clear()
        self._quadrics[onto] += self._quadrics[vertex]
        self._age[vertex] += 1
        return [onto, *sorted(self._neighbours(onto))]


def _rim(part: Part) -> np.ndarray:
    """Mark vertices on an edge that only one triangle has: rims and seams."""
    ends = np.sort(np.stack([part.triangles, np.roll(part.triangles, -1, 1)], -1).reshape(-1, 2))
    edges, counts = np.unique(ends, axis=0, return_counts=True)
    fixed = np.zeros(len(part.positions), bool)
    fixed[np.unique(edges[counts == 1])] = True
    return fixed
