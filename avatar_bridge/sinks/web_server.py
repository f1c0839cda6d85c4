# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
The viewer's server: a page, its files, and a WebSocket with frames down and commands up.

It listens on loopback unless told otherwise. Every request must name this server in its Host
header (so that a foreign name that resolves to 127.0.0.1 is refused) and, if it has an Origin,
come from this server's own page or from one of `origins`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
import contextlib
import json
import logging
import os
from pathlib import Path
import socket
import sys
import threading
from typing import Final, TypeVar

from avatar_bridge.clock import MonotonicClock
from avatar_bridge.errors import AvatarBridgeError, MissingPackageError, SinkError
from avatar_bridge.ports import Clock, Controls
from avatar_bridge.sinks.outbox import Message, Outbox, Sort
from avatar_bridge.sinks.web_guard import HEADERS, command_of, is_own_page, is_this_server, line

try:
    from aiohttp import WSCloseCode, WSMsgType, web
except ImportError as missing:      # pragma: no cover
    raise MissingPackageError('the web sink needs aiohttp; pip install aiohttp') from missing

log = logging.getLogger(__name__)

ASSETS: Final = Path(__file__).parents[1] / 'assets'
LARGEST_COMMAND: Final = 65536          # bytes of a message from a page
LARGEST_UPLOAD: Final = 64 * 2**20      # bytes of a file
MOST_PAGES: Final = 16
MOST_CONNECTIONS: Final = 96            # a browser opens six for each page
SEND_BUFFER: Final = 8192               # bytes in the kernel, about 20 frames; nothing in asyncio
STATUS_PERIOD: Final = 0.25             # seconds
HEARTBEAT: Final = 10.0                 # seconds after which a silent peer is asked
REQUEST_TIME: Final = 15                # seconds that a peer may take for the head of a request
UPLOAD_TIME: Final = 60.0               # seconds that a file may take to arrive
GOODBYE: Final = 1.0                    # seconds that pages get to hear the last words
TYPES: Final = {'.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css',
                '.svg': 'image/svg+xml', '.txt': 'text/plain', '.glb': 'model/gltf-binary',
                '.png': 'image/png', '.jpg': 'image/jpeg', '.json': 'application/json'}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
T = TypeVar('T')


