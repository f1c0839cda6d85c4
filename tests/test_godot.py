# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The add-on for Godot, in Godot: the shapes of a loaded GLB follow what is sent."""

import json
import os
from pathlib import Path
import shutil
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from avatar_bridge import rig
from avatar_bridge.gltf import read_head

ROOT = Path(__file__).resolve().parents[1]
ADDON = ROOT / 'clients' / 'godot' / 'addons' / 'avatar_bridge'
ASSETS = ROOT / 'avatar_bridge' / 'assets'
PLAIN = ROOT / 'clients' / 'godot' / 'plain_head.py'
GODOT = shutil.which('godot3-server')
SECONDS = 2.01
PROJECT = 'config_version=4\n[application]\nconfig/name="avatar_bridge"\n'
GARBAGE = (b'\x06', b'\x06' + b'\xff' * 400, b'\x06\x00\x00\x00\x00\x7f\xff\xff\xff', b'x' * 320)

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def project(tmp_path_factory):
    """Return a project of Godot 3 with the add-on and a head, imported as its editor does."""
    if GODOT is None:
        if os.environ.get('AVATAR_BRIDGE_REQUIRE_CLIENTS'):
            raise AssertionError('AVATAR_BRIDGE_REQUIRE_CLIENTS is set, but there is no Godot')
        pytest.skip('Godot is not installed: apt-get install godot3-server')
    folder = tmp_path_factory.mktemp('godot')
    (folder / 'project.godot').write_text(PROJECT)
    shutil.copytree(ADDON, folder / 'addons' / 'avatar_bridge')
    shutil.copy(ADDON / 'godot3' / 'avatar_face.gd', folder / 'addons' / 'avatar_bridge')
    subprocess.run([sys.executable, PLAIN, ASSETS / 'head_small.glb', folder / 'head.glb'],
                   check=True, timeout=60)
    shutil.copy(ROOT / 'tests' / 'godot' / 'follow.gd', folder)
    log = folder / 'editor.log'
    with log.open('w') as output, subprocess.Popen(
            [GODOT, '--path', folder, '--editor', '--quit'], stderr=subprocess.STDOUT,
            env=variables(folder), stdout=output) as editor:
        try:        # written last; this editor imports and then does not always quit
            wait_for(lambda: list(folder.glob('.import/head.glb-*.md5')), log)
        finally:
            editor.kill()
    return folder


def variables(home, **more):
    """Return an environment in which Godot writes to `home` only, and knows the language."""
    return {**os.environ, 'HOME': str(home), 'XDG_DATA_HOME': str(home),
            'XDG_CONFIG_HOME': str(home), 'XDG_CACHE_HOME': str(home), 'LANG': 'en_US.UTF-8',
            **more}


