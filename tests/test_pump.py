# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Whatever a sink does, the caller and the other sinks go on."""

from __future__ import annotations

from fractions import Fraction
import threading
import time

import numpy as np
import pytest

from avatar_bridge.clock import ManualClock
from avatar_bridge.errors import SinkError
from avatar_bridge.frames import Event, FaceFrame, StreamInfo, TimedAudio, TimedFrame
from avatar_bridge.pump import STALL, Overflow, Pump
from avatar_bridge.rig import NAMES

INFO = StreamInfo('run', 'default', NAMES, Fraction(60), Fraction(1, 10), 'live', 16000)


def frame(index: int) -> TimedFrame:
    return TimedFrame(FaceFrame(index, np.zeros(52, np.float32)), 0, 0)


def send_all(pump, count):
    for index in range(count):
        pump.send(frame(index))


def eventually(condition, timeout=5.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, 'waited in vain'
        time.sleep(0.005)


def well(_name, _index):
    """Let a sink behave."""


def taken(_name, _index):
    raise SinkError('port taken')


class Collector:
    """A sink that keeps what it gets; `fail` and `gate` make it misbehave."""

    def __init__(self):
        self.indices, self.heard, self.events, self.threads = [], [], [], set()
        self.opened = self.closed = self.ticks = 0
        self.fail = well
        self.waiting, self.gate = threading.Event(), threading.Event()
        self.gate.set()

    def open(self, info):
        assert info == INFO
        self.opened += 1
        self.fail('open', self.opened)

    def send(self, timed):
        self.waiting.set()
        self.gate.wait()
        self.fail('send', timed.frame.index)
        self.indices.append(timed.frame.index)
        self.threads.add(threading.current_thread())

    def hear(self, audio):
        self.heard.append(audio)

    def notify(self, event):
        self.events.append(event)

    def tick(self):
        self.ticks += 1

    def close(self):
        self.closed += 1


def test_everything_arrives_in_order_in_one_other_thread():
    sink = Collector()
    pump = Pump(sink)
    pump.open(INFO)
    for index in range(100):
        pump.send(frame(index))
    pump.hear(TimedAudio(0, np.zeros(3, np.float32), 16000, 0, 0))
    pump.notify(Event('end'))
    assert pump.close()
    assert sink.indices == list(range(100))
    assert (len(sink.heard), sink.events, sink.closed) == (1, [Event('end')], 1)
    assert threading.current_thread() not in sink.threads
    assert len(sink.threads) == 1
    assert (pump.stats.sent, pump.stats.dropped, pump.stats.restarts) == (100, 0, 0)


def test_a_slow_sink_loses_the_oldest_frames_and_they_are_counted():
    sink = Collector()
    sink.gate.clear()
    pump = Pump(sink, capacity=10)
    pump.open(INFO)
    pump.send(frame(0))
    assert sink.waiting.wait(5)     # the worker holds frame 0 and waits at the gate
    for index in range(1, 31):
        pump.send(frame(index))
    sink.gate.set()
    assert pump.close()
    assert sink.indices == [0, *range(21, 31)]
    assert pump.stats.dropped == 20


def test_a_lossless_pump_waits_instead():
    sink = Collector()
    pump = Pump(sink, capacity=3, overflow=Overflow.WAIT)
    pump.open(INFO)
    for index in range(500):
        pump.send(frame(index))
    assert pump.close()
    assert sink.indices == list(range(500))


def test_a_lossless_pump_says_so_when_the_sink_fails():
    sink = Collector()

    def full(name, index):
        if name == 'send' and index == 5:
            raise SinkError('disk full')

    sink.fail = full
    pump = Pump(sink, capacity=2, overflow=Overflow.WAIT)
    pump.open(INFO)
    with pytest.raises(SinkError, match='disk full'):
        send_all(pump, 100)
    with pytest.raises(SinkError, match='disk full'):
        pump.close()
    assert sink.closed == 1


def test_a_first_open_that_fails_is_raised():
    sink = Collector()

    sink.fail = taken
    pump = Pump(sink)
    with pytest.raises(SinkError, match='port taken'):
        pump.open(INFO)
    assert pump.close()


@pytest.mark.parametrize('error', [SinkError('gone'), ValueError('bug'), OSError(5, 'broken')])
def test_a_sink_that_raises_is_opened_again(error):
    sink = Collector()

    def fail(name, index):
        if name == 'send' and index == 3:
            raise error

    sink.fail = fail
    pump = Pump(sink)
    pump.open(INFO)
    for index in range(10):
        pump.send(frame(index))
    eventually(lambda: pump.stats.sent == 9)
    assert pump.close()
    assert sink.indices == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert (sink.opened, sink.closed) == (2, 2)
    assert (pump.stats.restarts, pump.stats.dropped) == (1, 1)
    assert str(error) in pump.stats.last_error


def test_pauses_between_attempts_grow():
    sink = Collector()
    attempts = []

    def fail(name, index):
        attempts.append((name, time.monotonic()))
        if name == 'send' or index > 1:
            raise SinkError('gone')

    sink.fail = fail
    pump = Pump(sink)
    pump.open(INFO)
    pump.send(frame(0))
    eventually(lambda: len(attempts) >= 4)
    times = [at for _, at in attempts[1:4]]
    assert times[1] - times[0] >= 0.15
    assert times[2] - times[1] >= 0.3
    assert pump.close()


def test_a_sink_that_blocks_for_ever_hurts_neither_caller_nor_neighbour():
    stuck, fine = Collector(), Collector()
    stuck.gate.clear()
    pumps = [Pump(stuck, capacity=5), Pump(fine)]
    for pump in pumps:
        pump.open(INFO)
    started = time.monotonic()
    for index in range(50):
        for pump in pumps:
            pump.send(frame(index))
    eventually(lambda: len(fine.indices) == 50)
    assert pumps[1].close()
    assert not pumps[0].close(timeout=0.1)
    assert time.monotonic() - started < 2.0
    assert 'did not close' in pumps[0].stats.last_error
    stuck.gate.set()


def test_a_sink_that_blocks_gets_a_new_worker_and_the_old_one_touches_nothing():
    sink, clock, stuck = Collector(), ManualClock(), threading.Event()

    def block_once(name, index):
        if name == 'send' and index == 0:
            stuck.set()
            release.wait()

    release = threading.Event()
    sink.fail = block_once
    pump = Pump(sink, clock=clock)
    pump.open(INFO)
    pump.send(frame(0))
    stuck.wait(5)
    clock.advance(STALL)
    for index in range(1, 6):
        pump.send(frame(index))
    eventually(lambda: pump.stats.sent == 5)
    release.set()
    assert pump.close()
    eventually(lambda: sorted(sink.indices) == [0, 1, 2, 3, 4, 5])
    assert (pump.stats.sent, pump.stats.stuck, pump.stats.restarts) == (5, 1, 1)


def test_an_idle_sink_is_ticked_and_a_closed_pump_counts_what_comes_late():
    sink = Collector()
    pump = Pump(sink)
    pump.open(INFO)
    eventually(lambda: sink.ticks >= 2)
    assert pump.close()
    pump.send(frame(0))
    assert pump.close()
    assert (sink.indices, sink.closed, pump.stats.dropped) == ([], 1, 1)
