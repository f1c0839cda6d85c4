# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""Cues are handed over in order, when they are due, once; what is cut is gone."""

from fractions import Fraction
import threading

import numpy as np
import pytest

from avatar_bridge.animator import Cue
from avatar_bridge.clock import ManualClock
from avatar_bridge.errors import SinkError
from avatar_bridge.frames import Event, FaceFrame, TimedAudio, TimedFrame
from avatar_bridge.presenter import CAPACITY, Presenter

MILLISECOND = 1_000_000
POSE = np.zeros(52, np.float32)


class Listener:
    """Writes down what it gets and when."""

    def __init__(self, clock):
        self.clock = clock
        self.got = []

    def send(self, frame):
        self.got.append((self.clock.now(), frame.frame.index))

    def hear(self, audio):
        self.got.append((self.clock.now(), audio.start))

    def notify(self, event):
        self.got.append((self.clock.now(), event.name))


@pytest.fixture
def clock():
    return ManualClock(MILLISECOND)


@pytest.fixture
def listener(clock):
    return Listener(clock)


def made(listeners, clock):
    return Presenter(listeners, clock, latency=Fraction(1, 10), fps=Fraction(50))


@pytest.fixture
def presenter(listener, clock):
    return made([listener], clock)


def frame(index, due):
    """Return a frame that was heard 100 ms before `due` and is to be seen 20 ms after."""
    return Cue(due, TimedFrame(FaceFrame(index, POSE), due - 100 * MILLISECOND,
                               due + 20 * MILLISECOND))


def sound(start, due):
    return Cue(due, TimedAudio(start, POSE, 16000, due, due))


def present(presenter, *cues):
    for cue in cues:
        assert presenter.offer(cue, presenter.generation)
    presenter.finish()
    presenter.run()


def test_each_cue_comes_when_it_is_due_and_in_that_order(presenter, listener):
    present(presenter, sound(777, 250 * MILLISECOND), frame(0, 100 * MILLISECOND),
            frame(1, 117 * MILLISECOND), Cue(0, Event('mute')))
    assert listener.got == [(MILLISECOND, 'mute'), (100 * MILLISECOND, 0),
                            (117 * MILLISECOND, 1), (250 * MILLISECOND, 777)]


def test_what_is_due_at_once_keeps_its_order_and_takes_no_time(presenter, listener):
    cues = [Cue(0, frame(index, 0).what) for index in range(20)]
    present(presenter, *cues)
    assert listener.got == [(MILLISECOND, index) for index in range(20)]
    assert presenter.late == 0


def test_late_is_after_it_should_have_been_seen(presenter, clock):
    clock.sleep_until(200 * MILLISECOND)
    present(presenter, frame(0, 179 * MILLISECOND), frame(1, 191 * MILLISECOND))
    assert (presenter.frames, presenter.late) == (2, 1)
    assert presenter.beyond((0, 100)) == pytest.approx([14, 21])


def test_late_frames_catch_up_without_a_burst(presenter, listener, clock):
    clock.sleep_until(200 * MILLISECOND)
    present(presenter, *(frame(index, (20 + 20 * index) * MILLISECOND) for index in range(15)))
    gaps = np.diff([when for when, _ in listener.got]) // MILLISECOND
    assert gaps[:11].tolist() == [5] * 11
    assert set(gaps[12:]) == {20}


def test_a_cut_drops_what_waits_and_refuses_what_was_made_before(presenter, listener):
    old = presenter.generation
    presenter.offer(frame(0, 0), old)
    new = presenter.cut()
    assert not presenter.offer(frame(1, 0), old)
    assert presenter.offer(frame(0, 0), new)
    present(presenter)
    assert [what for _, what in listener.got] == [0]


def test_a_cut_knows_what_was_handed_over(presenter):
    assert presenter.frames == 0
    present(presenter, frame(0, 0), frame(1, 0))
    assert presenter.frames == 2


def test_who_is_far_ahead_waits_until_a_cut_or_for_room(presenter):
    for index in range(CAPACITY):
        presenter.offer(frame(index, 0), 0)
    result = []
    waiting = threading.Thread(target=lambda: result.append(presenter.offer(frame(99, 0), 0)))
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    presenter.cut()
    waiting.join(2)
    assert result == [False]


def test_what_a_receiver_raises_ends_it(clock):
    class Broken(Listener):
        def send(self, frame):
            raise SinkError(f'frame {frame.frame.index}')

    with pytest.raises(SinkError, match='frame 0'):
        present(made([Broken(clock)], clock), frame(0, 0))
