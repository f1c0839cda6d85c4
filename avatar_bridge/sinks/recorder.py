# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Frames to JSON lines and to npz.

Times are `index / fps`, and what differs from run to run (the stream's id, the clock) is left
out: the same frames make the same bytes.
"""

from __future__ import annotations

import errno
import io
import json
import os
from pathlib import Path
from typing import Any
import zipfile

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.errors import SinkError
from avatar_bridge.frames import Event, StreamInfo, TimedAudio, TimedFrame, angles
from avatar_bridge.sinks.journal import Journal, unwritable

FORMAT_VERSION = 1


class JsonLinesRecorder:
    """
    The first line describes the stream; each of the others is one frame.

    Frames that turn head and eyes have `head` and `eyes` too, as `FaceFrame` has them.
    """

    def __init__(self, path: Path | str) -> None:
        """Write to `path` when opened."""
        self._journal = Journal(path)
        self._info: StreamInfo | None = None

    def open(self, info: StreamInfo) -> None:
        """Create the file, or go on with it."""
        self._info = info
        self._journal.open()
        if self._journal.is_new:
            self._append({
                'version': FORMAT_VERSION, 'avatar': info.avatar, 'names': info.names,
                'fps': str(info.fps), 'latency': float(info.latency), 'bundle': info.bundle,
            })

    def send(self, frame: TimedFrame) -> None:
        """Append one line."""
        if self._info is None:
            raise SinkError(f'{self._journal.path} is not open')
        pose = frame.frame
        self._append({
            'index': pose.index, 't': round(float(pose.index / self._info.fps), 9),
            'flags': int(pose.flags), **{
                name: [round(x, 7) for x in values.tolist()] for name, values in
                (('weights', pose.weights), ('head', pose.head), ('eyes', pose.eyes))
                if values is not None},
        })

    def hear(self, audio: TimedAudio) -> None:
        """Ignore sound."""

    def notify(self, event: Event) -> None:
        """Ignore events."""

    def close(self) -> None:
        """Close the file."""
        self._journal.close()

    def _append(self, values: dict[str, Any]) -> None:
        self._journal.append(json.dumps(values, separators=(',', ':')).encode() + b'\n')


class NpzRecorder:
    """
    Collect frames and write one npz file when closed.

    Arrays: weights (n, 52) float32, index (n,), t (n,) seconds, flags (n,), names (52,), fps
    (numerator, denominator), latency in seconds, avatar, bundle, version; and head (n, 3) and
    eyes (n, 4), as `FaceFrame` has them, where any frame turns them.
    """

    def __init__(self, path: Path | str) -> None:
        """Write to `path` when closed."""
        self._path = Path(path)
        self._part = self._path.with_name(self._path.name + '.part')
        self._info: StreamInfo | None = None
        self._index: list[int] = []
        self._flags = bytearray()
        self._weights = bytearray()
        self._angles = bytearray()
        self._turned = False            # some frame had angles
        self._unwritten = False

    def open(self, info: StreamInfo) -> None:
        """See that the place can be written to; what was collected before is kept."""
        self._info = info
        self._unwritten = True
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            self._part.touch()
        except OSError as error:
            raise unwritable(self._path, error) from error

    def send(self, frame: TimedFrame) -> None:
        """Keep one frame (245 bytes; 53 MB an hour at 60 fps)."""
        if self._info is None:
            raise SinkError(f'{self._path} is not open')
        self._index.append(frame.frame.index)
        self._flags.append(int(frame.frame.flags))
        self._weights += frame.frame.weights.astype('<f4').tobytes()
        self._angles += angles(frame.frame).astype('<f4').tobytes()
        self._turned |= frame.frame.head is not None or frame.frame.eyes is not None
        self._unwritten = True

    def hear(self, audio: TimedAudio) -> None:
        """Ignore sound."""

    def notify(self, event: Event) -> None:
        """Ignore events."""

    def close(self) -> None:
        """Write the file, whole or not at all."""
        if self._info is None or not self._unwritten:
            return
        try:
            self._part.write_bytes(archive(self._arrays(self._info)))
            self._part.replace(self._path)
        except OSError as error:
            raise unwritable(self._path, error) from error
        self._unwritten = False

    def _arrays(self, info: StreamInfo) -> dict[str, NDArray[Any]]:
        index = np.array(self._index, np.int64)
        ratio = (info.fps.numerator, info.fps.denominator)
        turns = np.frombuffer(bytes(self._angles), '<f4').reshape(-1, 7)
        turned = {'head': turns[:, :3], 'eyes': turns[:, 3:]} if self._turned else {}
        return {
            'weights': np.frombuffer(bytes(self._weights), '<f4').reshape(-1, len(info.names)),
            'index': index, 't': index * ratio[1] / ratio[0],
            'flags': np.frombuffer(bytes(self._flags), np.uint8), 'names': np.array(info.names),
            'fps': np.array(ratio), 'latency': np.array(float(info.latency)),
            'avatar': np.array(info.avatar), 'bundle': np.array(info.bundle),
            'version': np.array(FORMAT_VERSION), **turned,
        }


def archive(arrays: dict[str, NDArray[Any]]) -> bytes:
    """Return an npz; unlike numpy's own without the time of day, so that bytes repeat."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, 'w') as file:
        for name, array in arrays.items():
            piece = io.BytesIO()
            np.lib.format.write_array(piece, array, allow_pickle=False)
            file.writestr(zipfile.ZipInfo(f'{name}.npy', (1980, 1, 1, 0, 0, 0)), piece.getvalue())
    return whole.getvalue()
