# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Blender keys shape keys from recordings: read back from Blender, frame by frame."""

import importlib.util
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from takes import COUNT, ROOT, lacking, recorded

from avatar_bridge.rig import INDEX, NAMES
from avatar_bridge.sinks.animation import SMALL_HEAD, glb
from avatar_bridge.sinks.livelink_csv import LiveLinkCsv
from avatar_bridge.sinks.recorder import JsonLinesRecorder, NpzRecorder

SCRIPT = ROOT / 'clients' / 'blender' / 'avatar_bridge_keys.py'
RECORDERS = {'csv': LiveLinkCsv, 'jsonl': JsonLinesRecorder, 'npz': NpzRecorder}
FRAMES = [0, 1, 2, 30, COUNT - 1]
START = 11
LOOK = '''
import bpy, json, runpy, sys
def look(frames):
    meshes = [item for item in bpy.data.objects if item.type == 'MESH' and item.data.shape_keys]
    told = {mesh.name: {} for mesh in meshes}
    for frame in frames:
        bpy.context.scene.frame_set(frame)
        for mesh in meshes:
            for block in mesh.data.shape_keys.key_blocks[1:]:
                told[mesh.name].setdefault(block.name, []).append(block.value)
    return told
'''
#: Look at our animated .glb, then save our head as it is.
IMPORT = LOOK + '''
import numpy
numpy.bool = bool           # Debian's Blender 3.4 wants it, Debian's numpy has it no more
def bring(path):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.render.fps = 60
    bpy.ops.import_scene.gltf(filepath=path)
take, head, blend, told, frames = sys.argv[-5:]
bring(take)
open(told, 'w').write(json.dumps(look(json.loads(frames))))
bring(head)
bpy.ops.wm.save_as_mainfile(filepath=blend)
'''
#: Look at what the command keyed; then use the add-on, and the command on what is no recording.
USE = LOOK + '''
script, take, bad, told, frames = sys.argv[-5:]
frames = json.loads(frames)
facts = {'end': bpy.context.scene.frame_end, 'keyed': look(frames)}
module = runpy.run_path(script)
module['register']()
facts['done'] = list(bpy.ops.import_anim.face_recording(filepath=take))
module['unregister']()
facts['again'] = look(frames)
facts['status'] = module['main']([bad])
open(told, 'w').write(json.dumps(facts))
'''


