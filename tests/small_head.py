# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""Small glTF heads written for tests: an egg with eyes, plain, or quantised and sparse."""

import base64

import numpy as np
import pygltflib as gl

KINDS = {np.dtype(np.float32): 5126, np.dtype(np.int16): 5122, np.dtype(np.int8): 5120,
         np.dtype(np.uint16): 5123, np.dtype(np.uint8): 5121}
WIDTHS = {1: 'SCALAR', 2: 'VEC2', 3: 'VEC3', 4: 'VEC4'}


class GlbWriter:
    """Put arrays behind one another and count views and accessors."""

    def __init__(self):
        self.file = gl.GLTF2(scene=0, scenes=[gl.Scene(nodes=[0])], asset=gl.Asset())
        self.file.nodes.append(gl.Node(name='Head', children=[], translation=[0, 0.02, -0.01]))
        self.data = b''

    def view(self, array):
        data = array if isinstance(array, bytes) else np.ascontiguousarray(array).tobytes()
        self.file.bufferViews.append(
            gl.BufferView(buffer=0, byteOffset=len(self.data), byteLength=len(data)))
        self.data += data + b'\0' * (-len(data) % 4)
        return len(self.file.bufferViews) - 1

    def accessor(self, array, **more):
        return self.declare(array, bufferView=self.view(array), **more)

    def declare(self, array, **more):
        array = array.reshape(len(array), -1)
        self.file.accessors.append(gl.Accessor(
            componentType=KINDS[array.dtype], count=len(array), type=WIDTHS[array.shape[1]],
            **more))
        return len(self.file.accessors) - 1

    def sparse(self, array):
        moved = np.flatnonzero(np.abs(array).max(1)).astype(np.uint16)
        return self.declare(array, sparse=gl.Sparse(
            count=len(moved),
            indices=gl.AccessorSparseIndices(bufferView=self.view(moved), componentType=5123),
            values=gl.AccessorSparseValues(bufferView=self.view(array[moved]))))

    def material(self, color, picture=b''):
        about = gl.PbrMetallicRoughness(baseColorFactor=[*color, 1.0], roughnessFactor=0.5)
        if picture:
            self.file.images.append(gl.Image(bufferView=self.view(picture),
                                             mimeType='image/png'))
            self.file.textures.append(gl.Texture(source=len(self.file.images) - 1))
            about.baseColorTexture = gl.TextureInfo(index=len(self.file.textures) - 1)
        self.file.materials.append(gl.Material(name='', pbrMetallicRoughness=about))
        return len(self.file.materials) - 1

    def node(self, name, attributes, *, indices, material, targets=(), names=(), **place):
        self.file.meshes.append(gl.Mesh(
            primitives=[gl.Primitive(attributes=gl.Attributes(**attributes), indices=indices,
                                     material=material, targets=list(targets))],
            extras={'targetNames': list(names)}))
        self.file.nodes.append(gl.Node(name=name, mesh=len(self.file.meshes) - 1, **place))
        self.file.nodes[0].children.append(len(self.file.nodes) - 1)

    def save(self, path):
        self.file.buffers = [gl.Buffer(byteLength=len(self.data))]
        self.file.set_binary_blob(self.data)
        path.write_bytes(b''.join(self.file.save_to_bytes()))
        return path


def egg(rows=24, columns=32):
    """Return positions on the unit sphere, uv and triangles."""
    v, u = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing='ij')
    theta, phi = np.pi * v, 2 * np.pi * u
    points = np.stack([np.sin(theta) * np.sin(phi), np.cos(theta), np.sin(theta) * np.cos(phi)],
                      -1).reshape(-1, 3).astype(np.float32)
    a = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    triangles = np.concatenate([np.stack([a, a + columns, a + 1], -1),
                                np.stack([a + 1, a + columns, a + columns + 1], -1)])
    return points, np.stack([u, v], -1).reshape(-1, 2).astype(np.float32), triangles


def shapes_of(points):
    """Return deltas in metres of three shapes of an egg of unit radius."""
    chin = np.clip(-points[:, 1:2] * 2, 0, 1) * (points[:, 2:] > 0)
    left = np.exp(-np.sum((points - [0.35, 0.3, 0.9]) ** 2, 1, keepdims=True) / 0.05)
    right = np.exp(-np.sum((points - [-0.35, 0.3, 0.9]) ** 2, 1, keepdims=True) / 0.05)
    left, right = np.where(left < 0.02, 0, left), np.where(right < 0.02, 0, right)
    return {'jawOpen': (chin * [0, -0.04, 0]).astype(np.float32),
            'eyeBlinkLeft': (left * [0, 0, 0.03]).astype(np.float32),
            'eyeBlink_R': np.zeros_like(points),                    # no name of the rig
            'eyeBlinkRight': (right * [0, 0, 0.03]).astype(np.float32)}


def write_head(path, picture=b''):
    """Write an egg with two eyes: floats throughout."""
    writer = GlbWriter()
    points, uv, triangles = egg()
    shapes = shapes_of(points)
    face = points * np.float32([0.075, 0.11, 0.09])
    skin = writer.material((0.7, 0.5, 0.4), picture)
    writer.node('Face', {'POSITION': writer.accessor(face), 'NORMAL': writer.accessor(points),
                         'TEXCOORD_0': writer.accessor(uv)},
                indices=writer.accessor(triangles.astype(np.uint16).ravel()), material=skin,
                targets=[{'POSITION': writer.accessor(delta)} for delta in shapes.values()],
                names=shapes)
    white = writer.material((0.9, 0.9, 0.9))
    for name, x in (('EyeLeft', 0.028), ('EyeRight', -0.028)):
        writer.node(name, {'POSITION': writer.accessor(points * np.float32(0.012)),
                           'NORMAL': writer.accessor(points)},
                    indices=writer.accessor(triangles.astype(np.uint16).ravel()),
                    material=white, translation=[x, 0.03, 0.075])
    return writer.save(path)


def write_quantised_head(path):
    """Write the same face with whole numbers, sparse shapes and a node that scales it."""
    writer = GlbWriter()
    points, uv, triangles = egg()
    scale = np.float32([0.075, 0.11, 0.09])
    attributes = {
        'POSITION': writer.accessor(np.round(points * 32767).astype(np.int16), normalized=True),
        'NORMAL': writer.accessor(np.round(points * 127).astype(np.int8), normalized=True),
        'TEXCOORD_0': writer.accessor(np.round(uv * 65535).astype(np.uint16), normalized=True)}
    shapes = shapes_of(points)
    targets = []
    for delta in shapes.values():
        number = writer.sparse(np.round(delta / scale * 32767).astype(np.int16))
        writer.file.accessors[number].normalized = True
        targets.append({'POSITION': number})
    writer.node('Face', attributes, indices=writer.accessor(triangles.astype(np.uint16).ravel()),
                material=writer.material((0.7, 0.5, 0.4)), targets=targets, names=shapes,
                scale=scale.tolist())
    writer.file.extensionsUsed = writer.file.extensionsRequired = ['KHR_mesh_quantization']
    return writer.save(path)


#: A picture of 2 x 2 pixels: red, green, blue, white.
PICTURE = base64.b64decode(
    'iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFklEQVR4nGP8z8DA8J+BgYGJAQoYYQwAJQQCAcXk'
    'd3EAAAAASUVORK5CYII=')
