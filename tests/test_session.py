# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""Sessions: what was made arrives, once, in order, in time, whatever happens."""

import _thread
from dataclasses import FrozenInstanceError
from fractions import Fraction
import threading
import time

import numpy as np
import pytest

from avatar_bridge.clock import MonotonicClock
from avatar_bridge.errors import AudioError, SinkError
from avatar_bridge.frames import AudioBlock, EndOfSpeech, Event, FaceFrame, Flags
from avatar_bridge.schedule import MARGIN, SECOND
from avatar_bridge.session import Pace, Session, SessionSettings
from avatar_bridge.sources.feed import FeedSource
from avatar_bridge.stream.idle import IdleLife
from avatar_bridge.timeline import StreamSpec, Timeline

RATE = 16000
MAX = SessionSettings(pace=Pace.MAX)
SPEC = StreamSpec(Timeline(RATE, Fraction(60)), window=30, hop=3, lookahead=3, fade=3)


class LoudnessEngine:
    """An engine that shows how loud each frame was; each step costs `cost` seconds a hop."""

    sample_rate = RATE
    spec = SPEC
    latency = SPEC.latency

    def __init__(self, cost=0.0, steps=2):
        self.steps, self.cost = steps, cost
        self.gains = {}
        self.life = IdleLife(SPEC.fps)
        self.reset()

    def reset(self):
        self.heard, self.given = np.zeros(0, np.float32), 0
        self.life.reset()

    def nearest_steps(self, wanted):
        return wanted or 2

    def set_gains(self, gains):
        self.gains = gains

    def push(self, samples):
        time.sleep(self.cost * self.steps * len(samples) / (RATE / 20))
        return self._hear(samples)

    def bridge(self, samples):
        return self._hear(samples)

    def _hear(self, samples):
        self.heard = np.concatenate([self.heard, samples])
        known = SPEC.timeline.complete_frames(len(self.heard)) - SPEC.lookahead
        return self._frames(max(0, known // SPEC.hop * SPEC.hop))

    def flush(self):
        frames = self._frames(SPEC.timeline.frames_in(len(self.heard)))
        self.heard, self.given = np.zeros(0, np.float32), 0
        return frames

    def _frames(self, end):
        edge = SPEC.timeline.first_sample
        loudness = [np.abs(self.heard[edge(index):edge(index + 1)]).mean()
                    for index in range(self.given, end)]
        frames = [FaceFrame(self.given + number, np.full(52, value, np.float32))
                  for number, value in enumerate(loudness)]
        self.given = max(end, self.given)
        return self.life.push(frames)


class Script:
    """A source that plays a list; a callable in it is called."""

    def __init__(self, items, clock=None):
        self.items, self.clock, self.closed = items, clock, threading.Event()
        self.started = 0

    def blocks(self):
        self.started = self.clock.now() if self.clock else 0
        for item in self.items:
            if self.closed.is_set():
                return
            if isinstance(item, AudioBlock):
                yield self._paced(item)
            elif callable(item):
                item()
            else:
                yield item

    def _paced(self, block):
        if self.clock is None:
            return block
        capture = self.started + block.start * SECOND // block.sample_rate
        length = len(block.samples) * SECOND // block.sample_rate
        self.clock.sleep_until(capture + length)
        return block._replace(capture_ns=capture)

    def close(self):
        self.closed.set()


class Collected:
    """A sink that keeps what it gets and when."""

    def __init__(self):
        self.info, self.closed, self.clock = None, 0, MonotonicClock()
        self.frames, self.times, self.sound, self.events = [], [], [], []
        self.some = threading.Event()

    def open(self, info):
        self.info = info

    def send(self, frame):
        self.frames.append(frame)
        self.times.append(self.clock.now())
        self.some.set()

    def hear(self, audio):
        self.sound.append(audio)

    def notify(self, event):
        self.events.append(event)

    def close(self):
        self.closed += 1

    @property
    def indices(self):
        return [frame.frame.index for frame in self.frames]

    @property
    def loudness(self):
        return [float(frame.frame.weights[0]) for frame in self.frames]

    @property
    def discontinuities(self):
        return [frame.frame.index for frame in self.frames
                if frame.frame.flags & Flags.DISCONTINUITY]


class Broken(Collected):
    """A sink that fails with its third frame."""

    def send(self, frame):
        super().send(frame)
        if len(self.frames) >= 3:
            raise SinkError('the disk is full')


def speech(seconds, first=0):
    rng = np.random.default_rng(7)
    samples = rng.uniform(-0.5, 0.5, first + int(seconds * RATE)).astype(np.float32)
    return samples[first:]


def cut(samples, size=320, start=0):
    return [AudioBlock(start + at, samples[at:at + size], RATE)
            for at in range(0, len(samples), size)]


def offline(items, sink=None, engine=None):
    sink = sink or Collected()
    with Session(Script(items), engine or LoudnessEngine(), [sink], settings=MAX) as session:
        session.run()
    return sink


def live(items, sink=None, engine=None, clock=None):
    sink, clock = sink or Collected(), clock or MonotonicClock()
    session = Session(Script(items, clock), engine or LoudnessEngine(), [sink], clock=clock)
    session.run()
    return sink, session


@pytest.mark.parametrize('size', [77, 320, 16000])
def test_offline_gives_what_the_engine_gives(size):
    samples, engine = speech(1.01), LoudnessEngine()
    expected = engine.push(samples) + engine.flush()
    sink = offline(cut(samples, size))
    assert sink.indices == [frame.index for frame in expected] == list(range(61))
    assert sink.loudness == [float(frame.weights[0]) for frame in expected]


def test_streaming_gives_the_same_frames_as_offline():
    items = [*cut(speech(0.3)), EndOfSpeech(), *cut(speech(0.2))]
    sink, _ = live(items)
    assert sink.loudness == offline(items).loudness
    assert sink.indices == list(range(18 + 12))


def test_indices_count_on_over_the_end_of_speech_and_the_new_start_is_marked():
    sink = offline([*cut(speech(0.21)), EndOfSpeech(), *cut(speech(0.1)), EndOfSpeech()])
    assert sink.indices == list(range(13 + 6))
    assert sink.discontinuities == [13]


def test_offline_times_depend_on_the_audio_alone():
    first, second = (offline(cut(speech(0.5))) for _ in range(2))
    assert [frame[1:] for frame in first.frames] == [frame[1:] for frame in second.frames]
    assert [frame.capture_ns for frame in first.frames[:3]] == [0, 16666666, 33333333]


def test_live_frames_come_when_they_are_due_and_say_when_they_were_heard():
    sink, session = live(cut(speech(0.5)))
    start = session._source.started
    for frame, moment in zip(sink.frames, sink.times, strict=True):
        index = frame.frame.index
        assert abs(frame.capture_ns - start - index * SECOND / 60) < SECOND / 200
        assert moment >= frame.present_ns - MARGIN
        assert frame.present_ns >= frame.capture_ns + int(SPEC.latency * SECOND)


def test_sound_is_handed_on_whole_and_in_order():
    samples = speech(0.5)
    sink = offline(cut(samples))
    assert np.array_equal(np.concatenate([sound.samples for sound in sink.sound]), samples)
    assert [sound.start for sound in sink.sound] == list(
        np.cumsum([0, *(len(sound.samples) for sound in sink.sound[:-1])]))


def test_events_of_the_device_reach_the_sinks_between_start_and_end():
    sink = offline([*cut(speech(0.1)), Event('device', 'lost'), *cut(speech(0.1), start=1600)])
    assert [event.name for event in sink.events] == ['start', 'device', 'end']
    assert sink.closed >= 1


def test_stop_from_another_thread_delivers_what_was_made():
    sink = Collected()
    endless = [*cut(speech(0.5)), lambda: session.stop(), *cut(speech(60), start=8000)]
    session = Session(Script(endless, MonotonicClock()), LoudnessEngine(), [sink])
    session.run()
    assert sink.indices == list(range(len(sink.frames)))
    assert len(sink.frames) > 18
    assert sink.events[-1] == Event('end')
    assert sink.closed >= 1


def test_stop_does_not_wait_for_a_long_block():
    sink = Collected()
    session = Session(Script([AudioBlock(0, speech(30), RATE)]), LoudnessEngine(), [sink])
    session.start()
    assert sink.some.wait(5)
    before = time.monotonic()
    session.close()
    assert time.monotonic() - before < 5
    assert sink.indices == list(range(len(sink.frames)))


def test_interrupting_the_program_ends_a_run_normally():
    sink = Collected()
    items = [*cut(speech(0.3)), _thread.interrupt_main, lambda: time.sleep(0.1),
             *cut(speech(60), start=4800)]
    live(items, sink)
    assert len(sink.frames) > 6
    assert sink.events[-1] == Event('end')


def test_nothing_made_is_lost_when_the_audio_breaks():
    def tear():
        raise AudioError('the file is cut short')

    sink = Collected()
    with pytest.raises(AudioError, match='cut short'):
        offline([*cut(speech(0.5)), tear], sink)
    assert sink.indices == list(range(30))
    assert sink.events[-2:] == [Event('error', 'the file is cut short'), Event('end')]
    assert sink.closed >= 1


def test_a_failing_engine_ends_the_run_and_closes_the_sinks():
    class Fails(LoudnessEngine):
        def push(self, samples):
            if self.given >= 6:
                raise ValueError('no such luck')
            return super().push(samples)

    sink = Collected()
    with pytest.raises(ValueError, match='no such luck'):
        offline(cut(speech(0.5)), sink, Fails())
    assert sink.indices == list(range(6))
    assert sink.closed >= 1


def test_a_broken_sink_does_not_hurt_its_neighbour_live():
    broken, whole, clock = Broken(), Collected(), MonotonicClock()
    session = Session(Script(cut(speech(0.5)), clock), LoudnessEngine(), [broken, whole],
                      clock=clock)
    session.run()
    assert whole.indices == list(range(30))
    assert 'the disk is full' in ''.join(session.stats.errors.values())


def test_a_broken_recorder_ends_an_offline_run():
    whole = Collected()
    session = Session(Script(cut(speech(5))), LoudnessEngine(), [Broken(), whole], settings=MAX)
    with pytest.raises(SinkError, match='the disk is full'):
        session.run()
    assert whole.closed >= 1


def test_a_sink_that_cannot_open_is_an_error_at_the_start():
    class Locked(Collected):
        def open(self, info):
            super().open(info)
            raise SinkError('the port is taken')

    other = Collected()
    session = Session(Script(cut(speech(0.5))), LoudnessEngine(), [other, Locked()])
    with pytest.raises(SinkError, match='the port is taken'):
        session.run()
    assert other.closed >= 1
    assert other.frames == []


def test_flush_drops_what_waits_and_begins_anew():
    sink, clock = Collected(), MonotonicClock()
    script = Script([AudioBlock(0, speech(20), RATE), lambda: flushed.wait(5),
                     *cut(speech(0.2), start=20 * RATE)])
    flushed = threading.Event()
    session = Session(script, LoudnessEngine(), [sink], clock=clock)
    session.start()
    assert sink.some.wait(5)
    session.flush()
    flushed.set()
    assert session.wait(10)
    session.close()
    assert sink.indices == list(range(len(sink.frames)))
    assert len(sink.frames) < 120
    assert Event('flush') in sink.events
    assert len(sink.discontinuities) >= 1


def test_muted_frames_say_so_and_hear_nothing():
    sink = Collected()
    items = [*cut(speech(0.4)), lambda: time.sleep(0.2), lambda: session.mute(True),
             *cut(speech(0.4), start=6400)]
    session = Session(Script(items), LoudnessEngine(), [sink], settings=MAX)
    session.run()
    muted = [frame for frame in sink.frames if frame.frame.flags & Flags.MUTED]
    assert sink.indices == list(range(48))
    assert len(muted) >= 24
    assert sink.loudness[-20:] == [0.0] * 20
    assert min(sink.loudness[:23]) > 0
    assert Event('mute', 'on') in sink.events


def test_too_slow_takes_fewer_steps_then_guesses_but_leaves_no_frame_out():
    sink, session = live(cut(speech(1.5)), engine=LoudnessEngine(cost=0.06, steps=3))
    stats = session.stats
    assert sink.indices == list(range(90))
    assert stats.steps == 1
    assert stats.speculative > 0
    assert sink.times[-1] - sink.frames[-1].present_ns < SECOND


def test_offline_slow_is_only_slow():
    engine = LoudnessEngine(cost=0.03, steps=3)
    sink = offline(cut(speech(0.3)), engine=engine)
    assert sink.indices == list(range(18))
    assert engine.steps == 3


def test_stats_count_what_was_wrong_with_the_audio():
    samples = speech(0.2)
    samples[100:110], samples[200:205] = np.nan, 1.0
    session = Session(Script(cut(samples)), LoudnessEngine(), [Collected()], settings=MAX)
    session.run()
    stats = session.stats
    assert (stats.frames, stats.nonfinite, stats.clipped, stats.late) == (12, 10, 5, 0)
    assert dict(stats.dropped) == {'Collected': 0}
    with pytest.raises(FrozenInstanceError):
        stats.frames = 0


def test_live_stats_know_the_latency():
    _, session = live(cut(speech(0.5)))
    assert 0 < session.stats.latency_p50 <= session.stats.latency_p99 < 1000
    assert session.stats.rtf < 1


def test_nothing_is_left_running():
    before = set(threading.enumerate())
    live(cut(speech(0.2)))
    assert set(threading.enumerate()) <= before


def test_a_session_that_never_started_closes():
    sink = Collected()
    with Session(Script([]), LoudnessEngine(), [sink]):
        pass
    assert (sink.info, sink.frames) == (None, [])


def test_no_audio_means_no_frames_but_a_start_and_an_end():
    sink = offline([])
    assert (sink.frames, [event.name for event in sink.events]) == ([], ['start', 'end'])


def test_steps_and_gains_change_while_running():
    engine = LoudnessEngine()
    items = [*cut(speech(0.2)), lambda: session.set_steps(5),
             lambda: session.set_gains({'jawOpen': 2.0}), *cut(speech(0.2), start=3200)]
    session = Session(Script(items), engine, [Collected()], settings=MAX)
    session.run()
    assert (engine.steps, engine.gains) == (5, {'jawOpen': 2.0})


def test_audio_that_stops_in_the_middle_of_a_word_leaves_no_open_mouth():
    sink, done = Collected(), threading.Event()
    script = Script([*cut(speech(0.3)), lambda: done.wait(10)], MonotonicClock())
    session = Session(script, LoudnessEngine(), [sink])
    session.start()
    while not (sink.frames and sink.frames[-1].frame.flags & Flags.IDLE and not sink.loudness[-1]):
        assert not session.wait(0.05)
    done.set()
    session.close()
    assert sink.indices == list(range(18 + 18))
    assert sink.discontinuities == [18]
    assert sink.times[-1] - sink.times[18] > SECOND // 5


def test_flush_drops_what_others_pushed_ahead_of_time():
    sink, feed = Collected(), FeedSource(capacity=60)
    session = Session(feed, LoudnessEngine(), [sink])
    session.start()
    for block in cut(speech(30)):
        feed.push(block)
    assert sink.some.wait(5)
    session.flush()
    feed.push(AudioBlock(0, speech(0.2), RATE))
    feed.finish()
    assert session.wait(10)
    session.close()
    assert sink.indices == list(range(len(sink.frames)))
    assert len(sink.frames) < 150
    assert len([flag for flag in sink.discontinuities if flag]) == 2


def lingering(idle):
    """Return what a sink got while nobody sent audio, then some, then an end of speech."""
    sink, feed, engine = Collected(), FeedSource(capacity=60), LoudnessEngine()
    session = Session(feed, engine, [sink])
    session.set_idle(idle)
    session.start()
    time.sleep(1.5)
    before = len(sink.frames)
    for block in cut(speech(0.3)):
        feed.push(block)
    feed.end_of_speech()
    time.sleep(1.0)
    feed.finish()
    assert session.wait(10)
    session.close()
    assert sink.indices == list(range(len(sink.frames)))
    return sink, before, session


def test_a_face_that_lives_does_so_before_and_after_speech():
    sink, before, session = lingering(1.0)
    assert session.idle == 1.0
    assert before > 5
    assert len(sink.frames) > before + 18 + 40
    assert all(frame.frame.head is not None for frame in sink.frames)
    assert max(np.diff(sink.times)) < SECOND // 2           # it never stands still
    assert sink.loudness[-1] < 0.05


def test_a_face_that_does_not_live_waits_for_audio():
    sink, before, _ = lingering(0.0)
    assert (before, len(sink.frames)) == (0, 18)
    assert all(frame.frame.head is None for frame in sink.frames)
