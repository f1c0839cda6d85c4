# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""A plug-in of VTube Studio: its parameters follow the frames, over a WebSocket."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping
import contextlib
import logging
import threading
from typing import Any, Final, NamedTuple

from avatar_bridge.errors import MissingPackageError, SinkError
from avatar_bridge.frames import Event, StreamInfo, TimedAudio, TimedFrame, Weights
from avatar_bridge.protocols.fitting import AS_IT_IS, Fitting
from avatar_bridge.protocols.vts import (
    DENIED,
    PLUGIN,
    Answer,
    answer,
    creation,
    injection,
    request,
    turned,
)
from avatar_bridge.sinks.address import Peer
from avatar_bridge.sinks.datagrams import rested
from avatar_bridge.sinks.tokens import Tokens, config_folder

try:
    from aiohttp import ClientError, ClientSession, ClientWebSocketResponse, ClientWSTimeout
except ImportError as missing:      # pragma: no cover
    raise MissingPackageError('the vts sink needs aiohttp; pip install aiohttp') from missing

log = logging.getLogger(__name__)

CALL_TIME: Final = 1.0          # seconds to connect
READY_TIME: Final = 1.5         # seconds that `open` waits; a known plug-in is ready in less
ANSWER_TIME: Final = 10.0       # seconds for an answer that no user is asked for
HEARTBEAT: Final = 5.0          # seconds after which a silent VTube Studio is asked
REFRESH: Final = 0.5            # seconds; VTube Studio forgets parameters after one
GOODBYE: Final = 0.5            # seconds for the last frames to leave
HANG_UP_TIME: Final = 0.4       # seconds that the other side may take to hang up, too
MOST_WAITING: Final = 16        # frames; newer ones push out older ones
LARGEST_ANSWER: Final = 2**22   # bytes
TOKENS: Final = 'vtube_studio.json'


class Parameters(NamedTuple):
    """Which parameters move, and how."""

    shapes: Callable[[Weights], Mapping[str, float]]
    own: Collection[str] = ()       # those that VTube Studio may not know; they are made


class Refusal(Exception):
    """VTube Studio does not want what we want; `final` where asking again would be rude."""

    def __init__(self, text: str, *, final: bool = False) -> None:
        """Say why."""
        super().__init__(text)
        self.final = final


