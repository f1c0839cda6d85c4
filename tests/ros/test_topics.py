# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Speaker, node and listener: three processes over real DDS on loopback."""

from fractions import Fraction
import math

from conftest import stop, wait_until
import numpy as np
import pytest
import soundfile

from avatar_bridge import rig

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.usefixtures('domain')]
SECONDS = 2
FPS = 60


@pytest.fixture
def speech_start(speech, tmp_path):
    """Return a file with the first seconds of the speech."""
    samples, rate = soundfile.read(speech, dtype='int16')
    soundfile.write(tmp_path / 'start.wav', samples[:SECONDS * rate], rate)
    return tmp_path / 'start.wav'


@pytest.fixture
def heard(start, speech_start, tmp_path):
    """Return a function: speech through a node with parameters -> what a listener stored."""
    def run(block=320, **parameters):
        pairs = [('-p', f'{name}:={value}') for name, value in parameters.items()]
        program = start('-m', 'avatar_bridge.ros.node', '--ros-args', '-p', 'autostart:=true',
                        *[word for pair in pairs for word in pair], name='node')
        out = tmp_path / 'heard.npz'
        listener = start('-m', 'avatar_bridge.ros.listener', out, name='listener')
        wait_until(lambda: 'listening' in listener.log(), message=program.log())
        speaker = start('-m', 'avatar_bridge.ros.speaker', speech_start, block, name='speaker')
        assert speaker.wait(SECONDS + 20) == 0, speaker.log()
        assert listener.wait(20) == 0, listener.log() + program.log()
        assert stop(program) == 0
        return np.load(out)
    return run


def test_every_frame_of_the_speech_arrives_once_in_order_and_in_time(heard):
    frames = heard(avatar='bob')
    assert frames['index'].tolist() == list(range(SECONDS * FPS))
    assert set(frames['avatar']) == {'bob'}
    assert frames['names'].tolist() == list(rig.NAMES)
    assert np.ptp(np.diff(frames['capture'])) < 20_000_000
    assert (frames['present'] > frames['capture']).all()
    behind = np.median(frames['arrival'] - frames['capture']) / 1e6
    assert 100 <= behind < 300          # ms; `live` needs 100 before it knows


def test_the_topic_gives_the_same_face_as_the_engine_alone(heard, speech_start):
    from avatar_bridge.audio.intake import Intake
    from avatar_bridge.bundle import load_bundle
    from avatar_bridge.frames import AudioBlock
    from avatar_bridge.stream.engine import Engine

    frames = heard(block=1001, pace='max')
    samples, rate = soundfile.read(speech_start, dtype='float32')
    intake, engine = Intake(), Engine(load_bundle())
    expected = engine.push(intake.push(AudioBlock(0, samples, rate)))
    expected += engine.push(intake.flush()) + engine.flush()
    assert len(expected) == math.ceil(Fraction(len(samples) * FPS, rate))
    assert np.abs(frames['weights'] - [frame.weights for frame in expected]).max() <= 1e-5
