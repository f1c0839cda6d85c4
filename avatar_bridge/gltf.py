# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""A head out of a glTF 2.0 binary file, as arrays in the order of the rig."""

from __future__ import annotations

from collections.abc import Iterator
import json
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from avatar_bridge import rig
from avatar_bridge.errors import HeadError, MissingPackageError

try:
    import pygltflib
except ImportError as missing:          # pragma: no cover
    raise MissingPackageError('heads need pygltflib; pip install avatar-bridge[film]'
                              ) from missing

Floats = NDArray[np.float32]

_TYPES: Final = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16,
                 5125: np.uint32, 5126: np.float32}
_WIDTHS: Final = {'SCALAR': 1, 'VEC2': 2, 'VEC3': 3, 'VEC4': 4, 'MAT4': 16}
_SHAPES: Final = {name.lower(): index for name, index in rig.INDEX.items()}
_TRIANGLES: Final = 4
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
    except Exception as error:          # the library raises what it comes across
        raise HeadError(f'{path}: expected a glTF 2.0 binary (.glb) with triangles, got '
                        f'something else ({error})') from error


class _Reader:
    """The nodes, meshes and accessors of one file."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        if data[:4] != b'glTF':
            raise ValueError('it does not begin with glTF')
        self._file = pygltflib.GLTF2.load_from_bytes(data)
        self._bytes: bytes = self._file.binary_blob() or b''
        unknown = set(self._file.extensionsRequired or ()) - _KNOWN
        if unknown:
            raise ValueError(f'it requires {", ".join(sorted(unknown))}')

    def head(self) -> Head:
        parts: list[Part] = []
        pivot = np.zeros(3, np.float32)
        for node, matrix in self._nodes():
            if node.name == 'Head':
                pivot = matrix[:3, 3].astype(np.float32)
            if node.mesh is not None:
                parts += self._parts(node, matrix)
        if not parts:
            raise ValueError('it has no mesh')
        return Head(tuple(parts), pivot)

    def _nodes(self) -> Iterator[tuple[Any, NDArray[np.float64]]]:
        """Yield every node of the scene with its matrix in the world."""
        scene = self._file.scenes[self._file.scene or 0]
        waiting = [(number, np.eye(4), 0) for number in scene.nodes]
        while waiting:
            number, above, depth = waiting.pop(0)
            if depth > len(self._file.nodes):
                raise ValueError('its nodes go in a circle')
            node = self._file.nodes[number]
            matrix = above @ _matrix(node)
            yield node, matrix
            waiting += [(child, matrix, depth + 1) for child in node.children or ()]

    def _parts(self, node: Any, matrix: NDArray[np.float64]) -> Iterator[Part]:
        mesh = self._file.meshes[node.mesh]
        names = (mesh.extras or {}).get('targetNames', [])
        turn = matrix[:3, :3]
        for primitive in mesh.primitives:
            if (_TRIANGLES if primitive.mode is None else primitive.mode) != _TRIANGLES:
                raise ValueError(f'{node.name} is not made of triangles')
            attributes = primitive.attributes
            positions = self._array(attributes.POSITION)
            count = len(positions)
            triangles = (np.arange(count) if primitive.indices is None
                         else self._numbers(primitive.indices)).reshape(-1, 3)
            if triangles.size and not triangles.max() < count:
                raise ValueError(f'{node.name} has triangles without vertices')
            targets = [self._array(_field(target, 'POSITION')) @ turn.T
                       for target in primitive.targets or ()]
            known = [(_SHAPES[name.lower()], target) for name, target
                     in zip(names, targets, strict=False) if name.lower() in _SHAPES]
            colors = np.ones((count, 4), np.float32)
            if attributes.COLOR_0 is not None:
                found = self._array(attributes.COLOR_0)
                colors[:, :found.shape[1]] = found
            yield Part(
                node.name or '', self._material(primitive.material),
                (positions @ turn.T + matrix[:3, 3]).astype(np.float32),
                _unit(self._optional(attributes.NORMAL, count, 3) @ np.linalg.inv(turn)),
                self._optional(attributes.TEXCOORD_0, count, 2), colors,
                triangles.astype(np.int32), tuple(index for index, _ in known),
                np.array([target for _, target in known], np.float32).reshape(-1, count, 3))

    def _material(self, number: int | None) -> Material:
        if number is None:
            return Material('')
        found = self._file.materials[number]
        about = found.pbrMetallicRoughness or pygltflib.PbrMetallicRoughness()
        color = about.baseColorFactor or [1.0, 1.0, 1.0, 1.0]
        picture = b''
        if about.baseColorTexture is not None:
            texture = self._file.textures[about.baseColorTexture.index]
            image = self._file.images[texture.source]
            picture = self._view(image.bufferView)
        roughness = 1.0 if about.roughnessFactor is None else about.roughnessFactor
        red, green, blue, alpha = map(float, color)
        return Material(found.name or '', (red, green, blue, alpha), float(roughness), picture,
                        (found.alphaMode or 'OPAQUE') != 'OPAQUE', bool(found.doubleSided))

    def _optional(self, number: int | None, count: int, width: int) -> Floats:
        if number is None:
            return np.zeros((count, width), np.float32)
        return self._array(number)

    def _array(self, number: int) -> Floats:
        """Return an accessor's values as numbers; whole ones that stand for [-1, 1] as that."""
        values = self._numbers(number)
        if not self._file.accessors[number].normalized:
            return values.astype(np.float32)
        top = np.iinfo(values.dtype).max
        return np.maximum(values.astype(np.float32) / top, -1)

    def _numbers(self, number: int) -> NDArray[Any]:
        """Return an accessor's values as they are stored, (count, width)."""
        accessor = self._file.accessors[number]
        kind, width = np.dtype(_TYPES[accessor.componentType]), _WIDTHS[accessor.type]
        values = np.zeros((accessor.count, width), kind)
        if accessor.bufferView is not None:
            view = self._file.bufferViews[accessor.bufferView]
            values[:] = _strided(self._view(accessor.bufferView), kind, values.shape,
                                 (accessor.byteOffset or 0, view.byteStride or 0))
        if accessor.sparse is not None:
            sparse = accessor.sparse
            where = _strided(self._view(sparse.indices.bufferView),
                             np.dtype(_TYPES[sparse.indices.componentType]), (sparse.count, 1),
                             (sparse.indices.byteOffset or 0, 0))
            values[where[:, 0]] = _strided(self._view(sparse.values.bufferView), kind,
                                           (sparse.count, width),
                                           (sparse.values.byteOffset or 0, 0))
        return values

    def _view(self, number: int) -> bytes:
        view = self._file.bufferViews[number]
        start = view.byteOffset or 0
        if view.buffer != 0 or start + view.byteLength > len(self._bytes):
            raise ValueError('it points to data that is not in the file')
        return self._bytes[start:start + view.byteLength]


