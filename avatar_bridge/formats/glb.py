# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
A take as an animation inside a glTF 2.0 binary: the head of anybody, in the file itself.

Nothing of the file is read but what animates it, and nothing is changed: the animation and its
data are added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
import copy
import json
import re
import struct
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.errors import HeadError
from avatar_bridge.formats.motion import Motion
from avatar_bridge.formats.rotation import inverse, of_matrix, product, turned
from avatar_bridge.gltf import BINARY, JSON, chunks
from avatar_bridge.mappings.layouts import sided
from avatar_bridge.rig import NAMES

FLOAT: Final = 5126
#: Bones, or whatever turns a head: Head, mixamorig:Head, J_Bip_C_Head, Bip01 Head.
HEAD: Final = re.compile(r'(.*[^a-z]|mixamorig)?head', re.IGNORECASE)
#: How exporters spell the shapes; some put the name of the blend shape node before it.
SPELLINGS: Final = {spelling.lower(): index for index, name in enumerate(NAMES)
                    for spelling in (name, sided(name))}
BROKEN: Final = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError,
                 ValueError, struct.error)


class Morph(NamedTuple):
    """A mesh whose targets are shapes of ours."""

    nodes: list[int]                # that show it
    rest: list[float]               # weight of every target where nothing moves it
    targets: list[int]              # those that are ours
    shapes: list[int]               # index in the rig of each of them


class AnimatedHead:
    """A head that takes can be put on."""

    def __init__(self, content: bytes) -> None:
        """Read the bytes of a .glb; raises `HeadError` where nothing in it can be animated."""
        with understood():
            found = dict(chunks(content))
            self._file: dict[str, Any] = json.loads(found[JSON])
            self._data: bytes = found.get(BINARY, b'')
            if any('uri' in buffer for buffer in self._file.get('buffers', ())):
                raise HeadError('its data lie in other files; export it as one .glb')
            self._nodes: list[dict[str, Any]] = self._file.get('nodes', [])
            self._morphs = [morph for number, mesh in enumerate(self._file.get('meshes', ()))
                            if (morph := self._morph(number, mesh)).shapes and morph.nodes]
            self._head = self._turning()
        if not self._morphs:
            raise HeadError('expected morph targets with names of ARKit (jawOpen, mouthSmileLeft '
                            'or mouthSmile_L, ...) in mesh.extras.targetNames, found none')

    def encode(self, motion: Motion) -> bytes:
        """Return the file with the take as its first animation; raises `HeadError`."""
        with understood():
            file = copy.deepcopy(self._file)
            writer = Writer(file, self._data)
            if len(motion.index):
                file['animations'] = [self._clip(motion, writer), *file.get('animations', [])]
            if motion.head is not None and self._head is not None:
                separate(file['nodes'][self._head[0]])
            return writer.whole()

    def _clip(self, motion: Motion, writer: Writer) -> dict[str, Any]:
        seconds = motion.times.astype('<f4')
        times = writer.add(seconds, 'SCALAR', min=[float(seconds[0])], max=[float(seconds[-1])])
        samplers: list[dict[str, Any]] = []
        channels: list[dict[str, Any]] = []

        def channel(nodes: Sequence[int], path: str, output: int) -> None:
            channels.extend({'sampler': len(samplers), 'target': {'node': node, 'path': path}}
                            for node in nodes)
            samplers.append({'input': times, 'output': output, 'interpolation': 'LINEAR'})

        for morph in self._morphs:
            weights = np.tile(np.array(morph.rest, '<f4'), (len(seconds), 1))
            weights[:, morph.targets] = motion.weights[:, morph.shapes]
            channel(morph.nodes, 'weights', writer.add(weights.ravel(), 'SCALAR'))
        if motion.head is not None and self._head is not None:
            node, above, rest = self._head
            turns = product(product(inverse(above), turned(motion.head)), product(above, rest))
            channel([node], 'rotation', writer.add(turns.astype('<f4'), 'VEC4'))
        return {'name': motion.name, 'samplers': samplers, 'channels': channels}

    def _morph(self, number: int, mesh: dict[str, Any]) -> Morph:
        names = target_names(mesh)
        count = len(mesh['primitives'][0].get('targets', ()))
        nodes = [place for place, node in enumerate(self._nodes) if node.get('mesh') == number]
        rest = mesh.get('weights') or [0.0] * count
        known = {target: SPELLINGS[spelled(name)] for target, name in enumerate(names[:count])
                 if spelled(name) in SPELLINGS}
        return Morph(nodes, rest, list(known), list(known.values()))

    def _turning(self) -> tuple[int, NDArray[np.float64], NDArray[np.float64]] | None:
        """Return the node that turns the head, what turns it from above, and its own rest."""
        parents = {child: number for number, node in enumerate(self._nodes)
                   for child in node.get('children', ())}
        for number, node in enumerate(self._nodes):
            if HEAD.fullmatch(node.get('name', '')) and 'mesh' not in node:
                above, place = np.array([0.0, 0.0, 0.0, 1.0]), number
                for _ in self._nodes:                   # at most; a damaged file goes in circles
                    if (place := parents.get(place, -1)) < 0:
                        break
                    above = product(rotation(self._nodes[place]), above)
                return number, above, rotation(node)
        return None


