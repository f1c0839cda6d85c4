# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Live Link Face packets: golden bytes, a reader of our own, and a receiver in another process."""

from __future__ import annotations

from fractions import Fraction
import json
import struct
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from listener import Listener, speak
import numpy as np
import pytest

from avatar_bridge.errors import UsageError
from avatar_bridge.frames import FaceFrame, StreamInfo, TimedFrame
from avatar_bridge.protocols.livelink import LiveLink, packet
from avatar_bridge.protocols.metahuman import sealed
from avatar_bridge.rig import INDEX, NAMES
from avatar_bridge.sinks.datagrams import REST_FRAMES
from avatar_bridge.sinks.livelink import from_argument
from avatar_bridge.sinks.recorder import JsonLinesRecorder

INFO = StreamInfo('run', 'robot', NAMES, Fraction(60), Fraction(1, 10), 'live', 16000)
DEVICE = '0123ABCD-0000-4000-8000-0123456789AB'
GOLDEN = (
    '06 00000024' + DEVICE.encode().hex() + '00000005 726f626f74 00000102 00000000'
    '0000003c 00000001 3d' + 17 * '00000000' + '3f000000' + 34 * '00000000'   # jawOpen 0.5
    + 'be800000 00000000 00000000' + '3e800000 00000000 00000000' + '00000000 00000000 00000000')


class Packet(NamedTuple):
    """What a receiver reads."""

    device: str
    subject: str
    number: int
    fraction: float
    rate: tuple[int, int]
    values: tuple[float, ...]


def read(data: bytes) -> Packet:
    """Read a packet field by field, as Unreal does; it refuses those of another size."""
    assert 264 <= len(data) <= 774
    assert data[0] == 6
    place, texts = 1, []
    for _ in range(2):
        (length,) = struct.unpack_from('>i', data, place)
        texts.append(data[place + 4:place + 4 + length].decode())
        place += 4 + length
    number, fraction, *rate, count = struct.unpack_from('>ifiiB', data, place)
    values = struct.unpack_from(f'>{count}f', data, place + 17)
    assert (count, place + 17 + 4 * count) == (61, len(data))
    return Packet(*texts, number, fraction, tuple(rate), values)


def frame(index=0, **weights):
    pose = np.zeros(52, np.float32)
    for name, weight in weights.items():
        pose[INDEX[name]] = weight
    return TimedFrame(FaceFrame(index, pose), 0, 0)


def test_the_bytes_of_a_packet_are_those_of_the_app():
    turned = np.array([-0.25, 0, 0, 0.25, 0, 0, 0, 0, 0], np.float32)
    weights = frame(jawOpen=0.5).frame.weights
    data = packet(DEVICE, 'robot', 0x102, Fraction(60), weights, turned)
    assert data == bytes.fromhex(GOLDEN)
    assert data[:5] == struct.pack('<I', 6) + b'$'      # how older receivers know version 6
    assert len(packet(32 * 'x', 18 * 'y', 0, Fraction(60), weights, turned)) == 320


@given(st.text(max_size=63), st.integers(0, 2**40), st.fractions(1, 240, max_denominator=1001),
       st.lists(st.floats(0, 1, width=32), min_size=52, max_size=52),
       st.lists(st.floats(-4, 4, width=32), min_size=9, max_size=9))
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_read(subject, number, fps, weights, turned):
    found = read(packet(DEVICE, subject, number, fps, np.array(weights, np.float32),
                        np.array(turned, np.float32)))
    assert found[:2] == (DEVICE, subject)
    assert (found.number, found.fraction) == (number % 2**31, 0)
    assert found.rate == (fps.numerator, fps.denominator)
    assert found.values == (*weights, *turned)


