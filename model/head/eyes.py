# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Eyeballs: spheres with a cornea in the place of MakeHuman's, turned by the eyeLook shapes."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from model.head.part import Part
from model.head.source import Points

DEGREES: Final = 30.0           # that an eyeLook shape of 1 turns the eye (stream/gaze.py)
SECTORS: Final = 22
EDGE: Final = 2.0               # radians from the axis: the ball is open behind
IRIS: Final = 0.44              # radians from the axis to the rim of the iris
BULGE: Final = 0.006            # dm by which the cornea stands out
SLACK: Final = 0.003            # dm between the ball and the lids
_RINGS: Final = (0.08, 0.17, 0.26, 0.34, 0.40, 0.44, 0.48, 0.56, 0.68, 0.82, 0.98, 1.2, 1.55, EDGE)

#: The shapes of the left eye and the way it turns: degrees about x (down +) and y (left +).
_TURNS: Final = {'eyeLookUp': (-DEGREES, 0.0), 'eyeLookDown': (DEGREES, 0.0),
                 'eyeLookIn': (0.0, -DEGREES), 'eyeLookOut': (0.0, DEGREES)}


class Ball(NamedTuple):
    """Centre (3,) and radius of an eye, dm."""

    centre: Points
    radius: float


def fitted(points: Points) -> Ball:
    """Return the sphere through (n, 3) points, least squares."""
    system = np.concatenate([2 * points, np.ones((len(points), 1))], axis=1)
    *centre, rest = np.linalg.lstsq(system, (points ** 2).sum(1), rcond=None)[0]
    middle = np.array(centre)
    return Ball(middle, float(np.sqrt(rest + middle @ middle)) - SLACK)


def eyeball(name: str, side: str, ball: Ball) -> Part:
    """Return an eye that looks to +z; `side` is Left or Right, the uv is polar about the axis."""
    angle = np.array(_RINGS)[:, None]
    around = 2 * np.pi * (np.arange(SECTORS) + 0.5) / SECTORS
    bulge = BULGE * np.clip(1 - (angle / (IRIS * 1.1)) ** 2, 0, None) ** 2
    shell = (ball.radius + bulge)[..., None] * np.stack(
        [np.sin(angle) * np.cos(around), np.sin(angle) * np.sin(around),
         np.cos(angle) * np.ones_like(around)], -1)
    local = np.concatenate([[[0, 0, ball.radius + BULGE]], shell.reshape(-1, 3)])
    flat = angle / EDGE / 2
    rim = np.stack([0.5 + flat * np.cos(around), 0.5 - flat * np.sin(around)], -1)
    uvs = np.concatenate([[[0.5, 0.5]], rim.reshape(-1, 2)])
    return Part(name, 'eye', local + ball.centre, _triangles(), uvs, np.arange(len(local)),
                _looks(side, local), ball.centre)


def _triangles() -> np.ndarray:
    here = np.arange(SECTORS)
    after = (here + 1) % SECTORS
    cap = np.stack([np.zeros(SECTORS, int), 1 + here, 1 + after], 1)
    strips = [cap]
    for ring in range(len(_RINGS) - 1):
        inner, outer = 1 + ring * SECTORS, 1 + (ring + 1) * SECTORS
        strips += [np.stack([inner + here, outer + here, outer + after], 1),
                   np.stack([inner + here, outer + after, inner + after], 1)]
    return np.concatenate(strips)


def _looks(side: str, local: Points) -> dict[str, Points]:
    moves = {}
    for shape, (pitch, yaw) in _TURNS.items():
        turn = _rotation(np.radians(pitch), np.radians(yaw if side == 'Left' else -yaw))
        moves[f'{shape}{side}'] = local @ turn.T - local
    return moves


def _rotation(pitch: float, yaw: float) -> Points:
    cp, sp, cy, sy = np.cos(pitch), np.sin(pitch), np.cos(yaw), np.sin(yaw)
    return np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]]) @ np.array(
        [[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