def free_port():
    """Return a UDP port that nobody has at the moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


@pytest.fixture
def follow(project, tmp_path):
    """Return a function: what is sent while Godot listens -> what it showed, and its output."""
    port, out, log = free_port(), tmp_path / 'shown.jsonl', tmp_path / 'godot.log'

    def run(send):
        with log.open('w') as output, subprocess.Popen(
                [GODOT, '--path', project, '-s', 'follow.gd'], stderr=subprocess.STDOUT,
                env=variables(tmp_path, PORT=str(port), OUT=str(out)), stdout=output) as godot:
            try:
                wait_for(lambda: 'listening' in log.read_text(), log)
                send(port)
                wait_for(lambda: godot.poll() is not None, log)
            finally:
                godot.kill()
        said = log.read_text().partition('godotengine.org')[2]     # of itself it complains before
        assert 'ERROR' not in said, said
        return [json.loads(line) for line in out.read_text().splitlines()], said
    return run


def wait_for(condition, log):
    """Return once a condition holds."""
    end = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


def test_every_shape_of_a_glb_follows_the_frames_and_none_is_lost(follow, speech, tmp_path):
    samples, rate = soundfile.read(speech, dtype='int16')
    soundfile.write(tmp_path / 'start.wav', samples[:int(SECONDS * rate)], rate)

    def send(port):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as foreign:
            for datagram in GARBAGE:
                foreign.sendto(datagram, ('127.0.0.1', port))
        subprocess.run(
            [sys.executable, '-m', 'avatar_bridge', 'run', '--quiet', '--idle', 'on', '--source',
             tmp_path / 'start.wav', '--sink', f'livelink=127.0.0.1:{port}', '--sink',
             f'npz={tmp_path / "sent.npz"}'], check=True, timeout=60)

    shown, log = follow(send)
    sent = np.load(tmp_path / 'sent.npz')
    assert 'listening, 52 shapes' in log
    assert shown[-1]['refused'] == len(GARBAGE)
    assert shown[-1]['heard'] >= len(sent['t']) == 121          # the last ones put it to rest
    assert shown[-1]['heard'] <= 121 + 5
    check_shapes(shown, sent)
    check_head(shown, sent)
    assert max(map(abs, shown[-1]['shown'].values())) == 0


def playing(shown, sent):
    """Return the poses that were shown between the first frame and the last one."""
    poses = [pose for pose in shown if pose['alive'] and 0 <= pose['moment'] <= sent['t'][-1]]
    assert len(poses) > 60
    # what is not there yet cannot be shown: then the newest one stands still
    return poses, [min(pose['moment'], pose['newest']) for pose in poses]


def check_shapes(shown, sent):
    """Compare what the engine says of its shapes with the frames at those times."""
    poses, moments = playing(shown, sent)
    for index, name in enumerate(rig.NAMES):
        expected = np.interp(moments, sent['t'], sent['weights'][:, index])
        assert np.abs([pose['shown'][name] for pose in poses] - expected).max() < 1e-4, name
    assert max(pose['shown']['jawOpen'] for pose in poses) > 0.1


def check_head(shown, sent):
    """Compare the node that turns with the head: a face along +Z turns left about +Y."""
    poses, moments = playing(shown, sent)
    yaw, pitch, roll = (np.interp(moments, sent['t'], angle) for angle in sent['head'].T)
    turned = np.array([pose['head'] for pose in poses])
    assert np.abs(turned - np.stack([-pitch, yaw, -roll], axis=1)).max() < 1e-4
    assert np.abs(turned).max() > 1e-3


def test_a_plain_head_has_the_same_parts_and_needs_no_extension(tmp_path):
    subprocess.run([sys.executable, PLAIN, ASSETS / 'head_small.glb', tmp_path / 'plain.glb'],
                   check=True, timeout=60)
    ours, plain = read_head(ASSETS / 'head_small.glb'), read_head(tmp_path / 'plain.glb')
    assert b'KHR_' not in (tmp_path / 'plain.glb').read_bytes()
    for one, other in zip(ours.parts, plain.parts, strict=True):
        assert (one.name, one.shapes) == (other.name, other.shapes)
        for values in ('positions', 'deltas', 'uv', 'triangles'):
            assert np.allclose(getattr(one, values), getattr(other, values), atol=1e-6)


def test_names_and_order_are_those_of_the_rig():
    text = (ADDON / 'live_link.gd').read_text(encoding='utf-8')
    inside = text.partition('const NAMES = [')[2].partition(']')[0]
    assert tuple(name.strip().strip("'") for name in inside.split(',') if name.strip()) \
        == rig.NAMES


def test_both_faces_have_the_same_properties_and_signals():
    def said(path):
        words = path.read_text(encoding='utf-8').split('\n')
        exported = [line.partition('var ')[2].partition(':')[0].split('=')[0].strip()
                    for line in words if line.startswith(('export', '@export'))]
        return exported, [line for line in words if line.startswith('signal')]
    assert said(ADDON / 'avatar_face.gd') == said(ADDON / 'godot3' / 'avatar_face.gd')
    assert len(said(ADDON / 'avatar_face.gd')[0]) == 8
