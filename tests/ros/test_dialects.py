# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Both packages called audio_common_msgs, compiled, heard by a node that was told nothing."""

import os
from pathlib import Path
import sys

from conftest import stop, wait_until
from controller import Controller
import numpy as np
import pytest
import soundfile

pytestmark = [pytest.mark.ros, pytest.mark.slow]
HERE = Path(__file__).resolve().parent
SECONDS = 2


@pytest.fixture
def installed(monkeypatch):
    """Return a function that makes one of the packages importable for child processes."""
    def install(dialect):
        prefix = Path(sys.prefix) / 'dialects' / dialect
        found = list(prefix.glob('l*/**/audio_common_msgs/__init__.py'))
        if not found:
            pytest.skip(f'{prefix} was not built: make test does it')
        add(monkeypatch, 'PYTHONPATH', found[0].parents[1])
        add(monkeypatch, 'LD_LIBRARY_PATH', prefix / 'lib')
    return install


def add(monkeypatch, variable, path):
    monkeypatch.setenv(variable, os.pathsep.join([str(path), os.environ.get(variable, '')]))


@pytest.fixture
def node_program(start, node):
    """Start an active node."""
    program = start('-m', 'avatar_bridge.ros.node', '--ros-args', '-p', 'autostart:=true',
                    '-p', 'pace:=max', name='node')
    controller = Controller(node)
    controller.until(lambda: controller.state() == 'active', message=program.log())
    return program


def expected_weights(speech):
    """Return what the engine alone makes of the same speech."""
    from avatar_bridge.audio.intake import Intake
    from avatar_bridge.bundle import load_bundle
    from avatar_bridge.frames import AudioBlock
    from avatar_bridge.stream.engine import Engine

    samples, rate = soundfile.read(speech, dtype='int16')
    samples = samples[:SECONDS * rate].astype(np.float32) / 32768
    frames = Engine(load_bundle()).push(Intake().push(AudioBlock(0, samples, rate)))
    return np.array([frame.weights for frame in frames])


@pytest.mark.parametrize(('dialect', 'kind'), [
    ('ros_drivers', 'data_stamped'), ('mgonzs13', 'stamped'),
])
def test_both_are_found_and_give_the_same_face(
    installed, request, start, speech, tmp_path, dialect, kind,
):
    installed(dialect)
    program = request.getfixturevalue('node_program')
    listener = start('-m', 'avatar_bridge.ros.listener', tmp_path / 'heard.npz', name='listener')
    wait_until(lambda: 'listening' in listener.log())
    speaker = start(HERE / 'foreign_speaker.py', kind, speech, SECONDS, name='speaker')
    assert speaker.wait(20) == 0, speaker.log()
    assert listener.wait(20) == 0, listener.log() + program.log()
    weights = np.load(tmp_path / 'heard.npz')['weights']
    expected = expected_weights(speech)
    assert len(expected) - 3 <= len(weights) <= len(expected)
    assert np.abs(weights - expected[:len(weights)]).max() <= 1e-5


def test_mp3_is_refused_with_what_to_do(installed, request, start, speech):
    installed('ros_drivers')
    program = request.getfixturevalue('node_program')
    start(HERE / 'foreign_speaker.py', 'mp3', speech, 1, name='speaker')
    wait_until(lambda: 'start audio_capture with format:=wave' in program.log())
    assert stop(program) == 0
