# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Lips that meet: at rest, and with mouthClose over any open jaw; gaps as the formula says."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from avatar_bridge.rig import INDEX, NAMES
from model.head.graph import Graph
from model.head.part import Part
from model.head.source import Indices, Points
from model.metrics import LIP_GAP

UPPER_MID: Final = 520          # of the base mesh: the middle of the inner upper lip
LOWER_MID: Final = 540
RINGS: Final = 9                # edges over which a correction fades

#: Where the lips touch, from the middle to the left corner (vertices of the base mesh).
UPPER: Final = (520, 7267, 7268, 7261, 7262, 11962, 7263, 7181, 7180, 7196, 10399, 7194)
CORNER: Final = 7195
LOWER: Final = (523, 7264, 7265, 7266, 7206, 7205, 10376)


def both_sides(vertices: tuple[int, ...], mirror: Indices) -> Indices:
    """Return the vertices and their partners, from the right corner to the left one."""
    left = np.array(vertices)
    return np.unique(np.concatenate([left, mirror[left]]))


def sealed(face: Part, mirror: Indices) -> Part:
    """Return the skin with lips that meet at rest and wherever mouthClose equals jawOpen."""
    graph = Graph(face)
    rest = face.positions + _closing(face.positions, graph, mirror)
    face = replace(face, positions=rest)
    shut = rest + face.deltas['jawOpen'] + face.deltas['mouthClose']
    deltas = dict(face.deltas)
    deltas['mouthClose'] = deltas['mouthClose'] + _closing(shut, graph, mirror)
    return replace(face, deltas={name: deltas[name] + _to_formula(deltas[name], name, graph)
                                 for name in deltas})


def _closing(positions: Points, graph: Graph, mirror: Indices) -> Points:
    """Return the (n, 3) move that brings both lips onto the curve half way between them."""
    upper, lower = both_sides(UPPER, mirror), both_sides(LOWER, mirror)
    corners = both_sides((CORNER,), mirror)
    ends = positions[graph.rows(corners)]
    above, below = positions[graph.rows(upper)], positions[graph.rows(lower)]
    top, bottom = _curve(above, ends), _curve(below, ends)

    def middle(points: Points) -> Points:
        x = points[:, 0]
        target = np.stack([(np.interp(x, top[:, 0], top[:, 1])
                            + np.interp(x, bottom[:, 0], bottom[:, 1])) / 2 - points[:, 1]], 1)
        return target

    inner = positions[graph.rows(np.array([LOWER_MID]))]
    vertices = np.concatenate([upper, lower, corners, [LOWER_MID]])
    up = np.concatenate([middle(above), middle(below), np.zeros((2, 1)), middle(inner)])
    moves = np.concatenate([np.zeros_like(up), up, np.zeros_like(up)], axis=1)
    return graph.spread(graph.nodes(vertices), moves, RINGS)


def _curve(points: Points, ends: Points) -> Points:
    curve = np.concatenate([points, ends])
    return curve[np.argsort(curve[:, 0], kind='stable')]


def _to_formula(delta: Points, name: str, graph: Graph) -> Points:
    """Return what is missing to the gap that the linear formula gives (subdivision rounds it)."""
    pair = np.array([UPPER_MID, LOWER_MID])
    upper, lower = delta[graph.rows(pair), 1]
    wanted = float(LIP_GAP[INDEX[name]])
    if name == 'mouthClose':        # shuts exactly what jawOpen opens
        wanted = -float(LIP_GAP[INDEX['jawOpen']])
    missing = wanted - (upper - lower)
    moves = np.array([[0, missing / 2, 0], [0, -missing / 2, 0]])
    return graph.spread(graph.nodes(pair), moves, RINGS)


def gap_terms(face: Part) -> Points:
    """Return the (52,) gap in dm that each shape opens on the mesh."""
    rows = Graph(face).rows(np.array([UPPER_MID, LOWER_MID]))
    zero = np.zeros_like(face.positions)
    moves = np.stack([face.deltas.get(name, zero)[rows, 1] for name in NAMES])
    return moves[:, 0] - moves[:, 1]
