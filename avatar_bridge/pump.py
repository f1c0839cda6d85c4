# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""One worker and one bounded queue per sink: whatever a sink does, the caller goes on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
import logging
import threading

from avatar_bridge.clock import MonotonicClock
from avatar_bridge.errors import SinkError
from avatar_bridge.frames import Event, StreamInfo, TimedAudio, TimedFrame
from avatar_bridge.ports import Clock, FrameSink

log = logging.getLogger(__name__)

Item = TimedFrame | TimedAudio | Event

FIRST_PAUSE = 0.1               # seconds before a sink that failed is opened again; doubles
LONGEST_PAUSE = 5.0
TICK = 0.25                     # seconds; how often an idle sink may look after itself
STALL = 2_000_000_000           # ns inside one call after which a worker counts as stuck
MOST_STUCK = 3                  # workers given up on before a sink is left alone


class Overflow(Enum):
    """What happens when the sink is slower than the frames."""

    DROP_OLDEST = 'drop oldest'     # live: newer is better; the caller never waits
    WAIT = 'wait'                   # files at full speed: nothing is lost, failures are raised


@dataclass(frozen=True)
class PumpStats:
    """What became of the frames of one sink."""

    sent: int = 0
    dropped: int = 0
    restarts: int = 0
    stuck: int = 0                  # calls that never came back
    last_error: str = ''


