# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Live Link Face CSV, as the app records it: Unreal, Blender and MetaHuman tools read it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from avatar_bridge.errors import SinkError
from avatar_bridge.frames import Event, FaceFrame, StreamInfo, TimedAudio, TimedFrame
from avatar_bridge.protocols.livelink import ANGLES, turns
from avatar_bridge.rig import INDEX, NAMES
from avatar_bridge.sinks.journal import Journal

BASE = 60                       # frames a second that the time code counts

# The app's columns have right before left here, unlike its UDP packets and Apple's list.
_SWAPPED = {'jawLeft': 'jawRight', 'jawRight': 'jawLeft', 'mouthLeft': 'mouthRight',
            'mouthRight': 'mouthLeft'}
ORDER = tuple(_SWAPPED.get(name, name) for name in NAMES)
COLUMNS = ('Timecode', 'BlendShapeCount', *(name[0].upper() + name[1:] for name in ORDER), *ANGLES)

_TAKE = np.array([INDEX[name] for name in ORDER])
_COUNT = len(ORDER) + len(ANGLES)
_STILL = ',0.0000000000' * len(ANGLES)


class LiveLinkCsv:
    """Write one row for each frame; time starts at zero with frame 0."""

    def __init__(self, path: Path | str) -> None:
        """Write to `path` when opened."""
        self._journal = Journal(path)
        self._info: StreamInfo | None = None

    def open(self, info: StreamInfo) -> None:
        """Create the file, or go on with it."""
        self._info = info
        self._journal.open()
        if self._journal.is_new:
            self._journal.append(','.join(COLUMNS).encode() + b'\n')

    def send(self, frame: TimedFrame) -> None:
        """Append one row."""
        if self._info is None:
            raise SinkError(f'{self._journal.path} is not open')
        pose = frame.frame
        values = ''.join(f',{weight:.10f}' for weight in pose.weights[_TAKE].tolist())
        row = f'{timecode(pose.index, self._info.fps)},{_COUNT}{values}{columns(pose)}\n'
        self._journal.append(row.encode())

    def hear(self, audio: TimedAudio) -> None:
        """Ignore sound."""

    def notify(self, event: Event) -> None:
        """Ignore events."""

    def close(self) -> None:
        """Close the file."""
        self._journal.close()


def columns(pose: FaceFrame) -> str:
    """Return the columns of head and eyes."""
    if pose.head is None and pose.eyes is None:
        return _STILL
    return ''.join(f',{angle:.10f}' for angle in turns(pose).tolist())


def timecode(index: int, fps: Fraction) -> str:
    """Return the start of a frame as HH:MM:SS:FF.mmm, FF counting 60 a second."""
    whole, rest = divmod(index * BASE / fps, 1)
    seconds, ticks = divmod(int(whole), BASE)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours % 24:02}:{minutes:02}:{seconds:02}:{ticks:02}.{int(rest * 1000):03}'
