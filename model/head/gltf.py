# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Parts into glTF 2.0 binary: 10 um integers, sparse morph targets, embedded pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import json
import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.rig import NAMES
from model.head.part import Part

UNIT: Final = 1e-5              # metres of one step of a position
PER_DM: Final = 0.1 / UNIT      # steps in a decimetre
_TYPES: Final = {'int8': 5120, 'uint8': 5121, 'int16': 5122, 'uint16': 5123, 'uint32': 5125,
                 'float32': 5126}
_VERTICES, _ELEMENTS = 34962, 34963


@dataclass(frozen=True)
class Material:
    """A physically based material; `picture` is a PNG or JPEG, or empty."""

    color: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)    # linear
    roughness: float = 0.6
    picture: bytes = b''
    rough_picture: bytes = b''
    two_sided: bool = False
    alpha: str = 'OPAQUE'


class Writer:
    """Collects buffers, accessors, meshes and nodes; `bytes` closes the file."""

    def __init__(self, generator: str, licence: str) -> None:
        """Begin an empty file."""
        self._binary = bytearray()
        self._json: dict[str, Any] = {
            'asset': {'version': '2.0', 'generator': generator, 'copyright': licence},
            'extensionsUsed': ['KHR_mesh_quantization'],
            'extensionsRequired': ['KHR_mesh_quantization'],
            'scene': 0, 'scenes': [{'nodes': [0]}],
            'nodes': [{'name': 'Head', 'children': []}],
            'meshes': [], 'accessors': [], 'bufferViews': [], 'materials': [],
        }
        self._materials: dict[str, int] = {}

    def _view(self, data: bytes, **more: int) -> int:
        while len(self._binary) % 4:
            self._binary.append(0)
        self._json['bufferViews'].append(
            {'buffer': 0, 'byteOffset': len(self._binary), 'byteLength': len(data)} | more)
        self._binary += data
        return len(self._json['bufferViews']) - 1

    def _accessor(self, **fields: Any) -> int:
        self._json['accessors'].append(fields)
        return len(self._json['accessors']) - 1

    def _attribute(self, values: NDArray[Any], **more: Any) -> int:
        """Store (n, width) vertex data, each vertex on a multiple of four bytes."""
        width = values.shape[1]
        size = width * values.itemsize
        stride = -(-size // 4) * 4
        padded = np.zeros((len(values), stride), np.uint8)
        padded[:, :size] = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), size)
        view = self._view(padded.tobytes(), byteStride=stride, target=_VERTICES)
        return self._accessor(bufferView=view, componentType=_TYPES[values.dtype.name],
                              count=len(values), type=f'VEC{width}', **more)

    def _sparse(self, values: NDArray[Any], **more: Any) -> int:
        """Store (n, 3) mostly zero values as the rows that are not."""
        rows = np.nonzero(values.any(axis=1))[0]
        rows = rows if len(rows) else np.zeros(1, np.int64)
        fields: dict[str, Any] = {'componentType': _TYPES[values.dtype.name],
                                  'count': len(values), 'type': 'VEC3', **more}
        fields['sparse'] = {
            'count': len(rows),
            'indices': {'bufferView': self._view(rows.astype(np.uint16).tobytes()),
                        'componentType': _TYPES['uint16']},
            'values': {'bufferView': self._view(np.ascontiguousarray(values[rows]).tobytes())}}
        return self._accessor(**fields)

    def _picture(self, data: bytes) -> dict[str, int]:
        kind = 'image/png' if data.startswith(b'\x89PNG') else 'image/jpeg'
        for key in ('images', 'textures', 'samplers'):
            self._json.setdefault(key, [])
        if not self._json['samplers']:
            self._json['samplers'].append({'magFilter': 9729, 'minFilter': 9987,
                                           'wrapS': 33071, 'wrapT': 33071})
        self._json['images'].append({'bufferView': self._view(data), 'mimeType': kind})
        self._json['textures'].append({'source': len(self._json['images']) - 1, 'sampler': 0})
        return {'index': len(self._json['textures']) - 1}

    def material(self, name: str, made: Material) -> None:
        """Add a material that parts may name."""
        surface: dict[str, Any] = {'baseColorFactor': list(made.color), 'metallicFactor': 0.0,
                                   'roughnessFactor': made.roughness}
        if made.picture:
            surface['baseColorTexture'] = self._picture(made.picture)
        if made.rough_picture:
            surface['metallicRoughnessTexture'] = self._picture(made.rough_picture)
        entry = {'name': name, 'pbrMetallicRoughness': surface, 'doubleSided': made.two_sided}
        if made.alpha != 'OPAQUE':
            entry['alphaMode'] = made.alpha
        self._materials[name] = len(self._json['materials'])
        self._json['materials'].append(entry)

    def part(self, part: Part) -> None:
        """Add a part below the head."""
        steps = np.round((part.positions - part.origin) * PER_DM).astype(np.int16)
        normals = part.normals()
        attributes = {
            'POSITION': self._attribute(steps, min=steps.min(0).tolist(),
                                        max=steps.max(0).tolist()),
            'NORMAL': self._attribute(_bytes(normals), normalized=True),
            'TEXCOORD_0': self._attribute(np.round(part.uvs * 65535).astype(np.uint16),
                                          normalized=True)}
        if len(part.shade):
            attributes['COLOR_0'] = self._attribute(
                np.round(np.clip(part.shade, 0, 1) * 255).astype(np.uint8), normalized=True)
        faces = self._view(part.triangles.astype(np.uint16).tobytes(), target=_ELEMENTS)
        primitive: dict[str, Any] = {
            'attributes': attributes, 'material': self._materials[part.material],
            'indices': self._accessor(bufferView=faces, componentType=_TYPES['uint16'],
                                      count=part.triangles.size, type='SCALAR')}
        mesh: dict[str, Any] = {'name': part.name, 'primitives': [primitive]}
        names = [name for name in NAMES if name in part.deltas]
        if names:
            primitive['targets'] = [self._target(part, part.deltas[name], normals)
                                    for name in names]
            mesh |= {'weights': [0.0] * len(names), 'extras': {'targetNames': names}}
        self._json['meshes'].append(mesh)
        self._json['nodes'].append({
            'name': part.name, 'mesh': len(self._json['meshes']) - 1, 'scale': [UNIT] * 3,
            'translation': np.round(0.1 * part.origin, 6).tolist()})
        self._json['nodes'][0]['children'].append(len(self._json['nodes']) - 1)

    def _target(self, part: Part, delta: NDArray[np.float64],
                normals: NDArray[np.float64]) -> dict[str, int]:
        steps = np.round(delta * PER_DM).astype(np.int16)
        turn = part.normals(part.positions + delta) - normals
        turn[np.abs(turn).max(1) < 0.02] = 0
        return {'POSITION': self._sparse(steps, min=steps.min(0).tolist(),
                                         max=steps.max(0).tolist()),
                'NORMAL': self._sparse(_bytes(turn), normalized=True)}

    def bytes(self, extras: Mapping[str, Any]) -> bytes:
        """Return the finished file."""
        while len(self._binary) % 4:
            self._binary.append(0)
        self._json['nodes'][0]['extras'] = dict(extras)
        self._json['buffers'] = [{'byteLength': len(self._binary)}]
        text = json.dumps(self._json, separators=(',', ':')).encode()
        text += b' ' * (-len(text) % 4)
        size = 12 + 8 + len(text) + 8 + len(self._binary)
        return (struct.pack('<4sII', b'glTF', 2, size)
                + struct.pack('<I4s', len(text), b'JSON') + text
                + struct.pack('<I4s', len(self._binary), b'BIN\0') + bytes(self._binary))


def _bytes(vectors: NDArray[np.float64]) -> NDArray[np.int8]:
    """Return vectors as normalised bytes; what is longer than 1 is cut."""
    return np.round(np.clip(vectors, -1, 1) * 127).astype(np.int8)


def written(parts: Sequence[Part], materials: Mapping[str, Material]) -> bytes:
    """Return the head as one glTF binary file."""
    writer = Writer('avatar_bridge model.head',
                    'CC0-1.0: MakeHuman base mesh and Face Units by Mika Suominen, reshaped')
    for name, made in materials.items():
        writer.material(name, made)
    for part in parts:
        writer.part(part)
    return writer.bytes({'licence': 'CC0-1.0'})
