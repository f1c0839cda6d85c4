# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The gRPC server: services, health, limits. What is said is the conversation's business."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
import contextlib
from functools import partial
import logging
import threading
from types import TracebackType
from typing import Any, Final, NoReturn

import grpc

from avatar_bridge.a2f.conversation import answers, begun, identified
from avatar_bridge.a2f.exchange import Exchange
from avatar_bridge.a2f.messages import (
    A2F3DAnimationDataStream,
    AnimationDataStream,
    AnimationIds,
    AudioStream,
    AudioWithEmotionStream,
    HealthCheckRequest,
    HealthCheckResponse,
    Status,
    parsed,
)
from avatar_bridge.bundle import load_bundle
from avatar_bridge.clock import MonotonicClock
from avatar_bridge.config import SessionConfig
from avatar_bridge.errors import AvatarBridgeError, SinkError, UsageError
from avatar_bridge.schedule import SECOND
from avatar_bridge.sinks.web_guard import stays_here
from avatar_bridge.stream.engine import Engine

log = logging.getLogger(__name__)

CONTROLLER: Final = 'nvidia_ace.services.a2f_controller.v1.A2FControllerService'
FACE: Final = 'nvidia_ace.services.a2f.v1.A2FService'
ANIMATION: Final = 'nvidia_ace.services.animation_data.v1.AnimationDataService'
HEALTH: Final = 'grpc.health.v1.Health'
SERVICES: Final = ('', CONTROLLER, FACE, ANIMATION)
SERVING: Final = 1              # of grpc.health.v1.HealthCheckResponse
UNKNOWN: Final = 3
CLIPS: Final = 16               # that are animated at once
CALLS: Final = 64               # of every kind; health is asked even when all clips are taken
LARGEST: Final = 16 << 20       # bytes of one message: eight minutes at 16 kHz
GOODBYE: Final = 1.0            # seconds that calls get to end in
OPTIONS: Final = {
    'grpc.max_receive_message_length': LARGEST,
    'grpc.so_reuseport': 0,                         # a taken port is an error, not a coin toss
    'grpc.keepalive_time_ms': 30_000,               # peers that vanished free their place
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.http2.min_ping_interval_without_data_ms': 5_000,  # who asks often may stay
}


def host_and_port(text: str) -> tuple[str, int]:
    """Return what `PORT` or `HOST:PORT` means; raises `UsageError`."""
    host, _, port = text.rpartition(':')
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise UsageError(f'a2f: expected --port PORT or --port HOST:PORT, got {text!r}')
    return host.strip('[]') or '127.0.0.1', int(port)


