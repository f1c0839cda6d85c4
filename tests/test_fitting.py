# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""How a rig wants its frames, and where they go: options, channels, rates."""

from fractions import Fraction
import socket

import numpy as np
import pytest

from avatar_bridge.errors import SinkError, UsageError
from avatar_bridge.frames import FaceFrame, StreamInfo, TimedFrame
from avatar_bridge.protocols.fitting import CHANNELS, Fitting
from avatar_bridge.protocols.livelink import LiveLink
from avatar_bridge.protocols.metahuman import sealed
from avatar_bridge.rig import INDEX, NAMES
from avatar_bridge.sinks.address import Peer, address
from avatar_bridge.sinks.datagrams import REST_FRAMES, DatagramSink

HERE = Peer('127.0.0.1', 11111)
INFO = StreamInfo('run', 'Ada', NAMES, Fraction(60), Fraction(1, 10), 'live', 16000)


@pytest.mark.parametrize(('argument', 'peer'), [
    ('', HERE), ('10.0.0.7', Peer('10.0.0.7', 11111)), ('4000', Peer('127.0.0.1', 4000)),
    ('unreal:54321', Peer('unreal', 54321)), ('[::1]:9', Peer('::1', 9)),
    ('[::1]', Peer('::1', 11111)), (':9', Peer('127.0.0.1', 9)),
])
def test_places_are_understood(argument, peer):
    assert address('livelink', argument, HERE).peer == peer


def test_options_follow_the_place():
    found = address('x', 'a:1?channels=mouth&gain=1.5&rate=30&profile=b&name=Ada', HERE,
                    profiles=('a', 'b'), options=('name',))
    assert found.fitting == Fitting('mouth', 1.5, Fraction(30), 'b')
    assert found.options == {'name': 'Ada'}


@pytest.mark.parametrize(('argument', 'words'), [
    ('a:0', 'HOST:PORT'), ('a:99999', 'HOST:PORT'), ('a:b', 'HOST:PORT'),
    ('?chanels=mouth', 'did you mean channels'), ('?channels=nose', 'all, mouth, upper'),
    ('?gain=loud', 'gain in 0.0..4.0'), ('?gain=nan', 'gain'), ('?rate=0', 'rate in 1..240'),
    ('?profile=metahumn', 'did you mean metahuman'),
])
def test_what_is_not_understood_is_refused_with_what_would_be(argument, words):
    with pytest.raises(UsageError, match=words):
        address('livelink', argument, HERE, profiles=('arkit', 'metahuman'))


def test_channels_share_the_face_between_two_owners():
    assert sorted(CHANNELS['mouth'] + CHANNELS['upper']) == list(range(52))
    pose = FaceFrame(0, np.full(52, 0.5, np.float32), head=np.ones(3, np.float32))
    mouth, upper = (Fitting(channels, 1.5).pose(pose) for channels in ('mouth', 'upper'))
    assert mouth.weights[INDEX['jawOpen']] == 0.75
    assert not np.any(mouth.weights * upper.weights)
    assert (mouth.head is None, upper.head is None) == (True, False)


@pytest.mark.parametrize(('rate', 'sent'), [(None, 600), (90, 600), (60, 600), (30, 300),
                                            (25, 250), (24, 240), (1, 10)])
def test_as_many_frames_as_were_asked_for_and_evenly(rate, sent):
    fitting = Fitting(rate=rate and Fraction(rate))
    due = [index for index in range(600) if fitting.is_due(index, Fraction(60))]
    assert len(due) == sent
    assert np.ptp(np.diff(due)) <= 1


def test_metahuman_lips_meet_without_mouthclose():
    shut = np.zeros(52, np.float32)
    shut[[INDEX['jawOpen'], INDEX['mouthClose']]] = 0.3
    told = sealed(shut)
    assert told[INDEX['mouthClose']] == 0
    assert told[INDEX['jawOpen']] < 0.05
    assert told[INDEX['mouthPressLeft']] == told[INDEX['mouthPressRight']] > 0.3
    open_mouth = np.zeros(52, np.float32)
    open_mouth[INDEX['jawOpen']] = 0.6
    assert np.array_equal(sealed(open_mouth), open_mouth)


def test_the_face_is_put_to_rest_and_nobody_listening_is_no_failure():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(('127.0.0.1', 0))
        listener.settimeout(5)
        peer = Peer(*listener.getsockname())
        sink = DatagramSink(peer, LiveLink())
        sink.open(INFO)
        sink.send(TimedFrame(FaceFrame(7, np.full(52, 0.5, np.float32)), 0, 0))
        sink.close()
        first, *rest = (np.frombuffer(listener.recv(1000)[-244:], '>f4')
                        for _ in range(1 + REST_FRAMES))
    assert first.max() == 0.5
    assert not np.any(rest)
    sink.open(INFO)
    for index in range(5):
        sink.send(TimedFrame(FaceFrame(index, np.ones(52, np.float32)), 0, 0))
    sink.close()
    with pytest.raises(SinkError, match='not open'):
        sink.send(TimedFrame(FaceFrame(9, np.ones(52, np.float32)), 0, 0))


def test_a_name_that_nobody_has_is_a_sink_error():
    with pytest.raises(SinkError, match=r'cannot send to nowhere\.invalid:1'):
        DatagramSink(Peer('nowhere.invalid', 1), LiveLink()).open(INFO)
