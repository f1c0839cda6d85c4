# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""iFacialMocap: golden text, a reader of our own, a phone that is asked over UDP and TCP."""

from __future__ import annotations

import contextlib
from fractions import Fraction
import json
import socket
import subprocess
import sys
import time

from hypothesis import given, settings
from hypothesis import strategies as st
from listener import Listener, speak
import numpy as np
import pytest

from avatar_bridge.clock import ManualClock
from avatar_bridge.errors import SinkError, UsageError
from avatar_bridge.frames import FaceFrame, StreamInfo, TimedFrame
from avatar_bridge.mappings.layouts import ARKIT, sided
from avatar_bridge.protocols.ifacialmocap import IFacialMocapPhone, text
from avatar_bridge.rig import INDEX, MOUTH, NAMES
from avatar_bridge.sinks.address import Peer
from avatar_bridge.sinks.datagrams import REST_FRAMES
from avatar_bridge.sinks.ifacialmocap import from_argument
from avatar_bridge.sinks.phone import MOST_LISTENERS, PhoneSink
from avatar_bridge.sinks.recorder import JsonLinesRecorder

INFO = StreamInfo('run', 'robot', NAMES, Fraction(60), Fraction(1, 10), 'live', 16000)
SECRET = b'_sahuasouryya9218sauhuiayeta91555dy3719'
START, CALL = b'iFacialMocap' + SECRET, b'iFacialMocap_UDPTCP' + SECRET
STOP = b'iFacialMocap_UDPTCPSTOP' + SECRET
SHAPES = ARKIT.renamed(sided).shapes
#: What the app's own page lists.
PAIRS = ('browDown', 'browOuterUp', 'cheekSquint', 'eyeBlink', 'eyeLookDown', 'eyeLookIn',
         'eyeLookOut', 'eyeLookUp', 'eyeSquint', 'eyeWide', 'mouthDimple', 'mouthFrown',
         'mouthLowerDown', 'mouthPress', 'mouthSmile', 'mouthStretch', 'mouthUpperUp', 'noseSneer')
SINGLE = ('browInnerUp', 'cheekPuff', 'jawForward', 'jawLeft', 'jawOpen', 'jawRight', 'mouthClose',
          'mouthFunnel', 'mouthLeft', 'mouthPucker', 'mouthRight', 'mouthRollLower',
          'mouthRollUpper', 'mouthShrugLower', 'mouthShrugUpper', 'tongueOut')
THEIRS = {*SINGLE, *(f'{name}_{side}' for name in PAIRS for side in 'LR')}


RECEIVER = '''
import socket
with socket.create_server(('127.0.0.1', 0)) as server, \\
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as voice:
    port = server.getsockname()[1]
    print(port, flush=True)
    server.settimeout(0.05)
    for _ in range(400):                    # until there is a phone
        voice.sendto(b'iFacialMocap_UDPTCP_sahuasouryya9218sauhuiayeta91555dy3719',
                     ('127.0.0.2', port - 3))
        try:
            connection = server.accept()[0]
            break
        except TimeoutError:
            pass
with connection, connection.makefile('rb') as stream:
    print(stream.read().decode())
'''


def read(data):
    """Read a frame as receivers do: shapes in percent, then three turns in degrees."""
    shapes, turns = {}, {}
    for part in data.decode('ascii').rstrip('|').split('|'):
        if '#' in part:
            name, _, numbers = part.removeprefix('=').partition('#')
            turns[name] = tuple(float(number) for number in numbers.split(','))
        else:
            name, _, percent = part.replace('&', '-', 1).partition('-')
            shapes[name] = int(percent)
    assert {name: len(turn) for name, turn in turns.items()} == {
        'head': 6, 'rightEye': 3, 'leftEye': 3}
    return shapes, turns


def frame(index=0, head=None, eyes=None, **weights):
    pose = np.zeros(52, np.float32)
    for name, weight in weights.items():
        pose[INDEX[name]] = weight
    return TimedFrame(FaceFrame(index, pose, head=head, eyes=eyes), 0, 0)


