# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""From the wheel to the head: shape, cut, correct, shade and paint, in this order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from avatar_bridge.rig import NAMES
from model.head import charts, cut, eyes, hair, lips, occlusion, paint, person, raster
from model.head.clip import clipped, picked
from model.head.gltf import Material
from model.head.graph import Graph
from model.head.part import Part
from model.head.shapes import face_units
from model.head.source import BaseMesh, Points, Quads, Source

PIVOT: Final = slice(14070, 14078)      # the cube at MakeHuman's joint of neck and head
BALLS: Final = {'Left': slice(14598, 14670), 'Right': slice(14670, 14742)}
BROW: Final = (0.142, 0.160, 0.178, 0.180, 0.132)       # dm above the eye's centre, outwards
LIP_RINGS: Final = 9                    # edges from the touching line to the edge of the red
FLATTER: Final = 0.72                   # height of the tongue against MakeHuman's
LOWER_TEETH_BY: Final = 0.045            # dm
PICTURE: Final = 2048
DARKENING: Final = 0.26     # dm behind the lips at which a third of the light is left
FRIENDLY: Final = {'mouthSmileLeft': 0.14, 'mouthSmileRight': 0.14}  # baked into the rest


@dataclass(frozen=True)
class Head:
    """All that is written."""

    parts: tuple[Part, ...]
    materials: dict[str, Material]
    mesh: BaseMesh

    def part(self, name: str) -> Part:
        """Return the part of that name."""
        return next(part for part in self.parts if part.name == name)


def built(source: Source) -> Head:
    """Return the default head."""
    mesh = source.mesh()
    vertices = person.shaped(source, mesh)
    vertices = _mouth_set(vertices - vertices[PIVOT].mean(0), mesh)
    shapes = face_units(source, mesh)
    vertices = vertices + sum(amount * shapes[name] for name, amount in FRIENDLY.items())
    balls = {side: eyes.fitted(vertices[of]) for side, of in BALLS.items()}
    body = _body(mesh, vertices, shapes, balls)
    marks = _marks(vertices, balls)
    face, shirt = lips.sealed(_dressed(body, 1.0), mesh.mirror), _shirt(_dressed(body, -1.0))
    cap, knot = hair.shell(face), hair.knot()
    face = _shaved(face)
    mouth = [_teeth(cut.whole(name, 'teeth', mesh.groups[group], mesh, vertices, moved), row)
             for name, group, moved, row in (
                 ('TeethUpper', 'helper-upper-teeth', {}, 0),
                 ('TeethLower', 'helper-lower-teeth', shapes, 1))]
    tongue = mesh.groups['helper-tongue']
    few = np.zeros(len(tongue.corners), bool)
    mouth.append(cut.part('Tongue', 'tongue', tongue, mesh.uvs, vertices, shapes, ~few, few))
    lashes = _lashes(mesh, vertices, shapes, balls['Left'])
    looking = [eyes.eyeball(f'Eye{side}', side, ball) for side, ball in balls.items()]
    picture = _painted(face, marks, mesh)
    parts = [*_shaded([face, *looking, *mouth, cap, knot, shirt], marks), lashes]
    return Head(tuple(parts), _materials(picture), mesh)


def _body(mesh: BaseMesh, vertices: Points, shapes: dict[str, Points],
          balls: dict[str, eyes.Ball]) -> Part:
    """Return the skin of head and shoulders, fine around eyes, nose and mouth."""
    quads = mesh.groups['body']
    middle = vertices[quads.corners].mean(1)
    keep = (middle[:, 1] > -2.4) & (np.abs(middle[:, 0]) < 2.2)
    side = np.abs(middle) * [1, 0, 0] + middle * [0, 1, 1]
    ball = balls['Left']
    behind = (np.linalg.norm(side - ball.centre, axis=1) < ball.radius - 0.012) | (
        (np.linalg.norm(side - ball.centre, axis=1) < ball.radius + 0.03)
        & (middle[:, 2] < ball.centre[2] + 0.01) & (middle[:, 2] > 0))
    keep &= ~behind
    near_eye = (np.abs((side - ball.centre) / [0.23, 0.185, 1])[:, :2] ** 2).sum(1) < 1
    lip = vertices[[520, 540]].mean(0)
    near_lip = (((middle - lip) / [0.33, 0.22, 1])[:, :2] ** 2).sum(1) < 1
    near_nose = (np.abs(middle[:, 0]) < 0.2) & (np.abs(middle[:, 1]) < 0.2)
    inside = np.zeros(len(middle), bool)
    inside[keep] = charts.inside(quads.take(keep), mesh.uvs)
    refine = (middle[:, 2] > 0.62) & (near_eye | near_lip | near_nose) & ~(
        inside & (middle[:, 2] < 0.78))
    refine |= hair.depth(middle) > 0.03
    unrolled, uvs = charts.unrolled(quads.take(keep), mesh.uvs, vertices)
    everywhere = _with_charts(quads, keep, unrolled)
    made = cut.part('Face', 'skin', everywhere, uvs, vertices, shapes, keep, refine & keep)
    return replace(made, deltas={name: made.deltas.get(name, np.zeros_like(made.positions))
                                 for name in NAMES})


