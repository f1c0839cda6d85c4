# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Audio that others push: a ROS topic, a speech synthesiser, a web socket."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
import threading

from avatar_bridge.frames import AudioBlock, EndOfSpeech, Event

Item = AudioBlock | EndOfSpeech | Event


class FeedSource:
    """
    A bounded queue; any thread may push.

    When more than `capacity` seconds wait, the oldest blocks go and are counted; marks of the end
    of speech stay. Whoever pushes never waits.
    """

    def __init__(self, *, capacity: float = 10.0) -> None:
        """Hold at most `capacity` seconds of audio."""
        self.dropped = 0                # samples that nobody took in time
        self._capacity = capacity
        self._queue: deque[Item] = deque()
        self._waiting = 0.0             # seconds in the queue
        self._change = threading.Condition()
        self._finished = False
        self._closed = False

    def push(self, block: AudioBlock) -> None:
        """Add audio."""
        with self._change:
            if self._finished or self._closed:
                self.dropped += len(block.samples)
                return
            self._queue.append(block)
            self._waiting += _seconds(block)
            if self._waiting > self._capacity:
                self._make_room()
            self._change.notify()

    def end(self) -> None:
        """Say that the speech so far is complete: its last frames come without waiting."""
        self._mark(EndOfSpeech())

    end_of_speech = end

    def notify(self, event: Event) -> None:
        """Tell the session of something that happened to the audio."""
        self._mark(event)

    def clear(self) -> None:
        """Drop what waits: somebody interrupted the speech."""
        with self._change:
            self._queue.clear()
            self._waiting = 0.0

    def finish(self) -> None:
        """End the stream once all that was pushed has been taken."""
        with self._change:
            self._finished = True
            self._change.notify()

    def close(self) -> None:
        """End the stream at once."""
        with self._change:
            self._closed = True
            self._change.notify()

    def blocks(self) -> Iterator[Item]:
        """Yield what is pushed until `close`, or until `finish` and the queue is empty."""
        while (item := self._next()) is not None:
            yield item

    def _next(self) -> Item | None:
        with self._change:
            self._change.wait_for(lambda: self._queue or self._finished or self._closed)
            if self._closed or not self._queue:
                return None
            item = self._queue.popleft()
            if isinstance(item, AudioBlock):
                self._waiting -= _seconds(item)
            return item

    def _mark(self, item: EndOfSpeech | Event) -> None:
        with self._change:
            # Two ends in a row say no more than one; so marks cannot pile up without audio.
            if not self._queue or self._queue[-1] != item:
                self._queue.append(item)
            self._change.notify()

    def _make_room(self) -> None:
        kept: deque[Item] = deque()
        while self._waiting > self._capacity and len(self._queue) > 1:
            item = self._queue.popleft()
            if isinstance(item, AudioBlock):
                self._waiting -= _seconds(item)
                self.dropped += len(item.samples)
            else:
                kept.append(item)
        self._queue.extendleft(reversed(kept))


def _seconds(block: AudioBlock) -> float:
    return len(block.samples) / block.sample_rate
