# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The vertices of a part as a graph: who is whose neighbour, and moves that fade with distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from model.head.part import Part
from model.head.source import Indices, Points


class Graph:
    """Welded vertices of a part; `node` (n,) is the node of each of its vertices."""

    def __init__(self, part: Part) -> None:
        """Join the vertices along the edges of the triangles."""
        self._welds, self._first, self.node = np.unique(part.weld, return_index=True,
                                                        return_inverse=True)
        ends = self.node[part.triangles]
        rows = np.concatenate([ends, np.roll(ends, 1, 1)]).reshape(-1)
        columns = np.concatenate([np.roll(ends, 1, 1), ends]).reshape(-1)
        count = len(self._welds)
        links = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(count, count))
        links.data[:] = 1
        self._links = links
        self._mean = sparse.diags_array(1 / np.maximum(links.sum(axis=1), 1)) @ links

    def nodes(self, vertices: Indices) -> Indices:
        """Return the nodes of vertices of the base mesh."""
        return np.searchsorted(self._welds, vertices)

    def rows(self, vertices: Indices) -> Indices:
        """Return one vertex of the part for each vertex of the base mesh."""
        return self._first[self.nodes(vertices)]

    def rings(self, nodes: Indices, most: int) -> NDArray[np.int64]:
        """Return how many edges away from `nodes` each vertex is, at most `most`."""
        distance = np.full(len(self._welds), most)
        distance[nodes] = 0
        reached = distance == 0
        for ring in range(1, most):
            wider = (self._links @ reached.astype(float)) > 0
            distance[wider & ~reached] = ring
            reached |= wider
        return distance[self.node]

    def spread(self, nodes: Indices, moves: Points, rings: int) -> Points:
        """Return (n, 3) moves that are `moves` at `nodes` and fade to 0 `rings` edges away."""
        near = np.zeros(len(self._welds), bool)
        near[self.node[self.rings(nodes, rings) < rings]] = True
        field = np.zeros((len(self._welds), moves.shape[1]))
        for _ in range(4 * rings):
            field[nodes] = moves
            field = (self._mean @ field) * near[:, None]
        field[nodes] = moves
        return field[self.node]

    def smoothed(self, values: Points, times: int) -> Points:
        """Return (n, k) values after some rounds of averaging with their neighbours."""
        field = values[self._first]
        for _ in range(times):
            field = (field + self._mean @ field) / 2
        return field[self.node]
