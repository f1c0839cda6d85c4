# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""A file that is written when its take is over."""

from __future__ import annotations

from collections.abc import Callable
import errno
import os
from pathlib import Path

import numpy as np

from avatar_bridge.errors import SinkError
from avatar_bridge.formats.motion import Motion
from avatar_bridge.frames import Event, StreamInfo, TimedAudio, TimedFrame, angles
from avatar_bridge.rig import NAMES
from avatar_bridge.sinks.journal import unwritable


class TakeRecorder:
    """Collect frames and write one file when closed, whole or not at all."""

    closing = 60.0                      # seconds that writing may take, of a live run too

    def __init__(self, path: Path | str, encode: Callable[[Motion], bytes]) -> None:
        """Write what `encode` makes of the take to `path`."""
        self._path = Path(path)
        self._part = self._path.with_name(self._path.name + '.part')
        self._encode = encode
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
        """Write the file."""
        if self._info is None or not self._unwritten:
            return
        try:
            self._part.write_bytes(self._encode(self._motion(self._info)))
            self._part.replace(self._path)
        except OSError as error:
            raise unwritable(self._path, error) from error
        self._unwritten = False

    def _motion(self, info: StreamInfo) -> Motion:
        turns = np.frombuffer(bytes(self._angles), '<f4').reshape(-1, 7)
        return Motion(
            info, np.array(self._index, np.int64),
            np.frombuffer(bytes(self._weights), '<f4').reshape(-1, len(NAMES)),
            bytes(self._flags), turns[:, :3] if self._turned else None,
            turns[:, 3:] if self._turned else None, self._path.stem)