def _with_charts(quads: Quads, keep: np.ndarray, unrolled: Quads) -> Quads:
    """Return all faces, the kept ones with new uvs (the others only smooth their neighbours)."""
    corners = np.zeros_like(quads.uv_corners)
    corners[keep] = unrolled.uv_corners
    return Quads(quads.corners, corners)


def _marks(vertices: Points, balls: dict[str, eyes.Ball]) -> paint.Landmarks:
    ball = balls['Left'].centre
    x = np.linspace(ball[0] - 0.185, ball[0] + 0.20, len(BROW))
    return paint.Landmarks(ball, vertices[5134], vertices[[520, 540]].mean(0),
                           np.stack([x, ball[1] + np.array(BROW)], 1))


def _collar(at: Points) -> Points:
    """Return how far above the collar (n, 3) points lie, dm."""
    across = (at[:, 0] / 0.58) ** 2 + ((at[:, 2] + 0.14) / 0.55) ** 2
    collar = at[:, 1] + 0.9 + 0.6 * (1 - across) + 0.4 * (at[:, 2] + 0.14)
    return np.maximum(collar, at[:, 1] + 0.78)


def _dressed(body: Part, side: float) -> Part:
    """Return the skin above the collar (+1), a little of it below too, or what is below (-1)."""
    return clipped(body, side * _collar(body.positions) + (0.28 if side > 0 else 0.0))


def _shirt(below: Part) -> Part:
    """Return the shirt: what is below the collar, as cloth, cut round."""
    at = below.positions
    fall = np.clip(-0.9 - at[:, 1], 0, None)
    below = clipped(below, 1 - (at[:, 0] / 1.75) ** 2 - (fall / 0.8) ** 2)
    hem = np.exp(-np.clip(-_collar(below.positions), 0, None) / 0.05)
    return replace(below, name='Shirt', material='shirt', deltas={},
                   positions=below.positions + below.normals() * (0.03 + 0.02 * hem)[:, None])


def _shaved(face: Part) -> Part:
    """Return the skin without what the hair hides."""
    deep = (hair.depth(face.positions) > 0.12)[face.triangles].all(1)
    return picked(face, face.triangles[~deep])


def _shaded(parts: list[Part], marks: paint.Landmarks) -> list[Part]:
    """Return the parts with baked light: occlusion outside, depth inside the mouth."""
    outside = [part for part in parts if part.material not in ('teeth', 'tongue')]
    light = dict(zip([part.name for part in outside], occlusion.seen(outside), strict=True))
    return [replace(part, shade=_tone(part, light.get(part.name), marks)) for part in parts]


def _tone(part: Part, seen: Points | None, marks: paint.Landmarks) -> Points:
    deep = np.clip(marks.lips[2] - 0.06 - part.positions[:, 2], 0, None) / DARKENING
    inside = np.exp(-deep ** 1.3)[:, None]
    if seen is None:
        return np.clip(inside, 0.04, 1) ** [0.9, 1.1, 1.1]
    light = np.clip(Graph(part).smoothed(seen[:, None], 2), 0.03, 1)
    if part.material == 'eye':
        return (0.5 + 0.5 * np.clip(1.6 * light, 0, 1)) * np.ones(3)
    if part.material != 'skin':
        return np.clip(1.15 * light, 0, 1) ** [0.8, 0.8, 0.8]
    # what the lips hide at rest is seen when they open; light that leaves the skin again is red
    mouth = _within(part)[:, None]
    rim = (np.abs(part.positions - marks.lips) < [0.3, 0.1, 0.2]).all(1)[:, None]
    light = np.where(rim, np.clip(light, 0.42, 1), light)       # red lips, not a black line
    light = np.where(mouth, np.clip(0.8 * inside ** 1.6, 0.015, 1), np.clip(1.15 * light, 0, 1))
    return light ** np.where(mouth, [0.85, 1.1, 1.1], [0.55, 0.75, 0.8])


