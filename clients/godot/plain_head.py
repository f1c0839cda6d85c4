# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Write a head as plain glTF: floats, no extension, nothing sparse. Godot's importer wants it so.

python clients/godot/plain_head.py [IN.glb] OUT.glb     IN: by default the head that we ship
"""

import json
from pathlib import Path
import struct
import sys

import numpy as np

import avatar_bridge
from avatar_bridge.gltf import Part, read_head
from avatar_bridge.rig import NAMES

OURS = Path(avatar_bridge.__file__).parent / 'assets' / 'head.glb'
FLOAT, UINT32 = 5126, 5125
WIDTHS = {1: 'SCALAR', 2: 'VEC2', 3: 'VEC3', 4: 'VEC4'}


class PlainFile:
    """A glTF binary that grows part by part."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._data = b''
        self._tree: dict = {'asset': {'version': '2.0'}, 'scene': 0, 'scenes': [{'nodes': []}]}

    def add(self, part: Part) -> None:
        """Add a part as a node with a mesh of its own."""
        attributes = {'POSITION': self._numbers(part.positions, bounded=True),
                      'NORMAL': self._numbers(part.normals), 'COLOR_0': self._numbers(part.colors)}
        if len(part.uv):
            attributes['TEXCOORD_0'] = self._numbers(part.uv)
        primitive = {
            'attributes': attributes, 'material': self._material(part),
            'indices': self._numbers(part.triangles.reshape(-1, 1).astype(np.uint32)),
            'targets': [{'POSITION': self._numbers(delta, bounded=True)}
                        for delta in part.deltas]}
        if not primitive['targets']:
            del primitive['targets']
        mesh = self._append('meshes', {
            'name': part.name, 'primitives': [primitive],
            'extras': {'targetNames': [NAMES[index] for index in part.shapes]}})
        self._tree['scenes'][0]['nodes'].append(
            self._append('nodes', {'name': part.name, 'mesh': mesh}))

    def write(self, path: Path) -> None:
        """Write the file."""
        self._tree['buffers'] = [{'byteLength': len(self._data)}]
        text = json.dumps(self._tree).encode()
        text += b' ' * (-len(text) % 4)
        path.write_bytes(
            struct.pack('<4sII', b'glTF', 2, 28 + len(text) + len(self._data))
            + struct.pack('<I4s', len(text), b'JSON') + text
            + struct.pack('<I4s', len(self._data), b'BIN\0') + self._data)

    def _append(self, table: str, entry: dict) -> int:
        self._tree.setdefault(table, []).append(entry)
        return len(self._tree[table]) - 1

    def _view(self, data: bytes) -> int:
        view = self._append('bufferViews', {'buffer': 0, 'byteOffset': len(self._data),
                                            'byteLength': len(data)})
        self._data += data + bytes(-len(data) % 4)
        return view

    def _numbers(self, values: np.ndarray, *, bounded: bool = False) -> int:
        whole = values.dtype == np.uint32
        values = values if whole else values.astype(np.float32)
        bounds = {'min': values.min(0).tolist(), 'max': values.max(0).tolist()} if bounded else {}
        return self._append('accessors', {
            'bufferView': self._view(values.tobytes()), 'count': len(values),
            'componentType': UINT32 if whole else FLOAT, 'type': WIDTHS[values.shape[1]],
            **bounds})

    def _material(self, part: Part) -> int:
        material = part.material
        surface: dict = {'baseColorFactor': list(material.color), 'metallicFactor': 0,
                         'roughnessFactor': material.roughness}
        if material.picture:
            kind = 'png' if material.picture.startswith(b'\x89PNG') else 'jpeg'
            image = self._append('images', {'bufferView': self._view(material.picture),
                                            'mimeType': f'image/{kind}'})
            surface['baseColorTexture'] = {'index': self._append('textures', {'source': image})}
        return self._append('materials', {
            'name': material.name, 'pbrMetallicRoughness': surface,
            'doubleSided': material.two_sided,
            'alphaMode': 'BLEND' if material.see_through else 'OPAQUE'})


def main(arguments: list[str]) -> int:
    """Write the last argument."""
    if not 1 <= len(arguments) <= 2:
        print(__doc__, file=sys.stderr)
        return 2
    plain = PlainFile()
    for part in read_head(arguments[0] if len(arguments) == 2 else OURS).parts:
        plain.add(part)
    plain.write(Path(arguments[-1]))
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
