# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
The viewer's server: a page, its files, and a WebSocket with frames down and commands up.

It listens on loopback unless told otherwise. Every request must name this server in its Host
header (so that a foreign name that resolves to 127.0.0.1 is refused) and, if it has an Origin,
come from this server's own page.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
import contextlib
import ipaddress
import json
import logging
from pathlib import Path
import socket
import threading
from typing import Any, Final

from avatar_bridge.clock import MonotonicClock
from avatar_bridge.errors import AvatarBridgeError, MissingPackageError, SinkError
from avatar_bridge.ports import Clock, Controls
from avatar_bridge.sinks.outbox import Message, Outbox

try:
    from aiohttp import WSCloseCode, WSMsgType, web
except ImportError as missing:      # pragma: no cover
    raise MissingPackageError('the web sink needs aiohttp; pip install aiohttp') from missing

log = logging.getLogger(__name__)

ASSETS: Final = Path(__file__).parents[1] / 'assets'
HEADS: Final = ('head.glb', 'head_small.glb')
LARGEST_COMMAND: Final = 65536          # bytes of a message from a page
LARGEST_UPLOAD: Final = 64 * 2**20      # bytes of a file
MOST_PAGES: Final = 16
SEND_BUFFER: Final = 8192               # bytes in the kernel and in asyncio, about 20 frames
STATUS_PERIOD: Final = 0.25             # seconds
HEARTBEAT: Final = 10.0                 # seconds after which a silent peer is asked
GOODBYE: Final = 1.0                    # seconds that pages get to hear the last words
HEADERS: Final = {
    'Content-Security-Policy': (
        "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
        "connect-src 'self' blob: data:; worker-src 'self' blob:; object-src 'none'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
    'Cache-Control': 'no-cache',
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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
        self.greeting: list[bytes] = []
        self._clock = clock or MonotonicClock()
        self._loop = asyncio.new_event_loop()
        self._thread: threading.Thread | None = None
        self._readers: dict[Outbox, asyncio.Event] = {}
        self._uploads = asyncio.Semaphore(1)

    @property
    def address(self) -> str:
        """The page's address; the port is known once started."""
        host = self.host if self.host not in ('0.0.0.0', '::') else socket.gethostname()
        return f'http://{f"[{host}]" if ":" in host else host}:{self.port}/'

    @property
    def dropped(self) -> list[int]:
        """Frames that each page lost because it was slow."""
        return [outbox.dropped for outbox in list(self._readers)]

    def start(self) -> None:
        """Bind and serve; raises `SinkError` where the port is taken."""
        listener = self._bound()
        self.port = listener.getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_until_complete,
                                        args=(self._serve(listener),), name='web', daemon=True)
        self._stopping = asyncio.Event()
        self._thread.start()

    def stop(self) -> None:
        """Say goodbye to the pages and end; may be called twice."""
        if self._thread is not None:
            with contextlib.suppress(RuntimeError):         # the loop has ended already
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(5.0)
            self._thread = None

    def tell(self, message: Message, *, frame: bool = False) -> None:
        """Hand a message to every page; from any thread."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._spread, message, frame)

    def _bound(self) -> socket.socket:
        family = socket.AF_INET6 if ':' in self.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)   # inherited
        try:
            listener.bind((self.host, self.port))
        except OSError as error:
            listener.close()
            raise SinkError(f'cannot serve on {self.host}:{self.port}: {error.strerror}; stop the '
                            'other program or choose another port: --sink web=PORT') from error
        return listener

    async def _serve(self, listener: socket.socket) -> None:
        app = web.Application(middlewares=[self._guard], client_max_size=LARGEST_UPLOAD)
        app.add_routes([
            web.get('/', self._page), web.get('/ws', self._socket),
            web.get('/api/info', self._info), web.post('/api/animate', self._animate),
            web.post('/api/recording', self._recording), web.get('/{name}', self._file),
        ])
        app.on_response_prepare.append(_secured)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, keepalive_timeout=15,
                               shutdown_timeout=GOODBYE)
        await runner.setup()
        await web.SockSite(runner, listener, backlog=64).start()
        status = asyncio.create_task(self._report())
        await self._stopping.wait()
        status.cancel()
        self._spread(json.dumps({'type': 'bye'}), False)
        await asyncio.sleep(0.05)                           # writers run once
        await runner.cleanup()

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(STATUS_PERIOD)
            if self.controls is not None and self._readers:
                self._spread(json.dumps({'type': 'status', **self.controls.status()}), False)

    def _spread(self, message: Message, frame: bool) -> None:
        for outbox, wake in self._readers.items():
            outbox.put(message, frame=frame)
            wake.set()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse foreign names and foreign pages; turn our errors into one line."""
        if not self._is_us(request.headers.get('Host', '')):
            return _refusal(403, f'expected this server in the Host header, {self.address}')
        origin = request.headers.get('Origin')
        if origin is not None and origin.partition('://')[2] != request.headers['Host']:
            return _refusal(403, f'expected requests from the page of {self.address}')
        try:
            return await handler(request)
        except AvatarBridgeError as error:
            return _refusal(422, str(error))

    def _is_us(self, host: str) -> bool:
        name, _, port = host.rpartition(':') if not host.endswith(']') else (host, '', '')
        if not name:
            name, port = host, '80'
        name = name.strip('[]')
        if port != str(self.port):
            return False
        if name in ('localhost', self.host, socket.gethostname()):
            return True
        try:
            ipaddress.ip_address(name)      # a number cannot be rebound
        except ValueError:
            return False
        return True

    async def _page(self, _request: web.Request) -> web.StreamResponse:
        return _sent(ASSETS / 'web' / 'index.html')

    async def _file(self, request: web.Request) -> web.StreamResponse:
        name = Path(request.match_info['name']).name
        return _sent(ASSETS / name if name in HEADS else ASSETS / 'web' / name)

    async def _info(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(dict(self._desk().about()))

    async def _animate(self, request: web.Request) -> web.StreamResponse:
        return await self._worked(request, self._desk().animate)

    async def _recording(self, request: web.Request) -> web.StreamResponse:
        name = request.query.get('name', '')
        return await self._worked(request, lambda body: self._desk().recording(name, body))

    async def _worked(self, request: web.Request,
                      work: Callable[[bytes], bytes]) -> web.StreamResponse:
        """Answer with what `work` makes of the body; one at a time, away from the live frames."""
        body = await request.read()
        async with self._uploads:
            made = await asyncio.get_running_loop().run_in_executor(None, work, body)
        return web.Response(body=made, content_type='application/msgpack')

    def _desk(self) -> Controls:
        if self.controls is None:
            raise SinkError('this server shows frames and nothing else')
        return self.controls

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if len(self._readers) >= MOST_PAGES:
            return _refusal(503, f'expected at most {MOST_PAGES} pages, close one')
        page = web.WebSocketResponse(heartbeat=HEARTBEAT, max_msg_size=LARGEST_COMMAND,
                                     compress=False)
        await page.prepare(request)
        if request.transport is not None:
            request.transport.set_write_buffer_limits(high=SEND_BUFFER)
        outbox, wake = Outbox(), asyncio.Event()
        for message in self.greeting:
            outbox.put(message)
        wake.set()
        self._readers[outbox] = wake
        writer = asyncio.create_task(_write(page, outbox, wake))
        try:
            async for command in page:
                if command.type is WSMsgType.TEXT:
                    outbox.put(self._answer(command.data))
                    wake.set()
                elif command.type is WSMsgType.BINARY:
                    await page.close(code=WSCloseCode.UNSUPPORTED_DATA)
        finally:
            del self._readers[outbox]
            writer.cancel()
        return page

    def _answer(self, text: str) -> str:
        """Obey a page's message; return the answer, '' for none."""
        try:
            message = json.loads(text, parse_constant=_no_number)
            if not isinstance(message, dict) or not isinstance(message.get('type'), str):
                raise ValueError('no object with a type')
        except (ValueError, RecursionError) as error:
            return _error(f'expected a JSON object with a type ({str(error)[:80]})')
        if message['type'] == 'ping':
            return json.dumps({'type': 'pong', 'id': message.get('id'),
                               'server_ns': str(self._clock.now())})
        try:
            self._desk().obey(message)
        except AvatarBridgeError as error:
            return _error(str(error))
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


async def _secured(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _sent(path: Path) -> web.StreamResponse:
    if not path.is_file():
        return _refusal(404, f'there is no {path.name} here')
    return web.FileResponse(path)


def _refusal(status: int, text: str) -> web.Response:
    return web.json_response({'error': text}, status=status)


def _error(text: str) -> str:
    return json.dumps({'type': 'error', 'text': text})


def _no_number(name: str) -> Any:
    raise ValueError(f'{name} is no number')