@contextlib.contextmanager
def receiver(host='127.0.0.1', port=0):
    """Listen on a UDP port in this process."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind((host, port))
        ear.settimeout(10)
        yield ear


@contextlib.contextmanager
def phone(port, clock=None, shapes=SHAPES):
    """Listen beside a receiver with the same port, as on a machine of its own."""
    place = Peer('127.0.0.2', port)
    sink = PhoneSink(place, IFacialMocapPhone(shapes, port), clock=clock)
    sink.open(INFO)
    yield sink, place
    sink.close()


def test_the_text_of_a_frame_is_that_of_the_app():
    pose = frame(head=np.deg2rad([10, 20, 30]).astype(np.float32),
                 eyes=np.deg2rad([2, -1, -3, 0]).astype(np.float32)).frame
    golden = ('jawOpen-50|mouthSmile_R-3|=head#-20.0000,10.0000,-30.0000,0,0,0|'
              'rightEye#0.0000,-3.0000,0|leftEye#1.0000,2.0000,0|')
    assert text({'jawOpen': 0.5, 'mouthSmile_R': 0.031}, pose, 'v1') == golden
    assert text({'jawOpen': 0.5, 'mouthSmile_R': 0.031}, pose, 'v2') == golden.replace(
        'jawOpen-', 'jawOpen&').replace('R-', 'R&')


def test_the_names_are_those_of_the_app():
    shapes, _ = read(text(SHAPES(np.zeros(52)), frame().frame, 'v1').encode())
    assert set(shapes) == THEIRS
    assert len(shapes) == 52


@given(st.lists(st.floats(0, 1, width=32), min_size=52, max_size=52),
       st.lists(st.floats(-4, 4, width=32), min_size=7, max_size=7), st.sampled_from(['v1', 'v2']))
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_read(weights, turns, version):
    turned = np.array(turns, np.float32)
    pose = FaceFrame(0, np.array(weights, np.float32), head=turned[:3], eyes=turned[3:])
    shapes, found = read(text(SHAPES(pose.weights), pose, version).encode())
    assert [shapes[sided(name)] for name in NAMES] == pytest.approx(
        100 * np.array(weights), abs=0.51)
    yaw, pitch, roll, left_yaw, left_pitch, right_yaw, right_pitch = np.rad2deg(turned)
    assert found['head'][:3] == pytest.approx([-pitch, yaw, -roll], abs=1e-3)
    assert found['leftEye'][:2] == pytest.approx([-left_pitch, left_yaw], abs=1e-3)
    assert found['rightEye'][:2] == pytest.approx([-right_pitch, right_yaw], abs=1e-3)


@given(st.binary(max_size=200))
def test_whatever_else_comes_is_no_request(data):
    assert IFacialMocapPhone(SHAPES).wish(data) is None


@pytest.mark.parametrize('argument', ['?mode=phones', '?profile=v3', ':70000', '?ports=1'])
def test_a_wrong_argument_is_refused(argument):
    with pytest.raises(UsageError, match='sink ifacialmocap'):
        from_argument(argument)


# a phone over real sockets

def test_who_asks_gets_frames_at_the_port_of_the_phone_until_it_says_stop():
    with receiver() as ear, phone(ear.getsockname()[1]) as (sink, place):
        sink.send(frame(0, jawOpen=0.1))                # nobody asked yet
        ear.sendto(b'hello', place)
        ear.sendto(START, place)
        sink.send(frame(1, jawOpen=0.2))
        assert b'jawOpen-20|' in (first := ear.recv(4096))
        assert read(first)[0]['jawOpen'] == 20
        ear.sendto(START + b'|sendDataVersion=v2', place)
        sink.send(frame(2, jawOpen=0.3))
        assert b'jawOpen&30|' in ear.recv(4096)
        ear.sendto(STOP, place)
        sink.send(frame(3, jawOpen=0.4))
        ear.settimeout(0.1)
        with pytest.raises(TimeoutError):
            ear.recv(4096)


def test_a_phone_that_ends_puts_the_face_to_rest():
    with receiver() as ear:
        with phone(ear.getsockname()[1]) as (sink, place):
            ear.sendto(START, place)
            sink.send(frame(1, jawOpen=0.2))
        heard = [read(ear.recv(4096))[0]['jawOpen'] for _ in range(1 + REST_FRAMES)]
    assert heard == [20, 0, 0, 0]


def test_over_tcp_the_phone_calls_back_and_a_receiver_that_is_gone_may_ask_again():
    with socket.create_server(('127.0.0.1', 0)) as server:
        server.settimeout(10)
        port = server.getsockname()[1] - 3
        with receiver() as voice, phone(port) as (sink, place):
            for attempt in range(2):
                voice.sendto(CALL + b'|sendDataVersion=v2', place)
                voice.sendto(CALL, place)               # receivers repeat themselves
                sink.send(frame(0, jawOpen=0.7))
                sink.send(frame(1, jawOpen=0.8))
                connection = server.accept()[0]
                with connection, connection.makefile('rb') as stream:
                    said = b''
                    while said.count(b'___iFacialMocap') < 2:
                        said += stream.read1()
                frames = [read(one)[0]['jawOpen'] for one in said.split(b'___iFacialMocap')[:-1]]
                assert frames == [70, 80], attempt
                deadline = time.monotonic() + 10
                while sink._listeners:                  # until the kernel knows that it is gone
                    sink.send(frame(2))
                    assert time.monotonic() < deadline


def test_a_reader_that_stalls_gets_whole_frames_and_delays_nobody():
    with socket.create_server(('127.0.0.1', 0)) as server:
        server.settimeout(10)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        with receiver() as voice, phone(server.getsockname()[1] - 3) as (sink, place):
            voice.sendto(CALL, place)
            index = 0
            while not sink.skipped:                     # fills what the kernel holds
                sink.send(frame(index, jawOpen=0.5))
                index += 1
                assert index < 100_000
            with server.accept()[0] as connection:
                connection.settimeout(10)
                said = b''
                while said.count(b'___iFacialMocap') < index + 10:
                    sink.send(frame(index, jawOpen=0.5))    # it reads again, so frames go again
                    said += connection.recv(65536)
    for one in said.split(b'___iFacialMocap')[:-1]:
        assert read(one)[0]['jawOpen'] == 50


def test_a_crowd_does_not_grow_for_ever():
    with receiver() as ear, phone(ear.getsockname()[1], ManualClock()) as (sink, place):
        for number in range(3, 3 + MOST_LISTENERS + 5):
            with receiver(f'127.0.0.{number}') as other:
                other.sendto(START, place)
            sink.tick()
        assert len(sink._listeners) == MOST_LISTENERS
        ear.sendto(START, place)
        sink.send(frame(1, jawOpen=0.2))
        assert read(ear.recv(4096))[0]['jawOpen'] == 20


def test_two_phones_at_one_address_are_one_too_many():
    with receiver() as ear, phone(ear.getsockname()[1]) as (_, place):
        second = from_argument(f'{place}?mode=phone')
        with pytest.raises(SinkError, match=f'cannot listen on {place}'):
            second.open(INFO)


# the whole way

def test_a_receiver_in_another_process_gets_every_frame_of_the_speech(tmp_path):
    path = tmp_path / 'face.jsonl'
    with Listener() as listener:
        speak({'app': from_argument(f'127.0.0.1:{listener.port}?profile=v2'),
               'jsonl': JsonLinesRecorder(path)})
        heard = listener.heard()
    written = np.array([json.loads(line)['weights']
                        for line in path.read_text().splitlines()[1:]])
    frames = [read(one.data)[0] for one in heard]
    assert len(frames) == 120 + REST_FRAMES
    said = np.array([[shapes[sided(name)] for name in NAMES] for shapes in frames[:120]])
    assert said / 100 == pytest.approx(written, abs=0.0051)
    assert said[:, INDEX['jawOpen']].std() > 2
    assert (heard[119].at - heard[0].at) / 1e9 == pytest.approx(119 / 60, rel=0.1)


def test_a_receiver_in_another_process_that_is_called_back_gets_every_frame(tmp_path):
    path = tmp_path / 'face.jsonl'
    with subprocess.Popen([sys.executable, '-c', RECEIVER], text=True,
                          stdout=subprocess.PIPE) as process:
        port = int(process.stdout.readline()) - 3
        speak({'app': from_argument(f'127.0.0.2:{port}?mode=phone'),
               'jsonl': JsonLinesRecorder(path)}, seconds=1.0)
        said = process.communicate(timeout=20)[0].strip().split('___iFacialMocap')[:-1]
    written = np.array([json.loads(line)['weights']
                        for line in path.read_text().splitlines()[1:]])
    heard = len(said) - REST_FRAMES
    assert 30 <= heard <= 60        # it asks again and again from before the first one
    shapes = [read(one.encode())[0] for one in said[:heard]]
    found = np.array([[one[sided(name)] for name in NAMES] for one in shapes])
    assert found / 100 == pytest.approx(written[60 - heard:], abs=0.0051)


def test_with_the_mouth_alone_a_camera_keeps_the_rest():
    with receiver() as ear:
        sink = from_argument(f'127.0.0.1:{ear.getsockname()[1]}?channels=mouth')
        sink.open(INFO)
        sink.send(frame(0, jawOpen=0.5, browInnerUp=0.5))
        shapes = read(ear.recv(4096))[0]
        sink.close()
    assert set(shapes) == {sided(NAMES[index]) for index in MOUTH}
    assert shapes['jawOpen'] == 50
