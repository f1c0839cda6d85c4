# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""A phone that tracks a face, as seen from the network: it sends frames to whoever asks."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
import logging
import socket
from typing import Any, Final

from avatar_bridge.clock import MonotonicClock
from avatar_bridge.errors import SinkError
from avatar_bridge.frames import Event, StreamInfo, TimedAudio, TimedFrame
from avatar_bridge.ports import Clock
from avatar_bridge.protocols.fitting import AS_IT_IS, Fitting
from avatar_bridge.protocols.phone import Phone, Transport, Wish
from avatar_bridge.sinks.address import Peer
from avatar_bridge.sinks.datagrams import REST_FRAMES, rested
from avatar_bridge.sinks.web_guard import stays_here

log = logging.getLogger(__name__)

LARGEST_WISH: Final = 4096      # bytes
MOST_WISHES: Final = 64         # read between two frames
MOST_LISTENERS: Final = 32      # newer ones push out those that asked first
PATIENCE: Final = 0.25          # seconds to call a computer back
MOST_WAITING: Final = 16384     # bytes for one TCP connection, about ten frames
SEND_BUFFER: Final = 8192       # bytes in the kernel: what waits there is old when it is read


class Line:
    """A TCP connection that never waits: a frame goes whole or not at all."""

    def __init__(self, place: tuple[str, int]) -> None:
        """Call; raises `OSError`."""
        self._socket = socket.create_connection(place, PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self._socket.setblocking(False)
        self._waiting = bytearray()

    def put(self, data: bytes) -> bool:
        """Send; False where the other side is too slow. Raises `OSError` where it is gone."""
        taken = len(self._waiting) + len(data) <= MOST_WAITING
        if taken:
            self._waiting += data
        with contextlib.suppress(BlockingIOError):
            del self._waiting[:self._socket.send(self._waiting)]
        return taken

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


@dataclass
class Listener:
    """One place that frames go to."""

    wish: Wish
    until: float                # ns of the clock
    line: Line | None           # None: UDP


class PhoneSink:
    """
    Listen at `peer` and send each frame to all who asked there.

    Nobody needs to ask; who does may come and go. Requests are read when frames are sent, and
    every quarter of a second while there are none.
    """

    def __init__(self, peer: Peer, phone: Phone, fitting: Fitting = AS_IT_IS, *,
                 clock: Clock | None = None) -> None:
        """Answer, once open, in the protocol of `phone` with frames fitted by `fitting`."""
        self.skipped = 0        # frames that were left out because a reader was slow
        self._peer = peer
        self._phone = phone
        self._fitting = fitting
        self._clock = clock or MonotonicClock()
        self._ear: socket.socket | None = None
        self._info: StreamInfo | None = None
        self._last: TimedFrame | None = None
        self._listeners: dict[tuple[str, int, Transport], Listener] = {}

    def open(self, info: StreamInfo) -> None:
        """Listen; raises `SinkError` where the port is taken."""
        self._let_go()
        try:
            found = socket.getaddrinfo(self._peer.host, self._peer.port, type=socket.SOCK_DGRAM)
            family, kind, number, _, place = min(
                found, key=lambda entry: entry[0] is not socket.AF_INET)
            self._ear = socket.socket(family, kind, number)
            self._ear.setblocking(False)
            self._ear.bind(place)
        except OSError as error:
            self._let_go()
            raise SinkError(f'cannot listen on {self._peer}: {error.strerror or error}; stop the '
                            'other program or choose another address') from error
        if not stays_here(self._peer.host):
            log.warning('any machine that reaches %s gets the frames when it asks', self._peer)
        self._info = info
        self._phone.begin(info)

    def send(self, frame: TimedFrame) -> None:
        """Send one frame to all, if they want that many."""
        if self._info is None:
            raise SinkError(f'{self._peer} is not open')
        self.tick()
        if self._fitting.is_due(frame.frame.index, self._info.fps):
            self._last = frame._replace(frame=self._fitting.pose(frame.frame))
            self._spread(self._last)

    def tick(self) -> None:
        """Hear who asks."""
        for _ in range(MOST_WISHES):
            try:
                datagram, sender = self._open_ear().recvfrom(LARGEST_WISH)
            except BlockingIOError:
                return
            except ConnectionError:     # Windows: somebody we sent to is gone
                continue
            except OSError as error:
                raise SinkError(f'cannot listen on {self._peer}: {error}') from error
            if wish := self._phone.wish(datagram):
                self._grant(wish, sender[0])

    def hear(self, audio: TimedAudio) -> None:
        """Ignore sound."""

    def notify(self, event: Event) -> None:
        """Ignore events."""

    def close(self) -> None:
        """Put the face to rest everywhere and hang up."""
        if self._ear is not None and self._last is not None:
            for number in range(1, REST_FRAMES + 1):
                self._spread(rested(self._last, number))
        self._let_go()

    def _grant(self, wish: Wish, host: str) -> None:
        if not wish.ports:
            for place in [place for place in self._listeners if place[0] == host]:
                self._forget(place)
        for port in wish.ports:
            place = (host, port, wish.transport)
            known = self._listeners.pop(place, None)
            try:
                line = self._line(known, (host, port), wish)
            except OSError as error:
                log.debug('%s asked to be called back at %d: %s', host, port, error)
                continue
            until = self._clock.now() + wish.seconds * 1e9
            self._listeners[place] = Listener(wish, until, line)
            if known is None:
                log.info('%s asked for frames at %s port %d', host, wish.transport.value, port)
        while len(self._listeners) > MOST_LISTENERS:
            self._forget(next(iter(self._listeners)))

    @staticmethod
    def _line(known: Listener | None, place: tuple[str, int], wish: Wish) -> Line | None:
        if wish.transport is Transport.UDP:
            return None
        return known.line if known is not None else Line(place)

    def _spread(self, frame: TimedFrame) -> None:
        now, said = self._clock.now(), dict[tuple[str, Transport], bytes]()
        for place, listener in list(self._listeners.items()):
            if listener.until < now:
                self._forget(place)
                continue
            form = (listener.wish.version, listener.wish.transport)
            if form not in said:        # most of the work; all who want the same share it
                said[form] = self._phone.frame(frame, listener.wish)
            try:
                self._tell(place, listener, said[form])
            except OSError as error:
                log.debug('%s port %d is gone: %s', *place[:2], error)
                self._forget(place)

    def _tell(self, place: Any, listener: Listener, data: bytes) -> None:
        if listener.line is None:
            self._open_ear().sendto(data, place[:2])
        elif not listener.line.put(data):
            self.skipped += 1

    def _forget(self, place: tuple[str, int, Transport]) -> None:
        line = self._listeners.pop(place).line
        if line is not None:
            line.close()

    def _open_ear(self) -> socket.socket:
        if self._ear is None:
            raise SinkError(f'{self._peer} is not open')
        return self._ear

    def _let_go(self) -> None:
        for place in list(self._listeners):
            self._forget(place)
        self._info = self._last = None
        if self._ear is not None:
            self._ear.close()
            self._ear = None