@contextmanager
def understood() -> Iterator[None]:
    """Say in one line what a file is not; raises `HeadError`."""
    try:
        yield
    except BROKEN as error:
        raise HeadError(f'expected a glTF 2.0 binary (.glb), got something else ({error})'
                        ) from error


class Writer:
    """A file that arrays are added to."""

    def __init__(self, file: dict[str, Any], data: bytes) -> None:
        """Add behind `data`, and say in `file` where."""
        self._file = file
        self._data = bytearray(data + bytes(-len(data) % 4))

    def add(self, values: NDArray[np.float32], kind: str, **bounds: list[float]) -> int:
        """Add 32-bit floats; return the number of their accessor."""
        views = self._file.setdefault('bufferViews', [])
        accessors = self._file.setdefault('accessors', [])
        views.append({'buffer': 0, 'byteOffset': len(self._data), 'byteLength': values.nbytes})
        accessors.append({'bufferView': len(views) - 1, 'componentType': FLOAT,
                          'count': len(values), 'type': kind, **bounds})
        self._data += values.tobytes()
        return len(accessors) - 1

    def whole(self) -> bytes:
        """Return the .glb."""
        if self._data:
            buffers = self._file.setdefault('buffers', [{}])
            buffers[0]['byteLength'] = len(self._data)
        text = json.dumps(self._file, separators=(',', ':')).encode()
        text += b' ' * (-len(text) % 4)
        pieces = struct.pack('<I4s', len(text), JSON) + text
        if self._data:
            pieces += struct.pack('<I4s', len(self._data), BINARY) + self._data
        return struct.pack('<4sII', b'glTF', 2, 12 + len(pieces)) + pieces


def target_names(mesh: dict[str, Any]) -> list[str]:
    """Return the names of a mesh's targets, wherever its exporter wrote them."""
    places = (mesh, *mesh['primitives'])
    return next((place['extras']['targetNames'] for place in places
                 if 'targetNames' in place.get('extras', {})), [])


def spelled(name: str) -> str:
    """Return what a target may be found by in `SPELLINGS`."""
    return name.rpartition('.')[2].lower()


def rotation(node: dict[str, Any]) -> NDArray[np.float64]:
    """Return how a node is turned against the one above it."""
    if 'matrix' in node:
        return of_matrix(np.array(node['matrix'], float).reshape(4, 4).T)
    return np.array(node.get('rotation', (0, 0, 0, 1)), float)


def separate(node: dict[str, Any]) -> None:
    """Write a node's matrix as translation, rotation and scale: a matrix cannot be animated."""
    if 'matrix' in node:
        matrix = np.array(node.pop('matrix'), float).reshape(4, 4).T
        node['translation'] = matrix[:3, 3].tolist()
        node['rotation'] = of_matrix(matrix).tolist()
        node['scale'] = np.linalg.norm(matrix[:3, :3], axis=0).tolist()