@pytest.fixture(scope='module')
def core():
    """Return the part of the script that needs no Blender."""
    spec = importlib.util.spec_from_file_location('avatar_bridge_keys', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize('suffix', RECORDERS)
def test_the_script_reads_what_our_sinks_write(core, suffix, tmp_path):
    weights, _ = recorded(RECORDERS[suffix](tmp_path / f'take.{suffix}'))
    found = core.read(tmp_path / f'take.{suffix}')
    np.testing.assert_allclose(found.times, np.arange(COUNT) / 60, atol=2e-5)
    for name in NAMES:
        np.testing.assert_allclose(found.shapes[core.plain(name)], weights[:, INDEX[name]],
                                   atol=1e-6)


def test_a_phone_that_starts_before_midnight_ends_after_it(core):
    codes = ['23:59:59:56.000', '23:59:59:58.000', '00:00:00:00.000', '00:00:00:02.000']
    assert core.seconds(codes) == pytest.approx([0, 2 / 60, 4 / 60, 6 / 60])


def test_a_row_without_values_repeats_the_one_before(core, tmp_path):
    weights, _ = recorded(LiveLinkCsv(tmp_path / 'take.csv'))
    lines = (tmp_path / 'take.csv').read_text().splitlines()
    lines[10] = lines[10].partition(',')[0] + ',0' + ',' * 61
    (tmp_path / 'holes.csv').write_text('\n'.join([*lines[:20], '', *lines[20:], '0:0']))
    curve = core.read(tmp_path / 'holes.csv').shapes['jawopen']
    expected = weights[:, INDEX['jawOpen']].copy()
    expected[9] = expected[8]
    np.testing.assert_allclose(curve, expected, atol=1e-6)


@pytest.mark.parametrize(('name', 'content'), [
    ('a.csv', b''), ('a.csv', b'a,b\n1,2'), ('a.csv', b'Timecode,JawOpen\n'),
    ('a.csv', b'Timecode,JawOpen\n0:0,1'), ('a.jsonl', b''), ('a.jsonl', b'{}'),
    ('a.npz', b''), ('a.npz', b'PK'), ('a.wav', b'RIFF'), ('a.csv', b'\xff\xfe\x00')])
def test_what_is_no_recording_is_said(core, name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=r'^a\.'):
        core.read(tmp_path / name)


@pytest.mark.parametrize(('name', 'other'), [
    ('mouthSmileLeft', 'mouthSmile_L'), ('jawOpen', 'blendShape1.JawOpen'),
    ('jawLeft', 'JAWLEFT'), ('eyeBlinkRight', 'eyeBlink_R')])
def test_names_are_the_same_however_they_are_spelled(core, name, other):
    assert core.plain(name) == core.plain(other)


def blender(*words):
    """Run Blender without a window and without the user's own settings; return what it says."""
    found = shutil.which('blender')
    if not found:
        lacking('Blender is not installed: apt-get install blender python3-numpy')
    done = subprocess.run([found, '--background', '--factory-startup', '--python-exit-code', '9',
                           *map(str, words)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def run(code, *words, blend=()):
    """Run a program in Blender that writes what it saw; its start takes seconds."""
    told = words[-1].parent / 'told.json'
    (told.parent / 'code.py').write_text(code)
    said = blender(*blend, '--python', told.parent / 'code.py', '--', *words, told,
                   json.dumps([START + frame for frame in FRAMES] if blend else FRAMES))
    return json.loads(told.read_text()), said


@pytest.fixture(scope='module')
def scene(tmp_path_factory):
    """Return our head as a .blend, the weights of a .glb of ours, and what Blender saw of it."""
    folder = tmp_path_factory.mktemp('blender')
    weights, _ = recorded(glb(f'{folder}/take.glb?head={SMALL_HEAD}'))
    told, _ = run(IMPORT, folder / 'take.glb', SMALL_HEAD, folder / 'head.blend')
    return folder / 'head.blend', weights, told


def compared(told, weights):
    """Compare what Blender shows at FRAMES with (frames, 52) weights."""
    assert {'Face', 'EyeLeft', 'Tongue', 'Lashes'} <= set(told)
    for shapes in told.values():
        for name, values in shapes.items():
            np.testing.assert_allclose(values, weights[FRAMES, INDEX[name]], atol=1e-4)


def test_blender_plays_our_glb(scene):
    compared(scene[2], scene[1])


def test_keys_are_on_the_right_frames_by_command_and_by_add_on(scene, tmp_path):
    weights, _ = recorded(LiveLinkCsv(tmp_path / 'take.csv'))
    told = blender(scene[0], '--python', SCRIPT, '--', tmp_path / 'take.csv', '--start', START,
                   '--save', tmp_path / 'keyed.blend')
    assert 'keys on 6 meshes' in told
    (tmp_path / 'bad.csv').write_text('nothing\n')
    other, _ = recorded(JsonLinesRecorder(tmp_path / 'other.jsonl'), seed=8)
    facts, said = run(USE, SCRIPT, tmp_path / 'other.jsonl', tmp_path / 'bad.csv',
                      blend=[tmp_path / 'keyed.blend'])
    compared(facts['keyed'], weights)
    assert facts['end'] >= START + COUNT - 1
    assert facts['done'] == ['FINISHED']
    compared(facts['again'], np.concatenate([other[START - 1:], other[-1:].repeat(START, 0)]))
    assert facts['status'] == 1
    assert 'avatar_bridge_keys: bad.csv is no recording of a face' in said


def test_the_core_needs_nothing_but_python(tmp_path):
    recorded(LiveLinkCsv(tmp_path / 'take.csv'))
    code = f'import sys; sys.path.insert(0, {str(SCRIPT.parent)!r})\n' \
        f'import avatar_bridge_keys as k; print(len(k.read({str(tmp_path / "take.csv")!r}).times))'
    done = subprocess.run([sys.executable, '-S', '-c', code], capture_output=True, text=True,
                          timeout=60, check=True)
    assert done.stdout.strip() == str(COUNT)
