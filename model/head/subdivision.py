# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Catmull-Clark as a matrix, and triangles that are fine where it matters, without cracks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from model.head.source import Indices, Points, Quads


@dataclass(frozen=True)
class Subdivision:
    """
    One level over (f, 4) faces of `count` vertices.

    `matrix` (count + e + f, count) gives the new vertices of any field on the old ones, so of
    positions and displacements alike: first the moved old ones, then one for each edge, then one
    for each face. `edges` (f, 4) and `centres` (f,) are their numbers; edge i of a face joins its
    corners i and i + 1.
    """

    matrix: sparse.csr_array
    edges: Indices
    centres: Indices


def catmull_clark(corners: Indices, count: int) -> Subdivision:
    """Return one level; vertices without a face stay where they are."""
    faces = len(corners)
    ends = np.stack([corners, np.roll(corners, -1, axis=1)], -1).reshape(-1, 2)
    pairs, edge_of = np.unique(np.sort(ends, axis=1), axis=0, return_inverse=True)
    edge_of = edge_of.reshape(-1)
    edges = len(pairs)
    centre = _average(corners, count)
    around = np.bincount(edge_of, minlength=edges)              # faces at each edge
    to_face = _incidence(edge_of, np.repeat(np.arange(faces), 4), (edges, faces))
    middle = _average(pairs, count)
    inner = sparse.diags_array((around == 2).astype(float))
    rim = sparse.diags_array((around != 2).astype(float))
    edge = inner @ (0.5 * middle + 0.25 * (to_face @ centre)) + rim @ middle
    old = _moved_corners(corners, pairs, around, centre, middle)
    return Subdivision(sparse.csr_array(sparse.vstack([old, edge, centre])),
                       count + edge_of.reshape(-1, 4), count + edges + np.arange(faces))


def _average(rows: Indices, count: int) -> sparse.csr_array:
    """Return the matrix of the mean over each row of vertex numbers."""
    width = rows.shape[1]
    return _incidence(np.repeat(np.arange(len(rows)), width), rows.reshape(-1),
                      (len(rows), count)) / width


def _incidence(rows: Indices, columns: Indices, shape: tuple[int, int]) -> sparse.csr_array:
    return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)


def _moved_corners(corners: Indices, pairs: Indices, around: Indices, centre: sparse.csr_array,
                   middle: sparse.csr_array) -> sparse.csr_array:
    count = centre.shape[1]
    faces, edges = len(corners), len(pairs)
    of_face = _incidence(corners.reshape(-1), np.repeat(np.arange(faces), 4), (count, faces))
    of_edge = _incidence(pairs.reshape(-1), np.repeat(np.arange(edges), 2), (count, edges))
    rim_edge = sparse.diags_array((around != 2).astype(float))
    valence = np.asarray(of_face.sum(axis=1)).reshape(-1)
    on_rim = np.asarray((of_edge @ rim_edge).sum(axis=1)).reshape(-1) > 0
    inside = (valence > 0) & ~on_rim
    safe = np.maximum(valence, 1)
    same = sparse.eye_array(count)
    smooth = (sparse.diags_array(1 / safe ** 2) @ (of_face @ centre)
              + sparse.diags_array(2 / safe ** 2) @ (of_edge @ middle)
              + sparse.diags_array((safe - 3) / safe) @ same)
    along = 0.5 * same + 0.25 * (of_edge @ rim_edge @ middle)
    return (sparse.diags_array(inside.astype(float)) @ smooth
            + sparse.diags_array((on_rim & (valence > 0)).astype(float)) @ along
            + sparse.diags_array((valence == 0).astype(float)) @ same)


@dataclass(frozen=True)
class Surface:
    """Triangles (t, 3) over corners; each corner is a vertex of a subdivision and has a uv."""

    triangles: Indices
    vertices: Indices       # (n,) number in the subdivision
    uvs: Points             # (n, 2)


def surface(quads: Quads, uvs: Points, level: Subdivision, keep: NDArray[np.bool_],
            refine: NDArray[np.bool_]) -> Surface:
    """
    Return the kept faces as triangles, those to refine as four quads each.

    A coarse face beside a fine one takes in the vertex between them, so there is no crack.
    """
    fine_edges = np.unique(level.edges[refine & keep])
    joints = np.isin(level.edges, fine_edges)
    corner_uvs = uvs[quads.uv_corners]                          # (f, 4, 2)
    soup: list[tuple[NDArray[np.int64], Points]] = []
    for face in np.nonzero(keep)[0]:
        ring = [(quads.corners[face, i], corner_uvs[face, i]) for i in range(4)]
        halves = [(level.edges[face, i], (corner_uvs[face, i] + corner_uvs[face, (i + 1) % 4]) / 2)
                  for i in range(4)]
        middle = (level.centres[face], corner_uvs[face].mean(0))
        if refine[face]:
            cells = [[ring[i], halves[i], middle, halves[i - 1]] for i in range(4)]
            soup += [_triangle(cell[a], cell[b], cell[c]) for cell in cells
                     for a, b, c in ((0, 1, 2), (0, 2, 3))]
        elif joints[face].any():
            loop = [point for i in range(4)
                    for point in ([ring[i], halves[i]] if joints[face, i] else [ring[i]])]
            soup += [_triangle(loop[i - 1], loop[i], middle) for i in range(len(loop))]
        else:
            soup += [_triangle(ring[a], ring[b], ring[c]) for a, b, c in ((0, 1, 2), (0, 2, 3))]
    vertices = np.array([corners for corners, _ in soup])
    places = np.array([of for _, of in soup])
    return _weld(vertices, places)


def _triangle(*points: tuple[int, Points]) -> tuple[NDArray[np.int64], Points]:
    return np.array([point[0] for point in points]), np.array([point[1] for point in points])


def _weld(vertices: Indices, places: Points) -> Surface:
    """Join corners that share vertex and uv."""
    keys = np.concatenate([vertices.reshape(-1, 1),
                           np.round(places.reshape(-1, 2) * 1e6).astype(np.int64)], axis=1)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return Surface(inverse.reshape(-1, 3), vertices.reshape(-1)[first],
                   places.reshape(-1, 2)[first])
