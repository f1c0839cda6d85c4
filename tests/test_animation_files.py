# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Animation files are what others' programs take them for, frame by frame."""

import csv
from fractions import Fraction
import json
import shutil
import subprocess

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
import numpy as np
import pygltflib as gl
import pytest
from small_head import PICTURE, write_head
from takes import COUNT, INFO, ROOT, lacking, moved, recorded, turns_of, weights_of
import yaml

from avatar_bridge.errors import AvatarBridgeError, HeadError, SinkError, UsageError
from avatar_bridge.formats import rotation
from avatar_bridge.formats.motion import Motion, knots
from avatar_bridge.frames import StreamInfo
from avatar_bridge.gltf import read_head
from avatar_bridge.mesh import Mesh
from avatar_bridge.portrait import turned as turned_by_columns
from avatar_bridge.rig import INDEX, NAMES
from avatar_bridge.sinks import animation
from avatar_bridge.sinks.animation import a2f, anim, glb, openfacefx, usda

WEB = ROOT / 'avatar_bridge' / 'web'
SUFFIXES = {glb: 'glb', usda: 'usda', anim: 'anim', openfacefx: 'track.json', a2f: 'a2f.csv'}
WRITERS = pytest.mark.parametrize('writer', SUFFIXES, ids=SUFFIXES.values())


@WRITERS
def test_a_file_is_written_whole_or_not_at_all(writer, tmp_path):
    path = tmp_path / f'take.{SUFFIXES[writer]}'
    sink = writer(str(path))
    sink.open(INFO)
    assert not path.exists()
    recorded(sink, turned=True)
    assert path.stat().st_size > 1000
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@WRITERS
def test_the_same_frames_make_the_same_bytes(writer, tmp_path):
    files = []
    for stream in ('one', 'two'):
        path = tmp_path / stream / f'take.{SUFFIXES[writer]}'
        path.parent.mkdir()
        recorded(writer(str(path)), info=INFO._replace(stream=stream))
        files.append(path.read_bytes())
    assert files[0] == files[1]


@WRITERS
def test_a_take_without_a_frame_is_a_file_that_does_not_move(writer, tmp_path):
    path = tmp_path / f'take.{SUFFIXES[writer]}'
    recorded(writer(str(path)), count=0, turned=True)
    assert path.stat().st_size
    if writer is glb:
        assert not gl.GLTF2().load(str(path)).animations


@pytest.mark.parametrize('argument', ['', '?head=a.glb', 'nowhere/a.glb', 'a.glb?hed=b.glb'])
@WRITERS
def test_what_cannot_be_written_is_refused_at_once(writer, argument, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match='sink '):
        writer(argument)


def test_a_folder_in_the_way_is_told(tmp_path):
    (tmp_path / 'take.glb').mkdir()
    with pytest.raises(SinkError, match='cannot write'):
        glb(str(tmp_path / 'take.glb')).open(INFO)


# Curves

@given(arrays.arrays(float, st.tuples(st.integers(0, 40), st.integers(1, 3)),
                     elements=st.floats(0, 1)), st.floats(0.001, 0.2))
@settings(deadline=None)
def test_lines_between_knots_are_near_every_value(values, tolerance):
    times = np.arange(len(values)) / 60
    for curve, kept in zip(values.T, knots(times, values, tolerance), strict=True):
        if len(values):
            assert (kept[0], kept[-1]) == (0, len(values) - 1)
            lines = np.interp(times, times[kept], curve[kept])
            assert np.abs(lines - curve).max() <= tolerance + 1e-9


def test_a_straight_line_has_two_knots():
    times = np.arange(1000) / 60
    curves = np.stack([0.01 * times, np.abs(times - times[500]), np.zeros(1000)], 1)
    assert [kept.tolist() for kept in knots(times, curves, 0.001)] == [
        [0, 999], [0, 500, 999], [0, 999]]


# glTF

