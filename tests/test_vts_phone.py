# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""VTube Studio on a phone: what VSeeFace, VBridger or Warudo read of its datagrams."""

from __future__ import annotations

from fractions import Fraction
import json
import socket
import subprocess
import sys

from hypothesis import given, settings
from hypothesis import strategies as st
from listener import speak
import numpy as np
import pytest

from avatar_bridge.clock import ManualClock
from avatar_bridge.frames import FaceFrame, StreamInfo, TimedFrame
from avatar_bridge.mappings.layouts import ARKIT, pascal
from avatar_bridge.protocols.phone import Wish
from avatar_bridge.protocols.vts_phone import VtsPhone
from avatar_bridge.rig import INDEX, NAMES
from avatar_bridge.sinks.address import Peer
from avatar_bridge.sinks.datagrams import REST_FRAMES
from avatar_bridge.sinks.phone import PhoneSink
from avatar_bridge.sinks.recorder import JsonLinesRecorder
from avatar_bridge.sinks.vts import from_argument

INFO = StreamInfo('run', 'robot', NAMES, Fraction(60), Fraction(1, 10), 'live', 16000)
PHONE = VtsPhone(ARKIT.renamed(pascal).shapes)
HOME = '127.0.0.1'

RECEIVER = """
import json, socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
    ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    ear.bind(('127.0.0.1', 0))
    wish = json.dumps({'messageType': 'iOSTrackingDataRequest', 'time': 10, 'sentBy': 'test',
                       'ports': [ear.getsockname()[1]]}).encode()
    phone = ('127.0.0.1', int(sys.argv[1]))
    for _ in range(200):                    # until there is a phone
        ear.sendto(wish, phone)
        ear.settimeout(0.1)
        try:
            heard = [ear.recv(65536)]
            break
        except TimeoutError:
            pass
    ear.settimeout(5)
    while True:
        heard.append(ear.recv(65536))
        if not any(shape['v'] for shape in json.loads(heard[-1])['BlendShapes']):
            break
    ear.settimeout(0.5)
    try:
        while True:
            heard.append(ear.recv(65536))
    except TimeoutError:
        pass
for datagram in heard:
    print(datagram.decode())
"""


def request(**given_values):
    return json.dumps({'messageType': 'iOSTrackingDataRequest', 'time': 1, 'sentBy': 'test',
                       'ports': [1], **given_values}).encode()


def frame(index=0, present_ns=0, **weights):
    pose = np.zeros(52, np.float32)
    for name, weight in weights.items():
        pose[INDEX[name]] = weight
    return TimedFrame(FaceFrame(index, pose), 0, present_ns)


def ear(host=HOME):
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.bind((host, 0))
    found.settimeout(10)
    return found


def free_port():
    with ear() as probe:
        return probe.getsockname()[1]


def test_the_text_of_a_frame_is_that_of_the_app():
    phone = VtsPhone(lambda _: {'JawOpen': 0.5, 'EyeBlinkLeft': 0.25})
    pose = frame().frame._replace(head=np.deg2rad([10, 20, 30]).astype(np.float32),
                                  eyes=np.deg2rad([1, 2, 3, 4]).astype(np.float32))
    said = phone.frame(TimedFrame(pose, 0, 1_700_000_000_123_456_789), Wish((1,)))
    assert said == (
        b'{"Timestamp":1700000000123,"Hotkey":-1,"FaceFound":true,'
        b'"Rotation":{"x":-10.0,"y":-20.0,"z":30.0},"Position":{"x":0.0,"y":0.0,"z":0.0},'
        b'"BlendShapes":[{"k":"JawOpen","v":0.5},{"k":"EyeBlinkLeft","v":0.25}],'
        b'"EyeLeft":{"x":-2.0,"y":-1.0,"z":0.0},"EyeRight":{"x":-4.0,"y":-3.0,"z":0.0}}')


