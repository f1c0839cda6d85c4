# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
A take on a head as Universal Scene Description, in its text form (`.usda`).

The head is a UsdSkel character: meshes with blend shapes, one joint that turns all of it, and a
SkelAnimation, which other characters whose blend shapes have ARKit's names can use as well. A
time code is a frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import re
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.errors import HeadError, MissingPackageError
from avatar_bridge.formats.motion import Motion
from avatar_bridge.formats.rotation import turned
from avatar_bridge.gltf import Head, Material, Part
from avatar_bridge.rig import NAMES

Floats = NDArray[Any]

STILL: Final = 1e-6             # metres; a shape does not say of vertices that it moves them less
IDENTITY: Final = '( (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1) )'
STAGE: Final = '''\
#usda 1.0
(
    defaultPrim = "Avatar"
    startTimeCode = {first}
    endTimeCode = {last}
    timeCodesPerSecond = {fps}
    framesPerSecond = {fps}
    metersPerUnit = 1
    upAxis = "Y"
)

def SkelRoot "Avatar" (
    prepend apiSchemas = ["SkelBindingAPI"]
    kind = "component"
)
{{
    rel skel:skeleton = </Avatar/Skeleton>

    def Skeleton "Skeleton" (
        prepend apiSchemas = ["SkelBindingAPI"]
    )
    {{
        uniform token[] joints = ["Head"]
        uniform matrix4d[] bindTransforms = [{pivot}]
        uniform matrix4d[] restTransforms = [{pivot}]
        rel skel:animationSource = </Avatar/Motion>
    }}

    def SkelAnimation "Motion"
    {{
        uniform token[] blendShapes = [{names}]
        float[] blendShapeWeights.timeSamples = {{
{weights}
        }}
        uniform token[] joints = ["Head"]
        float3[] translations = [{place}]
        half3[] scales = [(1, 1, 1)]
{turns}
    }}
{meshes}}}
'''
MESH: Final = '''
    def Mesh "{name}" (
        prepend apiSchemas = ["SkelBindingAPI"]
    )
    {{
        uniform bool doubleSided = {two_sided}
        float3[] extent = [{extent}]
        int[] faceVertexCounts = [{counts}]
        int[] faceVertexIndices = [{triangles}]
        normal3f[] normals = [{normals}] (
            interpolation = "vertex"
        )
        point3f[] points = [{points}]
        color3f[] primvars:displayColor = [{colors}] (
            interpolation = "vertex"
        )
        float[] primvars:displayOpacity = [{opacity}] (
            interpolation = "vertex"
        )
        matrix4d primvars:skel:geomBindTransform = {identity}
        int[] primvars:skel:jointIndices = [0] (
            elementSize = 1
            interpolation = "constant"
        )
        float[] primvars:skel:jointWeights = [1] (
            elementSize = 1
            interpolation = "constant"
        )
        uniform token subdivisionScheme = "none"
        uniform token[] skel:blendShapes = [{shapes}]
        rel skel:blendShapeTargets = [{targets}]
{blend_shapes}    }}
'''
BLEND_SHAPE: Final = '''
        def BlendShape "{name}"
        {{
            uniform vector3f[] offsets = [{offsets}]
            uniform int[] pointIndices = [{indices}]
        }}
'''


def stage(head: Head, motion: Motion) -> bytes:
    """Return the file."""
    frames = motion.index.tolist()
    weights = '\n'.join(f'            {frame}: [{row}],' for frame, row
                        in zip(frames, _rows(motion.weights, '{}'), strict=True))
    names = [f'"{name}"' for name in NAMES]
    pivot = _vector(head.pivot)
    return STAGE.format(
        first=frames[0] if frames else 0, last=frames[-1] if frames else 0,
        fps=f'{float(motion.fps):.15g}', names=', '.join(names), weights=weights,
        pivot=IDENTITY.replace('(0, 0, 0, 1)', f'({pivot}, 1)'), place=f'({pivot})',
        turns=_turns(motion), meshes=''.join(_meshes(head.parts)),
    ).encode()


def _turns(motion: Motion) -> str:
    """Return the rotations of the joint; the real part of a quaternion comes first here."""
    if motion.head is None:
        return '        quatf[] rotations = [(1, 0, 0, 0)]'
    rows = _rows(np.roll(turned(motion.head), 1, axis=1), '({})')
    samples = '\n'.join(f'            {frame}: [{row}],' for frame, row
                        in zip(motion.index.tolist(), rows, strict=True))
    return f'        quatf[] rotations.timeSamples = {{\n{samples}\n        }}'


def _meshes(parts: Iterable[Part]) -> Iterator[str]:
    taken = {'Skeleton', 'Motion'}
    for part in parts:
        name = base = re.sub(r'\W', '_', f'_{part.name}' if part.name[:1].isdigit()
                             else part.name, flags=re.ASCII) or 'Mesh'
        number = 1
        while name in taken:
            name, number = f'{base}_{number}', number + 1
        taken.add(name)
        yield _mesh(name, part)


def _mesh(name: str, part: Part) -> str:
    colors = painted(part)
    shapes = [NAMES[shape] for shape in part.shapes]
    corners = np.stack([part.positions + part.deltas.min(0, initial=0),
                        part.positions + part.deltas.max(0, initial=0)])
    return MESH.format(
        name=name, two_sided='true' if part.material.two_sided else 'false',
        extent=_vectors(np.stack([corners[0].min(0), corners[1].max(0)])),
        counts=', '.join(['3'] * len(part.triangles)), identity=IDENTITY,
        triangles=', '.join(map(str, part.triangles.ravel().tolist())),
        normals=_vectors(part.normals), points=_vectors(part.positions),
        colors=_vectors(colors[:, :3]), opacity=_vector(colors[:, 3]),
        shapes=', '.join(f'"{shape}"' for shape in shapes),
        targets=', '.join(f'</Avatar/{name}/{shape}>' for shape in shapes),
        blend_shapes=''.join(map(_blend_shape, shapes, part.deltas)))


def _blend_shape(name: str, deltas: Floats) -> str:
    moved = np.flatnonzero(np.abs(deltas).max(1) > STILL)
    return BLEND_SHAPE.format(name=name, offsets=_vectors(deltas[moved]),
                              indices=', '.join(map(str, moved.tolist())))


def painted(part: Part) -> Floats:
    """Return (n, 4) linear colours of the vertices: what a texture is, seen from afar."""
    return part.colors * part.material.color * _texture(part.material, part.uv)


def _texture(material: Material, uv: Floats) -> Floats:
    if not material.picture:
        return np.ones((len(uv), 4))
    try:
        from avatar_bridge.pictures import decoded

        pixels = decoded(material.picture) / 255.0
    except (HeadError, MissingPackageError):        # a plain face is better than none
        return np.ones((len(uv), 4))
    size = pixels.shape[1], pixels.shape[0]
    column, row = (np.floor(uv * size).astype(int) % size).T
    colors: Floats = pixels[row, column]
    colors[:, :3] **= 2.2                           # pictures are not linear
    return colors


def _rows(values: Floats, form: str) -> list[str]:
    return [form.format(_vector(row)) for row in values]


def _vectors(values: Floats) -> str:
    return ', '.join(_rows(values, '({})'))


def _vector(values: Floats) -> str:
    return ', '.join(f'{value:.6g}' for value in values.tolist())
