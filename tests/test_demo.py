# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""The demo on two seconds of its speech: every frame over every path, and an honest summary."""

import numpy as np
import pytest
import soundfile

from avatar_bridge import demo

FRAMES = 120


@pytest.fixture
def short(monkeypatch, speech, tmp_path):
    """Let the demo speak two seconds, and write where the test wants it."""
    samples, rate = soundfile.read(speech, dtype='int16')
    path = tmp_path / 'short.wav'
    soundfile.write(path, samples[:2 * rate], rate)
    monkeypatch.setattr(demo, 'SPEECH', path)
    monkeypatch.setattr(demo, 'OUT', tmp_path)
    for name in ('ROS_DOMAIN_ID', 'ROS_AUTOMATIC_DISCOVERY_RANGE'):
        monkeypatch.setenv(name, 'restored afterwards')      # the demo sets its own
    return tmp_path


def stored(index):
    index = np.array(index, np.int64)
    capture = index * 10**9 // 60
    return {'index': index, 'capture': capture, 'arrival': capture + 105_000_000,
            'latency_ms': 100.0, 'weights': np.zeros((len(index), 52), np.float32),
            'head': np.zeros((len(index), 3), np.float32)}


def test_all_frames_come_over_zeromq_and_into_the_csv(short):
    [received] = demo.without_ros(short)
    assert received.stored['index'].tolist() == list(range(FRAMES))
    assert len((short / 'demo.csv').read_text().splitlines()) == 1 + FRAMES


@pytest.mark.ros
def test_all_frames_come_over_the_topic_and_over_zeromq_and_are_the_same(short):
    topic, wire = demo.with_ros(short)
    assert topic.stored['index'].tolist() == list(range(FRAMES))
    assert wire.stored['index'].tolist() == list(range(FRAMES))
    assert np.array_equal(topic.stored['weights'], wire.stored['weights'])
    assert len((short / 'demo.csv').read_text().splitlines()) == 1 + FRAMES


@pytest.mark.parametrize(('index', 'wrong'), [
    (range(120), 0), ([*range(60), *range(61, 120)], 1), ([*range(120), 7], 1), (range(121), 1),
    ([], 120)])
def test_the_summary_counts_what_is_missing_repeated_or_too_much(index, wrong):
    assert demo.summary(demo.Received('path', stored(index)), 120) == wrong


def test_the_summary_tells_latency_with_and_without_the_algorithmic_part(capsys):
    demo.summary(demo.Received('path', stored(range(120))), 120)
    said = capsys.readouterr().out
    assert '120 of 120' in said
    assert 'p50 105.0 ms, p99 105.0 ms (100 ms algorithmic)' in said


def test_the_picture_is_drawn(tmp_path):
    path = tmp_path / 'demo.png'
    demo.draw(stored(range(859)), path)
    assert path.read_bytes().startswith(b'\x89PNG')


def test_a_process_that_fails_fails_the_demo():
    with demo.process('subscriber') as program, pytest.raises(SystemExit, match='status 1'):
        demo.finish(program)


@pytest.mark.egl
def test_what_was_received_becomes_a_film_with_the_speech(short, monkeypatch):
    av = pytest.importorskip('av')
    monkeypatch.setattr('avatar_bridge.sinks.film.SIZE', (96, 96))
    assert demo.film(stored(range(FRAMES)), short / 'demo.mp4') == [short / 'demo.mp4']
    with av.open(str(short / 'demo.mp4')) as file:
        assert len(list(file.decode(video=0))) == FRAMES // 2
    with av.open(str(short / 'demo.mp4')) as file:
        heard = np.concatenate([piece.to_ndarray()[0] for piece in file.decode(audio=0)])
    said, rate = soundfile.read(demo.SPEECH, dtype='float32')
    shift = np.correlate(np.abs(heard[:rate]), np.abs(said[:rate]), 'full').argmax() - rate + 1
    assert abs(shift) / rate < 0.005


def test_without_opengl_the_demo_says_so_and_goes_on(short, monkeypatch, capsys):
    from avatar_bridge import portrait

    def missing(**_settings):
        raise Exception('libEGL.so.1 not loaded')

    monkeypatch.setattr(portrait.moderngl, 'create_context', missing)
    assert demo.film(stored(range(9)), short / 'demo.mp4') == []
    assert 'no film: pictures need OpenGL' in capsys.readouterr().out
    assert not list(short.glob('*.mp4*'))
