# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Frames as UDP datagrams to one address; what is in them is the business of a dialect."""

from __future__ import annotations

from collections.abc import Sequence
import socket
from typing import Any, Final, Protocol

import numpy as np

from avatar_bridge.errors import SinkError
from avatar_bridge.frames import Event, FaceFrame, Flags, StreamInfo, TimedAudio, TimedFrame
from avatar_bridge.protocols.fitting import AS_IT_IS, Fitting
from avatar_bridge.rig import NAMES
from avatar_bridge.sinks.address import Peer

REST_FRAMES: Final = 3          # neutral ones that are sent last: a datagram may be lost


class Dialect(Protocol):
    """
    How a protocol says a frame.

    One that has `end() -> Sequence[bytes]` is asked for its last words after the face is at rest.
    """

    def begin(self, info: StreamInfo) -> None:
        """Begin a stream."""
        ...

    def encode(self, frame: TimedFrame) -> Sequence[bytes]:
        """Return the datagrams of one frame, in the order in which they are sent."""
        ...


class DatagramSink:
    """
    Send each frame to `peer`; nobody needs to listen there, and whoever comes later gets the rest.

    At the end the face is put to rest, since receivers keep the pose that they saw last.
    """

    def __init__(self, peer: Peer, dialect: Dialect, fitting: Fitting = AS_IT_IS) -> None:
        """Send to `peer`, once open, what `dialect` makes of frames fitted by `fitting`."""
        self._peer = peer
        self._dialect = dialect
        self._fitting = fitting
        self._socket: socket.socket | None = None
        self._place: Any = None
        self._info: StreamInfo | None = None
        self._last: TimedFrame | None = None

    def open(self, info: StreamInfo) -> None:
        """Find the peer; raises `SinkError` where its name is unknown."""
        self._let_go()
        try:
            found = socket.getaddrinfo(self._peer.host, self._peer.port, type=socket.SOCK_DGRAM)
            # engines listen on IPv4 alone, but localhost is often found as ::1 first
            family, kind, number, _, place = min(
                found, key=lambda entry: entry[0] is not socket.AF_INET)
            self._socket = socket.socket(family, kind, number)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            self._place = place     # not connected: nobody there must not cost a datagram
        except OSError as error:
            self._let_go()
            raise SinkError(f'cannot send to {self._peer}: {error.strerror or error}') from error
        self._info = info
        self._dialect.begin(info)

    def send(self, frame: TimedFrame) -> None:
        """Send one frame, if the rig wants that many."""
        if self._info is None:
            raise SinkError(f'{self._peer} is not open')
        if self._fitting.is_due(frame.frame.index, self._info.fps):
            self._last = frame._replace(frame=self._fitting.pose(frame.frame))
            self._transmit(self._dialect.encode(self._last))

    def hear(self, audio: TimedAudio) -> None:
        """Ignore sound."""

    def notify(self, event: Event) -> None:
        """Ignore events."""

    def close(self) -> None:
        """Put the face to rest and let go."""
        if self._socket is not None and self._last is not None:
            for number in range(1, REST_FRAMES + 1):
                self._transmit(self._dialect.encode(rested(self._last, number)))
            self._transmit(getattr(self._dialect, 'end', tuple)())
        self._let_go()

    def _transmit(self, datagrams: Sequence[bytes]) -> None:
        assert self._socket is not None
        try:
            for datagram in datagrams:
                self._socket.sendto(datagram, self._place)
        except OSError as error:
            raise SinkError(f'cannot send to {self._peer}: {error.strerror or error}') from error

    def _let_go(self) -> None:
        self._info = self._last = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def rested(frame: TimedFrame, after: int) -> TimedFrame:
    """Return a face at rest, `after` frames later."""
    pose = frame.frame
    return frame._replace(frame=FaceFrame(
        pose.index + after, np.zeros(len(NAMES), np.float32), Flags.NONE,
        None if pose.head is None else np.zeros_like(pose.head),
        None if pose.eyes is None else np.zeros_like(pose.eyes)))
