# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""The command as a user meets it: words, exit statuses, and how it ends."""

from itertools import count
import json
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin
import soundfile
from test_end_to_end import RATE, recorded

from avatar_bridge import __version__
from avatar_bridge.config import EngineConfig, options
from avatar_bridge.doctor import free_port, viewer
from avatar_bridge.errors import AvatarBridgeError

PROGRAM = (sys.executable, '-m', 'avatar_bridge')
VERBS = ('run', 'view', 'animate', 'replay', 'devices', 'inspect', 'bench', 'doctor')
FRAMES = 30         # that a file must hold before a run is interrupted


def call(*arguments, **options):
    return subprocess.run([*PROGRAM, *map(str, arguments)], capture_output=True, text=True,
                          timeout=60, **options)


@pytest.fixture(scope='module')
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp('cli') / 'hum.wav'
    soundfile.write(path, 0.2 * np.sin(np.arange(16000) / 20), 16000)
    return path


def test_version():
    assert call('--version').stdout.strip() == __version__


def test_help_names_every_verb():
    done = call('--help')
    assert done.returncode == 0
    assert all(verb in done.stdout for verb in VERBS)


def test_help_of_run_explains_every_option_with_its_default():
    text = ' '.join(call('run', '--help').stdout.split())
    for option in options():
        assert option.flag in text
    assert f'whole number from 0 to 50 (default: {EngineConfig().steps})' in text
    assert '8000 to 192000 Hz (default: 16000)' in text


@pytest.mark.parametrize(('arguments', 'words'), [
    ((), ['VERB']),
    (('runn',), ['runn', 'did you mean run?']),
    (('run', '--profil', 'fast'), ['--profil', 'did you mean --profile?']),
    (('animate', 'a.wav', '-o', 'b.csv', '--stepz=2'), ['did you mean --steps?']),
    (('run', '--fps', '100'), ['24 to 60', 'got 100']),
    (('run', '--profile', 'lively'), ['fast, live or smooth', 'did you mean live?']),
    (('run', '--gain', 'jawOpn=2'), ['did you mean jawOpen?']),
    (('run', '--sink', 'zmk'), ['did you mean zmq?']),
    (('animate', 'mic', '-o', 'a.csv'), ['for `run`']),
])
def test_wrong_usage_is_status_2_and_one_line_that_helps(arguments, words):
    done = call(*arguments)
    assert done.returncode == 2
    assert done.stderr.count('\n') == 1
    assert all(word in done.stderr for word in words)


def test_a_failure_is_status_1_and_one_line_and_v_shows_where(tmp_path):
    done = call('animate', tmp_path / 'no.wav', '-o', tmp_path / 'a.csv')
    assert done.returncode == 1
    assert done.stderr.count('\n') == 1
    assert 'no.wav' in done.stderr
    assert 'Traceback' in call('animate', '-v', tmp_path / 'no.wav', '-o',
                               tmp_path / 'a.csv').stderr


def test_flags_win_over_the_file_and_the_file_over_defaults(sound, tmp_path):
    toml, out = tmp_path / 'a.toml', tmp_path / 'a.jsonl'
    toml.write_text('fps = 30\navatar = "file"\n')
    call('animate', sound, '-o', out, '--config', toml, '--avatar', 'flag', check=True)
    meta = json.loads(out.read_text().splitlines()[0])
    assert (meta['avatar'], meta['fps']) == ('flag', '30')


def test_an_unknown_key_of_a_file_is_named_with_the_nearest(tmp_path):
    toml = tmp_path / 'a.toml'
    toml.write_text('profle = "live"\n')
    done = call('run', '--config', toml)
    assert done.returncode == 2
    assert 'did you mean profile?' in done.stderr


def test_quiet_says_nothing(sound, tmp_path):
    done = call('animate', sound, '-o', tmp_path / 'a.npz', '--quiet')
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


