# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Audio messages of ROS to blocks; no ROS is needed here.

Messages are recognised by their fields, so those of a running ROS and those of a bag are treated
alike: our `AudioChunk`, and both packages that are called `audio_common_msgs` (ros-drivers:
`AudioData`, `AudioDataStamped`, `AudioInfo`; mgonzs13: `Audio`, `AudioStamped`).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from avatar_bridge.audio.pcm import decode_pcm
from avatar_bridge.errors import AudioError
from avatar_bridge.frames import AudioBlock, EndOfSpeech, Samples

#: mgonzs13's `format` (PortAudio's numbers): field of the samples, numpy type, encoding.
FORMATS: Final = {
    1: ('float32_data', '<f4', 'F32LE'), 2: ('int32_data', '<i4', 'S32LE'),
    8: ('int16_data', '<i2', 'S16LE'), 16: ('int8_data', 'i1', 'S8'),
    32: ('uint8_data', 'u1', 'U8'),
}
MP3_LIKE: Final = 3             # messages in a row that begin like MP3; sound does that by chance


class Format(NamedTuple):
    """What raw bytes mean."""

    sample_rate: int = 16000    # Hz
    channels: int = 1
    encoding: str = 'S16LE'


class MessageReader:
    """
    The messages of one topic, in the order of their arrival.

    Messages that do not number their samples are counted here; bare bytes mean what the newest
    `AudioInfo` said, or `format` as long as none came.
    """

    def __init__(self, format: Format = Format()) -> None:  # noqa: B008 - immutable
        """Read bare bytes as `format`."""
        self._format = format
        self._informed = False
        self._next = 0
        self._mp3_like = 0

    def inform(self, info: Any) -> None:
        """Take an `AudioInfo` of ros-drivers; raises `AudioError` for what is not raw PCM."""
        coding = info.coding_format.lower()
        if coding not in ('wave', 'raw', 'pcm', ''):
            raise _compressed(f'audio_info says {info.coding_format}')
        self._format = Format(info.sample_rate, info.channels, info.sample_format or 'S16LE')
        self._informed = True

    def push(self, message: Any, arrival_ns: int) -> list[AudioBlock | EndOfSpeech]:
        """Return what the message says; raises `AudioError` where that cannot be understood."""
        start, samples, sample_rate = self._read(message)
        block = AudioBlock(start, samples, sample_rate, _capture_ns(message, arrival_ns))
        self._next = start + len(samples)
        said: list[AudioBlock | EndOfSpeech] = [block] if len(samples) else []
        return [*said, EndOfSpeech()] if getattr(message, 'last', False) else said

    def _read(self, message: Any) -> tuple[int, Samples, int]:
        if hasattr(message, 'encoding'):
            samples = decode_pcm(_bytes(message.data), message.encoding, message.channels)
            return int(message.start), samples, int(message.sample_rate)
        audio = getattr(message, 'audio', message)
        if hasattr(audio, 'audio_data'):
            return self._next, _typed_samples(audio), int(audio.info.rate)
        if hasattr(audio, 'data'):
            return self._next, self._bare_samples(_bytes(audio.data)), self._format.sample_rate
        raise AudioError('expected AudioChunk or a message of audio_common_msgs, '
                         f'got {type(message).__name__}')

    def _bare_samples(self, data: bytes) -> Samples:
        self._mp3_like = self._mp3_like + 1 if _begins_like_mp3(data) else 0
        if self._mp3_like == MP3_LIKE and not self._informed:
            self._mp3_like = 0
            raise _compressed('the bytes look like it')
        return decode_pcm(data, self._format.encoding, self._format.channels)


def _typed_samples(audio: Any) -> Samples:
    if audio.info.format not in FORMATS:
        raise AudioError(f'audio_common_msgs: expected a format of {", ".join(map(str, FORMATS))}'
                         f', got {audio.info.format}')
    field, kind, encoding = FORMATS[audio.info.format]
    data = np.asarray(getattr(audio.audio_data, field)).astype(kind).tobytes()
    return decode_pcm(data, encoding, audio.info.channels)


def _compressed(reason: str) -> AudioError:
    return AudioError(f'audio_common_msgs: expected raw PCM, got compressed audio ({reason}); '
                      'start audio_capture with format:=wave')


def _begins_like_mp3(data: bytes) -> bool:
    """Return whether an MPEG layer III header, or a tag before one, stands at the beginning."""
    if data[:3] == b'ID3':
        return True
    return (len(data) > 3 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2
            and data[2] >> 4 not in (0, 15) and data[2] & 0x0C != 0x0C)


def _bytes(data: Any) -> bytes:
    return data.tobytes() if hasattr(data, 'tobytes') else bytes(data)


def _capture_ns(message: Any, arrival_ns: int) -> int:
    """Return the header's stamp, or the arrival where there is none."""
    stamp = message.header.stamp if hasattr(message, 'header') else None
    ns = 0 if stamp is None else int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
    return ns or arrival_ns
