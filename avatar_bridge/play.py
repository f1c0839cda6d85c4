# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""A recording handed to sinks, each frame when it is due: a session without sound and engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
import logging
import threading
from typing import Final
import uuid

from avatar_bridge import rig
from avatar_bridge.animator import Cue
from avatar_bridge.clock import MonotonicClock
from avatar_bridge.frames import Event, FaceFrame, Flags, StreamInfo, TimedFrame
from avatar_bridge.outlets import Outlets
from avatar_bridge.ports import Clock, FrameSink
from avatar_bridge.presenter import Presenter
from avatar_bridge.pump import Overflow
from avatar_bridge.schedule import MARGIN
from avatar_bridge.session import Pace, SessionSettings, Stats
from avatar_bridge.timeline import Timeline
from avatar_bridge.wire import Take

log = logging.getLogger(__name__)

LEAD: Final = 100_000_000       # ns between the start and the first frame: sinks are awake by then
FINEST: Final = 1001            # denominator of other rates
NEAR: Final = 1e-4              # how far time codes may put a rate off, as a share of it


class Playback:
    """
    Play a take once, with the pumps and the presenter of a session.

    `start`, `wait`, `close` and `check` are those of a session too: who can watch one can watch
    the other.
    """

    def __init__(
        self, take: Take, sinks: Sequence[FrameSink], *, clock: Clock | None = None,
        settings: SessionSettings | None = None,
    ) -> None:
        """Connect the parts; nothing happens before `start`."""
        self.settings = settings or SessionSettings()
        fps = exact(take.fps)
        self.info = StreamInfo(
            self.settings.stream or uuid.uuid4().hex[:12], self.settings.avatar, rig.NAMES, fps,
            Fraction(0), self.settings.bundle, take.sample_rate)
        self._take = take
        self._clock = clock or MonotonicClock()
        self._timeline = Timeline(take.sample_rate, fps)
        self._real = self.settings.pace is Pace.REAL
        overflow = Overflow.DROP_OLDEST if self._real else Overflow.WAIT
        self._outlets = Outlets(sinks, overflow)
        self._presenter = Presenter(self._outlets.pumps, self._clock, latency=Fraction(0), fps=fps)
        self._failure: Exception | None = None
        self._stopped = threading.Event()
        self._done = threading.Event()
        self._threads: list[threading.Thread] = []

    def run(self) -> None:
        """Play to the end; raises what went wrong."""
        self.start()
        self.wait()
        self.close()
        self.check()

    def start(self) -> None:
        """Open the sinks and begin; raises `SinkError` where a sink cannot open."""
        assert not self._threads, 'a recording is started once'
        self._outlets.open(self.info)
        for work in (self._present, self._offer):
            thread = threading.Thread(target=work, name=f'playback {work.__name__}', daemon=True)
            self._threads.append(thread)
            thread.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Return whether everything is over, waiting at most `timeout` seconds for it."""
        # in slices, because a signal handler runs between two of them on every platform
        left = timeout
        while left is None or left > 0:
            if self._done.wait(0.25 if left is None else min(0.25, left)):
                return True
            left = None if left is None else left - 0.25
        return self._done.is_set()

    def stop(self) -> None:
        """Hand over no more. From any thread."""
        self._stopped.set()
        self._presenter.cut()
        self._presenter.finish()

    def close(self) -> None:
        """Stop, and wait until the sinks are closed."""
        self.stop()
        for thread in self._threads:
            thread.join()

    def check(self) -> None:
        """Raise what went wrong, if anything did."""
        if self._failure is not None:
            raise self._failure

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return float(len(self._take.weights) / self.info.fps)

    @property
    def stats(self) -> Stats:
        """The figures of this moment; those of sound and engine stay at rest."""
        return Stats(frames=self._presenter.frames, late=self._presenter.late,
                     **self._outlets.losses._asdict())

    def _offer(self) -> None:
        """Hand cues to the presenter: a thread's life."""
        try:
            for cue in self._cues():
                if not self._presenter.offer(cue, 0):
                    return
        finally:
            self._presenter.finish()

    def _cues(self) -> Iterator[Cue]:
        """Yield every frame and when it is due; at once where nobody keeps time."""
        take = self._take
        begin = self._clock.now() + LEAD if self._real else 0
        yield Cue(0, Event('start', self.info.stream))
        for index, weights in enumerate(take.weights):
            if self._stopped.is_set():
                return
            due = begin + self._timeline.nanoseconds(index)
            flags = Flags(take.flags[index]) if take.flags else Flags.NONE
            pose = FaceFrame(index, weights, flags,
                             None if take.head is None else take.head[index],
                             None if take.eyes is None else take.eyes[index])
            yield Cue(due if self._real else 0, TimedFrame(pose, due, due + MARGIN))

    def _present(self) -> None:
        """Hand frames over, then close the sinks: a thread's life."""
        try:
            self._presenter.run()
        except Exception as error:
            self._failure = error
            log.debug('playback failed', exc_info=error)
        finally:
            for failure in self._outlets.close(self._failure):
                self._failure = self._failure or failure
            self._done.set()


def exact(fps: float) -> Fraction:
    """Return the rate that was meant: 60, 30000/1001, or what comes near where it is neither."""
    for rate in (Fraction(round(fps)), Fraction(1000 * round(fps * 1.001), 1001)):
        if abs(rate - fps) < NEAR * fps:
            return rate
    return Fraction(fps).limit_denominator(FINEST)