class VTubeStudio:
    """
    Set the parameters of the model that is loaded.

    The first time the user is asked there; the token that we get for it is kept in his config
    folder. VTube Studio may be started later and may go away: `send` then raises, and whoever
    opens the sink again connects again. A conversation runs in a thread of its own.
    """

    def __init__(self, peer: Peer, parameters: Parameters, fitting: Fitting = AS_IT_IS, *,
                 tokens: Tokens | None = None) -> None:
        """Talk, once open, to the VTube Studio at `peer`."""
        self.skipped = 0        # frames that were left out because VTube Studio was slow
        self._peer = peer
        self._parameters = parameters
        self._fitting = fitting
        self._tokens = tokens or Tokens(config_folder() / TOKENS)
        self._info: StreamInfo | None = None
        self._failure = ''
        self._denied = False
        self._complaint = ''
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._conversation: asyncio.Task[None] | None = None
        self._ready = threading.Event()     # or failed
        self._waiting: deque[TimedFrame] = deque()
        self._last: TimedFrame | None = None
        self._ending = False

    def open(self, info: StreamInfo) -> None:
        """Begin to talk; what goes wrong is raised by `send`, so that nobody waits for a user."""
        self._hang_up()
        self._info, self._last, self._ending = info, None, False
        if self._denied:
            return
        self._failure = ''
        self._waiting.clear()
        self._ready.clear()
        self._thread = threading.Thread(target=self._live, name='vts', daemon=True)
        self._thread.start()
        self._ready.wait(READY_TIME)

    def send(self, frame: TimedFrame) -> None:
        """Send one frame, if the rig wants that many; raises `SinkError` where nobody listens."""
        self.tick()
        assert self._info is not None
        if self._fitting.is_due(frame.frame.index, self._info.fps):
            self._last = frame._replace(frame=self._fitting.pose(frame.frame))
            self._put(self._last)

    def tick(self) -> None:
        """Raise what went wrong meanwhile."""
        if self._info is None:
            raise SinkError('the vts sink is not open')
        if self._failure:
            raise SinkError(self._failure)

    def hear(self, audio: TimedAudio) -> None:
        """Ignore sound."""

    def notify(self, event: Event) -> None:
        """Ignore events."""

    def close(self) -> None:
        """Put the face to rest and hang up."""
        if self._last is not None and not self._failure:
            self._put(rested(self._last, 1))
        self._info = self._last = None
        self._hang_up()

    def _put(self, frame: TimedFrame) -> None:
        if len(self._waiting) == MOST_WAITING:
            with contextlib.suppress(IndexError):       # it was taken meanwhile
                self._waiting.popleft()
                self.skipped += 1
        self._waiting.append(frame)
        self._tell(lambda: self._wake.set())

    def _tell(self, what: Callable[[], object]) -> None:
        loop = self._loop                               # its thread may forget it meanwhile
        if loop is not None:
            with contextlib.suppress(RuntimeError):     # it has ended already
                loop.call_soon_threadsafe(what)

    def _hang_up(self) -> None:
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._ending = True
        self._tell(lambda: self._wake.set())
        thread.join(GOODBYE)
        if thread.is_alive():
            self._tell(lambda: self._conversation and self._conversation.cancel())
            thread.join(GOODBYE)

    def _live(self) -> None:
        """Talk until told to stop: the thread's life."""
        try:
            asyncio.run(self._talk())
        except asyncio.CancelledError:
            pass
        except Refusal as refusal:
            self._denied = refusal.final
            self._failure = str(refusal)
        except (ClientError, asyncio.TimeoutError, OSError) as error:
            self._failure = (f'cannot talk to VTube Studio at {self._peer}: '
                             f'{str(error) or "no answer"}; start it and switch its API on')
        except Exception as error:      # the border: the sink fails, not the program
            self._failure = f'unexpected {error!r} while talking to VTube Studio'
        finally:
            self._loop = None
            self._ready.set()

    async def _talk(self) -> None:
        self._wake = asyncio.Event()
        self._conversation = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        async with ClientSession() as session:
            socket = await asyncio.wait_for(session.ws_connect(
                f'ws://{self._peer}', heartbeat=HEARTBEAT, max_msg_size=LARGEST_ANSWER,
                timeout=ClientWSTimeout(ws_close=HANG_UP_TIME)), CALL_TIME)
            try:
                await self._converse(Talk(socket))
            finally:
                await socket.close()

    async def _converse(self, talk: Talk) -> None:
        await self._introduce(talk)
        await self._prepare(talk)
        self._ready.set()
        tasks = [asyncio.create_task(self._inject(talk)), asyncio.create_task(self._listen(talk))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()

    async def _introduce(self, talk: Talk) -> None:
        """Say who we are, by the token that we got before or by one that the user gives us."""
        place = str(self._peer)
        if (token := self._tokens.get(place)) and await _known(talk, token):
            return
        log.warning('VTube Studio asks whether avatar_bridge may move it: click Allow there')
        given = await talk.ask('AuthenticationTokenRequest', PLUGIN, patience=None)
        if given.error:
            final = given.data.get('errorID') == DENIED
            raise Refusal(f'VTube Studio does not let us in: {given.error}; start again and click '
                          'Allow there', final=final)
        token = str(given.data.get('authenticationToken', ''))
        if not await _known(talk, token):
            raise Refusal('VTube Studio does not take the token that it gave us')
        self._tokens.put(place, token)

    async def _prepare(self, talk: Talk) -> None:
        """Make those of our parameters that are not there yet."""
        if not self._parameters.own:
            return
        found = await talk.ask('InputParameterListRequest', {})
        there = {one['name'] for group in ('defaultParameters', 'customParameters')
                 for one in found.data.get(group, [])}
        for name in self._parameters.own:
            if name not in there:
                made = await talk.ask('ParameterCreationRequest', creation(name))
                if made.error:
                    raise Refusal(f'VTube Studio does not make the parameter {name}: {made.error}')

    async def _inject(self, talk: Talk) -> None:
        """Set parameters frame by frame, and again where frames pause, until told to stop."""
        shown: TimedFrame | None = None
        while not (self._ending and not self._waiting):
            again = []
            try:
                await asyncio.wait_for(self._wake.wait(), REFRESH)
            except asyncio.TimeoutError:
                again = [shown] if shown else []
            self._wake.clear()
            frames = [self._waiting.popleft() for _ in range(len(self._waiting))]
            for frame in frames or again:
                shown = frame
                await talk.say('InjectParameterDataRequest', self._values(frame))
        await talk.quiet.wait()         # who hangs up at once may not be heard to the end
        await talk.end()

    def _values(self, frame: TimedFrame) -> dict[str, Any]:
        pose = frame.frame
        face = {} if self._fitting.channels == 'mouth' else {'faceFound': True}
        return injection({**self._parameters.shapes(pose.weights), **turned(pose)}, face)

    async def _listen(self, talk: Talk) -> None:
        """Read the answers to frames; what VTube Studio does not like is said once."""
        while True:
            heard = await talk.hear()
            if heard.error and heard.error != self._complaint:
                self._complaint = heard.error
                log.warning('VTube Studio does not take a frame: %s', heard.error)


class Talk:
    """Requests and answers on one WebSocket."""

    def __init__(self, socket: ClientWebSocketResponse[bool]) -> None:
        """Talk over `socket`."""
        self.quiet = asyncio.Event()    # nothing was said that has no answer
        self.quiet.set()
        self._socket = socket
        self._number = 0

    async def say(self, kind: str, data: Mapping[str, Any]) -> str:
        """Send a request; return its number."""
        self._number += 1
        self.quiet.clear()
        await self._socket.send_str(request(kind, data, self._number))
        return str(self._number)

    async def ask(self, kind: str, data: Mapping[str, Any],
                  patience: float | None = ANSWER_TIME) -> Answer:
        """Return the answer to a request."""
        number = await self.say(kind, data)

        async def reply() -> Answer:
            while (heard := await self.hear()).number != number:
                pass
            return heard

        return await asyncio.wait_for(reply(), patience)

    async def hear(self) -> Answer:
        """Return what comes next; raises `ConnectionError` at the end."""
        async for message in self._socket:
            with contextlib.suppress(ValueError):       # others may talk there, too
                heard = answer(message.data)
                if heard.number == str(self._number):
                    self.quiet.set()
                return heard
        raise ConnectionError('it hung up')

    async def end(self) -> None:
        """Say goodbye."""
        await self._socket.close()


async def _known(talk: Talk, token: str) -> bool:
    """Return whether VTube Studio knows this token."""
    heard = await talk.ask('AuthenticationRequest', {**PLUGIN, 'authenticationToken': token})
    return heard.data.get('authenticated') is True