def test_every_mesh_of_our_head_moves_with_the_take(tmp_path):
    expected, _ = recorded(glb(f'{tmp_path}/take.glb'))
    times, meshes, turns = moved(tmp_path / 'take.glb')
    np.testing.assert_allclose(times, np.arange(COUNT) / 60, atol=1e-6)
    assert set(meshes) >= {'Face', 'EyeLeft', 'EyeRight', 'TeethLower', 'Tongue', 'Lashes'}
    assert set(meshes['Face']) == set(NAMES)
    assert turns == {}
    for shapes in meshes.values():
        for name, curve in shapes.items():
            np.testing.assert_array_equal(curve, expected[:, INDEX[name]])


def json_and_data(path):
    """Return the two chunks of a .glb."""
    content = path.read_bytes()
    size = int.from_bytes(content[12:16], 'little')
    return json.loads(content[20:20 + size]), content[28 + size:]


def renamed(folder, names, **node):
    """Write the egg with other names of its four targets, and its root node otherwise."""
    path = write_head(folder / 'egg.glb', PICTURE)
    file = gl.GLTF2().load(str(path))
    file.meshes[0].extras['targetNames'] = names
    file.meshes[0].weights = [0.25] * 4
    for name, value in node.items():
        setattr(file.nodes[0], name, value)
    file.save(str(path))
    return path


def test_the_users_head_moves_by_any_spelling_and_keeps_what_is_not_ours(tmp_path):
    names = ['blendShape1.jawOpen', 'mouthSmile_L', 'JAWLEFT', 'wink']
    head = renamed(tmp_path, names)
    expected, _ = recorded(glb(f'{tmp_path}/take.glb?head={head}'))
    curves = moved(tmp_path / 'take.glb')[1]['Face']
    for spelling, ours in zip(names, ('jawOpen', 'mouthSmileLeft', 'jawLeft'), strict=False):
        np.testing.assert_array_equal(curves[spelling], expected[:, INDEX[ours]])
    assert (curves['wink'] == 0.25).all()


def test_nothing_of_the_users_file_is_changed(tmp_path):
    head = write_head(tmp_path / 'egg.glb', PICTURE)
    recorded(glb(f'{tmp_path}/take.glb?head={head}'), turned=True)
    before, after = (json_and_data(path) for path in (head, tmp_path / 'take.glb'))
    assert after[1].startswith(before[1])
    assert set(after[0]) == {*before[0], 'animations'}
    for name, value in before[0].items():
        if name in ('accessors', 'bufferViews'):
            assert after[0][name][:len(value)] == value
        elif name != 'buffers':
            assert after[0][name] == value
    other = glb(f'{tmp_path}/again.glb?head={tmp_path}/take.glb')
    recorded(other)
    assert len(gl.GLTF2().load(str(tmp_path / 'again.glb')).animations) == 2


@pytest.mark.parametrize('matrix', [False, True], ids=['rotation', 'matrix'])
def test_a_head_turns_in_the_world_however_its_bone_lies(matrix, tmp_path):
    rest = rotation.product(*(rotation.around(axis, np.array([angle]))
                              for axis, angle in ((0, 0.7), (1, 1.1))))[0]
    head = renamed(tmp_path, ['jawOpen', 'a', 'b', 'c'], rotation=rest.tolist())
    if matrix:
        file = gl.GLTF2().load(str(head))
        turn = np.eye(4)
        turn[:3, :3] = 2 * columns(rest)
        file.nodes[0].matrix, file.nodes[0].rotation = turn.T.ravel().tolist(), None
        file.nodes[0].translation = None
        file.save(str(head))
    _, turns = recorded(glb(f'{tmp_path}/take.glb?head={head}'), turned=True)
    for angles, found in zip(turns, moved(tmp_path / 'take.glb')[2]['Head'], strict=True):
        wanted = np.reshape(turned_by_columns(angles), (3, 3)).T @ columns(rest)
        np.testing.assert_allclose(columns(found), wanted, atol=1e-5)
    node = gl.GLTF2().load(str(tmp_path / 'take.glb')).nodes[0]
    assert node.matrix is None
    assert node.scale == (pytest.approx([2, 2, 2]) if matrix else None)