def interrupted(out, number):
    """Run on a pipe that stays open, send a signal once frames are written; return the end."""
    arguments = ('run', '--source', '-', '--sink', f'csv={out}')
    with subprocess.Popen([*PROGRAM, *arguments], stdin=subprocess.PIPE, stderr=subprocess.PIPE,
                          bufsize=0) as live:
        for _ in count():
            live.stdin.write(b'\1\1' * 1600)
            if out.exists() and out.read_bytes().count(b'\n') > FRAMES:
                break
            assert live.poll() is None, live.stderr.read()
        live.send_signal(number)
        status = live.wait(20)
        return status, live.stderr.read().decode()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_well_and_its_frames_are_all_there(tmp_path, number):
    out = tmp_path / 'a.csv'
    status, said = interrupted(out, number)
    rows = out.read_text().splitlines()[1:]
    assert status == 0
    assert 'Traceback' not in said
    assert f'{len(rows)} frames' in said.splitlines()[-1]
    assert len({len(row.split(',')) for row in rows}) == 1


STUCK = """
import threading
from avatar_bridge import Engine, Session, load_bundle
from avatar_bridge.cli import watch
from avatar_bridge.sources.feed import FeedSource

class StuckSink:
    def open(self, info): pass
    def send(self, frame): pass
    hear = notify = send
    def close(self):
        print('closing', flush=True)
        threading.Event().wait()

class Display:
    def show(self, session): print('running', flush=True)
    close = show

watch(Session(FeedSource(), Engine(load_bundle()), [StuckSink()]), Display())
"""


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_wait_for_a_sink_that_hangs(number):
    with subprocess.Popen([sys.executable, '-c', STUCK], text=True,
                          stdout=subprocess.PIPE) as live:
        assert live.stdout.readline() == 'running\n'
        live.send_signal(signal.SIGINT)
        assert 'closing\n' in iter(live.stdout.readline, '')
        assert live.poll() is None
        live.send_signal(number)
        assert live.wait(3) == 128 + number


@pytest.mark.slow
def test_animate_replay_and_a_pipe_write_the_same_weights(tmp_path, speech):
    samples, _ = soundfile.read(speech, dtype='int16', frames=RATE)
    spoken, data = tmp_path / 's.wav', samples.astype('<i2').tobytes()
    soundfile.write(spoken, samples, RATE)
    bag = recorded(tmp_path / 'bag', data, StoragePlugin.SQLITE3)
    outs = [tmp_path / f'{name}.npz' for name in ('animate', 'replay', 'again', 'pipe')]
    call('animate', spoken, '-o', outs[0], check=True)
    for out in outs[1:3]:
        call('replay', bag, '-o', out, '--topic', '/audio', check=True)
    subprocess.run([*PROGRAM, 'run', '--source', '-', '--input-rate', str(RATE), '--pace', 'max',
                    '--sink', f'npz={outs[3]}', '--quiet'], input=data, check=True)
    animated, replayed, _, piped = (np.load(out)['weights'] for out in outs)
    assert animated.shape == (60, 52)
    assert np.allclose(replayed, animated, atol=1e-5)
    assert np.allclose(piped, animated, atol=1e-5)
    assert outs[1].read_bytes() == outs[2].read_bytes()


def test_replay_of_a_bag_without_the_topic_is_status_1_and_names_the_topics(tmp_path):
    bag = recorded(tmp_path / 'bag', bytes(2 * RATE), StoragePlugin.MCAP)
    done = call('replay', bag, '-o', tmp_path / 'a.npz', '--topic', '/other')
    assert done.returncode == 1
    assert done.stderr.count('\n') == 1
    assert '/audio' in done.stderr


def test_inspect_tells_where_a_bundle_comes_from():
    text = call('inspect').stdout
    for word in ('network', 'parameters', 'latency live', '100 ms', 'languages', 'data',
                 'licence', 'SHA-256'):
        assert word in text


def test_doctor_finds_the_essentials_here_and_fails_without_a_bundle(tmp_path):
    done = call('doctor')
    assert done.returncode == 0, done.stdout
    assert all(word in done.stdout for word in ('bundle', 'backend', 'port', 'viewer', 'audio',
                                                 'ros'))
    assert call('doctor', '--bundle', tmp_path).returncode == 1


def test_doctor_misses_the_files_of_the_page(tmp_path):
    with pytest.raises(AvatarBridgeError, match=r'index\.html is missing; install'):
        viewer(tmp_path)


def test_doctor_sees_that_a_port_is_taken():
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AvatarBridgeError, match=f'port {port} is taken .*--port'):
            free_port(port, 'view --port PORT')
