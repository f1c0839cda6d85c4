# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Where streams with ids wait for whoever pulls them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
import threading
from typing import Any, Final

from avatar_bridge.errors import UsageError

ROOM: Final = 256               # messages of a stream that may wait
GLANCE: Final = 0.25            # seconds between looks whether the other side is still there

Alive = Callable[[], bool]


class Exchange:
    """
    `send` hands a stream over, `receive` takes it; each waits for the other, from any thread.

    Nothing is kept that nobody takes: the sender waits, for as long as it is `alive`.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._streams: dict[str, deque[Any]] = {}
        self._taken: set[str] = set()
        self._change = threading.Condition()

    def send(self, name: str, messages: Iterable[Any], alive: Alive) -> None:
        """Hand messages over until they end or the sender does; returns when all are taken."""
        waiting: deque[Any] = deque()
        with self._change:
            if name in self._streams:
                raise UsageError(f'stream_id {name[:80]!r}: somebody sends this stream already')
            self._streams[name] = waiting
            self._change.notify_all()
        try:
            for message in messages:
                if not self._wait(lambda: len(waiting) < ROOM, alive):
                    return
                with self._change:
                    waiting.append(message)
                    self._change.notify_all()
            self._wait(lambda: not waiting, alive)
        finally:
            with self._change:
                del self._streams[name]
                self._change.notify_all()

    def receive(self, name: str, alive: Alive) -> Iterator[Any]:
        """Yield the messages of the stream called `name`, once it is there."""
        with self._change:
            if name in self._taken:
                raise UsageError(f'stream_id {name[:80]!r}: somebody pulls this stream already')
            self._taken.add(name)
        try:
            if self._wait(lambda: name in self._streams, alive):
                yield from self._take(name, alive)
        finally:
            with self._change:
                self._taken.discard(name)

    def _take(self, name: str, alive: Alive) -> Iterator[Any]:
        waiting = self._streams.get(name, deque())
        while self._wait(lambda: waiting or self._streams.get(name) is not waiting, alive):
            with self._change:
                if not waiting:
                    return
                message = waiting.popleft()
                self._change.notify_all()
            yield message

    def _wait(self, ready: Callable[[], Any], alive: Alive) -> bool:
        with self._change:
            while not self._change.wait_for(ready, GLANCE):
                if not alive():
                    return False
            return True