@given(st.lists(st.floats(0, 1, width=32), min_size=52, max_size=52))
@settings(max_examples=50, deadline=None)
def test_what_is_written_is_read(weights):
    pose = FaceFrame(0, np.array(weights, np.float32))
    found = json.loads(PHONE.frame(TimedFrame(pose, 0, 0), Wish((1,))))
    shapes = {shape['k']: shape['v'] for shape in found['BlendShapes']}
    assert [shapes[pascal(name)] for name in NAMES] == pytest.approx(weights, abs=1e-5)
    assert len(json.dumps(found, separators=(',', ':'))) < 4096


@pytest.mark.parametrize(('time', 'seconds'), [
    (2.5, 2.5), (0, 0.5), (60, 10), (-1, 0.5), (float('nan'), 0.5), (float('inf'), 10)])
def test_a_request_lasts_as_long_as_the_app_lets_it(time, seconds):
    assert PHONE.wish(request(time=time, ports=[7, 8, 7])) == Wish((7, 8), seconds)


def test_a_request_may_call_its_time_as_older_programs_do():
    asked = json.loads(request())
    del asked['time']
    assert PHONE.wish(json.dumps({**asked, 'sendForSeconds': 4}).encode()) == Wish((1,), 4)


@pytest.mark.parametrize('data', [
    b'', b'\xff', b'[]', b'{}', b'1', b'[' * 4000, request(messageType='other'), request(ports=[]),
    request(ports=0), request(ports=[0]), request(ports=[70000]), request(ports=['x']),
    request(ports=[float('inf')]), request(ports=list(range(1, 34))), request(time='soon'),
    request(time=None),
], ids=range(16))
def test_what_is_no_request_gets_nothing(data):
    assert PHONE.wish(data) is None


@given(st.binary(max_size=100))
def test_whatever_comes_does_no_harm(data):
    assert PHONE.wish(data) is None


# over real sockets

def test_each_port_gets_frames_until_the_time_is_over_unless_it_asks_again():
    clock = ManualClock()
    place = Peer(HOME, free_port())
    sink = PhoneSink(place, PHONE, clock=clock)
    sink.open(INFO)
    with ear() as first, ear() as second:
        ports = [one.getsockname()[1] for one in (first, second)]
        first.sendto(request(time=2, ports=ports), place)
        sink.send(frame(1, jawOpen=0.2))
        clock.advance(1_500_000_000)
        first.sendto(request(time=2, ports=ports[:1]), place)
        sink.send(frame(2, jawOpen=0.4))
        clock.advance(1_000_000_000)                    # 2.5 s: the second port's time is over
        sink.send(frame(3, jawOpen=0.6))
        sink.close()
        jaws = [[jaw(one.recv(65536)) for _ in range(count)]
                for one, count in ((first, 3 + REST_FRAMES), (second, 2))]
        second.settimeout(0.1)
        with pytest.raises(TimeoutError):
            second.recv(65536)
    assert jaws == [[0.2, 0.4, 0.6, 0, 0, 0], [0.2, 0.4]]


def jaw(datagram):
    return next(shape['v'] for shape in json.loads(datagram)['BlendShapes']
                if shape['k'] == 'JawOpen')


def test_a_program_in_another_process_gets_every_frame_of_the_speech(tmp_path):
    port, path = free_port(), tmp_path / 'face.jsonl'
    with subprocess.Popen([sys.executable, '-c', RECEIVER, str(port)], text=True,
                          stdout=subprocess.PIPE) as receiver:
        speak({'phone': from_argument(f'{port}?mode=phone'), 'jsonl': JsonLinesRecorder(path)})
        said = [json.loads(line) for line in receiver.communicate(timeout=20)[0].splitlines()]
    written = np.array([json.loads(line)['weights']
                        for line in path.read_text().splitlines()[1:]])
    heard = len(said) - REST_FRAMES
    assert 60 <= heard <= 120       # it asks again and again from before the first one
    shapes = np.array([[shape['v'] for shape in one['BlendShapes']] for one in said[:heard]])
    order = [[shape['k'] for shape in said[0]['BlendShapes']].index(pascal(name))
             for name in NAMES]
    assert shapes[:, order] == pytest.approx(written[120 - heard:], abs=1e-5)
    assert shapes[:, order].std(0)[INDEX['jawOpen']] > 0.02
    assert np.all(np.diff([one['Timestamp'] for one in said[:heard]]) > 0)
