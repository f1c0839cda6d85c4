# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Raw 16 bit mono samples from a pipe."""

from __future__ import annotations

from collections.abc import Iterator
import io
import os
import select
import sys
from typing import BinaryIO

from avatar_bridge.audio.pcm import decode_pcm
from avatar_bridge.errors import AudioError
from avatar_bridge.frames import AudioBlock, EndOfSpeech, Event

PIECE = 8192                    # bytes asked for at once; what is there comes at once


class RawSource:
    """Yield what a stream of s16le bytes gives, in pieces of any size, until it ends."""

    def __init__(self, stream: BinaryIO, sample_rate: int = 16000) -> None:
        """Read `stream` (standard input's buffer, say)."""
        self._stream = stream
        self._sample_rate = sample_rate
        self._closed = False
        try:
            self._number: int | None = stream.fileno()
        except (OSError, io.UnsupportedOperation, AttributeError):
            self._number = None         # a BytesIO; reading never waits
        self._wake_read, self._wake_write = os.pipe()

    def blocks(self) -> Iterator[AudioBlock | EndOfSpeech | Event]:
        """Yield blocks until the stream ends or `close` is called."""
        start, odd = 0, b''
        while data := self._read():
            data = odd + data
            whole = len(data) & ~1
            odd = data[whole:]
            if whole:
                samples = decode_pcm(data[:whole], 'S16LE', 1)
                yield AudioBlock(start, samples, self._sample_rate)
                start += len(samples)

    def close(self) -> None:
        """Make `blocks` end, also while it waits for more."""
        if not self._closed:
            self._closed = True
            os.write(self._wake_write, b'.')

    def _read(self) -> bytes:
        if self._closed:
            return b''
        try:
            if self._number is None or sys.platform == 'win32':
                return self._stream.read(PIECE)
            ready, _, _ = select.select([self._number, self._wake_read], [], [])
            # Not through the stream's buffer: what that holds, `select` would not see.
            return b'' if self._wake_read in ready else os.read(self._number, PIECE)
        except (OSError, ValueError) as error:
            raise AudioError(f'standard input cannot be read ({error}); expected raw s16le mono '
                             'samples') from error

    def __del__(self) -> None:
        """Give the wake-up pipe back."""
        os.close(self._wake_read)
        os.close(self._wake_write)
