# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""Portraits are drawn without a display: what moves is seen where it is, and nothing else."""

import math

import numpy as np
import pytest
from small_head import PICTURE, write_head

from avatar_bridge import portrait, rig
from avatar_bridge.errors import HeadError, MissingPackageError
from avatar_bridge.portrait import HEAD, Portrait, turned

pytestmark = pytest.mark.egl
SIZE = 160


def pose(**weights):
    whole = np.zeros(len(rig.NAMES), np.float32)
    for name, weight in weights.items():
        whole[rig.INDEX[name]] = weight
    return whole


def changed(picture, other):
    """Return where two pictures differ visibly, as a mask."""
    return np.abs(picture.astype(int) - other).max(-1) > 12


def middle(mask):
    """Return the mean (x, y) of a mask, 0..1 from the top left."""
    rows, columns = np.nonzero(mask)
    return columns.mean() / mask.shape[1], rows.mean() / mask.shape[0]


@pytest.fixture(scope='module')
def egg(tmp_path_factory):
    return Portrait((SIZE, SIZE), write_head(tmp_path_factory.mktemp('egg') / 'egg.glb'))


@pytest.fixture(scope='module')
def face():
    if not HEAD.exists():
        pytest.skip('no head yet')
    return Portrait((SIZE, SIZE))


def test_a_portrait_shows_a_lit_face_before_a_quiet_wall(face):
    picture = face.render(pose())
    assert (picture.shape, picture.dtype) == ((SIZE, SIZE, 3), np.uint8)
    skin = picture[SIZE // 2, SIZE // 2].astype(int)
    assert skin[0] > skin[2] + 15, 'skin is warm'
    corners = picture[[0, 0, -1, -1], [0, -1, 0, -1]].astype(int)
    assert np.ptp(corners, axis=1).max() < 30, 'the wall is grey'
    assert 90 < picture.mean() < 190
    assert (picture > 250).mean() < 0.01, 'nothing is burnt out'


def test_the_same_weights_make_the_same_bytes(egg):
    weights = np.linspace(0, 1, 52, dtype=np.float32)
    first = egg.render(weights).tobytes()
    egg.render(pose(jawOpen=1), np.array([0.3, 0, 0]))
    assert egg.render(weights).tobytes() == first


def test_two_portraits_do_not_mix(egg, tmp_path):
    before = egg.render(pose())
    other = Portrait((64, 48), write_head(tmp_path / 'b.glb', PICTURE))
    assert other.render(pose()).shape == (48, 64, 3)
    assert np.array_equal(egg.render(pose()), before)
    other.close()
    assert np.array_equal(egg.render(pose()), before)


@pytest.mark.parametrize(('name', 'left', 'right'), [
    ('eyeBlinkLeft', 0.5, 1.0), ('eyeBlinkRight', 0.0, 0.5)])
def test_the_subjects_left_is_on_the_right_of_the_picture(egg, name, left, right):
    across, _ = middle(changed(egg.render(pose()), egg.render(pose(**{name: 1}))))
    assert left < across < right


@pytest.mark.parametrize(('name', 'box'), [
    ('eyeBlinkLeft', (0.5, 0.3, 0.8, 0.6)), ('eyeBlinkRight', (0.2, 0.3, 0.5, 0.6)),
    ('browOuterUpLeft', (0.5, 0.2, 0.8, 0.5)), ('browOuterUpRight', (0.2, 0.2, 0.5, 0.5)),
    ('mouthSmileLeft', (0.5, 0.5, 0.8, 0.85)), ('mouthSmileRight', (0.2, 0.5, 0.5, 0.85)),
    ('jawOpen', (0.35, 0.55, 0.65, 0.9)), ('mouthPucker', (0.35, 0.5, 0.65, 0.85)),
    ('eyeLookUpLeft', (0.5, 0.3, 0.8, 0.6)), ('noseSneerRight', (0.25, 0.35, 0.52, 0.7)),
    ('tongueOut', (0.35, 0.55, 0.65, 0.9))])
def test_a_shape_changes_the_picture_where_it_is_on_the_face(face, name, box):
    mask = changed(face.render(pose()), face.render(pose(**{name: 1})))
    assert mask.sum() > 8
    across, down = middle(mask)
    assert box[0] < across < box[2]
    assert box[1] < down < box[3]


def test_all_shapes_change_the_picture(face):
    rest = face.render(pose())
    still = [name for name in rig.NAMES
             if not (np.abs(face.render(pose(**{name: 1})).astype(int) - rest) > 4).any()]
    assert not [name for name in still if name != 'mouthClose']     # it works on an open jaw


def test_an_open_mouth_is_dark_and_closed_lips_are_not(face):
    def dark(**weights):
        mouth = face.render(pose(**weights))[SIZE // 2:SIZE * 9 // 10, SIZE // 3:SIZE * 2 // 3]
        return (mouth[..., 1] < 75).mean()

    wide = dark(jawOpen=0.7)
    assert wide > 0.05
    assert dark() < 0.35 * wide
    assert dark(jawOpen=0.7, mouthClose=0.7) < 0.4 * wide
    assert dark(jawOpen=0.35) < wide


def test_the_head_turns_to_its_left_and_the_wall_stays(egg):
    rest, left = egg.render(pose()), egg.render(pose(), np.array([0.4, 0, 0]))
    bright = (left.astype(int).mean(-1) > 195) & changed(rest, left)
    assert np.array_equal(left[:4, :4], rest[:4, :4])
    assert bright.any()


@pytest.mark.parametrize(('angles', 'looks'), [
    ((0.3, 0, 0), (math.sin(0.3), 0)), ((0, 0.3, 0), (0, math.sin(0.3))), ((0, 0, 0.3), (0, 0))])
def test_angles_are_left_up_and_to_the_left_shoulder(angles, looks):
    matrix = np.reshape(turned(np.array(angles)), (3, 3)).T
    assert (matrix @ [0, 0, 1])[:2] == pytest.approx(looks, abs=1e-6)
    top = matrix @ [0, 1, 0]
    assert top[0] == pytest.approx(math.sin(angles[2]), abs=1e-6), 'the crown leans to +x'


def test_numbers_that_are_none_are_a_face_at_rest(egg):
    assert np.array_equal(egg.render(np.full(52, np.nan), np.full(3, np.nan)), egg.render(pose()))


def test_a_wrong_number_of_weights_is_refused(egg):
    with pytest.raises(HeadError, match='expected 52 weights'):
        egg.render(np.zeros(51))


def test_without_opengl_the_packages_are_named(monkeypatch):
    def create_context(**settings):
        raise Exception(f'{settings["libegl"]} not loaded')

    monkeypatch.setattr(portrait.moderngl, 'create_context', create_context)
    with pytest.raises(MissingPackageError, match=r'libEGL.*libegl1 libgl1 libgl1-mesa-dri'):
        portrait.context()