def _strided(
    data: bytes, kind: np.dtype[Any], shape: tuple[int, int], place: tuple[int, int],
) -> NDArray[Any]:
    """Return a table that lies in `data` from `place` (offset, stride or 0) on."""
    count, width = shape
    offset, stride = place[0], place[1] or kind.itemsize * width
    if count and offset + (count - 1) * stride + width * kind.itemsize > len(data):
        raise ValueError('it is cut short')
    return np.ndarray(shape, kind.newbyteorder('<'), data, offset, (stride, kind.itemsize))


def _matrix(node: Any) -> NDArray[np.float64]:
    """Return the matrix of a node in the one above it."""
    if node.matrix:
        return np.array(node.matrix, np.float64).reshape(4, 4).T
    x, y, z, w = node.rotation or (0.0, 0.0, 0.0, 1.0)
    turn = np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn * np.array(node.scale or (1.0, 1.0, 1.0))
    matrix[:3, 3] = node.translation or (0.0, 0.0, 0.0)
    return matrix


def _field(target: Any, name: str) -> int:
    """Return one attribute of a morph target, which the library gives as a dict or an object."""
    if isinstance(target, str):
        target = json.loads(target)
    return int(target[name] if isinstance(target, dict) else getattr(target, name))


def _unit(vectors: NDArray[Any]) -> Floats:
    """Return (n, 3) vectors of length 1; zero stays zero."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0
                     ).astype(np.float32)
