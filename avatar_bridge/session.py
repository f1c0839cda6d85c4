# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""A source, an engine, sinks and a clock at work; owns every thread."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
import logging
import threading
from types import TracebackType
from typing import Final
import uuid

from avatar_bridge import rig
from avatar_bridge.animator import AnimatedBy, Animator, Cue, Policy
from avatar_bridge.audio.intake import Channel, Intake
from avatar_bridge.clock import MonotonicClock
from avatar_bridge.errors import AudioError
from avatar_bridge.frames import AudioBlock, EndOfSpeech, Event, StreamInfo
from avatar_bridge.governor import Governor, Steady
from avatar_bridge.lane import Cut, Hush, Lane
from avatar_bridge.outlets import Outlets
from avatar_bridge.ports import AudioSource, Clock, FrameSink
from avatar_bridge.presenter import Presenter
from avatar_bridge.pump import Overflow
from avatar_bridge.schedule import SECOND, FixedSchedule, LiveSchedule

log = logging.getLogger(__name__)

CUT_FADE: Final = Fraction(1, 10)       # seconds to rest after a flush
LOST_FADE: Final = Fraction(3, 10)      # seconds to rest when the audio is gone
PATIENCE: Final = 1.0                   # seconds without audio before a live face comes to rest
LINGER: Final = 0.025                   # seconds between looks at a face that lives without audio


class Pace(Enum):
    """When frames are handed over."""

    REAL = 'real'                       # when due; a slow sink loses frames, nobody waits
    MAX = 'max'                         # as fast as possible; nothing is lost, everybody waits


@dataclass(frozen=True)
class SessionSettings:
    """What a session wants to know beside its parts."""

    pace: Pace = Pace.REAL
    avatar: str = 'default'
    bundle: str = ''                    # name, for the sinks
    channel: Channel = 'mix'
    stream: str = ''                    # id of the run; made up where empty


@dataclass(frozen=True)
class Stats:
    """Where a session stands."""

    frames: int = 0                     # handed to the sinks
    late: int = 0                       # of these, after they should have been seen
    speculative: int = 0                # made without a prediction, for lack of time
    steps: int = 0                      # sampler steps in use
    rtf: float = 0.0                    # compute time for each second of audio
    latency_p50: float = 0.0            # ms from sound to sinks, beyond the algorithmic latency
    latency_p99: float = 0.0
    level: tuple[float, float] = (-120.0, -120.0)   # rms and peak, dBFS
    nonfinite: int = 0                  # samples that were NaN or infinite
    clipped: int = 0
    gaps: int = 0                       # samples that never came
    xruns: int = 0                      # times that the device lost audio
    missed: int = 0                     # samples that nobody took in time
    muted: bool = False
    dropped: Mapping[str, int] = field(default_factory=dict)    # frames lost by each sink
    restarts: Mapping[str, int] = field(default_factory=dict)   # times that each sink failed
    errors: Mapping[str, str] = field(default_factory=dict)     # newest failure of each sink


