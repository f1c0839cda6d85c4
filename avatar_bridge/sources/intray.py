# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What lies between a device's callback and the thread that takes its samples."""

from __future__ import annotations

from collections import deque
import threading
from typing import NamedTuple

from avatar_bridge.frames import Event, Samples
from avatar_bridge.ports import Clock

CAPACITY = 5.0                  # seconds of audio that may wait


class Heard(NamedTuple):
    """Samples of one callback."""

    samples: Samples
    sample_rate: int
    capture_ns: int
    lost: int                   # samples missing before these


class Intray:
    """A bounded queue that drops its oldest samples, and knows how many."""

    def __init__(self, clock: Clock) -> None:
        """Begin empty."""
        self.xruns = 0
        self.dropped = 0
        self.sample_rate = 16000
        self.has_heard = False          # since `begin`
        self._clock = clock
        self._change = threading.Condition()
        self._queue: deque[Heard | Event] = deque()
        self._waiting = 0               # samples in the queue
        self._missing = 0               # samples dropped since the newest that was taken
        self._last = clock.now()
        self._until: int | None = None
        self._woken = False

    def begin(self, sample_rate: int) -> None:
        """Expect samples of a device that was just opened."""
        with self._change:
            self.sample_rate = sample_rate
            self.has_heard = False
            self._until = None
            self._last = self._clock.now()

    def put(self, samples: Samples, capture_ns: int, overflowed: bool) -> None:
        """Add the samples of a callback; `overflowed`: the device lost some before them."""
        with self._change:
            lost = 0
            if overflowed:
                self.xruns += 1
                late = 0 if self._until is None else capture_ns - self._until
                lost = max(0, late * self.sample_rate // 1_000_000_000)
            length = len(samples) * 1_000_000_000 // self.sample_rate
            self._until = capture_ns + length
            self._last, self.has_heard = self._clock.now(), True
            self._queue.append(Heard(samples, self.sample_rate, capture_ns, lost))
            self._waiting += len(samples)
            self._make_room()
            self._change.notify()

    def tell(self, event: Event) -> None:
        """Add an event."""
        with self._change:
            self._queue.append(event)
            self._change.notify()

    def wake(self) -> None:
        """Make `take` return soon, with what is there or nothing."""
        with self._change:
            self._woken = True
            self._change.notify()

    def take(self, timeout: float | None) -> Heard | Event | None:
        """Return the oldest item; None after `timeout` seconds or when woken."""
        with self._change:
            self._change.wait_for(lambda: self._queue or self._woken, timeout)
            self._woken = False
            if not self._queue:
                return None
            item = self._queue.popleft()
            if isinstance(item, Heard):
                self._waiting -= len(item.samples)
                item = item._replace(lost=item.lost + self._missing)
                self._missing = 0
            return item

    def quiet_for(self) -> int:
        """Return the nanoseconds since the newest samples, or since `begin`."""
        return self._clock.now() - self._last

    def _make_room(self) -> None:
        while self._waiting > CAPACITY * self.sample_rate and len(self._queue) > 1:
            item = self._queue.popleft()
            if isinstance(item, Heard):
                self._waiting -= len(item.samples)
                self._missing += item.lost + len(item.samples)
                self.dropped += len(item.samples)
