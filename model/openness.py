# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Write into a head how much of the room each of its vertices sees: `python -m model.openness GLB`.

Light that reaches no nostril is what makes a face solid. The attribute is called `_OPENNESS`, one
byte a vertex; whoever does not know it ignores it.
"""

from __future__ import annotations

from pathlib import Path
import sys

import numpy as np
import pygltflib

from avatar_bridge.portrait import Portrait

NAME = '_OPENNESS'


def shade(path: Path) -> None:
    """Add the attribute to every mesh of a head, or replace it."""
    seen = np.round(255 * Portrait((16, 16), path).openness()).astype(np.uint8)
    file = pygltflib.GLTF2.load_binary(str(path))
    data = bytearray(file.binary_blob())
    start = 0
    for primitive in primitives(file):
        count = file.accessors[primitive.attributes.POSITION].count
        values = np.zeros((count, 4), np.uint8)         # padded, as glTF wants it
        values[:, 0] = seen[start:start + count]
        start += count
        old = getattr(primitive.attributes, NAME, None)
        if old is not None:
            view = file.bufferViews[file.accessors[old].bufferView]
            data[view.byteOffset:view.byteOffset + view.byteLength] = values.tobytes()
            continue
        file.bufferViews.append(pygltflib.BufferView(
            buffer=0, byteOffset=len(data), byteLength=values.nbytes, byteStride=4, target=34962))
        file.accessors.append(pygltflib.Accessor(
            bufferView=len(file.bufferViews) - 1, componentType=5121, count=count, type='SCALAR',
            normalized=True))
        setattr(primitive.attributes, NAME, len(file.accessors) - 1)
        data += values.tobytes()
    file.buffers[0].byteLength = len(data)
    file.set_binary_blob(bytes(data))
    path.write_bytes(b''.join(file.save_to_bytes()))


def primitives(file: pygltflib.GLTF2) -> list:
    """Return the primitives in the order that they are drawn in: breadth first over the nodes."""
    found = []
    waiting = list(file.scenes[file.scene or 0].nodes)
    while waiting:
        node = file.nodes[waiting.pop(0)]
        if node.mesh is not None:
            found += file.meshes[node.mesh].primitives
        waiting += node.children or []
    return found


if __name__ == '__main__':
    shade(Path(sys.argv[1]))
