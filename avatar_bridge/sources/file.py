# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Audio files, read piece by piece: WAV, FLAC, Ogg (Vorbis, Opus), MP3, AIFF."""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
import threading
from typing import BinaryIO

import numpy as np

from avatar_bridge.errors import AudioError, MissingPackageError
from avatar_bridge.frames import AudioBlock, EndOfSpeech, Event, Samples
from avatar_bridge.ports import Clock

try:
    import soundfile
except ImportError as missing:      # pragma: no cover
    raise MissingPackageError('audio files need soundfile; pip install soundfile') from missing
except OSError as missing:          # pragma: no cover
    raise MissingPackageError('soundfile found no libsndfile; apt-get install libsndfile1'
                              ) from missing

EXPECTED = 'expected WAV, FLAC, Ogg, MP3 or AIFF (ffmpeg -i IN OUT.wav makes one)'
PACED, UNPACED = 200, 10       # blocks a second: 5 ms, so that a hop waits little; few calls


class FileSource:
    """
    Yield a file's samples, at the pace of `clock` or as fast as they are taken.

    A file that was cut short yields all that can be read and then raises `AudioError`.
    """

    def __init__(self, path: Path | str, *, block: int = 0, clock: Clock | None = None) -> None:
        """Open `path`; `block`: samples to yield at a time. Raises `AudioError`."""
        self.path = Path(path)
        self._file = opened(self.path)
        self._lock = threading.Lock()
        self._closed = False
        self._clock = clock
        self.sample_rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self._block = block or max(1, self.sample_rate // (PACED if clock else UNPACED))
        self._promised: int = self._file.frames
        self._failed = False

    @property
    def duration(self) -> float:
        """Seconds, as the file's header has it."""
        return self._promised / self.sample_rate

    def blocks(self) -> Iterator[AudioBlock | EndOfSpeech | Event]:
        """Yield blocks to the end; raises `AudioError` there if the file was cut short."""
        start = 0
        epoch = self._clock.now() if self._clock else None
        while len(samples := self._read()):
            capture = None
            if self._clock is not None and epoch is not None:
                capture = epoch + start * 1_000_000_000 // self.sample_rate
                heard = start + len(samples)
                self._clock.sleep_until(epoch + heard * 1_000_000_000 // self.sample_rate)
            yield AudioBlock(start, samples, self.sample_rate, capture)
            start += len(samples)
        whole = self._closed or not self._is_cut(start)
        self.close()
        if not whole:
            raise AudioError(f'{self.path} was cut short: {start / self.sample_rate:.2f} s could '
                             'be read and were used; get the whole file for the rest')
        if not start and not self._promised:
            raise AudioError(f'{self.path} holds no samples; {EXPECTED}')

    def close(self) -> None:
        """Let go of the file; `blocks` ends."""
        with self._lock:
            self._closed = True
            self._file.close()

    def _read(self) -> Samples:
        out = np.full((self._block, self.channels), np.nan, np.float32)
        with self._lock:
            if self._closed or self._failed:
                return np.zeros(0, np.float32)
            try:
                count = len(self._file.read(out=out))
            except soundfile.LibsndfileError:
                self._failed = True     # damaged here; what was decoded before stands in `out`
                count = int(np.append(np.isfinite(out).all(axis=1), False).argmin())
        return out[:count, 0] if self.channels == 1 else out[:count]

    def _is_cut(self, read: int) -> bool:
        return self._failed or read < self._promised or is_cut(self.path)


def opened(path: Path) -> soundfile.SoundFile:
    """Open an audio file; raises `AudioError` that says what is wrong with it."""
    try:
        with path.open('rb') as file:
            if not file.read(1):
                raise AudioError(f'{path} is empty; {EXPECTED}')
        return soundfile.SoundFile(path)
    except FileNotFoundError as error:
        raise AudioError(f'{path}: there is no such file; {EXPECTED}') from error
    except IsADirectoryError as error:
        raise AudioError(f'{path} is a folder; {EXPECTED}') from error
    except OSError as error:
        raise AudioError(f'{path} cannot be read ({error.strerror}); {EXPECTED}') from error
    except (soundfile.LibsndfileError, TypeError) as error:     # TypeError: .raw needs a format
        raise AudioError(f'{path} is no audio that can be read here; {EXPECTED}') from error


def is_cut(path: Path) -> bool:
    """Return whether the container says that more should follow."""
    with path.open('rb') as file:
        head = file.read(12)
        size = file.seek(0, os.SEEK_END)
        if head[:4] in (b'RIFF', b'FORM'):
            promised = int.from_bytes(head[4:8], 'little' if head[:4] == b'RIFF' else 'big')
            unknown = promised in (0, 0xFFFFFFFF)       # written to a pipe
            return not unknown and promised + 8 > size
        return head[:4] == b'OggS' and not _has_last_page(file, size)


def _has_last_page(file: BinaryIO, size: int) -> bool:
    """Return whether an Ogg file's last page is whole and says that it is the last."""
    file.seek(max(0, size - 131072))            # a page has at most 65307 bytes
    tail = file.read()
    page = tail[max(0, tail.rfind(b'OggS')):]
    if len(page) < 27:
        return False
    segments = page[27:27 + page[26]]
    return bool(page[5] & 4) and len(page) >= 27 + page[26] + sum(segments)