class Pump:
    """
    Carry frames to one sink.

    With `Overflow.DROP_OLDEST` nothing that the sink does reaches the caller: it may raise, block
    or die, and is closed and opened again with growing pauses. With `Overflow.WAIT` the caller
    waits for the sink, and a failure is final and raised as `SinkError`.
    """

    def __init__(
        self, sink: FrameSink, *, capacity: int = 120, overflow: Overflow = Overflow.DROP_OLDEST,
        clock: Clock | None = None,
    ) -> None:
        """Hold at most `capacity` frames for the sink."""
        self.name = type(sink).__name__
        self._sink = sink
        self._capacity = capacity
        self._overflow = overflow
        self._clock = clock or MonotonicClock()
        self._queue: deque[Item] = deque()
        self._change = threading.Condition()
        self._info: StreamInfo | None = None
        self._worker: threading.Thread | None = None
        self._closing = threading.Event()
        self._first_open = threading.Event()
        self._starting = True
        self._failed = False
        self._busy_since: int | None = None
        self._stats = PumpStats()

    @property
    def stats(self) -> PumpStats:
        """The counters of this moment; what the sink left out itself was dropped too."""
        stats = self._stats
        return replace(stats, dropped=stats.dropped + getattr(self._sink, 'skipped', 0))

    def open(self, info: StreamInfo, timeout: float = 5.0) -> None:
        """Open the sink; raises `SinkError` where its first attempt fails."""
        assert self._worker is None, 'a pump is opened once'
        self._info = info
        self._start(self._run)
        self._first_open.wait(timeout)
        with self._change:
            self._starting = False
        if self._failed:
            raise SinkError(self._stats.last_error)

    def send(self, frame: TimedFrame) -> None:
        """Hand over a frame; waits only with `Overflow.WAIT`."""
        self._put(frame)

    def hear(self, audio: TimedAudio) -> None:
        """Hand over sound."""
        self._put(audio)

    def notify(self, event: Event) -> None:
        """Hand over an event."""
        self._put(event)

    def close(self, timeout: float = 2.0) -> bool:
        """
        Let the sink take what is queued and close it; give up after `timeout` seconds.

        Returns whether the sink was closed. Raises `SinkError` where `Overflow.WAIT` promised
        that everything would arrive and it did not.
        """
        with self._change:
            self._closing.set()
            self._change.notify_all()
            worker = self._worker
        if worker is not None:
            worker.join(timeout)
        gone = worker is None or not worker.is_alive()
        while self._queue and gone:
            self._count_dropped(self._queue.popleft())
        if not gone:
            self._note(last_error=f'{self.name} did not close within {timeout:g} s')
            log.warning('%s; left behind', self._stats.last_error)
        if self._overflow is Overflow.WAIT and (self._failed or not gone):
            raise SinkError(self._stats.last_error)
        return gone

    def _put(self, item: Item) -> None:
        with self._change:
            if self._overflow is Overflow.WAIT:
                self._change.wait_for(self._has_room)
                if self._failed:
                    raise SinkError(self._stats.last_error)
            if self._closing.is_set() or self._worker is None:
                self._count_dropped(item)
                return
            self._queue.append(item)
            if len(self._queue) > self._capacity:
                self._count_dropped(self._queue.popleft())
            self._change.notify_all()
        if self._overflow is Overflow.DROP_OLDEST:
            self._replace_stuck()

    def _has_room(self) -> bool:
        return len(self._queue) < self._capacity or self._failed or self._closing.is_set()

    def _run(self) -> None:
        """Open, carry, and after a failure pause and start again: the worker's life."""
        pause = FIRST_PAUSE
        while self._current():
            before = self._stats.sent
            try:
                self._call(self._open_sink)
                with self._change:
                    self._starting = False
                self._first_open.set()
                self._carry()
                self._call(self._sink.close)
                return
            except Exception as error:      # the border: a sink may raise whatever it likes
                if not self._current():
                    return
                self._fail(error)
            if self._failed or self._closing.is_set():
                return
            pause = FIRST_PAUSE if self._stats.sent > before else min(2 * pause, LONGEST_PAUSE)
            self._closing.wait(pause)
            self._note(restarts=self._stats.restarts + 1)

    def _carry(self) -> None:
        """Hand over until told to stop and nothing is left."""
        while self._current():
            with self._change:
                self._change.wait_for(lambda: self._queue or self._closing.is_set(), TICK)
                item = self._queue.popleft() if self._queue else None
                self._change.notify_all()
            if item is not None:
                self._hand_over(item)
            elif self._closing.is_set():
                return
            else:
                self._call(getattr(self._sink, 'tick', _nothing))

    def _hand_over(self, item: Item) -> None:
        try:
            if isinstance(item, TimedFrame):
                self._call(lambda: self._sink.send(item))
                self._count_sent()
            elif isinstance(item, TimedAudio):
                self._call(lambda: self._sink.hear(item))
            else:
                self._call(lambda: self._sink.notify(item))
        except Exception:
            self._count_dropped(item)
            raise

    def _open_sink(self) -> None:
        assert self._info is not None
        self._sink.open(self._info)

    def _fail(self, error: Exception) -> None:
        text = ' '.join(str(error).split()) or type(error).__name__
        if self._stats.last_error != text:
            log.warning('%s failed: %s', self.name, text)
        self._note(last_error=text)
        try:
            self._call(self._sink.close)
        except Exception as second:         # it is being thrown away; the first error counts
            log.debug('%s could not be closed: %s', self.name, second)
        with self._change:
            self._failed = self._overflow is Overflow.WAIT or self._starting
            self._change.notify_all()
        self._first_open.set()

    def _call(self, function: Callable[[], None]) -> None:
        """Call the sink, and know since when."""
        if self._current():
            self._busy_since = self._clock.now()
            function()
            if self._current():
                self._busy_since = None

    def _replace_stuck(self) -> None:
        """Put a new worker in the place of one that never came back from the sink."""
        since = self._busy_since
        if since is None or self._clock.now() - since < STALL or self._stats.stuck >= MOST_STUCK:
            return
        self._busy_since = None
        self._note(stuck=self._stats.stuck + 1, last_error=f'{self.name} blocked; given up on it')
        log.warning('%s', self._stats.last_error)
        self._start(self._restart)

    def _restart(self) -> None:
        try:
            self._call(self._sink.close)    # may also free the worker that is stuck
        except Exception as error:
            log.debug('%s could not be closed: %s', self.name, error)
        self._closing.wait(FIRST_PAUSE)
        self._note(restarts=self._stats.restarts + 1)
        self._run()

    def _start(self, function: Callable[[], None]) -> None:
        self._worker = threading.Thread(target=function, name=f'pump {self.name}', daemon=True)
        self._worker.start()

    def _current(self) -> bool:
        """Whether this thread is still the worker; one that was given up on must touch nothing."""
        return threading.current_thread() is self._worker

    def _count_sent(self) -> None:
        if self._current():
            self._note(sent=self._stats.sent + 1)

    def _count_dropped(self, item: Item) -> None:
        if isinstance(item, TimedFrame):
            self._note(dropped=self._stats.dropped + 1)

    def _note(self, **values: int | str) -> None:
        with self._change:
            self._stats = replace(self._stats, **values)        # type: ignore[arg-type]


def _nothing() -> None:
    """Do nothing, for sinks that do not tick."""
