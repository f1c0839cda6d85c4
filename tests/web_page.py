# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""A page as the viewer's server sees it: an aiohttp client that collects what it hears."""

import asyncio
import contextlib
import json

import aiohttp

from avatar_bridge import wire

DECODERS = (wire.decode_face, wire.decode_meta, wire.decode_audio, wire.decode_event)


class Page:
    """
    Everything that came, decoded, in order, in `heard`; `closed` is the close code at the end.

    `until` waits for the first message that fits; each message is looked at by one `until` only.
    """

    def __init__(self, socket):
        self.socket = socket
        self.heard, self.closed, self._seen = [], None, 0
        self._change = asyncio.Event()
        self._task = asyncio.create_task(self._listen())

    async def _listen(self):
        async for message in self.socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                self.heard.append(DECODERS[message.data[0]](message.data[1:]))
            else:
                self.heard.append(json.loads(message.data))
            self._change.set()
        self.closed = self.socket.close_code
        self._change.set()

    async def say(self, message):
        await self.socket.send_str(message if isinstance(message, str) else json.dumps(message))

    async def until(self, fits, timeout=20.0):
        return await asyncio.wait_for(self._until(fits), timeout)

    async def _until(self, fits):
        while True:
            while self._seen < len(self.heard):
                self._seen += 1
                if fits(self.heard[self._seen - 1]):
                    return self.heard[self._seen - 1]
            assert self.closed is None, f'closed: {self.closed}'
            self._change.clear()
            await self._change.wait()

    async def end(self, timeout=5.0):
        """Return the close code once the server hung up."""
        await asyncio.wait_for(self._task, timeout)
        return self.closed

    async def answer(self, message):
        """Return what the server says to a message: an error, or None when there is none."""
        await self.say(message)
        await self.say({'type': 'ping', 'id': 'after'})
        said = await self.until(lambda heard: is_a(heard, 'error') or is_a(heard, 'pong'))
        if said['type'] == 'error':
            await self.until(lambda heard: is_a(heard, 'pong'))
            return said['text']
        return None

    @property
    def frames(self):
        return [heard for heard in self.heard if isinstance(heard, wire.FaceMessage)]


def is_a(heard, kind):
    return isinstance(heard, dict) and heard['type'] == kind


def is_frame(heard):
    return isinstance(heard, wire.FaceMessage)


def is_meta(heard):
    return isinstance(heard, wire.MetaMessage)


@contextlib.asynccontextmanager
async def page(address):
    """Open a page at the server's address."""
    async with aiohttp.ClientSession() as client, client.ws_connect(f'{address}ws') as socket:
        made = Page(socket)
        yield made
        made._task.cancel()
