# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Every client decodes what the publisher encodes, and refuses what it would refuse."""

from pathlib import Path

import msgpack
import numpy as np
import pytest

from avatar_bridge import wire
from avatar_bridge.frames import Event, Flags
from avatar_bridge.rig import INDEX, NAMES

GOLDEN = Path(__file__).resolve().parents[1] / 'golden'
PAYLOADS = {kind: bytes.fromhex((GOLDEN / f'wire_1_{kind}.hex').read_text())
            for kind in wire.KINDS}
DECODERS = {'face': wire.decode_face, 'meta': wire.decode_meta, 'audio': wire.decode_audio,
            'event': wire.decode_event}


def told(message):
    """Return what a probe says about a message."""
    if isinstance(message, wire.FaceMessage):
        return {'kind': 'face', 'index': message.index, 'capture': message.capture_ns,
                'publish': message.publish_ns, 'present': message.present_ns,
                'fps': message.fps, 'weights': message.weights, 'head': message.head,
                'eyes': message.eyes, 'flags': int(message.flags), 'stream': message.stream}
    if isinstance(message, wire.MetaMessage):
        return {'kind': 'meta', 'stream': message.stream, 'avatar': message.avatar,
                'names': list(message.names), 'fps': message.fps, 'latency': message.latency_ms,
                'bundle': message.bundle, 'rate': message.sample_rate}
    if isinstance(message, wire.AudioMessage):
        return {'kind': 'audio', 'start': message.start, 'capture': message.capture_ns,
                'present': message.present_ns, 'rate': message.sample_rate,
                'samples': message.samples}
    return {'kind': 'event', 'name': message.name, 'detail': message.detail}


def same(said, message):
    """Return whether a probe says what Python reads; times within what a double can tell."""
    truth = told(message)
    if said.keys() != truth.keys():
        return False
    for name, value in truth.items():
        if isinstance(value, np.ndarray):
            if not np.array_equal(np.float32(said[name]), value):
                return False
        elif name in ('capture', 'publish', 'present'):
            if abs(said[name] - value) > 1e-12 * abs(value):
                return False
        elif said[name] != value:
            return False
    return True


def decoded(client, payloads):
    """Return what a client makes of (kind, payload) pairs."""
    return client.script([f'decode {kind} {payload.hex()}' for kind, payload in payloads])


@pytest.mark.parametrize('kind', wire.KINDS)
def test_golden_bytes_are_understood(client, kind):
    said, = decoded(client, [(kind, PAYLOADS[kind])])
    assert same(said, DECODERS[kind](PAYLOADS[kind]))


LETTERS = np.array(list('az09 _"\\\n\t/é漢😀'))


def text(rng):
    return ''.join(rng.choice(LETTERS, rng.integers(40)))


def floats(rng, count):
    return np.float32(rng.uniform(-2, 2, count)) if rng.integers(2) else None


def stamp(rng):
    return int(rng.integers(-2**63, 2**63 - 1))


def message(rng, kind):
    """Return any message of a kind, as bytes."""
    number = int(rng.integers(2**int(rng.integers(1, 53))))
    if kind == 'face':
        return wire.encode_face(wire.FaceMessage(
            number, stamp(rng), stamp(rng), stamp(rng), rng.uniform(0, 240),
            np.float32(rng.uniform(0, 1, 52)), Flags(int(rng.integers(16))), text(rng),
            floats(rng, 3), floats(rng, 4)))
    if kind == 'meta':
        names = tuple(text(rng) for _ in range(rng.integers(60)))
        return wire.encode_meta(wire.MetaMessage(
            text(rng), text(rng), names, 59.94, rng.uniform(0, 1e3), text(rng), number))
    if kind == 'audio':
        pcm = rng.integers(-32768, 32767, rng.integers(400))
        return wire.encode_audio(wire.AudioMessage(
            number, stamp(rng), stamp(rng), 48000, np.float32(pcm) / np.float32(32768)))
    return wire.encode_event(Event(text(rng), text(rng)))


def test_messages_survive_the_way(client):
    rng = np.random.default_rng(5)
    sent = [(kind, message(rng, kind)) for kind in wire.KINDS for _ in range(50)]
    for said, (kind, payload) in zip(decoded(client, sent), sent, strict=True):
        assert same(said, DECODERS[kind](payload))


def spoilt(payload, rng):
    """Return a payload with a byte changed, a piece missing or something more."""
    changed = bytearray(payload)
    place = rng.integers(len(changed))
    match rng.integers(3):
        case 0:
            changed[place] = rng.integers(256)
        case 1:
            del changed[place:place + rng.integers(1, 9)]
        case _:
            changed[place:place] = rng.bytes(3)
    return bytes(changed)


def verdict(kind, payload):
    """Return the message, or None where Python refuses it."""
    try:
        return DECODERS[kind](payload)
    except wire.WireError:
        return None


def test_what_is_spoilt_is_read_or_refused_as_the_publisher_would(client):
    rng = np.random.default_rng(7)
    sent = [(kind, spoilt(PAYLOADS[kind], rng)) for kind in wire.KINDS for _ in range(250)]
    for said, (kind, payload) in zip(decoded(client, sent), sent, strict=True):
        message = verdict(kind, payload)
        assert 'refused' in said if message is None else same(said, message), payload.hex()


GARBAGE = [
    b'', b'\xc1', b'garbage', msgpack.packb({'a': 1}), msgpack.packb([]), msgpack.packb(1),
    msgpack.packb([1]), msgpack.packb([True] * 12), b'\xdd\xff\xff\xff\xff', b'\x9c' * 2000,
    b'\xdb\xff\xff\xff\xff', b'\xc6\xff\xff\xff\xff', b'\xdf\xff\xff\xff\xff', bytes(70_000),
]


def test_garbage_is_refused(client):
    sent = [(kind, payload) for kind in wire.KINDS for payload in GARBAGE]
    assert all('refused' in said for said in decoded(client, sent))


def test_elements_added_later_are_ignored(client):
    sent = [(kind, msgpack.packb([*msgpack.unpackb(payload), 'new', {'a': 1}, [None, 0.5, b'x']]))
            for kind, payload in PAYLOADS.items()]
    for said, (kind, payload) in zip(decoded(client, sent), sent, strict=True):
        assert same(said, DECODERS[kind](payload))


@pytest.mark.parametrize('name', ['unity', pytest.param('javascript', marks=pytest.mark.browser)])
def test_shapes_are_found_by_many_spellings(request, name):
    client = request.getfixturevalue(name)
    spellings = {
        'jawOpen': 'jawOpen', 'JawOpen': 'jawOpen', 'jaw_open': 'jawOpen',
        'mouthSmile_L': 'mouthSmileLeft', 'MouthSmileRight': 'mouthSmileRight',
        'Face.M_jawOpen': 'jawOpen', 'blendShape1.eyeBlink_R': 'eyeBlinkRight',
        'browInnerUp_L': 'browInnerUp', 'head_mouthLeft': 'mouthLeft', 'jawLeft': 'jawLeft',
    }
    strangers = ['', 'Body', 'smile', 'vrc.v_aa', 'left', '_']
    asked = [*NAMES, *spellings, *strangers]
    answers = client.script([f'shape {spelling}' for spelling in asked])
    assert answers == [*range(52), *(INDEX[truth] for truth in spellings.values()),
                       *(-1 for _ in strangers)]