class Server:
    """Listens from `start` to `stop`; `port` is the one in use."""

    def __init__(self, config: SessionConfig, host: str, port: int) -> None:
        """Make everything ready; raises an `AvatarBridgeError`."""
        self._bundle = load_bundle(config.bundle)
        self._config = config
        self._idle = [Engine(self._bundle, config.engine)]
        self._free = threading.BoundedSemaphore(CLIPS)
        self._exchange = Exchange()
        self._clock = MonotonicClock()
        self._stopped = threading.Event()
        self._server: Any = grpc.server(
            ThreadPoolExecutor(CALLS, 'a2f'), handlers=self._handlers(),
            maximum_concurrent_rpcs=CALLS, options=list(OPTIONS.items()))
        place = f'[{host}]' if ':' in host else host
        try:
            self.port: int = self._server.add_insecure_port(f'{place}:{port}')
        except RuntimeError:
            raise SinkError(f'a2f: cannot listen on {place}:{port}; is another server running '
                            'there? --port takes another') from None
        self.address = f'{place}:{self.port}'
        if not stays_here(host):
            log.warning('other machines can send clips: nothing is encrypted and nobody is asked '
                        'who he is on %s; leave the host out to stay on this machine', host)

    def __enter__(self) -> Server:
        """Start."""
        self._server.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        """Stop."""
        self.stop()

    def wait(self, timeout: float) -> bool:
        """Return whether the server has stopped, waiting at most `timeout` seconds for it."""
        return self._stopped.wait(timeout)

    def stop(self) -> None:
        """Take no more calls and end those that last."""
        self._stopped.set()
        self._server.stop(GOODBYE).wait()

    def _handlers(self) -> list[Any]:
        return [
            grpc.method_handlers_generic_handler(service, methods) for service, methods in (
                (CONTROLLER, {'ProcessAudioStream': grpc.stream_stream_rpc_method_handler(
                    self._process, *_codec(AudioWithEmotionStream, A2F3DAnimationDataStream))}),
                (FACE, {'PushAudioStream': grpc.stream_unary_rpc_method_handler(
                    self._push_audio, *_codec(AudioStream, Status))}),
                (ANIMATION, {
                    'PushAnimationDataStream': grpc.stream_unary_rpc_method_handler(
                        self._push_animation, *_codec(AnimationDataStream, Status)),
                    'PullAnimationDataStream': grpc.unary_stream_rpc_method_handler(
                        self._pull, *_codec(AnimationIds, AnimationDataStream))}),
                (HEALTH, {
                    'Check': grpc.unary_unary_rpc_method_handler(
                        self._check, *_codec(HealthCheckRequest, HealthCheckResponse)),
                    'Watch': grpc.unary_stream_rpc_method_handler(
                        self._watch, *_codec(HealthCheckRequest, HealthCheckResponse))}),
            )]

    def _process(self, parts: Iterator[Any], context: Any) -> Iterator[Any]:
        with self._refusing(context), self._engine(context) as engine:
            yield from answers(parts, engine, self._now())

    def _push_audio(self, parts: Iterator[Any], context: Any) -> Any:
        last = Status(code=Status.ERROR, message='the stream broke off')
        with self._refusing(context), self._engine(context) as engine:
            header = begun(first := next(parts, None))
            said = answers(_after(first, parts), engine, self._now())

            def heard() -> Iterator[Any]:
                nonlocal last
                for part in identified(said, header.animation_ids):
                    if part.WhichOneof('stream_part') == 'status':
                        last = part.status
                    yield part

            self._exchange.send(header.animation_ids.stream_id, heard(), context.is_active)
        return last

    def _push_animation(self, parts: Iterator[Any], context: Any) -> Any:
        with self._refusing(context):
            first = next(parts, None)
            if first is None or not first.HasField('animation_data_stream_header'):
                raise AvatarBridgeError('expected animation_data_stream_header first')
            ids = first.animation_data_stream_header.animation_ids
            self._exchange.send(ids.stream_id, _after(first, parts), context.is_active)
        return Status(code=Status.SUCCESS)

    def _pull(self, ids: Any, context: Any) -> Iterator[Any]:
        with self._refusing(context):
            yield from self._exchange.receive(
                ids.stream_id, lambda: bool(context.is_active()) and not self._stopped.is_set())

    def _check(self, request: Any, context: Any) -> Any:
        if request.service not in SERVICES:
            context.abort(grpc.StatusCode.NOT_FOUND, 'there is no such service')
        return HealthCheckResponse(status=SERVING)

    def _watch(self, request: Any, context: Any) -> Iterator[Any]:
        gone = threading.Event()
        if context.add_callback(gone.set):
            yield HealthCheckResponse(status=SERVING if request.service in SERVICES else UNKNOWN)
            gone.wait()

    @contextlib.contextmanager
    def _refusing(self, context: Any) -> Iterator[None]:
        """Tell the client what was wrong with its stream; the server lives on."""
        try:
            yield
        except AvatarBridgeError as error:
            log.info('refused: %s', error)
            _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))

    @contextlib.contextmanager
    def _engine(self, context: Any) -> Iterator[Engine]:
        """Lend an engine that is new; engines are kept, since loading one takes a moment."""
        free = self._free
        if not free.acquire(blocking=False):
            _abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED,
                   f'{CLIPS} clips are animated already; try again')
        try:
            try:
                engine = self._idle.pop()
            except IndexError:
                engine = Engine(self._bundle, self._config.engine)
            try:
                yield engine
            finally:
                engine.reset()
                self._idle.append(engine)
        finally:
            free.release()

    def _now(self) -> float:
        return self._clock.now() / SECOND


def _codec(request: Any, response: Any) -> tuple[Callable[[bytes], Any], Callable[[Any], bytes]]:
    return partial(parsed, request), response.SerializeToString


def _abort(context: Any, code: Any, text: str) -> NoReturn:
    context.abort(code, text)
    raise AssertionError('abort raises')


def _after(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    """Yield the message that was looked at already, then the rest."""
    yield first
    yield from rest