class WebServer:
    """
    Serve pages in a thread of its own.

    `tell` hands a message to every page and never waits; `greeting` is what a new page hears
    first. Without `controls` the pages can only look.
    """

    def __init__(self, host: str, port: int, *, controls: Controls | None = None,
                 clock: Clock | None = None) -> None:
        """Listen on `host` and `port` (0: any free one) once started."""
        self.host, self.port = host, port
        self.controls = controls
        self.origins: tuple[str, ...] = ()      # whose pages may look and steer, besides our own
        self.greeting: list[bytes] = []
        self._clock = clock or MonotonicClock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._started = threading.Event()
        self._readers: dict[Outbox, asyncio.Event] = {}
        self._pages: set[web.WebSocketResponse] = set()
        self._lost = 0                  # frames, by pages that are gone

    @property
    def address(self) -> str:
        """The page's address; the port is known once started."""
        host = self.host if self.host not in ('0.0.0.0', '::') else socket.gethostname()
        return f'http://{f"[{host}]" if ":" in host else host}:{self.port}/'

    @property
    def watched(self) -> bool:
        """Whether any page looks."""
        return bool(self._readers)

    @property
    def dropped(self) -> list[int]:
        """Frames that each page lost because it was slow."""
        return [outbox.dropped for outbox in list(self._readers)]

    @property
    def lost(self) -> int:
        """Frames that all pages ever lost because they were slow."""
        return self._lost + sum(self.dropped)

    def start(self) -> None:
        """Bind and serve; raises `SinkError` where the port is taken."""
        listener = self._bound()
        self.port = listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, args=(listener,), name='web',
                                        daemon=True)
        self._thread.start()
        self._started.wait()

    def stop(self) -> None:
        """Say goodbye to the pages and end; may be called twice."""
        if self._thread is not None and self._loop is not None:
            with contextlib.suppress(RuntimeError):         # the loop has ended already
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(5.0)
        self._thread = None

    def tell(self, message: Message, sort: Sort = Sort.NOTE) -> None:
        """Hand a message to every page; from any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):         # the loop has ended already
                self._loop.call_soon_threadsafe(self._spread, message, sort)

    def _bound(self) -> socket.socket:
        family = socket.AF_INET6 if ':' in self.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.host, self.port))
            listener.listen(64)
        except (OSError, TypeError, UnicodeError) as error:     # two of them: a name of no host
            listener.close()
            reason = getattr(error, 'strerror', None) or 'this is no name of a machine'
            raise SinkError(f'cannot serve on {self.host}:{self.port}: {reason}; stop the '
                            'other program or choose another port: --sink web=PORT') from error
        return listener

    def _run(self, listener: socket.socket) -> None:
        """Serve until stopped: the thread's life."""
        try:
            asyncio.run(self._serve(listener))
        except Exception as error:
            log.error('the web server ended: %r', error)
        finally:
            self._started.set()

    async def _serve(self, listener: socket.socket) -> None:
        self._uploads, self._stopping = asyncio.Semaphore(1), asyncio.Event()
        app = web.Application(middlewares=[self._guard], client_max_size=LARGEST_UPLOAD)
        app.add_routes([
            web.get('/', self._page), web.get('/ws', self._socket),
            web.get('/api/info', self._info), web.post('/api/animate', self._animate),
            web.post('/api/recording', self._recording), web.get('/{name}', self._file),
        ])
        app.on_response_prepare.append(_secured)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, auto_decompress=False,
                               keepalive_timeout=REQUEST_TIME, shutdown_timeout=GOODBYE)
        await runner.setup()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _admitted(runner), sock=listener)
        self._loop = loop
        self._started.set()
        status = asyncio.create_task(self._report())
        await self._stopping.wait()
        server.close()
        status.cancel()
        self._spread(json.dumps({'type': 'bye'}), Sort.NOTE)
        await asyncio.sleep(0.05)                           # writers run once
        closing = [asyncio.create_task(page.close(code=WSCloseCode.GOING_AWAY))
                   for page in self._pages]
        if closing:
            await asyncio.wait(closing, timeout=GOODBYE)
        await runner.cleanup()

    async def _report(self) -> None:
        while True:
            for outbox, wake in self._readers.items():
                self._put_status(outbox)
                wake.set()
            await asyncio.sleep(STATUS_PERIOD)

    def _put_status(self, outbox: Outbox) -> None:
        """Tell one page how the session goes, and how many frames it lost itself."""
        if self.controls is None:
            return
        try:
            status = {'type': 'status', **self.controls.status(), 'lost': outbox.dropped}
            outbox.put(json.dumps(status, allow_nan=False), Sort.STATUS)
        except Exception as error:      # the border: frames go on
            log.error('no status: %r', error)

    def _spread(self, message: Message, sort: Sort) -> None:
        for outbox, wake in self._readers.items():
            outbox.put(message, sort)
            wake.set()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse foreign names and foreign pages; turn our errors into one line."""
        host = request.headers.get('Host', '')
        if not is_this_server(host, self.host, self.port):
            return _refusal(403, f'expected this server in the Host header, {self.address}')
        origin = request.headers.get('Origin')
        if not is_own_page(origin, host) and (origin or '').lower() not in self.origins:
            return _refusal(403, f'expected requests from the page of {self.address}')
        try:
            return await handler(request)
        except AvatarBridgeError as error:
            return _refusal(422, str(error))
        except web.HTTPRequestEntityTooLarge:
            return _too_large()
        except (web.HTTPException, ConnectionError):
            raise
        except Exception as error:      # the border: one request fails, not the server
            log.error('%s %s: %r', request.method, request.path[:80], error)
            return _refusal(500, f'unexpected {type(error).__name__}; the log says more')

    async def _page(self, _request: web.Request) -> web.StreamResponse:
        return _sent('index.html')

    async def _file(self, request: web.Request) -> web.StreamResponse:
        return _sent(request.match_info['name'])

    async def _info(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(dict(self._desk().about()))

    async def _animate(self, request: web.Request) -> web.StreamResponse:
        return await self._worked(request, self._desk().animate)

    async def _recording(self, request: web.Request) -> web.StreamResponse:
        name, read = request.query.get('name', ''), self._desk().recording
        return await self._worked(request, lambda body: read(name, body))

    async def _worked(self, request: web.Request,
                      work: Callable[[bytes], bytes]) -> web.StreamResponse:
        """Answer with what `work` makes of the body; one at a time, away from the live frames."""
        if (request.content_length or 0) > LARGEST_UPLOAD:
            return _too_large()
        async with self._uploads:
            try:
                body = await asyncio.wait_for(request.read(), UPLOAD_TIME)
            except asyncio.TimeoutError:
                return _refusal(408, f'expected the whole file within {UPLOAD_TIME:g} s')
            made = await _apart(lambda: _politely(work, body))
        return web.Response(body=made, content_type='application/msgpack')

    def _desk(self) -> Controls:
        if self.controls is None:
            raise SinkError('this server shows frames and nothing else')
        return self.controls

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if len(self._readers) >= MOST_PAGES:
            return _refusal(503, f'expected at most {MOST_PAGES} pages, close one')
        # limits of 0: what the kernel does not take waits in the outbox, where it can be dropped
        page = web.WebSocketResponse(heartbeat=HEARTBEAT, max_msg_size=LARGEST_COMMAND,
                                     compress=False, writer_limit=0)
        outbox, wake = Outbox(), asyncio.Event()
        self._readers[outbox] = wake
        try:
            await page.prepare(request)
            if request.transport is not None:
                request.transport.set_write_buffer_limits(high=0)
                request.transport.get_extra_info('socket').setsockopt(
                    socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            for message in self.greeting:
                outbox.put(message)
            self._put_status(outbox)
            wake.set()
            self._pages.add(page)
            await self._listen(page, outbox, wake)
        finally:
            self._pages.discard(page)
            del self._readers[outbox]
            self._lost += outbox.dropped
        return page

    async def _listen(self, page: web.WebSocketResponse, outbox: Outbox,
                      wake: asyncio.Event) -> None:
        """Do what a page says until it goes away."""
        writer = asyncio.create_task(_write(page, outbox, wake))
        try:
            async for command in page:
                if command.type is WSMsgType.TEXT:
                    outbox.put(await self._answer(command.data))
                    wake.set()
                elif command.type is WSMsgType.BINARY:
                    await page.close(code=WSCloseCode.UNSUPPORTED_DATA)
        finally:
            writer.cancel()

    async def _answer(self, text: str) -> str:
        """Obey a page's message; return the answer, '' for none."""
        try:
            message = command_of(text)
            if message['type'] == 'ping':
                return json.dumps({'type': 'pong', 'id': message.get('id'),
                                   'server_ns': str(self._clock.now())})
            desk = self._desk()
            await _apart(lambda: desk.obey(message))    # it may wait for a device
        except AvatarBridgeError as error:
            return _error(str(error))
        except Exception as error:      # the border: a page gets an answer, whatever it sent
            log.error('a command failed: %r', error)
            return _error(f'unexpected {type(error).__name__}; the log says more')
        return ''


