# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Wire version 1: golden bytes, an independent reader, round trips, refusals."""

from __future__ import annotations

import contextlib
from pathlib import Path
import struct

from hypothesis import given, settings
from hypothesis import strategies as st
import msgpack
import numpy as np
import pytest

from avatar_bridge import wire
from avatar_bridge.frames import Event, Flags
from avatar_bridge.rig import NAMES

GOLDEN = Path(__file__).parent / 'golden'
WEIGHTS = (np.arange(52) / 64).astype(np.float32)
FACE = wire.FaceMessage(
    7, 1_700_000_000_000_000_001, 1_700_000_000_100_000_002, 1_700_000_000_120_000_003, 60.0,
    WEIGHTS, Flags.SPEECH | Flags.DISCONTINUITY, 'run-1', head=np.float32([0.5, -0.25, 0.125]),
)
META = wire.MetaMessage('run-1', 'robot', NAMES, 60.0, 100.0, 'live', 16000)
AUDIO = wire.AudioMessage(
    320, 5, 6, 16000, np.float32([0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0]))
EVENT = Event('error', 'microphone lost')
BYTES = {
    'face': wire.encode_face(FACE), 'meta': wire.encode_meta(META),
    'audio': wire.encode_audio(AUDIO), 'event': wire.encode_event(EVENT),
}
DECODERS = {
    'face': wire.decode_face, 'meta': wire.decode_meta, 'audio': wire.decode_audio,
    'event': wire.decode_event,
}


@pytest.mark.parametrize('kind', wire.KINDS)
def test_bytes_are_those_of_version_1(kind):
    golden = bytes.fromhex((GOLDEN / f'wire_1_{kind}.hex').read_text())
    assert BYTES[kind] == golden


def test_a_stranger_reads_a_face_with_nothing_but_msgpack():
    values = msgpack.unpackb(BYTES['face'])
    assert values[:7] == [1, 7, FACE.capture_ns, FACE.publish_ns, FACE.present_ns, 60.0,
                          'arkit_apple']
    assert struct.unpack('<52f', values[7]) == tuple(WEIGHTS.tolist())
    assert struct.unpack('<3f', values[8]) == (0.5, -0.25, 0.125)
    assert values[9:] == [None, 9, 'run-1']


def test_a_stranger_reads_meta_audio_and_event():
    assert msgpack.unpackb(BYTES['meta']) == [
        1, 'run-1', 'robot', list(NAMES), 60.0, 100.0, 'live', 16000]
    values = msgpack.unpackb(BYTES['audio'])
    assert values[:5] == [1, 320, 5, 6, 16000]
    assert struct.unpack('<7h', values[5]) == (0, 16384, -16384, 32767, -32768, 32767, -32768)
    assert msgpack.unpackb(BYTES['event']) == [1, 'error', 'microphone lost']


unit = st.floats(0, 1, width=32)
stamps = st.integers(-2**63, 2**63 - 1)


@settings(max_examples=50)
@given(st.integers(0, 2**64 - 1), stamps, st.lists(unit, min_size=52, max_size=52),
       st.integers(0, 15), st.text(max_size=40),
       st.none() | st.lists(unit, min_size=4, max_size=4))
def test_a_face_survives_the_wire(index, stamp, weights, flags, stream, eyes):
    sent = wire.FaceMessage(index, stamp, stamp, stamp, 59.94, np.float32(weights), Flags(flags),
                            stream, eyes=None if eyes is None else np.float32(eyes))
    got = wire.decode_face(wire.encode_face(sent))
    assert (got.index, got.capture_ns, got.fps, got.flags, got.stream, got.head) == (
        index, stamp, 59.94, Flags(flags), stream, None)
    assert np.array_equal(got.weights, np.float32(weights))
    assert (got.eyes is None) == (eyes is None)
    assert eyes is None or np.array_equal(got.eyes, np.float32(eyes))


@settings(max_examples=30)
@given(st.lists(st.integers(-32768, 32767), max_size=200), st.integers(0, 2**40))
def test_audio_survives_the_wire_to_the_bit(pcm, start):
    samples = np.float32(pcm) / np.float32(32768)
    got = wire.decode_audio(wire.encode_audio(wire.AudioMessage(start, 1, 2, 48000, samples)))
    assert got.start == start
    assert np.array_equal(got.samples, samples)


def test_meta_and_events_survive_the_wire():
    assert wire.decode_meta(BYTES['meta']) == META
    assert wire.decode_event(BYTES['event']) == EVENT


@pytest.mark.parametrize('kind', wire.KINDS)
def test_elements_added_later_are_ignored(kind):
    grown = msgpack.packb([*msgpack.unpackb(BYTES[kind]), 'new', {'a': 1}])
    assert DECODERS[kind](grown) is not None


@pytest.mark.parametrize('kind', wire.KINDS)
@pytest.mark.parametrize('payload', [
    b'', b'\xc1', b'garbage', msgpack.packb({'a': 1}), msgpack.packb([]), msgpack.packb(1),
    msgpack.packb([1]), b'\xdd\xff\xff\xff\xff', b'\x9c' * 2000, bytes(5_000_000),
])
def test_garbage_is_refused(kind, payload):
    with pytest.raises(wire.WireError, match=kind):
        DECODERS[kind](payload)


@pytest.mark.parametrize('kind', wire.KINDS)
def test_half_a_message_is_refused(kind):
    for end in range(0, len(BYTES[kind]), 7):
        with pytest.raises(wire.WireError):
            DECODERS[kind](BYTES[kind][:end])


@settings(max_examples=200)
@given(st.sampled_from(wire.KINDS), st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_wire_errors(kind, payload):
    with contextlib.suppress(wire.WireError):
        DECODERS[kind](payload)


@pytest.mark.parametrize('version', [0, 2, True, '1', None])
def test_other_versions_are_refused(version):
    values = msgpack.unpackb(BYTES['face'])
    with pytest.raises(wire.WireError, match='expected wire version 1'):
        wire.decode_face(msgpack.packb([version, *values[1:]]))


@pytest.mark.parametrize(('position', 'value', 'complaint'), [
    (1, -1, 'from 0 up'), (2, '5', 'an integer'), (5, 'fast', 'a number'),
    (6, 'livelink61', 'arkit_apple'), (7, bytes(204), '208 bytes'), (7, [0.0] * 52, '208 bytes'),
    (7, b'\xff' * 208, 'finite'), (8, bytes(16), '12 bytes'), (9, bytes(12), '16 bytes'),
    (10, None, 'an integer'), (11, 3, 'a text'),
])
def test_a_wrong_element_is_named(position, value, complaint):
    values = msgpack.unpackb(BYTES['face'])
    values[position] = value
    with pytest.raises(wire.WireError, match=f'element {position}: expected .*{complaint}'):
        wire.decode_face(msgpack.packb(values))


def test_topics_name_avatar_and_kind():
    assert wire.topic('robot', 'face') == b'ab/1/robot/face'
    assert wire.parse_topic(b'ab/1/robot/face') == ('robot', 'face')


@pytest.mark.parametrize('name', [b'', b'ab/2/x/face', b'ab/1/x/other', b'ab/1//face', b'\xff'])
def test_strange_topics_are_refused(name):
    with pytest.raises(wire.WireError, match='expected'):
        wire.parse_topic(name)


@pytest.mark.parametrize('avatar', ['', 'a/b', 'a b', 'x' * 65])
def test_avatar_names_that_no_topic_can_carry_are_refused(avatar):
    with pytest.raises(wire.WireError, match='avatar name'):
        wire.topic(avatar, 'face')
