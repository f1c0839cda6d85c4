# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Wire version 1: messages to and from msgpack arrays; no socket.

Within a version arrays only ever grow at their end: readers ignore elements they do not know.
"""

from __future__ import annotations

from dataclasses import dataclass
import re
from typing import Any, NamedTuple

import msgpack
import numpy as np

from avatar_bridge.errors import AvatarBridgeError
from avatar_bridge.frames import Event, Flags, Samples, Weights
from avatar_bridge.rig import NAMES

VERSION = 1
LAYOUT = 'arkit_apple'          # the 52 ARKit coefficients in Apple's order
KINDS = ('face', 'meta', 'audio', 'event')
LARGEST = {'face': 2048, 'meta': 65536, 'audio': 4_194_304, 'event': 65536}   # bytes of a payload

_AVATAR = re.compile(r'[^\s/]{1,64}')


class WireError(AvatarBridgeError):
    """Bytes that are no message of this wire version."""


@dataclass(frozen=True, eq=False)
class FaceMessage:
    """One pose; times in nanoseconds of the sender's clock."""

    index: int
    capture_ns: int
    publish_ns: int
    present_ns: int
    fps: float
    weights: Weights                    # (52,) float32
    flags: Flags
    stream: str
    head: Weights | None = None         # (3,) yaw, pitch, roll in radians
    eyes: Weights | None = None         # (4,) left yaw, left pitch, right yaw, right pitch
    layout: str = LAYOUT


@dataclass(frozen=True)
class MetaMessage:
    """What a late subscriber needs to know."""

    stream: str
    avatar: str
    names: tuple[str, ...]
    fps: float
    latency_ms: float
    bundle: str
    sample_rate: int


@dataclass(frozen=True, eq=False)
class AudioMessage:
    """Sound that fits the frames."""

    start: int
    capture_ns: int
    present_ns: int
    sample_rate: int
    samples: Samples                    # (n,) float32; 16 bit on the wire


class Take(NamedTuple):
    """A whole recording, with the sound where there is one."""

    fps: float
    weights: Weights                    # (n, 52) in [0, 1]
    flags: bytes = b''                  # one for each frame, or none at all
    samples: Samples = np.zeros(0, np.float32)      # (m,) mono
    sample_rate: int = 16000
    head: Weights | None = None         # (n, 3) as FaceFrame has it, where anything turns it
    eyes: Weights | None = None         # (n, 4)
    note: str = ''                      # what is wrong with it, for the user


def topic(avatar: str, kind: str) -> bytes:
    """Return the topic of one kind of message of one avatar."""
    if not _AVATAR.fullmatch(avatar):
        raise WireError(f'expected an avatar name of 1 to 64 characters without blanks and '
                        f'slashes, got {avatar!r}')
    assert kind in KINDS
    return f'ab/{VERSION}/{avatar}/{kind}'.encode()


def parse_topic(name: bytes) -> tuple[str, str]:
    """Return (avatar, kind)."""
    parts = name.decode(errors='replace').split('/')
    if len(parts) != 4 or parts[0] != 'ab' or parts[3] not in KINDS or not parts[2]:
        raise WireError(f'expected a topic ab/{VERSION}/AVATAR/{{{",".join(KINDS)}}}, '
                        f'got {name[:80]!r}')
    if parts[1] != str(VERSION):
        raise WireError(f'expected topics of wire version {VERSION}, got {name[:80]!r}')
    return parts[2], parts[3]


def encode_face(message: FaceMessage) -> bytes:
    """Return the payload of a face message."""
    assert message.weights.shape == (len(NAMES),)
    return _packed([
        VERSION, message.index, message.capture_ns, message.publish_ns, message.present_ns,
        float(message.fps), message.layout, _floats(message.weights), _floats(message.head),
        _floats(message.eyes), int(message.flags), message.stream,
    ])


def decode_face(payload: bytes) -> FaceMessage:
    """Return the message; raises `WireError`."""
    fields = _Fields('face', payload, 12)
    return FaceMessage(
        index=fields.integer(1), capture_ns=fields.integer(2, -2**63),
        publish_ns=fields.integer(3, -2**63), present_ns=fields.integer(4, -2**63),
        fps=fields.number(5), layout=fields.text(6, LAYOUT),
        weights=fields.floats(7, len(NAMES)),
        head=None if fields[8] is None else fields.floats(8, 3),
        eyes=None if fields[9] is None else fields.floats(9, 4),
        flags=Flags(fields.integer(10)), stream=fields.text(11),
    )


def encode_meta(message: MetaMessage) -> bytes:
    """Return the payload of a meta message."""
    return _packed([
        VERSION, message.stream, message.avatar, list(message.names), float(message.fps),
        float(message.latency_ms), message.bundle, message.sample_rate,
    ])