async def _write(page: web.WebSocketResponse, outbox: Outbox, wake: asyncio.Event) -> None:
    """Send what is put into `outbox` until the page goes away."""
    with contextlib.suppress(ConnectionError):
        while True:
            await wake.wait()
            wake.clear()
            while (message := outbox.take()) is not None:
                if isinstance(message, bytes):
                    await page.send_bytes(message)
                elif message:
                    await page.send_str(message)


async def _apart(work: Callable[[], T]) -> T:
    """Return what `work` makes in a thread that keeps nobody, not even the program's end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            made = work()
        except BaseException as error:
            tell(_fail, done, error)
        else:
            tell(_fill, done, made)

    def tell(*call: object) -> None:
        with contextlib.suppress(RuntimeError):             # the loop has ended meanwhile
            loop.call_soon_threadsafe(*call)                # type: ignore[arg-type]

    threading.Thread(target=run, name='web work', daemon=True).start()
    return await done


def _politely(work: Callable[[bytes], bytes], body: bytes) -> bytes:
    """Work in a thread that gives way to every other, where threads have their own rank."""
    if sys.platform == 'linux':
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 15)
    return work(body)


def _fill(done: asyncio.Future[T], made: T) -> None:
    if not done.done():                 # nobody waits any more
        done.set_result(made)


def _fail(done: asyncio.Future[T], error: BaseException) -> None:
    if not done.done():
        done.set_exception(error)


class _Refused(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hang up."""
        transport.close()


def _admitted(runner: web.AppRunner) -> asyncio.BaseProtocol:
    """Return what talks to a new peer."""
    server = runner.server
    assert server is not None
    return server() if len(server.connections) < MOST_CONNECTIONS else _Refused()


async def _secured(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _sent(name: str) -> web.StreamResponse:
    """Return a file of the page; nothing that is not in the folder has a name here."""
    files = {path.name: path for path in (ASSETS / 'web').glob('*') if path.is_file()}
    heads = {head: ASSETS / head for head in ('head.glb', 'head_small.glb')}
    path = {**files, **heads}.get(name)
    if path is None or not path.is_file():
        return _refusal(404, f'there is no {name[:80]} here')
    return web.FileResponse(path, headers={
        'Content-Type': TYPES.get(path.suffix, 'application/octet-stream')})


def _too_large() -> web.Response:
    return _refusal(413, f'expected at most {LARGEST_UPLOAD >> 20} MiB')


def _refusal(status: int, text: str) -> web.Response:
    return web.json_response({'error': line(text)}, status=status)


def _error(text: str) -> str:
    return json.dumps({'type': 'error', 'text': line(text)})
