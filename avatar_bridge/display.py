# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""How a session goes, on standard error, until it ends or somebody ends it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
import math
import os
import signal
import sys

from avatar_bridge.clock import MonotonicClock
from avatar_bridge.play import Playback
from avatar_bridge.session import Session, Stats

Watched = Session | Playback


class StatusLine:
    """One line on standard error that is written over, or one every five seconds in a log."""

    def __init__(self, describe: Callable[[Stats], str]) -> None:
        """Begin; `describe` says the figures in words."""
        self._describe = describe
        self._terminal = sys.stderr.isatty()
        self._calls = 0
        self._clock = MonotonicClock()
        self._seen: deque[tuple[int, int]] = deque(maxlen=5)    # (ns, frames), two seconds

    def show(self, session: Watched) -> None:
        """Show where the session stands; called twice a second."""
        self._calls += 1
        stats = session.stats
        self._seen.append((self._clock.now(), stats.frames))
        line = f'{self._rate():4.1f} fps  {self._describe(stats)}'
        if self._terminal:
            print(f'\r\x1b[K{line}', end='', file=sys.stderr, flush=True)
        elif self._calls % 10 == 0:
            print(line, file=sys.stderr, flush=True)

    def close(self, session: Watched) -> None:
        """Show the last figures."""
        print(('\r\x1b[K' if self._terminal else '') + self._describe(session.stats),
              file=sys.stderr)

    def _rate(self) -> float:
        (began, first), (now, last) = self._seen[0], self._seen[-1]
        return 1e9 * (last - first) / (now - began) if now > began else 0.0


def status(stats: Stats) -> str:
    """Return the figures of a session in one line."""
    return (f'{counts(stats)}  '
            f'latency +{stats.latency_p50:.1f} ms p50 +{stats.latency_p99:.1f} ms p99  '
            f'rtf {stats.rtf:.2f}  {stats.level[0]:.0f} dBFS'
            + ('  muted' if stats.muted else '') + troubles(stats))


def delivery(stats: Stats) -> str:
    """Return those figures that mean something without sound and engine."""
    return counts(stats) + troubles(stats)


def counts(stats: Stats) -> str:
    """Return what became of the frames."""
    lost = sum(stats.dropped.values())
    return f'{stats.frames} frames  {stats.late} late  {lost} dropped'


def troubles(stats: Stats) -> str:
    """Return what the sinks complain about."""
    return ''.join(f'  {name}: {text}' for name, text in stats.errors.items())


class ProgressBar:
    """A bar on standard error once it takes longer than a second."""

    def __init__(self, name: str) -> None:
        """Label it `name`."""
        from tqdm import tqdm

        self._bar = tqdm(desc=name, unit=' frames', delay=1.0, leave=False)

    def show(self, session: Watched) -> None:
        """Show how many frames there are."""
        if self._bar.total is None and session.seconds:
            self._bar.total = math.ceil(session.seconds * session.info.fps)
        self._bar.update(session.stats.frames - self._bar.n)

    def close(self, session: Watched) -> None:
        """Say what was made."""
        self._bar.close()
        seconds = session.stats.frames / session.info.fps
        print(f'{session.stats.frames} frames, {float(seconds):.2f} s', file=sys.stderr)


def watch(session: Watched, display: StatusLine | ProgressBar | None) -> bool:
    """Run a session and show how it goes; Ctrl-C ends it (True), a second one at once."""
    started = interrupted = False
    try:
        session.start()
        started = True
        while not session.wait(0.5):
            if display:
                display.show(session)
    except KeyboardInterrupt:
        interrupted = True
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: os._exit(128 + number))
        session.stop()
        # Not close() at once: a signal just before its untimed wait would be noticed after it.
        while started and not session.wait(0.5):
            pass
    session.close()
    if display:
        display.close(session)
    session.check()
    return interrupted