def columns(quaternion):
    """Return the matrix of x, y, z, w."""
    x, y, z, w = (float(value) for value in quaternion)
    return np.array([[1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                     [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                     [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]])


@given(arrays.arrays(float, 4, elements=st.floats(-1, 1)))
@settings(deadline=None)
def test_a_matrix_gives_its_quaternion_back(values):
    if np.linalg.norm(values) > 0.1:
        unit = values / np.linalg.norm(values)
        np.testing.assert_allclose(columns(rotation.of_matrix(columns(unit))), columns(unit),
                                   atol=1e-6)


@pytest.mark.parametrize('content', [b'', b'glTF', b'{}', b'glTF\2\0\0\0\x0c\0\0\0'])
def test_what_is_no_head_is_refused(content, tmp_path):
    (tmp_path / 'head.glb').write_bytes(content)
    with pytest.raises(HeadError, match=r'head\.glb: expected a glTF'):
        glb(f'{tmp_path}/take.glb?head={tmp_path}/head.glb')


@pytest.mark.parametrize('writer', [glb, usda])
def test_a_missing_head_is_told(writer, tmp_path):
    with pytest.raises(HeadError, match=r'none\.glb: .*No such file'):
        writer(f'{tmp_path}/take.x?head={tmp_path}/none.glb')


def test_a_head_without_shapes_of_ours_says_which_it_wants(tmp_path):
    head = renamed(tmp_path, ['a', 'b', 'c', 'd'])
    with pytest.raises(HeadError, match='expected morph targets with names of ARKit'):
        glb(f'{tmp_path}/take.glb?head={head}')


@given(st.integers(12, 6000), st.binary(min_size=1, max_size=8))
@settings(deadline=None, max_examples=60)
def test_a_damaged_head_is_refused_or_animated_but_nothing_else(place, damage):
    data = bytearray(HEAD_BYTES)
    data[place:place + len(damage)] = damage
    try:
        head = animation.AnimatedHead(bytes(data))
    except AvatarBridgeError:
        return
    assert head.encode(motion()).startswith(b'glTF')


HEAD_BYTES = animation.SMALL_HEAD.read_bytes()


def motion():
    """Return the take as formats get it."""
    head, eyes = turns_of()
    return Motion(INFO, np.arange(COUNT), weights_of(), bytes(COUNT), head, eyes)


VALIDATE = '''
const [, module, path] = process.argv;
const bytes = new Uint8Array(require('fs').readFileSync(path));
require(module).validateBytes(bytes).then(({issues, info}) => console.log(JSON.stringify(
  {issues: issues.messages.map((issue) => issue.code + issue.pointer),
   errors: issues.numErrors, warnings: issues.numWarnings, clips: info.animationCount})));
'''


def validated(path):
    """Return what Khronos' validator says about a file."""
    validator = WEB / 'node_modules' / 'gltf-validator'
    if not (shutil.which('node') and validator.exists()):
        lacking('gltf-validator is not installed: npm install in avatar_bridge/web')
    done = subprocess.run(['node', '-e', VALIDATE, str(validator), str(path)],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_khronos_validator_has_nothing_to_complain_about(tmp_path):
    recorded(glb(f'{tmp_path}/take.glb'), turned=True)
    report = validated(tmp_path / 'take.glb')
    assert (report['errors'], report['warnings'], report['clips']) == (0, 0, 1)


def test_a_take_adds_nothing_to_what_the_validator_says_about_a_head(tmp_path):
    head = write_head(tmp_path / 'egg.glb', PICTURE)
    recorded(glb(f'{tmp_path}/take.glb?head={head}'), turned=True)
    before, after = validated(head), validated(tmp_path / 'take.glb')
    assert (before['clips'], after['clips']) == (0, 1)
    assert after['issues'] == before['issues']


# USD

@pytest.fixture(scope='module')
def pxr():
    """Return Pixar's library."""
    try:
        import pxr
    except ImportError:
        lacking('usd-core is not installed: make test')
    return pxr


@pytest.mark.parametrize('ours', [True, False], ids=['ours', 'egg'])
@pytest.mark.usefixtures('pxr')
def test_usd_moves_every_vertex_as_the_shapes_say(ours, tmp_path):
    from pxr import Usd, UsdGeom, UsdSkel

    head = animation.SMALL_HEAD if ours else write_head(tmp_path / 'egg.glb', PICTURE)
    expected, _ = recorded(usda(f'{tmp_path}/take.usda?head={head}'))
    stage = Usd.Stage.Open(str(tmp_path / 'take.usda'))
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (0, COUNT - 1)
    assert stage.GetTimeCodesPerSecond() == 60
    assert UsdGeom.GetStageUpAxis(stage) == 'Y'
    assert UsdSkel.BakeSkinning(stage.Traverse())
    mesh = Mesh(read_head(head))
    for frame in (0, 17, COUNT - 1):
        points = np.concatenate([
            np.array(UsdGeom.Mesh(prim).GetPointsAttr().Get(frame)) for prim in stage.Traverse()
            if prim.IsA(UsdGeom.Mesh)])
        assert points == pytest.approx(mesh.pose(expected[frame])[0], abs=2e-6)


@pytest.mark.usefixtures('pxr')
def test_usd_turns_the_head_about_its_pivot(tmp_path):
    from pxr import Usd, UsdSkel

    _, turns = recorded(usda(f'{tmp_path}/take.usda'), turned=True)
    stage = Usd.Stage.Open(str(tmp_path / 'take.usda'))
    skeleton = UsdSkel.Skeleton.Get(stage, '/Avatar/Skeleton')
    cache = UsdSkel.Cache()
    cache.Populate(UsdSkel.Root.Get(stage, '/Avatar'), Usd.PrimDefaultPredicate)
    query = cache.GetSkelQuery(skeleton)
    for frame in (3, 40):
        found = np.array(query.ComputeSkinningTransforms(frame)[0])[:3, :3].T
        wanted = np.reshape(turned_by_columns(turns[frame]), (3, 3)).T
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.usefixtures('pxr')
def test_pixars_validators_have_nothing_to_complain_about(tmp_path):
    from pxr import Usd, UsdValidation

    recorded(usda(f'{tmp_path}/take.usda'), turned=True)
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert 'usdSkelValidators:SkelBindingApiValidator' in [
        validator.GetMetadata().name for validator in validators]
    errors = UsdValidation.ValidationContext(validators).Validate(
        Usd.Stage.Open(str(tmp_path / 'take.usda')))
    assert [error.GetMessage() for error in errors] == []


@pytest.mark.usefixtures('pxr')
def test_usd_names_parts_as_it_may(tmp_path):
    from pxr import Usd

    head = write_head(tmp_path / 'egg.glb', PICTURE)
    file = gl.GLTF2().load(str(head))
    for node, name in zip(file.nodes[1:], ('1 Gesicht-ä', '', 'Motion'), strict=True):
        node.name = name
    file.save(str(head))
    recorded(usda(f'{tmp_path}/take.usda?head={head}'))
    stage = Usd.Stage.Open(str(tmp_path / 'take.usda'))
    names = [prim.GetName() for prim in stage.Traverse() if prim.GetTypeName() == 'Mesh']
    assert names == ['_1_Gesicht__', 'Mesh', 'Motion_1']


# Unity

def clip_of(path):
    """Return the clip, read as YAML; the editor's curves are the same text once more."""
    tag, text = path.read_text().split('--- !u!74 &7400000\n')
    assert tag == '%YAML 1.1\n%TAG !u! tag:unity3d.com,2011:\n'
    start, again = (text.index(f'{name}Curves:\n') for name in ('Float', 'Editor'))
    end = text.index('  m_PPtrCurves')
    shown = text.index('  m_EulerEditorCurves')
    assert text[again:shown].partition('\n')[2] == text[start:end].partition('\n')[2]
    return yaml.safe_load(text[:again - 4] + text[shown:])['AnimationClip']


def evaluated(keys, time):
    """Return a curve's value as Unity has it: cubic between keys, by their slopes."""
    place = min(np.searchsorted([key['time'] for key in keys], time, 'right'), len(keys) - 1)
    first, second = keys[max(0, place - 1)], keys[place]
    span = second['time'] - first['time']
    t = (time - first['time']) / span if span else 0.0
    return ((2 * t**3 - 3 * t**2 + 1) * first['value'] + (t**3 - 2 * t**2 + t) * span
            * first['outSlope'] + (3 * t**2 - 2 * t**3) * second['value']
            + (t**3 - t**2) * span * second['inSlope'])


def test_unity_plays_percents_within_a_fifth(tmp_path):
    count = 30
    expected, _ = recorded(anim(f'{tmp_path}/Take 1.anim?path=Body/Face: 1'), count)
    clip = clip_of(tmp_path / 'Take 1.anim')
    assert (clip['m_Name'], clip['m_SampleRate']) == ('Take 1', 60)
    assert clip['m_AnimationClipSettings']['m_StopTime'] == pytest.approx((count - 1) / 60)
    assert [curve['attribute'] for curve in clip['m_FloatCurves']] == [
        f'blendShape.{name}' for name in NAMES]
    for curve, weights in zip(clip['m_FloatCurves'], expected.T, strict=True):
        assert (curve['path'], curve['classID']) == ('Body/Face: 1', 137)
        keys = curve['curve']['m_Curve']
        found = [evaluated(keys, index / 60) for index in range(count)]
        np.testing.assert_allclose(found, 100 * weights, atol=0.21)
    assert sum(len(curve['curve']['m_Curve']) for curve in clip['m_FloatCurves']) < 40 * count


# OpenFaceFX and Audio2Face

def test_an_openfacefx_track_runs_through_every_frame(tmp_path):
    expected, _ = recorded(openfacefx(f'{tmp_path}/take.track.json'))
    track = json.loads((tmp_path / 'take.track.json').read_text())
    assert (track['format'], track['version'], track['fps']) == ('openfacefx.track', 1, 60)
    for channel, weights in zip(track['channels'], expected.T, strict=True):
        times, values = zip(*channel['keys'], strict=True)
        found = np.interp(np.arange(COUNT) / 60, times, values)
        np.testing.assert_allclose(found, weights, atol=0.0025)


def test_openfacefx_itself_reads_the_track(tmp_path):
    try:
        from openfacefx.io_export import read_json
    except ImportError:
        lacking('openfacefx is not installed: make test')
    expected, _ = recorded(openfacefx(f'{tmp_path}/take.track.json'))
    track = read_json(str(tmp_path / 'take.track.json'))
    assert [channel.name for channel in track.channels] == list(NAMES)
    last = [channel.keys[-1].value for channel in track.channels]
    np.testing.assert_allclose(last, expected[-1], atol=1e-6)
    assert track.duration == pytest.approx((COUNT - 1) / 60, abs=1e-3)


def test_an_audio2face_table_has_a_row_a_frame(tmp_path):
    expected, _ = recorded(a2f(f'{tmp_path}/take.a2f.csv'))
    with (tmp_path / 'take.a2f.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert [float(row['timeCode']) for row in rows] == pytest.approx(np.arange(COUNT) / 60,
                                                                    abs=1e-6)
    for name in NAMES:
        column = [float(row[f'blendShapes.{name[0].upper()}{name[1:]}']) for row in rows]
        np.testing.assert_allclose(column, expected[:, INDEX[name]], rtol=1e-5)


@pytest.mark.parametrize('fps', [Fraction(24), Fraction(30000, 1001)])
def test_time_is_right_at_any_rate(fps, tmp_path):
    info = StreamInfo('run', 'robot', NAMES, fps, Fraction(0), 'live', 16000)
    recorded(glb(f'{tmp_path}/take.glb'), info=info)
    recorded(openfacefx(f'{tmp_path}/take.track.json'), info=info)
    seconds = (COUNT - 1) / float(fps)
    assert moved(tmp_path / 'take.glb')[0][-1] == pytest.approx(seconds)
    assert json.loads((tmp_path / 'take.track.json').read_text())['duration'] == pytest.approx(
        seconds, abs=1e-6)
