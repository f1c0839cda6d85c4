# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Frames as ROS messages in one MCAP file, for Foxglove, Rerun, `ros2 bag` and rosbags.

Messages are written one by one and not in chunks: what a crash leaves holds every frame.
"""

from __future__ import annotations

from pathlib import Path
import struct

from avatar_bridge.errors import SinkError
from avatar_bridge.frames import Event, StreamInfo, TimedAudio, TimedFrame, angles
from avatar_bridge.message_definitions import with_dependencies
from avatar_bridge.sinks.journal import Journal
from avatar_bridge.timeline import Timeline

MAGIC = b'\x89MCAP0\r\n'
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, STATISTICS, DATA_END = 1, 2, 3, 4, 5, 11, 15
TOPICS = (                      # channel and schema 1, 2
    ('/avatar_bridge/layout', 'avatar_bridge_msgs/msg/BlendshapeLayout'),
    ('/avatar_bridge/blendshapes', 'avatar_bridge_msgs/msg/BlendshapeFrame'),
)
LAYOUT, FRAME = 1, 2


class McapRecorder:
    """Write the layout and then each frame; log time and stamps are `index / fps`."""

    def __init__(self, path: Path | str) -> None:
        """Write to `path` when opened."""
        self._journal = Journal(path)
        self._info: StreamInfo | None = None
        self._timeline = Timeline()
        self._counts = {LAYOUT: 0, FRAME: 0}
        self._first = self._last = 0            # log times, ns
        self._turns = False                     # what the newest layout says
        self._finished = True

    def open(self, info: StreamInfo) -> None:
        """Create the file, or go on with it."""
        self._info = info
        self._timeline = Timeline(info.sample_rate, info.fps)
        self._journal.open()
        if self._journal.is_new:
            self._journal.append(MAGIC + record(HEADER, text('ros2') + text('avatar_bridge'))
                                 + declarations())
            self._write(LAYOUT, 0, layout_message(info))
            self._turns = False
        self._finished = False

    def send(self, frame: TimedFrame) -> None:
        """Append one frame."""
        if self._info is None:
            raise SinkError(f'{self._journal.path} is not open')
        time = self._timeline.nanoseconds(frame.frame.index)
        turns = frame.frame.head is not None
        if turns != self._turns:                # idle life came or went: say so
            self._write(LAYOUT, time, layout_message(self._info, turns=turns))
            self._turns = turns
        self._write(FRAME, time, frame_message(frame, time, self._info.avatar))

    def hear(self, audio: TimedAudio) -> None:
        """Ignore sound."""

    def notify(self, event: Event) -> None:
        """Ignore events."""

    def close(self) -> None:
        """Write the summary, without which readers call a file cut short."""
        try:
            if not self._finished:
                self._finished = True
                # Not counted as part of the journal: an opening after this overwrites it.
                end, whole = self._end(), self._journal.size
                self._journal.append(end)
                self._journal.size = whole
        finally:
            self._journal.close()

    def _write(self, channel: int, time: int, data: bytes) -> None:
        head = struct.pack('<HIQQ', channel, self._counts[channel], time, time)
        self._journal.append(record(MESSAGE, head + data))
        total = sum(self._counts.values())
        self._first = time if not total else min(self._first, time)
        self._last = max(self._last, time)
        self._counts[channel] += 1

    def _end(self) -> bytes:
        counts = b''.join(struct.pack('<HQ', *item) for item in self._counts.items())
        statistics = struct.pack('<QHIIIIQQI', sum(self._counts.values()), len(TOPICS),
                                 len(TOPICS), 0, 0, 0, self._first, self._last, len(counts))
        data_end = record(DATA_END, bytes(4))
        summary = declarations() + record(STATISTICS, statistics + counts)
        start = self._journal.size + len(data_end)
        return data_end + summary + record(FOOTER, struct.pack('<QQI', start, 0, 0)) + MAGIC


class Cdr:
    """A message in the little-endian Common Data Representation of DDS."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._body = bytearray()

    def numbers(self, kind: str, *values: float) -> Cdr:
        """Add numbers of one `struct` type, aligned to their size."""
        self._body += bytes(-len(self._body) % struct.calcsize(kind))
        self._body += struct.pack(f'<{len(values)}{kind}', *values)
        return self

    def text(self, value: str) -> Cdr:
        """Add a string."""
        data = value.encode() + b'\0'
        self.numbers('I', len(data))
        self._body += data
        return self

    def message(self) -> bytes:
        """Return the bytes."""
        return b'\x00\x01\x00\x00' + bytes(self._body)


def frame_message(frame: TimedFrame, time: int, avatar: str) -> bytes:
    """Return a BlendshapeFrame whose stamps are `time` (ns)."""
    stamp = divmod(time, 1_000_000_000)
    pose, cdr = frame.frame, Cdr()
    cdr.numbers('i', stamp[0]).numbers('I', stamp[1]).text(avatar).numbers('Q', pose.index)
    cdr.numbers('i', stamp[0]).numbers('I', stamp[1])
    cdr.numbers('f', *pose.weights.tolist()).numbers('f', *angles(pose).tolist())
    return cdr.numbers('B', int(pose.flags)).message()


def layout_message(info: StreamInfo, *, turns: bool = False) -> bytes:
    """
    Return a BlendshapeLayout; without the id of the run, so that bytes repeat.

    `turns` tells whether frames turn head and eyes.
    """
    cdr = Cdr().numbers('B', 1).text('').text(info.avatar).numbers('I', len(info.names))
    for name in info.names:
        cdr.text(name)
    cdr.numbers('I', info.fps.numerator, info.fps.denominator).numbers('d', float(info.latency))
    return cdr.text(info.bundle).numbers('I', info.sample_rate).numbers(
        'B', turns, turns).message()


def declarations() -> bytes:
    """Return the schema and channel records."""
    whole = b''
    for number, (topic, name) in enumerate(TOPICS, 1):
        definition = text(name) + text('ros2msg') + text(with_dependencies(name))
        whole += record(SCHEMA, struct.pack('<H', number) + definition)
        channel = struct.pack('<HH', number, number) + text(topic) + text('cdr') + bytes(4)
        whole += record(CHANNEL, channel)
    return whole


def record(opcode: int, content: bytes) -> bytes:
    """Return one MCAP record."""
    return struct.pack('<BQ', opcode, len(content)) + content


def text(value: str) -> bytes:
    """Return one MCAP string."""
    data = value.encode()
    return struct.pack('<I', len(data)) + data
