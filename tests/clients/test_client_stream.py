# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Clients in other processes receive every frame of a real session, in order and to the bit."""

from fractions import Fraction
import os
from pathlib import Path
import socket
import threading

import numpy as np
import pytest
import soundfile
import zmq.auth

from avatar_bridge.clock import MonotonicClock
from avatar_bridge.compose import compose
from avatar_bridge.config import SessionConfig
from avatar_bridge.frames import Event, FaceFrame, StreamInfo, TimedFrame
from avatar_bridge.rig import NAMES
from avatar_bridge.sinks.zeromq import ZeroMqSink
from avatar_bridge.sources.file import FileSource

SECONDS = float(os.environ.get('AVATAR_BRIDGE_CLIENT_SECONDS', '2'))

pytestmark = pytest.mark.slow


def free_port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


class Waiting:
    """A source that begins when everybody is there."""

    def __init__(self, source, event):
        self.source, self.event = source, event

    def blocks(self):
        assert self.event.wait(60)
        yield from self.source.blocks()

    def close(self):
        self.source.close()


class Publisher:
    """A session, paced in real time, that talks for `seconds` once `go` is called."""

    def __init__(self, speech, folder, *, seconds=SECONDS, options='?audio=1'):
        samples, rate = soundfile.read(speech, dtype='float32')
        wav, self.file = folder / 'speech.wav', folder / 'face.npz'
        soundfile.write(wav, np.resize(samples, int(seconds * rate)), rate)
        self.url = f'tcp://127.0.0.1:{free_port()}'
        clock, self._event = MonotonicClock(), threading.Event()
        config = SessionConfig.from_mapping({
            'sink': [f'zmq={self.url}{options}', f'npz={self.file}'], 'idle': 'on'})
        self.session = compose(config, clock=clock,
                               source=Waiting(FileSource(wav, clock=clock), self._event))
        self._thread = threading.Thread(target=self.session.run)
        self._thread.start()

    def go(self):
        self._event.set()

    def end(self):
        self.go()
        self._thread.join()


def run(publisher, programs, *keys):
    """Return what each program received, from meta to the end of the stream."""
    receptions = [program.receive(publisher.url, 'default', *keys) for program in programs]
    try:
        for reception in receptions:
            reception.until('meta')
        publisher.end()
        return [(reception, reception.end()) for reception in receptions]
    finally:
        publisher.end()
        for reception in receptions:
            reception.kill()


@pytest.fixture(scope='module')
def received(unity, cpp, speech, tmp_path_factory):
    """Return what both programs received of one session, what was recorded, and how it went."""
    publisher = Publisher(speech, tmp_path_factory.mktemp('stream'))
    both = run(publisher, [unity, cpp])
    with np.load(publisher.file) as face:
        return (dict(zip(['unity', 'cpp'], both, strict=True)), dict(face),
                publisher.session.stats.late)


@pytest.fixture(params=['unity', 'cpp'])
def reception(request, received):
    return received[0][request.param]


def test_every_frame_comes_once_in_order_and_to_the_bit(reception, received):
    faces, (_, truth, late) = reception[0].of('face'), received
    index = np.array([face['index'] for face in faces])
    assert np.all(np.diff(index) > 0)
    sent = len(truth['weights']) - index[0]             # a face lives before it is looked at
    assert sent >= SECONDS * 60
    for name in ('weights', 'head', 'eyes'):
        assert np.array_equal(np.float32([face[name] for face in faces]), truth[name][index])
    # Where the machine is too busy the publisher itself drops what comes late in one go.
    assert sent - len(index) <= late


def test_times_of_frames_are_those_of_a_live_stream(reception):
    faces = reception[0].of('face')
    present = np.array([face['present'] for face in faces])
    publish = np.array([face['publish'] for face in faces])
    assert np.all(np.diff(present) > 0)
    assert np.isclose(np.median(np.diff(present)) * 60 / 1e9, 1, atol=0.01)
    assert all(face['capture'] < face['publish'] for face in faces)
    assert np.max(present - publish) > 10e6
    assert {face['fps'] for face in faces} == {60}
    assert len({face['stream'] for face in faces}) == 1


def test_meta_sound_and_events_come_too(reception, received):
    heard = reception[0]
    meta, sound, faces = heard.of('meta')[0], heard.of('audio'), heard.of('face')
    assert meta['names'] == list(NAMES)
    assert (meta['avatar'], meta['bundle'], meta['fps']) == ('default', 'live', 60)
    assert meta['stream'] == faces[0]['stream']
    ends = [piece['start'] + len(piece['samples']) for piece in sound]
    gaps = np.subtract([piece['start'] for piece in sound[1:]], ends[:-1])
    assert np.all(gaps >= 0)
    assert received[2] or not np.any(gaps)
    assert ends[-1] >= SECONDS * sound[0]['rate'] * 0.95
    assert max(max(piece['samples']) for piece in sound) > 0.05
    assert heard.of('event')[-1]['name'] == 'end'


def test_nothing_was_refused_or_dropped(reception):
    assert reception[1] == {'refused': 0, 'dropped': 0}


def spoken(url, stream, reception, seconds=20):
    """Publish frames of a `stream` until a client has ten of them."""
    info = StreamInfo(stream, 'default', NAMES, Fraction(60), Fraction(1, 10), 'live', 16000)
    sink, clock = ZeroMqSink(url), MonotonicClock()
    sink.open(info)
    begin = clock.now()
    for index in range(60 * seconds):
        now = clock.now()
        sink.send(TimedFrame(FaceFrame(index, np.zeros(52, np.float32)), now, now))
        clock.sleep_until(begin + index * 1_000_000_000 // 60)
        if sum(face['stream'] == stream for face in reception.of('face')) >= 10:
            return sink
    sink.close()
    pytest.fail(f'nothing of {stream}')


@pytest.mark.parametrize('name', ['unity', 'cpp'])
def test_a_publisher_that_comes_back_is_found_again(request, name):
    url = f'tcp://127.0.0.1:{free_port()}'
    reception = request.getfixturevalue(name).receive(url)
    try:
        spoken(url, 'first', reception).close()
        sink = spoken(url, 'second', reception)
        sink.notify(Event('end'))
        sink.close()
        assert reception.end() == {'refused': 0, 'dropped': 0}
    finally:
        reception.kill()
    streams = [face['stream'] for face in reception.of('face')]
    assert sorted(streams) == streams       # nothing of the first after the second


def test_encrypted_streams_are_read_with_the_keys(cpp, speech, tmp_path):
    public, _ = zmq.auth.create_certificates(tmp_path, 'server')
    _, secret = zmq.auth.create_certificates(tmp_path, 'client')
    server = zmq.auth.load_certificate(Path(public))[0].decode()
    mine = [key.decode() for key in zmq.auth.load_certificate(Path(secret))]
    publisher = Publisher(speech, tmp_path, seconds=1, options=f'?curve={tmp_path}')
    (reception, _), = run(publisher, [cpp], server, *mine)
    assert len(reception.of('face')) >= 30
