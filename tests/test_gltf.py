# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""Heads are read from glTF as it is written by exporters, and refused in one line otherwise."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from small_head import PICTURE, egg, write_head, write_quantised_head

from avatar_bridge import rig
from avatar_bridge.errors import HeadError
from avatar_bridge.gltf import read_head
from avatar_bridge.mesh import Mesh, welded


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    return write_head(tmp_path_factory.mktemp('head') / 'head.glb', PICTURE)


@pytest.fixture(scope='module')
def head(path):
    return read_head(path)


def test_parts_lie_where_their_nodes_put_them(head):
    assert [part.name for part in head.parts] == ['Face', 'EyeLeft', 'EyeRight']
    assert head.pivot == pytest.approx([0, 0.02, -0.01])
    assert head.parts[1].positions.mean(0)[:2] == pytest.approx([0.028, 0.05], abs=1e-3)


def test_shapes_are_known_by_name_and_others_left_out(head):
    face = head.parts[0]
    assert [rig.NAMES[shape] for shape in face.shapes] == [
        'jawOpen', 'eyeBlinkLeft', 'eyeBlinkRight']
    assert face.deltas.shape == (3, len(face.positions), 3)
    assert face.deltas[0].min(0) == pytest.approx([0, -0.04, 0])


def test_material_and_picture_are_read(head):
    material = head.parts[0].material
    assert material.color == pytest.approx((0.7, 0.5, 0.4, 1.0))
    assert (material.roughness, material.picture) == (0.5, PICTURE)


def test_whole_numbers_sparse_shapes_and_scaled_nodes_mean_the_same(head, tmp_path):
    other = read_head(write_quantised_head(tmp_path / 'quantised.glb')).parts[0]
    face = head.parts[0]
    assert other.shapes == face.shapes
    for name in ('positions', 'uv', 'deltas'):
        assert getattr(other, name) == pytest.approx(getattr(face, name), abs=1e-5)
    true = face.positions - [0, 0.02, -0.01]
    true = true / np.float32([0.075, 0.11, 0.09]) ** 2
    assert (true / np.linalg.norm(true, axis=1, keepdims=True) * other.normals).sum(1).min() > 0.99


@pytest.mark.parametrize('data', [b'', b'glTF', b'glTF\2\0\0\0\x0c\0\0\0', b'\x89PNG' + bytes(99)])
def test_what_is_no_head_is_refused(data, tmp_path):
    (tmp_path / 'head.glb').write_bytes(data)
    with pytest.raises(HeadError, match=r'expected a glTF 2\.0 binary'):
        read_head(tmp_path / 'head.glb')


def test_a_missing_head_is_told(tmp_path):
    with pytest.raises(HeadError, match='No such file'):
        read_head(tmp_path / 'head.glb')


@given(st.integers(12, 4000), st.binary(min_size=1, max_size=8))
@settings(deadline=None, max_examples=60)
def test_a_damaged_head_is_refused_or_read_but_nothing_else(path, place, damage):
    data = bytearray(path.read_bytes())
    data[place:place + len(damage)] = damage
    spoilt = path.with_name('spoilt.glb')
    spoilt.write_bytes(data)
    with contextlib.suppress(HeadError):
        assert read_head(spoilt).parts


def test_a_pose_adds_shapes_up_and_normals_follow(head):
    mesh = Mesh(head)
    weights = np.zeros(52, np.float32)
    positions, normals = mesh.pose(weights)
    assert positions == pytest.approx(mesh.rest)
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1, abs=1e-5)
    weights[rig.INDEX['jawOpen']] = 0.5
    moved, _ = mesh.pose(weights)
    assert (moved - positions).min(0)[1] == pytest.approx(-0.02, abs=1e-6)


def test_normals_have_no_seam_where_a_texture_is_cut(head):
    mesh = Mesh(head)
    weights = np.zeros(52, np.float32)
    weights[rig.INDEX['jawOpen']] = 1
    _, normals = mesh.pose(weights)
    columns = 32                        # the first and the last lie in the same place
    first, last = np.arange(1, 23) * columns, np.arange(1, 23) * columns + columns - 1
    assert normals[first] == pytest.approx(normals[last], abs=1e-6)


def test_lips_that_touch_stay_two():
    places = np.zeros((4, 3), np.float32)
    normals = np.float32([[0, 1, 0], [0, 1, 0.1], [0, -1, 0], [0, -1, 0]])
    assert welded(places, normals).tolist() == [0, 0, 2, 2]


def test_the_small_head_is_closed():
    points, uv, triangles = egg()
    assert triangles.max() == len(points) - 1
    assert uv.min() == 0
    assert uv.max() == 1
