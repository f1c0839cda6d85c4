# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What a computer asks a phone for that tracks a face, and what such a phone must know."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, Protocol

from avatar_bridge.frames import StreamInfo, TimedFrame


class Transport(Enum):
    """How frames travel."""

    UDP = 'udp'
    TCP = 'tcp'                     # the phone calls back


class Wish(NamedTuple):
    """What a computer wants of us."""

    ports: tuple[int, ...]          # where it listens; none of them: it wants nothing any more
    seconds: float = float('inf')   # for how long
    version: str = ''               # of the frames, out of the phone's own
    transport: Transport = Transport.UDP


class Phone(Protocol):
    """A protocol as the phone speaks it."""

    def begin(self, info: StreamInfo) -> None:
        """Begin a stream."""
        ...

    def wish(self, datagram: bytes) -> Wish | None:
        """Return what a datagram asks for; None for what is no request."""
        ...

    def frame(self, frame: TimedFrame, wish: Wish) -> bytes:
        """Return a frame as whoever had this wish wants it."""
        ...
