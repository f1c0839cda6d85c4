# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Frames on a ZeroMQ PUB socket, wire version 1 (avatar_bridge/wire.py).

A subscriber that stalls loses frames and delays nobody: at most `HIGH_WATER` messages and
`SEND_BUFFER` bytes wait for it on this side. What its own kernel and its own queue took in before
or while it stalled is beyond our reach, so a subscriber should set RCVHWM 4 and RCVBUF 4096 and
read all that is there before it shows the newest frame (t_publish_ns tells the age).
"""

from __future__ import annotations

from collections.abc import Collection
import contextlib
import errno
import ipaddress
import logging
from pathlib import Path
import re
from urllib.parse import parse_qsl

from avatar_bridge import wire
from avatar_bridge.clock import MonotonicClock
from avatar_bridge.errors import MissingPackageError, SinkError, UsageError
from avatar_bridge.frames import Event, StreamInfo, TimedAudio, TimedFrame
from avatar_bridge.ports import Clock

try:
    import zmq
    import zmq.auth
    from zmq.auth.thread import ThreadAuthenticator
except ImportError as missing:      # pragma: no cover
    raise MissingPackageError('the ZeroMQ sink needs pyzmq; pip install pyzmq') from missing

log = logging.getLogger(__name__)

DEFAULT_URL = 'tcp://127.0.0.1:5560'
DEFAULT_TOPICS = frozenset({'face', 'meta', 'event'})
HIGH_WATER = 4                  # messages waiting for one subscriber; the default is 1000 (16 s)
SEND_BUFFER = 4096              # bytes in the kernel; Linux doubles it: about ten frames
META_PERIOD = 1_000_000_000     # ns
LAST_WORDS = 100                # ms that `close` waits for the last frames to leave
KEY_FILE = 'server.key_secret'

_URL = re.compile(r'tcp://(?P<host>\[[^\]]+\]|[^:/\s]+):(?P<port>\d{1,5}|\*)|ipc://(?P<path>\S+)')


class ZeroMqSink:
    """
    Publish frames, meta and events, and sound where `topics` has 'audio'.

    `curve`: a folder with `server.key_secret` (and `clients/*.key` where only these may listen)
    turns encryption on.
    """

    def __init__(
        self, url: str = DEFAULT_URL, *, topics: Collection[str] = DEFAULT_TOPICS,
        curve: Path | None = None, clock: Clock | None = None,
    ) -> None:
        """Bind to `url` when opened."""
        self._match = checked_url(url)
        if unknown := sorted(set(topics) - set(wire.KINDS)):
            raise UsageError(f'expected topics out of {", ".join(wire.KINDS)}, got {unknown[0]!r}')
        self.url = url
        self.endpoint = ''          # what was bound, once open: tcp://127.0.0.1:* gets a port
        self._topics = frozenset(topics)
        self._curve = curve
        self._clock = clock or MonotonicClock()
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._guard: ThreadAuthenticator | None = None
        self._info: StreamInfo | None = None
        self._next_meta = 0

    @classmethod
    def from_argument(cls, argument: str, *, clock: Clock | None = None) -> ZeroMqSink:
        """Understand `zmq=URL?audio=1&curve=DIR`; an empty argument means the default."""
        url, _, query = argument.partition('?')
        options = dict(parse_qsl(query, keep_blank_values=True))
        audio = options.pop('audio', '0')
        curve = options.pop('curve', '')
        if options or audio not in ('0', '1'):
            wrong = next(iter(options), f'audio={audio}')
            raise UsageError(f'expected audio=0, audio=1 or curve=DIR after the ?, got {wrong!r}')
        topics = DEFAULT_TOPICS | {'audio'} if audio == '1' else DEFAULT_TOPICS
        return cls(url or DEFAULT_URL, topics=topics, curve=Path(curve) if curve else None,
                   clock=clock)

    def open(self, info: StreamInfo) -> None:
        """Bind; raises `SinkError`."""
        self.close()
        self._info = info
        wire.topic(info.avatar, 'face')     # refuses names that no topic can carry
        if self._curve is None and not self._stays_here():
            log.warning('%s can be reached by other machines and nothing is encrypted; '
                        'add ?curve=DIR or bind to 127.0.0.1', self.url)
        self._context = zmq.Context()
        try:
            self._socket = self._bound(self._context)
        except BaseException:
            self.close()
            raise
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._send_meta()

    def send(self, frame: TimedFrame) -> None:
        """Publish one frame."""
        info = self._opened()
        self.tick()
        pose = frame.frame
        self._publish('face', wire.encode_face(wire.FaceMessage(
            pose.index, frame.capture_ns, self._clock.now(), frame.present_ns, float(info.fps),
            pose.weights, pose.flags, info.stream, pose.head, pose.eyes,
        )))

    def hear(self, audio: TimedAudio) -> None:
        """Publish sound, if it was asked for."""
        self._opened()
        if 'audio' in self._topics:
            self._publish('audio', wire.encode_audio(wire.AudioMessage(
                audio.start, audio.capture_ns, audio.present_ns, audio.sample_rate, audio.samples,
            )))

    def notify(self, event: Event) -> None:
        """Publish an event."""
        self._opened()
        self._publish('event', wire.encode_event(event))

    def tick(self) -> None:
        """Send meta where a second has passed or somebody has just come."""
        self._opened()
        if self._somebody_came() or self._clock.now() >= self._next_meta:
            self._send_meta()

    def close(self) -> None:
        """Give the last frames a moment to leave, then let go."""
        if self._socket is not None:
            self._socket.close(linger=LAST_WORDS)
            self._socket = None
        if self._guard is not None:
            self._guard.stop()
            self._guard = None
        if self._context is not None:
            self._context.term()
            self._context = None

    def _opened(self) -> StreamInfo:
        if self._socket is None or self._info is None:
            raise SinkError(f'{self.url} is not open')
        return self._info

    def _publish(self, kind: str, payload: bytes) -> None:
        if kind not in self._topics:
            return
        assert self._socket is not None
        assert self._info is not None
        try:
            self._socket.send_multipart([wire.topic(self._info.avatar, kind), payload],
                                        flags=zmq.NOBLOCK)
        except zmq.ZMQError as error:
            raise SinkError(f'cannot send on {self.url}: {error}') from error

    def _send_meta(self) -> None:
        info = self._opened()
        self._next_meta = self._clock.now() + META_PERIOD
        self._publish('meta', wire.encode_meta(wire.MetaMessage(
            info.stream, info.avatar, info.names, float(info.fps), float(info.latency * 1000),
            info.bundle, info.sample_rate,
        )))

    def _somebody_came(self) -> bool:
        assert self._socket is not None
        came = False
        with contextlib.suppress(zmq.Again):
            while True:
                came |= self._socket.recv(zmq.NOBLOCK).startswith(b'\x01')
        return came

    def _bound(self, context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
        socket = context.socket(zmq.XPUB)
        # No ZMTP heartbeats: a libzmq 4.3 subscriber with a full queue aborts when its peer goes
        # away while a PING waits in its buffer. TCP keep-alive finds dead machines instead.
        for option, value in (
            (zmq.SNDHWM, HIGH_WATER), (zmq.LINGER, 0), (zmq.IMMEDIATE, 1),
            (zmq.SNDBUF, SEND_BUFFER), (zmq.XPUB_VERBOSE, 1), (zmq.TCP_KEEPALIVE, 1),
            (zmq.TCP_KEEPALIVE_IDLE, 10), (zmq.TCP_KEEPALIVE_INTVL, 5),
            (zmq.TCP_KEEPALIVE_CNT, 3), (zmq.IPV6, int('[' in self.url)),
        ):
            socket.setsockopt(option, value)
        try:
            if self._curve is not None:
                self._guard = encrypt(socket, context, self._curve)
            socket.bind(self.url)
        except zmq.ZMQError as error:
            socket.close(linger=0)
            raise SinkError(f'cannot bind {self.url}: {_reason(error)}') from error
        except BaseException:
            socket.close(linger=0)
            raise
        return socket

    def _stays_here(self) -> bool:
        host = (self._match['host'] or 'lo').strip('[]')
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host in ('lo', 'localhost')


def checked_url(url: str) -> re.Match[str]:
    """Return the parts of an address that can be bound; raises `UsageError`."""
    match = _URL.fullmatch(url)
    port = (match['port'] if match else None) or '*'
    if match is None or (port != '*' and int(port) > 65535):
        raise UsageError(f'expected tcp://ADDRESS:PORT or ipc://PATH, got {url!r}; '
                         f'for example {DEFAULT_URL}')
    return match


def encrypt(
    socket: zmq.Socket[bytes], context: zmq.Context[zmq.Socket[bytes]], folder: Path,
) -> ThreadAuthenticator | None:
    """Turn CURVE on with the keys in `folder`; returns what admits clients, if only some may."""
    try:
        public, secret = zmq.auth.load_certificate(folder / KEY_FILE)
    except (OSError, ValueError) as error:
        raise SinkError(f'expected a CURVE key {folder / KEY_FILE}, found none; make one with: '
                        f'python -c "import zmq.auth; '
                        f"zmq.auth.create_certificates('{folder}', 'server')\"") from error
    if secret is None:
        raise SinkError(f'{folder / KEY_FILE} holds no secret key; use the .key_secret file')
    socket.curve_publickey, socket.curve_secretkey, socket.curve_server = public, secret, True
    if not (folder / 'clients').is_dir():
        return None
    guard = ThreadAuthenticator(context)
    guard.start()
    guard.configure_curve(domain='*', location=folder / 'clients')
    return guard


def _reason(error: zmq.ZMQError) -> str:
    known = {
        errno.EADDRINUSE: 'another program uses this address; stop it or choose another port',
        errno.EACCES: 'this needs more rights; choose a port from 1024 up',
        errno.ENODEV: 'this machine has no such address; use one of its own, or * for all',
        errno.EADDRNOTAVAIL: 'this machine has no such address; use one of its own, or * for all',
    }
    return known.get(error.errno or 0, str(error))
