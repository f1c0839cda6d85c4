# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Frames to JSON lines and to npz.

Times are `index / fps`, and what differs from run to run (the stream's id, the clock) is left
out: the same frames make the same bytes.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
import zipfile

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.errors import SinkError
from avatar_bridge.formats.motion import Motion
from avatar_bridge.frames import Event, StreamInfo, TimedAudio, TimedFrame
from avatar_bridge.sinks.journal import Journal
from avatar_bridge.sinks.take import TakeRecorder

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


class NpzRecorder(TakeRecorder):
    """
    Collect frames and write one npz file when closed.

    Arrays: weights (n, 52) float32, index (n,), t (n,) seconds, flags (n,), names (52,), fps
    (numerator, denominator), latency in seconds, avatar, bundle, version; and head (n, 3) and
    eyes (n, 4), as `FaceFrame` has them, where any frame turns them.
    """

    def __init__(self, path: Path | str) -> None:
        """Write to `path` when closed."""
        super().__init__(path, lambda motion: archive(arrays_of(motion)))


def arrays_of(motion: Motion) -> dict[str, NDArray[Any]]:
    """Return what an npz says about a take."""
    info = motion.info
    turned = {name: turns for name, turns in (('head', motion.head), ('eyes', motion.eyes))
              if turns is not None}
    return {
        'weights': motion.weights, 'index': motion.index, 't': motion.times,
        'flags': np.frombuffer(motion.flags, np.uint8), 'names': np.array(info.names),
        'fps': np.array((info.fps.numerator, info.fps.denominator)),
        'latency': np.array(float(info.latency)), 'avatar': np.array(info.avatar),
        'bundle': np.array(info.bundle), 'version': np.array(FORMAT_VERSION), **turned,
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
