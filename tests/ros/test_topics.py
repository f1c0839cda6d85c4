# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Speaker, node and listener: three processes over real DDS on loopback."""

from fractions import Fraction
import math
from pathlib import Path

from conftest import stop, wait_until
from controller import Controller
import numpy as np
import pytest
import soundfile

from avatar_bridge import rig

pytestmark = [pytest.mark.ros, pytest.mark.slow]
HERE = Path(__file__).resolve().parent
SECONDS = 3
FPS = 60


@pytest.fixture
def heard(node, start, speech, tmp_path):
    """Return a function: speech through a node with parameters -> what a listener stored."""
    def run(block=320, **parameters):
        pairs = [('-p', f'{name}:={value}') for name, value in parameters.items()]
        program = start('-m', 'avatar_bridge.ros.node', '--ros-args', '-p', 'autostart:=true',
                        *[word for pair in pairs for word in pair], name='node')
        controller = Controller(node)
        controller.until(lambda: controller.state() == 'active')
        out = tmp_path / 'heard.npz'
        listener = start(HERE / 'listener.py', out, name='listener')
        wait_until(lambda: node.count_subscribers('/avatar_bridge/blendshapes'))
        speaker = start(HERE / 'speaker.py', speech, block, SECONDS, name='speaker')
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


def test_the_topic_gives_the_same_face_as_the_engine_alone(heard, speech):
    from avatar_bridge.audio.intake import Intake
    from avatar_bridge.bundle import load_bundle
    from avatar_bridge.frames import AudioBlock
    from avatar_bridge.stream.engine import Engine

    frames = heard(block=1001, pace='max')
    samples, rate = soundfile.read(speech, dtype='int16')
    samples = samples[:SECONDS * rate].astype(np.float32) / 32768
    intake, engine = Intake(), Engine(load_bundle())
    expected = engine.push(intake.push(AudioBlock(0, samples, rate)))
    expected += engine.push(intake.flush()) + engine.flush()
    assert len(expected) == math.ceil(Fraction(len(samples) * FPS, rate))
    assert np.abs(frames['weights'] - [frame.weights for frame in expected]).max() <= 1e-5
