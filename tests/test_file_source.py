# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Files of every format, whole, cut short, empty and foreign."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import soundfile

from avatar_bridge.clock import ManualClock, MonotonicClock
from avatar_bridge.errors import AudioError
from avatar_bridge.sources.file import FileSource

FORMATS = {                     # name: format, subtype, rate, least correlation
    'a.wav': ('WAV', 'PCM_16', 16000, 1.0), 'b.wav': ('WAV', 'FLOAT', 44100, 1.0),
    'c.wav': ('WAV', 'PCM_24', 8000, 1.0), 'd.wav': ('WAV', 'PCM_32', 192000, 1.0),
    'a.flac': ('FLAC', 'PCM_16', 16000, 1.0), 'a.ogg': ('OGG', 'VORBIS', 16000, 0.98),
    'a.opus': ('OGG', 'OPUS', 48000, 0.98), 'a.mp3': ('MP3', 'MPEG_LAYER_III', 44100, 0.98),
    'a.aiff': ('AIFF', 'PCM_16', 16000, 1.0),
}


def sound(rate, seconds=2.0):
    """A melody with noise, loud enough for lossy formats; never the same for long."""
    time = np.arange(int(rate * seconds)) / rate
    noise = np.random.default_rng(1).normal(0, 0.02, len(time))
    return np.float32(0.4 * np.sin(2 * np.pi * (200 + 100 * time) * time) + noise)


def written(folder, name, samples=None):
    kind, subtype, rate, _ = FORMATS[name]
    path = folder / name
    soundfile.write(path, sound(rate) if samples is None else samples, rate, format=kind,
                    subtype=subtype)
    return path


def taken(source):
    """Return all blocks, and the error that ended them, if any."""
    blocks = []
    try:
        blocks.extend(source.blocks())
    except AudioError as error:
        return blocks, str(error)
    return blocks, ''


def joined(blocks):
    return np.concatenate([block.samples for block in blocks])


@pytest.mark.parametrize('name', FORMATS)
def test_every_format_is_read_whole(name, tmp_path):
    rate, least = FORMATS[name][2:]
    source = FileSource(written(tmp_path, name))
    blocks, error = taken(source)
    got, expected = joined(blocks), sound(rate)
    assert not error
    assert got.dtype == np.float32
    assert {block.sample_rate for block in blocks} == {rate}
    assert abs(len(got) - len(expected)) <= (0 if least == 1.0 else 2400)
    length = min(len(got), len(expected))
    assert np.corrcoef(got[:length], expected[:length])[0, 1] >= least - 1e-4
    assert source.duration == pytest.approx(2.0, abs=0.06)


@pytest.mark.parametrize('name', ['a.wav', 'b.wav', 'a.aiff', 'a.flac', 'a.ogg', 'a.opus',
                                  'a.mp3'])
def test_of_a_cut_file_everything_readable_is_used_and_the_cut_is_told(name, tmp_path):
    path = written(tmp_path, name, sound(FORMATS[name][2], 10.0))
    whole = joined(taken(FileSource(path))[0])
    data = path.read_bytes()
    path.write_bytes(data[:len(data) * 7 // 10])
    blocks, error = taken(FileSource(path))
    got = joined(blocks)
    assert 0.4 * len(whole) < len(got) < 0.8 * len(whole)
    assert np.allclose(got[:-2000], whole[:len(got) - 2000], atol=1e-4)
    assert 'was cut short' in error


def test_a_cut_flac_gives_every_whole_packet(tmp_path):
    path = written(tmp_path, 'a.flac')
    data = path.read_bytes()
    path.write_bytes(data[:len(data) * 6 // 10])
    coarse = joined(taken(FileSource(path, block=5000))[0])
    fine = joined(taken(FileSource(path, block=7))[0])
    assert len(coarse) % 4096 == 0
    assert np.array_equal(coarse, fine)


@pytest.mark.parametrize('block', [1, 77, 4096, 10**6])
def test_blocks_have_the_size_asked_for_and_no_gaps(block, tmp_path):
    path = written(tmp_path, 'a.wav', sound(16000, 0.3))
    blocks, _ = taken(FileSource(path, block=block))
    assert [piece.start for piece in blocks] == list(range(0, 4800, block))
    assert np.array_equal(joined(blocks), soundfile.read(path, dtype='float32')[0])


def test_channels_stay_apart(tmp_path):
    stereo = np.stack([sound(16000), -sound(16000)], axis=1)
    blocks, _ = taken(FileSource(written(tmp_path, 'b.wav', stereo)))
    assert np.array_equal(joined(blocks), stereo)


def test_a_wav_from_a_pipe_is_not_cut(tmp_path):
    path = written(tmp_path, 'a.wav')
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b'\xff' * 4
    path.write_bytes(data)
    blocks, error = taken(FileSource(path))
    assert (len(joined(blocks)), error) == (32000, '')


@pytest.mark.parametrize('name', ['x.wav', 'x.flac', 'x.mp3', 'x.ogg', 'x.raw', 'x.txt'])
@pytest.mark.parametrize('content', [b'', b'RIFF', b'hello world\n' * 100, bytes(5000)])
def test_what_is_no_audio_is_refused_in_one_line(name, content, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(AudioError, match='expected WAV, FLAC, Ogg, MP3') as caught:
        list(FileSource(path).blocks())
    assert '\n' not in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(AudioError, match='no such file'):
        FileSource(tmp_path / 'nothing.wav')
    with pytest.raises(AudioError, match='is a folder'):
        FileSource(tmp_path)


def test_a_file_without_samples_is_refused(tmp_path):
    with pytest.raises(AudioError, match='holds no samples'):
        list(FileSource(written(tmp_path, 'a.wav', np.zeros(0, np.float32))).blocks())


def test_with_a_clock_blocks_come_when_they_would_have_been_heard(tmp_path):
    clock = ManualClock(5_000_000_000)
    source = FileSource(written(tmp_path, 'a.wav', sound(16000, 0.5)), block=1600, clock=clock)
    rows = [(block.start, block.capture_ns, clock.now()) for block in source.blocks()]
    assert rows == [(n * 1600, 5_000_000_000 + n * 100_000_000, 5_100_000_000 + n * 100_000_000)
                    for n in range(5)]


def test_close_ends_a_paced_file_soon(tmp_path):
    source = FileSource(written(tmp_path, 'a.wav'), clock=MonotonicClock())
    threading.Timer(0.1, source.close).start()
    blocks, error = taken(source)
    assert (len(blocks) < 50, error) == (True, '')
    source.close()