class Session:
    """
    Animate a source and hand the frames to sinks, each when it is due.

    `run` does it all; `start`, `wait` and `close` are its parts for whoever has a loop of his own.
    """

    def __init__(
        self, source: AudioSource, engine: AnimatedBy, sinks: Sequence[FrameSink], *,
        clock: Clock | None = None, settings: SessionSettings | None = None,
    ) -> None:
        """Connect the parts; nothing happens before `start`."""
        self.settings = settings or SessionSettings()
        self._source = source
        self._engine = engine
        self._clock = clock or MonotonicClock()
        real = self.settings.pace is Pace.REAL
        overflow = Overflow.DROP_OLDEST if real else Overflow.WAIT
        self._outlets = Outlets(sinks, overflow)
        hop = int(SECOND * engine.spec.hop / engine.spec.fps)
        self._policy: Policy = Governor(hop, engine.steps) if real else Steady(engine.steps)
        self._intake = Intake(engine.sample_rate, self.settings.channel)
        schedule = LiveSchedule if real else FixedSchedule
        self._animator = Animator(
            engine, self._intake, schedule=schedule(engine.spec.fps, engine.latency),
            policy=self._policy, clock=self._clock)
        self._presenter = Presenter(
            self._outlets.pumps, self._clock, latency=engine.latency, fps=engine.spec.fps)
        self._lane = Lane()
        self._failure: BaseException | None = None
        self._done = threading.Event()
        self._threads: list[threading.Thread] = []
        self.info = StreamInfo(
            self.settings.stream or uuid.uuid4().hex[:12], self.settings.avatar, rig.NAMES,
            engine.spec.fps, engine.latency, self.settings.bundle, engine.sample_rate)

    def __enter__(self) -> Session:
        """Return the session itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def run(self) -> None:
        """
        Work until the source ends, `stop` or Ctrl-C.

        Raises what went wrong, after everything that was made before has been handed over.
        """
        self.start()
        try:
            self.wait()
        except KeyboardInterrupt:
            log.debug('interrupted; handing over what is made')
        self.close()
        self.check()

    def start(self) -> None:
        """Open the sinks and start the threads; raises `SinkError` where a sink cannot open."""
        assert not self._threads, 'a session is started once'
        self._animator.warm_up()
        self._outlets.open(self.info)
        for work in (self._present, self._work, self._read):
            thread = threading.Thread(target=work, name=f'session {work.__name__}', daemon=True)
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

    def check(self) -> None:
        """Raise what went wrong, if anything did."""
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Stop listening; frames that are made already are still handed over. From any thread."""
        self._animator.stopped = True
        self._lane.clear()
        self._lane.end()
        self._source.close()

    def close(self) -> None:
        """Stop, and wait until the sinks are closed."""
        self.stop()
        if self._threads:
            self._done.wait()
            for thread in self._threads:
                if thread is not threading.current_thread():
                    thread.join(1.0)    # a source may be stuck in its device for ever

    def flush(self) -> None:
        """Drop the audio that waits and the frames that are not due yet; come to rest."""
        clear = getattr(self._source, 'clear', None)    # audio that others pushed and still waits
        if clear is not None:
            clear()
        self._lane.replace(Cut(self._presenter.cut()))

    def mute(self, muted: bool) -> None:
        """Hear silence from now on, or listen again."""
        if muted != self._animator.muted:
            self._animator.muted = muted
            self.notify(Event('mute', 'on' if muted else 'off'))

    def notify(self, event: Event) -> None:
        """Tell every sink; from any thread."""
        self._offer([Cue(0, event)], self._presenter.generation)

    def set_steps(self, steps: int) -> None:
        """Use `steps` sampler steps from now on, time permitting; 0: the bundle's usual."""
        self._policy.want(self._engine.nearest_steps(steps))

    def set_gains(self, gains: Mapping[str, float]) -> None:
        """Multiply shapes from the next frame on."""
        self._engine.set_gains(gains)

    def set_idle(self, amount: float) -> None:
        """Blink, look about and breathe: 0 (not at all) to 1.5; 1 is natural. From any thread."""
        self._engine.life.set_amount(amount)

    @property
    def idle(self) -> float:
        """How much it does."""
        return self._engine.life.amount

    @property
    def seconds(self) -> float:
        """Length of the source in seconds, 0 where it does not know."""
        return float(getattr(self._source, 'duration', 0.0))

    @property
    def stats(self) -> Stats:
        """The figures of this moment."""
        p50, p99 = self._presenter.beyond((50, 99))
        return Stats(
            frames=self._presenter.frames, late=self._presenter.late,
            speculative=self._animator.speculative, steps=self._policy.steps,
            rtf=self._animator.rtf, latency_p50=p50, latency_p99=p99, level=self._intake.level,
            nonfinite=self._intake.nonfinite, clipped=self._intake.clipped,
            gaps=self._intake.gaps, xruns=getattr(self._source, 'xruns', 0),
            missed=getattr(self._source, 'dropped', 0),
            muted=self._animator.muted,
            **self._outlets.losses._asdict())

    def _read(self) -> None:
        """Take blocks from the source and note when they came: a thread's life."""
        try:
            for item in self._source.blocks():
                if not self._lane.put((item, self._clock.now())):
                    return
        except BaseException as error:
            self._fail(error)
        finally:
            self._lane.end()

    def _work(self) -> None:
        """Animate what was read: a thread's life."""
        generation = 0
        try:
            self.notify(Event('start', self.info.stream))
            while (entry := self._lane.get(self._patience())) is not None:
                if isinstance(entry, Cut):
                    generation = entry.generation
                    self._offer(self._cut(), generation)
                elif isinstance(entry, Hush):
                    self._offer(self._rest(), generation)
                else:
                    self._offer(self._cues(*entry), generation)
            self._offer(self._animator.end_speech(), generation)
        except BaseException as error:
            self._fail(error)
            self.stop()
        finally:
            self._presenter.finish()

    def _patience(self) -> float | None:
        if self.settings.pace is not Pace.REAL:
            return None
        lingers = self.idle and not self._animator.listening and self._animator.started
        return LINGER if lingers else PATIENCE

    def _rest(self) -> Iterable[Cue]:
        """
        Give what is owed and come to rest: audio may break off in the middle of a word.

        A face that lives does so while nobody sends audio, too.
        """
        if self._animator.listening:
            yield from self._animator.end_speech()
            yield from self._animator.fade(LOST_FADE)
        elif self.idle:
            yield from self._animator.linger()

    def _cues(self, item: AudioBlock | EndOfSpeech | Event, arrival: int) -> Iterable[Cue]:
        if isinstance(item, AudioBlock):
            yield from self._animator.push(item, arrival)
        elif isinstance(item, EndOfSpeech):
            yield from self._animator.end_speech()
        else:
            yield Cue(0, item)

    def _cut(self) -> Iterable[Cue]:
        self._animator.cut(self._presenter.frames)
        yield Cue(0, Event('flush'))
        yield from self._animator.fade(CUT_FADE)

    def _offer(self, cues: Iterable[Cue], generation: int) -> None:
        for cue in cues:
            if not self._presenter.offer(cue, generation):
                return

    def _present(self) -> None:
        """Hand frames over, then close the sinks: a thread's life."""
        try:
            self._presenter.run()
        except BaseException as error:
            self._fail(error)
            self.stop()
            self._presenter.cut()
        finally:
            for failure in self._outlets.close(self._failure):
                self._fail(failure)
            self._done.set()

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
        if not isinstance(error, AudioError):
            log.debug('session failed', exc_info=error)

