# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The bounded queue between the thread that reads and the thread that animates."""

from __future__ import annotations

from collections import deque
import threading
from typing import Final, NamedTuple

from avatar_bridge.frames import AudioBlock, EndOfSpeech, Event

CAPACITY: Final = 64            # blocks that may wait; then the source waits, or loses its own


class Cut(NamedTuple):
    """Instead of the audio that waited: begin anew, in this generation."""

    generation: int


class Hush(NamedTuple):
    """Nothing came for a while."""


Heard = tuple[AudioBlock | EndOfSpeech | Event, int]    # and when it came, ns


class Lane:
    """First in, first out; `end` says that nothing more will come."""

    def __init__(self) -> None:
        """Begin empty."""
        self._queue: deque[Heard | Cut] = deque()
        self._change = threading.Condition()
        self._ended = False
        self._cuts = 0

    def put(self, entry: Heard) -> bool:
        """Queue an entry, wait while there is no room; False: the lane has ended."""
        with self._change:
            cuts = self._cuts
            self._change.wait_for(
                lambda: len(self._queue) < CAPACITY or self._ended or self._cuts != cuts)
            if not self._ended and self._cuts == cuts:
                self._queue.append(entry)
                self._change.notify_all()
            return not self._ended

    def get(self, patience: float | None = None) -> Heard | Cut | Hush | None:
        """Return the next entry, wait `patience` seconds for one; None: there will be no more."""
        with self._change:
            if not self._change.wait_for(lambda: self._queue or self._ended, patience):
                return Hush()
            entry = self._queue.popleft() if self._queue else None
            self._change.notify_all()
            return entry

    def replace(self, cut: Cut) -> None:
        """Put `cut` in the place of everything that waits, here or to get in."""
        with self._change:
            self._cuts += 1
            self._queue.clear()
            self._queue.append(cut)
            self._change.notify_all()

    def clear(self) -> None:
        """Drop what waits."""
        with self._change:
            self._queue.clear()
            self._change.notify_all()

    def end(self) -> None:
        """Let nothing more in; what waits can still be got."""
        with self._change:
            self._ended = True
            self._change.notify_all()