def _within(face: Part) -> np.ndarray:
    """Mark what lies behind the lips: the inside of the mouth and of the lips."""
    at = face.positions
    return (face.uvs[:, 1] > 1 - charts.STRIP) & (np.abs(at[:, 0]) < 0.5) & (at[:, 1] < 0.18)


def _teeth(part: Part, row: int) -> Part:
    """Return teeth with uvs around the arch; `row` 0 is the picture's upper half, 1 the lower."""
    at = part.positions
    turn = np.arctan2(at[:, 0], at[:, 2] - np.quantile(at[:, 2], 0.1))
    up = (at[:, 1].max() - at[:, 1]) / np.ptp(at[:, 1])
    return replace(part, uvs=np.stack([
        np.clip(0.5 + turn / paint.ARCH / 2, 0.002, 0.998), 0.5 * (row + 0.01 + 0.98 * up)], 1))


def _mouth_set(vertices: Points, mesh: BaseMesh) -> Points:
    """Return the vertices with teeth that show below the lip and a tongue that leaves room."""
    vertices = vertices.copy()
    for group in ('helper-upper-teeth', 'helper-lower-teeth'):
        vertices[np.unique(mesh.groups[group].corners), 1] -= LOWER_TEETH_BY
    tongue = np.unique(mesh.groups['helper-tongue'].corners)
    floor = vertices[tongue, 1].min()
    vertices[tongue, 1] = floor - LOWER_TEETH_BY / 2 + FLATTER * (vertices[tongue, 1] - floor)
    return vertices


def _lashes(mesh: BaseMesh, vertices: Points, shapes: dict[str, Points],
            ball: eyes.Ball) -> Part:
    """Return the lashes, drawn from the lid (v = 1) outwards; the lower ones are thin."""
    quads = cut.joined(mesh, *(f'helper-{side}-eyelashes-{row}' for side in 'lr' for row in '12'))
    every = np.ones(len(quads.corners), bool)
    made = cut.part('Lashes', 'lashes', quads, mesh.uvs, vertices, shapes, every, ~every)
    mirrored = np.abs(made.positions) * [1, 0, 0] + made.positions * [0, 1, 1]
    length = np.linalg.norm(mirrored - ball.centre, axis=1) - ball.radius - 0.005
    along = np.clip((mirrored[:, 0] - 0.155) / 0.325, 0.01, 0.99)
    groups = [mesh.groups[f'helper-{side}-eyelashes-1'].corners for side in 'lr']
    below = np.isin(made.weld, np.unique(groups))
    return replace(made, uvs=np.stack([along / 2 + 0.5 * below,
                                       1 - np.clip(length / 0.07, 0, 1)], 1))


def _painted(face: Part, marks: paint.Landmarks, mesh: BaseMesh) -> bytes:
    graph = Graph(face)
    line = np.concatenate([lips.both_sides(of, mesh.mirror)
                           for of in (lips.UPPER, lips.LOWER, (lips.CORNER,))])
    rings = graph.rings(graph.nodes(line), 3 * LIP_RINGS)[:, None] / LIP_RINGS
    lip = 1 - graph.smoothed(rings, 2)
    inner = _within(face)[:, None]
    fields = np.concatenate([face.positions, lip, inner], 1)
    spread, _ = raster.spread(face, fields, PICTURE)
    at = spread[..., :3]
    return paint.encoded(paint.skin(at, spread[..., 3], hair.depth(at), spread[..., 4], marks))


def _materials(skin: bytes) -> dict[str, Material]:
    return {
        'skin': Material(roughness=0.62, picture=skin),
        'eye': Material(roughness=0.12, picture=paint.encoded(paint.eye(), quality=92)),
        'teeth': Material(roughness=0.3, picture=paint.encoded(paint.teeth(), quality=90)),
        'tongue': Material((0.36, 0.085, 0.08, 1), 0.85),
        'lashes': Material(roughness=0.9, picture=paint.lashes(), two_sided=True, alpha='BLEND'),
        'hair': Material(roughness=0.55, picture=paint.encoded(paint.strands(), quality=85)),
        'shirt': Material((0.035, 0.075, 0.10, 1), 0.95, two_sided=True),
    }
