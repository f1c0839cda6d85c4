# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Raw samples from pipes, in pieces of any size."""

from __future__ import annotations

import io
import os
import threading

import numpy as np
import pytest

from avatar_bridge.audio.pcm import decode_pcm
from avatar_bridge.errors import AudioError
from avatar_bridge.sources.raw import RawSource

PCM = np.random.default_rng(3).integers(-32768, 32768, 5000).astype('<i2')
DATA = PCM.tobytes()


def joined(blocks):
    blocks = list(blocks)
    assert [block.start for block in blocks] == [
        sum(len(other.samples) for other in blocks[:n]) for n in range(len(blocks))]
    return np.concatenate([np.zeros(0, np.float32), *(block.samples for block in blocks)])


def through_a_pipe(pieces, source_of=RawSource):
    read, write = os.pipe()
    stream, finished = os.fdopen(read, 'rb'), threading.Event()

    def feed():
        for piece in pieces:
            os.write(write, piece)
            finished.wait(0.001)
        os.close(write)

    thread = threading.Thread(target=feed)
    thread.start()
    with stream:
        got = joined(source_of(stream).blocks())
    thread.join()
    return got


@pytest.mark.parametrize('size', [1, 3, 641, 4096, 10000])
def test_pieces_of_any_size_give_the_same_samples(size):
    pieces = [DATA[n:n + size] for n in range(0, min(len(DATA), 300 * size), size)]
    whole = b''.join(pieces)
    expected = np.frombuffer(whole[:len(whole) & ~1], '<i2') / 32768
    assert np.array_equal(through_a_pipe(pieces), expected.astype(np.float32))


def test_half_a_sample_at_the_end_is_left_out():
    assert len(through_a_pipe([DATA[:101]])) == 50
    assert len(through_a_pipe([b'x'])) == 0


def test_a_stream_in_memory_will_do_and_an_empty_one_ends():
    assert len(joined(RawSource(io.BytesIO(DATA), 48000).blocks())) == 5000
    assert len(joined(RawSource(io.BytesIO()).blocks())) == 0


def test_blocks_carry_the_rate_that_was_told():
    assert {block.sample_rate for block in RawSource(io.BytesIO(DATA), 44100).blocks()} == {44100}


def test_what_has_arrived_is_not_held_back():
    read, write = os.pipe()
    with os.fdopen(read, 'rb') as stream:
        blocks = RawSource(stream).blocks()
        for _ in range(3):
            os.write(write, DATA[:100])
            assert len(next(blocks).samples) == 50
        os.close(write)


def test_close_ends_a_source_that_waits():
    read, write = os.pipe()
    with os.fdopen(read, 'rb') as stream:
        source = RawSource(stream)
        threading.Timer(0.05, source.close).start()
        assert list(source.blocks()) == []
        source.close()
    os.close(write)


ENCODED = {
    'S16LE': np.array([-32768, 0, 16384], '<i2').tobytes(),
    'S24LE': bytes([0, 0, 128, 0, 0, 0, 0, 0, 64]),
    'S32LE': np.array([-2**31, 0, 2**30], '<i4').tobytes(),
    'F32LE': np.array([-1, 0, 0.5], '<f4').tobytes(),
    'F64LE': np.array([-1, 0, 0.5], '<f8').tobytes(),
    'U8': bytes([0, 128, 192]), 'S8': np.array([-128, 0, 64], 'i1').tobytes(),
    'int8': np.array([-128, 0, 64], 'i1').tobytes(),
}


@pytest.mark.parametrize('encoding', ENCODED)
def test_every_encoding_means_the_same(encoding):
    assert decode_pcm(ENCODED[encoding], encoding, 1).tolist() == [-1.0, 0.0, 0.5]
    assert decode_pcm(ENCODED[encoding], encoding, 3).shape == (1, 3)


@pytest.mark.parametrize(('data', 'encoding', 'channels', 'complaint'), [
    (b'123', 'S16LE', 1, 'a multiple of 2 bytes'), (b'1234', 'S24LE', 2, 'a multiple of 6'),
    (b'12', 'MP3', 1, 'expected samples as U8'), (b'12', 'S16LE', 0, 'expected 1 to 64 channels'),
])
def test_bytes_that_cannot_be_samples_are_refused(data, encoding, channels, complaint):
    with pytest.raises(AudioError, match=complaint):
        decode_pcm(data, encoding, channels)
