# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Small heads in other people's spelling, written as GLB."""

import json
import struct

import numpy as np

CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
BONES = {                       # those that a VRM must have, and where they hang
    'hips': None, 'spine': 'hips', 'head': 'spine', 'leftUpperLeg': 'hips',
    'leftLowerLeg': 'leftUpperLeg', 'leftFoot': 'leftLowerLeg', 'rightUpperLeg': 'hips',
    'rightLowerLeg': 'rightUpperLeg', 'rightFoot': 'rightLowerLeg', 'leftUpperArm': 'spine',
    'leftLowerArm': 'leftUpperArm', 'leftHand': 'leftLowerArm', 'rightUpperArm': 'spine',
    'rightLowerArm': 'rightUpperArm', 'rightHand': 'rightLowerArm',
}
FACES = np.array([[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
                  [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]], np.uint16)


def write_box(path, names, extensions=None, nodes=()):
    """Write a box of 20 cm with one morph target for each of `names`."""
    rest = 0.1 * CORNERS
    targets = [np.full_like(rest, 0.001 * (1 + place)) for place in range(len(names))]
    chunks = [rest.tobytes(), FACES.tobytes(), *(target.tobytes() for target in targets)]
    starts = np.cumsum([0, *map(len, chunks)])
    bounds = {'min': rest.min(0).tolist(), 'max': rest.max(0).tolist()}
    accessors = [
        {'bufferView': 0, 'componentType': 5126, 'count': 8, 'type': 'VEC3', **bounds},
        {'bufferView': 1, 'componentType': 5123, 'count': FACES.size, 'type': 'SCALAR'},
        *({'bufferView': 2 + place, 'componentType': 5126, 'count': 8, 'type': 'VEC3',
           'min': target[0].tolist(), 'max': target[0].tolist()}
          for place, target in enumerate(targets))]
    primitive = {'attributes': {'POSITION': 0}, 'indices': 1,
                 'targets': [{'POSITION': 2 + place} for place in range(len(names))]}
    told = {
        'asset': {'version': '2.0'}, 'scene': 0,
        'scenes': [{'nodes': [0, 1] if nodes else [0]}],
        'nodes': [{'name': 'Head', 'mesh': 0}, *nodes],
        'meshes': [{'primitives': [primitive], 'extras': {'targetNames': list(names)}}],
        'accessors': accessors,
        'bufferViews': [{'buffer': 0, 'byteOffset': int(start), 'byteLength': len(chunk)}
                        for start, chunk in zip(starts, chunks, strict=False)],
        'buffers': [{'byteLength': int(starts[-1])}],
    }
    if extensions:
        told |= {'extensionsUsed': list(extensions), 'extensions': extensions}
    text = json.dumps(told).encode()
    text += b' ' * (-len(text) % 4)
    body = b''.join(chunks)
    path.write_bytes(struct.pack('<4sII', b'glTF', 2, 28 + len(text) + len(body))
                     + struct.pack('<I4s', len(text), b'JSON') + text
                     + struct.pack('<I4s', len(body), b'BIN\0') + body)
    return path


def write_vrm(path, expressions):
    """Write a VRM 1.0 whose preset `expressions` each have one morph target."""
    places = {bone: 1 + place for place, bone in enumerate(BONES)}
    nodes = [{'name': bone, 'translation': [0, 0.1, 0],
              'children': [places[child] for child, parent in BONES.items() if parent == bone]}
             for bone in BONES]
    for node in nodes:
        if not node['children']:
            del node['children']
    binds = {name: {'morphTargetBinds': [{'node': 0, 'index': place, 'weight': 1.0}]}
             for place, name in enumerate(expressions)}
    vrm = {
        'specVersion': '1.0',
        'meta': {'name': 'box', 'authors': ['avatar_bridge'],
                 'licenseUrl': 'https://vrm.dev/licenses/1.0/'},
        'humanoid': {'humanBones': {bone: {'node': place} for bone, place in places.items()}},
        'expressions': {'preset': binds},
    }
    return write_box(path, [f'Fcl_{name}' for name in expressions], {'VRMC_vrm': vrm}, nodes)