def decode_meta(payload: bytes) -> MetaMessage:
    """Return the message; raises `WireError`."""
    fields = _Fields('meta', payload, 8)
    names = fields[3]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise WireError(f'meta, element 3: expected a list of names, got {_shown(names)}')
    return MetaMessage(
        stream=fields.text(1), avatar=fields.text(2), names=tuple(names), fps=fields.number(4),
        latency_ms=fields.number(5), bundle=fields.text(6), sample_rate=fields.integer(7),
    )


def encode_audio(message: AudioMessage) -> bytes:
    """Return the payload of an audio message; samples beyond full scale are clipped."""
    return _packed([
        VERSION, message.start, message.capture_ns, message.present_ns, message.sample_rate,
        _pcm(message.samples),
    ])


def decode_audio(payload: bytes) -> AudioMessage:
    """Return the message; raises `WireError`."""
    fields = _Fields('audio', payload, 6)
    pcm = fields[5]
    if not isinstance(pcm, bytes) or len(pcm) % 2:
        raise WireError(f'audio, element 5: expected pairs of bytes, got {_shown(pcm)}')
    return AudioMessage(
        start=fields.integer(1), capture_ns=fields.integer(2, -2**63),
        present_ns=fields.integer(3, -2**63), sample_rate=fields.integer(4),
        samples=np.frombuffer(pcm, '<i2').astype(np.float32) / np.float32(32768),
    )


def encode_event(event: Event) -> bytes:
    """Return the payload of an event."""
    return _packed([VERSION, event.name, event.detail])


def decode_event(payload: bytes) -> Event:
    """Return the event; raises `WireError`."""
    fields = _Fields('event', payload, 3)
    return Event(fields.text(1), fields.text(2))


def encode_take(take: Take) -> bytes:
    """Return a recording as one map."""
    payload: bytes = msgpack.packb({
        'fps': float(take.fps), 'names': list(NAMES), 'weights': _floats(take.weights),
        'flags': take.flags, 'sample_rate': take.sample_rate, 'pcm': _pcm(take.samples),
        'head': _floats(take.head), 'eyes': _floats(take.eyes), 'note': take.note,
    })
    return payload


class _Fields:
    """The elements of one array, each checked when it is asked for."""

    def __init__(self, kind: str, payload: bytes, count: int) -> None:
        self._kind = kind
        if len(payload) > LARGEST[kind]:
            raise WireError(f'{kind}: expected at most {LARGEST[kind]} bytes, got {len(payload)}')
        values = _unpacked(kind, payload)
        if not isinstance(values, list) or not values:
            raise WireError(f'{kind}: expected an array, got {_shown(values)}')
        if values[0] != VERSION or isinstance(values[0], bool):
            raise WireError(f'{kind}: expected wire version {VERSION}, got {_shown(values[0])}; '
                            'use the same version of avatar_bridge at both ends')
        if len(values) < count:
            raise WireError(f'{kind}: expected {count} elements, got {len(values)}')
        self._values = values

    def __getitem__(self, position: int) -> Any:
        return self._values[position]

    def integer(self, position: int, lowest: int = 0) -> int:
        value = self[position]
        if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
            raise self._error(position, 'an integer' + ' from 0 up' * (lowest == 0))
        return value

    def number(self, position: int) -> float:
        value = self[position]
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not value >= 0:
            raise self._error(position, 'a number from 0 up')
        return float(value)

    def text(self, position: int, only: str = '') -> str:
        value = self[position]
        if not isinstance(value, str) or (only and value != only):
            raise self._error(position, f'{only!r}' if only else 'a text')
        return value

    def floats(self, position: int, count: int) -> Weights:
        value = self[position]
        if not isinstance(value, bytes) or len(value) != 4 * count:
            raise self._error(position, f'{4 * count} bytes')
        numbers = np.frombuffer(value, '<f4').astype(np.float32)
        if not np.isfinite(numbers).all():
            raise self._error(position, 'finite numbers')
        return numbers

    def _error(self, position: int, expected: str) -> WireError:
        return WireError(f'{self._kind}, element {position}: expected {expected}, '
                         f'got {_shown(self[position])}')


def _packed(values: list[Any]) -> bytes:
    payload: bytes = msgpack.packb(values, use_bin_type=True)
    return payload


def _unpacked(kind: str, payload: bytes) -> Any:
    limit = len(payload)            # nothing inside can be longer than the whole
    try:
        return msgpack.unpackb(
            payload, raw=False, strict_map_key=True, use_list=True, max_str_len=limit,
            max_bin_len=limit, max_array_len=1024, max_map_len=16, max_ext_len=0,
        )
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise WireError(f'{kind}: expected msgpack, got {limit} bytes of something else '
                        f'({reason[:100]})') from error


def _pcm(samples: Samples) -> bytes:
    return np.rint(np.clip(samples, -1.0, 32767 / 32768) * 32768).astype('<i2').tobytes()


def _floats(numbers: Weights | None) -> bytes | None:
    return None if numbers is None else np.asarray(numbers, '<f4').tobytes()


def _shown(value: Any) -> str:
    if isinstance(value, (bytes, list)):
        return f'{len(value)} {"bytes" if isinstance(value, bytes) else "elements"}'
    return repr(value)[:60]
