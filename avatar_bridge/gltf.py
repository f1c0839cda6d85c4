# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
A head out of a glTF 2.0 binary file, as arrays in the order of the rig.

Read by hand: a general library takes half a second for what is 200 lines of JSON here.
"""

from __future__ import annotations

from collections.abc import Iterator
import json
from pathlib import Path
import struct
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from avatar_bridge import rig
from avatar_bridge.errors import HeadError

Floats = NDArray[np.float32]

_TYPES: Final = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16,
                 5125: np.uint32, 5126: np.float32}
_WIDTHS: Final = {'SCALAR': 1, 'VEC2': 2, 'VEC3': 3, 'VEC4': 4, 'MAT4': 16}
_SHAPES: Final = {name.lower(): index for name, index in rig.INDEX.items()}
_TRIANGLES: Final = 4
JSON: Final = b'JSON'
BINARY: Final = b'BIN\0'
_MOST: Final = 4_000_000
_KNOWN: Final = {'KHR_mesh_quantization', 'KHR_texture_transform', 'KHR_materials_specular',
                 'KHR_materials_clearcoat', 'KHR_materials_ior', 'KHR_materials_sheen',
                 'KHR_materials_unlit'}


class Material(NamedTuple):
    """What a surface is made of; `picture` is an encoded image, empty where there is none."""

    name: str
    color: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)     # linear
    roughness: float = 1.0
    picture: bytes = b''
    see_through: bool = False
    two_sided: bool = False


class Part(NamedTuple):
    """One mesh of a head, in metres, at rest; the face looks to +z, +x is the subject's left."""

    name: str                       # of its node
    material: Material
    positions: Floats               # (n, 3)
    normals: Floats                 # (n, 3), zeros where the file has none
    uv: Floats                      # (n, 2)
    colors: Floats                  # (n, 4) linear
    openness: Floats                # (n,) how much of the room each vertex sees, or (0,)
    triangles: NDArray[np.int32]    # (m, 3)
    shapes: tuple[int, ...]         # index in the rig of each of the deltas
    deltas: Floats                  # (shapes, n, 3)


class Head(NamedTuple):
    """All parts, and the point that the head turns about."""

    parts: tuple[Part, ...]
    pivot: Floats                   # (3,)


def read_head(path: Path | str) -> Head:
    """Read a .glb file; raises `HeadError` where it is none or needs what is not known here."""
    try:
        return _Reader(Path(path)).head()
    except OSError as error:
        raise HeadError(f'cannot read {path}: {error.strerror or error}') from error
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
            struct.error) as error:
        raise HeadError(f'{path}: expected a glTF 2.0 binary (.glb) with triangles, got '
                        f'something else ({error})') from error


