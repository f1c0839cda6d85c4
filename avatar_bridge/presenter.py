# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Hand over each cue when it is due, to everyone, and count what came late."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from fractions import Fraction
import heapq
import math
import threading
from typing import Final, Protocol

import numpy as np

from avatar_bridge.animator import Cue
from avatar_bridge.frames import Event, TimedAudio, TimedFrame
from avatar_bridge.ports import Clock
from avatar_bridge.schedule import MILLISECOND, SECOND

CAPACITY: Final = 64            # cues that may wait; whoever is that far ahead of time waits too
SLICE: Final = 20 * MILLISECOND     # longest sleep before looking whether things changed
HASTE: Final = 4                # how many times faster late frames go out: a burst drowns sinks
REMEMBERED: Final = 2048        # frames whose end-to-end latency is remembered


class Receiver(Protocol):
    """What a presenter needs of a pump."""

    def send(self, frame: TimedFrame) -> None:
        """Take one frame."""
        ...

    def hear(self, audio: TimedAudio) -> None:
        """Take sound."""
        ...

    def notify(self, event: Event) -> None:
        """Take an event."""
        ...


class Presenter:
    """
    A bounded queue of cues ordered by the time they are due.

    Frames that are late follow each other a little apart. Sound waits beside them and goes out
    with the first frame that is due no earlier: nobody sleeps for it, so that a frame which is
    made meanwhile is not kept waiting.

    One thread offers, one runs; `cut` may come from any third. `generation` counts the cuts: what
    was made before a cut is not taken any more.
    """

    def __init__(
        self, receivers: Sequence[Receiver], clock: Clock, *, latency: Fraction, fps: Fraction,
    ) -> None:
        """Hand over to `receivers`; `latency` (s) is the algorithmic one."""
        self.frames = 0                 # handed over
        self.late = 0                   # of these, after they should have been seen
        self.generation = 0
        self._receivers = receivers
        self._clock = clock
        self._latency = math.floor(latency * SECOND)
        self._apart = math.floor(SECOND / fps / HASTE)
        self._last = 0                  # when a frame was handed over
        self._beyond: deque[int] = deque(maxlen=REMEMBERED)
        self._queue: list[tuple[int, int, Cue]] = []
        self._sound: deque[tuple[int, int, Cue]] = deque()
        self._offered = 0
        self._change = threading.Condition()
        self._finished = False
        self._over = False              # nobody will take anything any more

    def offer(self, cue: Cue, generation: int) -> bool:
        """Queue a cue; wait while the queue is full. False: too late, or made before a cut."""
        with self._change:
            self._change.wait_for(
                lambda: len(self._queue) < CAPACITY or generation != self.generation or self._over)
            if generation != self.generation or self._over:
                return False
            self._offered += 1
            entry = (cue.due, self._offered, cue)
            if isinstance(cue.what, TimedAudio):
                self._sound.append(entry)
            else:
                heapq.heappush(self._queue, entry)
            self._change.notify_all()
        return True

    def cut(self) -> int:
        """Drop what was not handed over yet, but no news; return the new generation."""
        with self._change:
            self.generation += 1
            self._queue = [entry for entry in self._queue if isinstance(entry[2].what, Event)]
            heapq.heapify(self._queue)
            self._sound.clear()
            self._last = 0              # a clock that jumped back must not keep frames waiting
            self._change.notify_all()
            return self.generation

    def finish(self) -> None:
        """Let `run` return once everything was handed over."""
        with self._change:
            self._finished = True
            self._change.notify_all()

    def run(self) -> None:
        """Hand over until finished; what a receiver raises ends it."""
        try:
            while (due := self._next_due()) is not None:
                now = self._clock.now()
                if due > now:
                    self._clock.sleep_until(min(due, now + SLICE))
                elif (cue := self._take()) is not None:
                    self._hand_over(cue)
        finally:
            with self._change:          # who offers now would wait for ever
                self._over = True
                self._change.notify_all()

    def beyond(self, percentiles: Sequence[float]) -> list[float]:
        """Return end-to-end latency beyond the algorithmic one, milliseconds."""
        with self._change:
            beyond = list(self._beyond)
        if not beyond:
            return [0.0 for _ in percentiles]
        return [float(value) / MILLISECOND for value in np.percentile(beyond, percentiles)]

    def _next_due(self) -> int | None:
        with self._change:
            self._change.wait_for(lambda: self._queue or self._finished)
            first = self._queue or self._sound
            if not first:
                return None
            due = first[0][0]
            return max(due, self._last + self._apart) if due else due

    def _take(self) -> Cue | None:
        """Return the first cue; count a frame in the same breath, so that a cut sees it."""
        with self._change:
            if self._sound and (not self._queue or self._sound[0] < self._queue[0]):
                cue = self._sound.popleft()[2]
            elif self._queue:
                cue = heapq.heappop(self._queue)[2]
            else:
                return None
            if isinstance(cue.what, TimedFrame):
                self.frames += 1
            self._change.notify_all()
        return cue

    def _hand_over(self, cue: Cue) -> None:
        what = cue.what
        give: Callable[[Receiver], None]
        if isinstance(what, TimedFrame):
            self._measure(cue.due, what)
            give = lambda receiver: receiver.send(what)     # noqa: E731 - typed by the branch
        elif isinstance(what, TimedAudio):
            give = lambda receiver: receiver.hear(what)     # noqa: E731
        else:
            give = lambda receiver: receiver.notify(what)   # noqa: E731
        for receiver in self._receivers:
            give(receiver)

    def _measure(self, due: int, frame: TimedFrame) -> None:
        if due:
            self._last = now = self._clock.now()
            self.late += now > frame.present_ns
            self._beyond.append(now - frame.capture_ns - self._latency)