def test_an_avatar_is_the_same_device_on_every_run_and_another_avatar_another():
    found = []
    for avatar in ('robot', 'robot', 'other'):
        dialect = LiveLink()
        dialect.begin(INFO._replace(avatar=avatar))
        found.append(read(*dialect.encode(frame(7))))
    assert found[0] == found[1]
    assert [(one.subject, one.number) for one in found[1:]] == [('robot', 7), ('other', 7)]
    assert found[1].device != found[2].device
    assert {len(one.device) for one in found} == {36}


def test_head_and_eyes_turn_as_in_recordings_of_the_app():
    dialect = LiveLink()
    dialect.begin(INFO)
    # the subject's left and up; the left eye out to the left, the right one down
    pose = frame().frame._replace(head=np.array([0.1, 0.2, 0.3], np.float32),
                                  eyes=np.array([0.4, 0.0, 0.0, -0.5], np.float32))
    values = read(*dialect.encode(TimedFrame(pose, 0, 0))).values
    assert values[52:] == pytest.approx([-0.1, -0.2, 0.3, -0.4, 0, 0, 0, 0.5, 0])
    assert np.signbit(values).sum() == 3            # -0 would be one more


def test_a_metahuman_shuts_its_lips_without_mouth_close():
    dialect = LiveLink(profile='metahuman')
    dialect.begin(INFO)
    values = read(*dialect.encode(frame(jawOpen=0.3, mouthClose=0.3))).values
    found = dict(zip(NAMES, values, strict=False))
    assert found['mouthClose'] == 0
    assert found['jawOpen'] < 0.05
    assert min(found[name] for name in ('mouthRollLower', 'mouthRollUpper', 'mouthPressLeft',
                                        'mouthPressRight')) > 0.2


@given(st.lists(st.floats(0, 1, width=32), min_size=52, max_size=52))
@settings(max_examples=100, deadline=None)
def test_a_metahumans_weights_stay_in_range(weights):
    given_weights = np.array(weights, np.float32)
    found = sealed(given_weights)
    assert found.min() >= 0
    assert found.max() <= 1
    if given_weights[INDEX['mouthClose']] == 0:
        assert np.array_equal(found, given_weights)


def test_a_name_that_no_packet_can_carry_is_refused():
    with pytest.raises(UsageError, match='at most 255 bytes, got 256'):
        from_argument(f'?name={128 * "ä"}')
    with pytest.raises(UsageError, match='did you mean metahuman'):
        from_argument('?profile=metahumans')


# over a real socket

def test_the_option_of_the_command_line_is_obeyed_until_the_face_is_at_rest():
    with Listener() as listener:
        sink = from_argument(f'localhost:{listener.port}?name=face&gain=0.5')
        sink.open(INFO)
        sink.send(frame(4, jawOpen=0.8))
        sink.close()
        sink.close()
        packets = [read(heard.data) for heard in listener.heard()]
    assert [one.number for one in packets] == list(range(4, 4 + 1 + REST_FRAMES))
    assert {one.subject for one in packets} == {'face'}
    assert packets[0].values[INDEX['jawOpen']] == pytest.approx(0.4)
    assert not any(value for one in packets[1:] for value in one.values)


def test_an_engine_in_another_process_gets_every_frame_of_the_speech_in_time(tmp_path):
    path = tmp_path / 'face.jsonl'
    with Listener() as listener:
        speak({'livelink': from_argument(f'127.0.0.1:{listener.port}'),
               'jsonl': JsonLinesRecorder(path)})
        heard = listener.heard()
    packets = [read(one.data) for one in heard]
    written = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    assert [one.number for one in packets] == list(range(120 + REST_FRAMES))
    assert [one.rate for one in packets] == [(60, 1)] * len(packets)
    said = np.array([one.values[:52] for one in packets[:120]])
    assert said == pytest.approx(np.array([line['weights'] for line in written]), abs=1e-6)
    assert said[:, INDEX['jawOpen']].std() > 0.02
    seconds = (heard[119].at - heard[0].at) / 1e9
    assert seconds == pytest.approx(119 / 60, rel=0.25)
