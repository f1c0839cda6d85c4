# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Frames, sound and events for pages in a browser: wire version 1 over a WebSocket."""

from __future__ import annotations

import logging
from typing import Final

from avatar_bridge import wire
from avatar_bridge.clock import MonotonicClock
from avatar_bridge.errors import SinkError
from avatar_bridge.frames import Event, StreamInfo, TimedAudio, TimedFrame
from avatar_bridge.ports import Clock, Controls
from avatar_bridge.sinks.outbox import Sort
from avatar_bridge.sinks.web_address import DEFAULT_HOST, DEFAULT_PORT, host_and_port, origins
from avatar_bridge.sinks.web_guard import stays_here
from avatar_bridge.sinks.web_server import WebServer

log = logging.getLogger(__name__)

#: First byte of a binary message: the place of its kind in `wire.KINDS`.
KINDS: Final = {kind: bytes([number]) for number, kind in enumerate(wire.KINDS)}


class WebSink:
    """
    Show a session to every page that looks.

    The server may be one that lives longer than the session, or is made and ended here.
    """

    def __init__(self, host: str = DEFAULT_HOST, port: int = DEFAULT_PORT, *,
                 server: WebServer | None = None, clock: Clock | None = None) -> None:
        """Serve on `host` and `port` when opened, or use `server`."""
        self._clock = clock or MonotonicClock()
        self._own = server is None
        self.server = server or WebServer(host, port, clock=self._clock)
        self._info: StreamInfo | None = None
        self._lost_before = 0

    @property
    def skipped(self) -> int:
        """Frames of this stream that slow pages lost."""
        return self.server.lost - self._lost_before

    @classmethod
    def from_argument(cls, argument: str) -> WebSink:
        """Understand `web`, `web=PORT` and `web=HOST:PORT`, with `?origin=http://HOST:PORT`."""
        sink = cls(*host_and_port(argument))
        sink.server.origins = origins(argument)
        return sink

    def attach(self, controls: Controls) -> None:
        """Let pages steer."""
        self.server.controls = controls

    def open(self, info: StreamInfo) -> None:
        """Start the server, unless it runs; tell pages about the stream."""
        self._info = info
        if self._own:
            self.server.stop()
            host, port = self.server.host, self.server.port
            before, self.server = self.server, WebServer(host, port, clock=self._clock)
            self.server.controls, self.server.origins = before.controls, before.origins
            self.server.start()
            warn_if_open(host)
        self._lost_before = self.server.lost
        meta = KINDS['meta'] + wire.encode_meta(wire.MetaMessage(
            info.stream, info.avatar, info.names, float(info.fps), float(info.latency * 1000),
            info.bundle, info.sample_rate))
        self.server.greeting = [meta]
        self.server.tell(meta)

    def send(self, frame: TimedFrame) -> None:
        """Show one frame."""
        info, pose = self._opened(), frame.frame
        if not self.server.watched:
            return
        self.server.tell(KINDS['face'] + wire.encode_face(wire.FaceMessage(
            pose.index, frame.capture_ns, self._clock.now(), frame.present_ns, float(info.fps),
            pose.weights, pose.flags, info.stream, pose.head, pose.eyes)), Sort.FRAME)

    def hear(self, audio: TimedAudio) -> None:
        """Let the pages hear."""
        self._opened()
        if not self.server.watched:
            return
        self.server.tell(KINDS['audio'] + wire.encode_audio(wire.AudioMessage(
            audio.start, audio.capture_ns, audio.present_ns, audio.sample_rate, audio.samples)),
            Sort.SOUND)

    def notify(self, event: Event) -> None:
        """Tell the pages; of the device also those that come later."""
        self._opened()
        message = KINDS['event'] + wire.encode_event(event)
        if event.name == 'device':
            self.server.greeting = [self.server.greeting[0], message]
        self.server.tell(message)

    def close(self) -> None:
        """End the server, if it is this sink's own."""
        self._info = None
        if self._own:
            self.server.stop()

    def _opened(self) -> StreamInfo:
        if self._info is None:
            raise SinkError('the web sink is not open')
        return self._info


def warn_if_open(host: str) -> None:
    """Say so where other machines can reach the server."""
    if not stays_here(host):
        log.warning('other machines can look and steer: nothing is encrypted and nobody is asked '
                    'who he is on %s; leave the host out to stay on this machine', host)
