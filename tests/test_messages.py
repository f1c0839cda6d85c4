# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Audio messages of ROS in all dialects; plain objects with the fields of the messages."""

from array import array
from types import SimpleNamespace as Message

import numpy as np
import pytest

from avatar_bridge.audio.messages import Format, MessageReader
from avatar_bridge.errors import AudioError
from avatar_bridge.frames import EndOfSpeech

SAMPLES = np.array([0.0, 0.5, -0.5, 0.25], np.float32)
PCM = (SAMPLES * 32768).astype('<i2').tobytes()


def header(seconds=0):
    return Message(stamp=Message(sec=seconds, nanosec=7), frame_id='')


def chunk(**fields):
    return Message(**{'header': header(3), 'start': 100, 'sample_rate': 16000, 'channels': 1,
                      'encoding': 'S16LE', 'last': False, 'data': array('B', PCM), **fields})


def typed(number, field, values, channels=1):
    fields = dict.fromkeys(
        ('float32_data', 'int32_data', 'int16_data', 'int8_data', 'uint8_data'), ())
    return Message(audio_data=Message(**{**fields, field: values}),
                   info=Message(format=number, channels=channels, rate=44100, chunk=512))


def test_a_chunk_keeps_its_number_rate_and_stamp():
    [block] = MessageReader().push(chunk(), arrival_ns=5)
    assert (block.start, block.sample_rate, block.capture_ns) == (100, 16000, 3_000_000_007)
    assert np.array_equal(block.samples, SAMPLES)


def test_the_last_chunk_ends_the_speech_after_its_samples():
    block, end = MessageReader().push(chunk(last=True), 0)
    assert len(block.samples) == 4
    assert isinstance(end, EndOfSpeech)


def test_an_empty_last_chunk_only_ends_the_speech():
    assert MessageReader().push(chunk(data=array('B'), last=True), 0) == [EndOfSpeech()]


def test_floats_and_channels_are_taken_apart():
    data = array('B', np.stack([SAMPLES, -SAMPLES], axis=1).astype('<f4').tobytes())
    [block] = MessageReader().push(chunk(encoding='F32LE', channels=2, data=data), 0)
    assert np.array_equal(block.samples[:, 1], -SAMPLES)


@pytest.mark.parametrize('fields', [
    {'encoding': 'S20LE'}, {'channels': 0}, {'data': array('B', b'123')},
])
def test_a_chunk_that_makes_no_sense_is_refused(fields):
    with pytest.raises(AudioError, match='expected'):
        MessageReader().push(chunk(**fields), 0)


def test_bare_bytes_are_counted_and_read_as_audio_info_said():
    reader = MessageReader(Format(sample_rate=8000))
    [before] = reader.push(Message(data=array('B', PCM)), arrival_ns=9)
    reader.inform(Message(channels=2, sample_rate=48000, sample_format='S16LE',
                          coding_format='WAVE', bitrate=0))
    [after] = reader.push(Message(header=header(2), audio=Message(data=PCM)), 11)
    assert (before.start, before.sample_rate, before.capture_ns) == (0, 8000, 9)
    assert (after.start, after.sample_rate, after.capture_ns) == (4, 48000, 2_000_000_007)
    assert after.samples.shape == (2, 2)


@pytest.mark.parametrize(('number', 'field', 'scale'), [
    (1, 'float32_data', 1.0), (2, 'int32_data', 2.0**31), (8, 'int16_data', 2.0**15),
    (16, 'int8_data', 2.0**7),
])
def test_typed_samples_are_scaled_by_their_format(number, field, scale):
    values = [value * scale if scale == 1.0 else int(value * scale) for value in SAMPLES.tolist()]
    message = Message(header=header(), audio=typed(number, field, values))
    [block] = MessageReader().push(message, 1)
    assert np.array_equal(block.samples, SAMPLES)
    assert block.sample_rate == 44100


def test_unsigned_bytes_are_silent_in_the_middle():
    [block] = MessageReader().push(typed(32, 'uint8_data', [128, 192, 64]), 0)
    assert block.samples.tolist() == [0.0, 0.5, -0.5]


def test_an_unknown_format_number_is_refused():
    with pytest.raises(AudioError, match='format of 1, 2, 8, 16, 32, got 4'):
        MessageReader().push(typed(4, 'int16_data', [1]), 0)


def test_mp3_is_refused_when_audio_info_says_so():
    with pytest.raises(AudioError, match='format:=wave'):
        MessageReader().inform(Message(coding_format='MP3', sample_format='S16LE', channels=1,
                                       sample_rate=16000, bitrate=128))


def test_mp3_is_refused_when_nobody_says_so():
    frame = Message(data=bytes([0xFF, 0xFB, 0x90, 0x64]) + bytes(100))
    reader = MessageReader()
    reader.push(frame, 0)
    reader.push(frame, 0)
    with pytest.raises(AudioError, match='compressed'):
        reader.push(frame, 0)


def test_something_else_is_refused_by_name():
    with pytest.raises(AudioError, match='got SimpleNamespace'):
        MessageReader().push(Message(text='hello'), 0)