class _Reader:
    """The nodes, meshes and accessors of one file."""

    def __init__(self, path: Path) -> None:
        found = dict(chunks(path.read_bytes()))
        self._file: dict[str, Any] = json.loads(found[JSON])
        self._bytes = found.get(BINARY, b'')
        unknown = set(self._file.get('extensionsRequired', ())) - _KNOWN
        if unknown:
            raise ValueError(f'it requires {", ".join(sorted(unknown))}')

    def head(self) -> Head:
        parts: list[Part] = []
        pivot = np.zeros(3, np.float32)
        for node, matrix in self._nodes():
            if node.get('name') == 'Head':
                pivot = matrix[:3, 3].astype(np.float32)
            if 'mesh' in node:
                parts += self._parts(node, matrix)
        if not parts:
            raise ValueError('it has no mesh')
        return Head(tuple(parts), pivot)

    def _nodes(self) -> Iterator[tuple[dict[str, Any], NDArray[np.float64]]]:
        """Yield every node of the scene with its matrix in the world."""
        scene = self._file['scenes'][self._file.get('scene', 0)]
        waiting = [(number, np.eye(4), 0) for number in scene['nodes']]
        while waiting:
            number, above, depth = waiting.pop(0)
            if depth > len(self._file['nodes']):
                raise ValueError('its nodes go in a circle')
            node = self._file['nodes'][number]
            matrix = above @ _matrix(node)
            yield node, matrix
            waiting += [(child, matrix, depth + 1) for child in node.get('children', ())]

    def _parts(self, node: dict[str, Any], matrix: NDArray[np.float64]) -> Iterator[Part]:
        mesh = self._file['meshes'][node['mesh']]
        names = mesh.get('extras', {}).get('targetNames', [])
        name = node.get('name', '')
        turn = matrix[:3, :3]
        for primitive in mesh['primitives']:
            if primitive.get('mode', _TRIANGLES) != _TRIANGLES:
                raise ValueError(f'{name} is not made of triangles')
            attributes = primitive['attributes']
            positions = self._array(attributes['POSITION'])
            count = len(positions)
            triangles = (np.arange(count) if 'indices' not in primitive
                         else self._numbers(primitive['indices'])).reshape(-1, 3)
            if triangles.size and not triangles.max() < count:
                raise ValueError(f'{name} has triangles without vertices')
            targets = [self._array(target['POSITION']) @ turn.T
                       for target in primitive.get('targets', ())]
            known = [(_SHAPES[shape.lower()], target) for shape, target
                     in zip(names, targets, strict=False) if shape.lower() in _SHAPES]
            colors = np.ones((count, 4), np.float32)
            if 'COLOR_0' in attributes:
                found = self._array(attributes['COLOR_0'])
                colors[:, :found.shape[1]] = found
            yield Part(
                name, self._material(primitive.get('material')),
                (positions @ turn.T + matrix[:3, 3]).astype(np.float32),
                _unit(self._optional(attributes.get('NORMAL'), count, 3) @ np.linalg.inv(turn)),
                self._optional(attributes.get('TEXCOORD_0'), count, 2), colors,
                self._optional(attributes.get('_OPENNESS'), 0, 1)[:, 0],
                triangles.astype(np.int32), tuple(index for index, _ in known),
                np.array([target for _, target in known], np.float32).reshape(-1, count, 3))

    def _material(self, number: int | None) -> Material:
        if number is None:
            return Material('')
        found = self._file['materials'][number]
        about = found.get('pbrMetallicRoughness', {})
        picture = b''
        if 'baseColorTexture' in about:
            texture = self._file['textures'][about['baseColorTexture']['index']]
            picture = self._view(self._file['images'][texture['source']]['bufferView'])
        red, green, blue, alpha = map(float, about.get('baseColorFactor', (1, 1, 1, 1)))
        return Material(
            found.get('name', ''), (red, green, blue, alpha),
            float(about.get('roughnessFactor', 1)), picture,
            found.get('alphaMode', 'OPAQUE') != 'OPAQUE', bool(found.get('doubleSided')))

    def _optional(self, number: int | None, count: int, width: int) -> Floats:
        if number is None:
            return np.zeros((count, width), np.float32)
        return self._array(number)

    def _array(self, number: int) -> Floats:
        """Return an accessor's values as numbers; whole ones that stand for [-1, 1] as that."""
        values = self._numbers(number)
        if not self._file['accessors'][number].get('normalized'):
            return values.astype(np.float32)
        top = np.iinfo(values.dtype).max
        return np.maximum(values.astype(np.float32) / top, -1)

    def _numbers(self, number: int) -> NDArray[Any]:
        """Return an accessor's values as they are stored, (count, width)."""
        accessor = self._file['accessors'][number]
        count, width = accessor['count'], _WIDTHS[accessor['type']]
        if not 0 <= count <= _MOST:
            raise ValueError(f'it has {count} of something, more than {_MOST}')
        kind = np.dtype(_TYPES[accessor['componentType']])
        values = np.zeros((count, width), kind)
        if 'bufferView' in accessor:
            values[:] = self._table(accessor, kind, values.shape)
        if sparse := accessor.get('sparse'):
            places = np.dtype(_TYPES[sparse['indices']['componentType']])
            where = self._table(sparse['indices'], places, (sparse['count'], 1))[:, 0]
            values[where] = self._table(sparse['values'], kind, (sparse['count'], width))
        return values

    def _table(self, place: dict[str, Any], kind: np.dtype[Any],
               shape: tuple[int, int]) -> NDArray[Any]:
        """Return what lies at a place: an offset in a view."""
        stride = self._file['bufferViews'][place['bufferView']].get('byteStride', 0)
        return _strided(self._view(place['bufferView']), kind, shape,
                        (place.get('byteOffset', 0), stride))

    def _view(self, number: int) -> bytes:
        view = self._file['bufferViews'][number]
        start, length = view.get('byteOffset', 0), view['byteLength']
        if view['buffer'] != 0 or not 0 <= start <= start + length <= len(self._bytes):
            raise ValueError('it points to data that is not in the file')
        return self._bytes[start:start + length]


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a .glb file, each with its kind."""
    if data[:4] != b'glTF' or struct.unpack_from('<I', data, 4)[0] != 2:
        raise ValueError('it does not begin with glTF 2')
    place = 12
    while place < len(data):
        length, kind = struct.unpack_from('<I4s', data, place)
        if place + 8 + length > len(data):
            raise ValueError('it is cut short')
        yield kind, data[place + 8:place + 8 + length]
        place += 8 + length


def _strided(
    data: bytes, kind: np.dtype[Any], shape: tuple[int, int], place: tuple[int, int],
) -> NDArray[Any]:
    """Return a table that lies in `data` from `place` (offset, stride or 0) on."""
    count, width = shape
    offset, stride = place[0], place[1] or kind.itemsize * width
    end = offset + (count - 1) * stride + width * kind.itemsize
    if min(count, offset, stride) < 0 or (count and end > len(data)):
        raise ValueError('it is cut short')
    return np.ndarray(shape, kind.newbyteorder('<'), data, offset, (stride, kind.itemsize))


def _matrix(node: dict[str, Any]) -> NDArray[np.float64]:
    """Return the matrix of a node in the one above it."""
    if 'matrix' in node:
        return np.array(node['matrix'], np.float64).reshape(4, 4).T
    x, y, z, w = node.get('rotation', (0.0, 0.0, 0.0, 1.0))
    turn = np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn * np.array(node.get('scale', (1.0, 1.0, 1.0)))
    matrix[:3, 3] = node.get('translation', (0.0, 0.0, 0.0))
    return matrix


def _unit(vectors: NDArray[Any]) -> Floats:
    """Return (n, 3) vectors of length 1; zero stays zero."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0
                     ).astype(np.float32)
