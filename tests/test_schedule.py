# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""Times of frames: exact offline, smooth live, whatever the source's clock and way do."""

from fractions import Fraction

import numpy as np
import pytest

from avatar_bridge.schedule import (
    BLOCK,
    MARGIN,
    MILLISECOND,
    SECOND,
    FixedSchedule,
    LiveSchedule,
    Sound,
)

FPS, LATENCY = Fraction(60), Fraction(1, 10)
LATENCY_NS = SECOND // 10
LENGTH = 20 * MILLISECOND
START = 1_000 * SECOND


def live(*, delays=(0,), count=500, stamped=False, rate=1.0, start=START):
    """Return a schedule after `count` blocks of 20 ms and by how much it delays due times."""
    schedule, shifts = LiveSchedule(FPS, LATENCY), []
    for block in range(count):
        position = block * LENGTH
        heard = start + int(position / rate)
        arrival = heard + LENGTH + delays[block % len(delays)]
        schedule.heard(Sound(position, LENGTH, arrival, heard if stamped else None))
        shifts.append(schedule.sound_times(position)[1] - heard - LATENCY_NS)
    return schedule, np.array(shifts)


@pytest.mark.parametrize('schedule', [FixedSchedule, LiveSchedule])
@pytest.mark.parametrize('fps', [24, 50, 60, Fraction(30000, 1001)])
def test_frames_lie_on_the_exact_axis_for_hours(schedule, fps):
    made = schedule(Fraction(fps), LATENCY)
    made.heard(Sound(0, BLOCK, START + BLOCK, START))
    for index in (0, 1, 2, 1_000, 1_000_000):
        captured, seen = made.times(index)
        assert captured == START + int(index * SECOND / Fraction(fps))
        assert seen == captured + LATENCY_NS + MARGIN


def test_offline_nothing_waits_and_time_starts_at_zero():
    schedule = FixedSchedule(FPS, LATENCY)
    schedule.heard(Sound(0, LENGTH, START))
    assert (schedule.due(600), schedule.times(60)[0]) == (0, SECOND)


def test_offline_a_new_segment_begins_where_the_old_one_ended_or_where_it_says():
    schedule = FixedSchedule(FPS, LATENCY)
    schedule.heard(Sound(0, LENGTH, 0))
    schedule.restart(60)
    schedule.heard(Sound(0, LENGTH, 0))
    assert schedule.times(90)[0] == SECOND + SECOND // 2
    schedule.restart(120)
    schedule.heard(Sound(0, LENGTH, 0, capture=9 * SECOND))
    assert schedule.times(120)[0] == 9 * SECOND


@pytest.mark.parametrize('stamped', [False, True])
def test_live_frames_are_due_one_latency_after_their_sound_came(stamped):
    _, shifts = live(stamped=stamped)
    assert shifts.min() >= 0
    assert shifts.max() <= LENGTH


@pytest.mark.parametrize('stamped', [False, True])
@pytest.mark.parametrize('rate', [1.0001, 0.9999])
def test_live_follows_a_source_whose_clock_differs(rate, stamped):
    _, shifts = live(rate=rate, count=180_000, stamped=stamped)     # an hour: 360 ms of drift
    assert np.abs(shifts).max() < 30 * MILLISECOND
    assert np.abs(np.diff(shifts)).max() <= 2 * MILLISECOND         # softly


def test_live_due_times_never_run_backwards():
    schedule, last = LiveSchedule(FPS, LATENCY), 0
    rng = np.random.default_rng(3)
    for block in range(2000):
        position = block * LENGTH
        arrival = START + position + LENGTH + int(rng.uniform(0, 40) * MILLISECOND)
        schedule.heard(Sound(position, LENGTH, arrival))
        due = schedule.sound_times(position)[1]
        assert due > last
        last = due


def test_live_a_jittering_way_leaves_few_frames_late():
    rng = np.random.default_rng(4)
    delays = [int(delay * MILLISECOND) for delay in rng.exponential(4, 997)]
    _, shifts = live(delays=delays, count=6000)
    # sound is complete `delay + LENGTH` after it was heard; it is to be seen MARGIN after due
    late = np.array([delays[block % 997] for block in range(6000)]) + LENGTH > shifts + MARGIN
    assert late[1000:].mean() < 0.05


def test_live_a_late_first_block_does_not_delay_the_rest_for_long():
    schedule = LiveSchedule(FPS, LATENCY)
    for block in range(100):
        heard = START + block * LENGTH
        late = 200 * MILLISECOND if block == 0 else 0
        schedule.heard(Sound(block * LENGTH, LENGTH, heard + LENGTH + late, heard))
    assert schedule.sound_times(0)[1] - START - LATENCY_NS < 120 * MILLISECOND
    for block in range(100, 1500):
        heard = START + block * LENGTH
        schedule.heard(Sound(block * LENGTH, LENGTH, heard + LENGTH, heard))
    assert schedule.sound_times(0)[1] - START - LATENCY_NS < 30 * MILLISECOND


@pytest.mark.parametrize('stamped', [False, True])
def test_live_a_source_that_stood_still_is_followed_at_once(stamped):
    schedule, _ = live(stamped=stamped, count=50)
    position, pause = 50 * LENGTH, 3 * SECOND
    heard = START + position + pause
    schedule.heard(Sound(position, LENGTH, heard + LENGTH, heard if stamped else None))
    captured, due, _ = schedule.sound_times(position)
    assert abs(captured - heard) <= LENGTH
    assert 0 <= due - heard - LATENCY_NS <= LENGTH


@pytest.mark.parametrize('stamped', [False, True])
def test_live_a_source_faster_than_real_time_is_paced(stamped):
    schedule = LiveSchedule(FPS, LATENCY)
    for block in range(100):                    # two seconds of speech at once
        heard = START if stamped else None
        schedule.heard(Sound(block * LENGTH, LENGTH, START + block * MILLISECOND, heard))
    dues = [schedule.due(index) for index in range(120)]
    assert abs(np.diff(dues) - SECOND / 60).max() < MILLISECOND
    assert abs(dues[0] - START - LATENCY_NS) < 2 * LENGTH


@pytest.mark.parametrize('odd', [0, 5, START - 3600 * SECOND, START + 3600 * SECOND])
def test_live_capture_times_of_another_clock_are_not_believed(odd):
    schedule = LiveSchedule(FPS, LATENCY)
    schedule.heard(Sound(0, LENGTH, START + LENGTH, odd))
    assert schedule.times(0)[0] == START


def test_live_a_new_segment_is_anchored_anew_and_never_before_the_old_one_is_over():
    schedule, _ = live(count=50)                # one second
    schedule.restart(60)
    schedule.heard(Sound(0, LENGTH, START + SECOND // 2))
    assert schedule.due(60) >= START + SECOND + LATENCY_NS - BLOCK
    schedule.restart(70)
    schedule.heard(Sound(0, LENGTH, START + 9 * SECOND))
    assert schedule.due(70) == START + 9 * SECOND - BLOCK + LATENCY_NS


def test_live_after_a_cut_the_next_frame_is_due_now():
    schedule, _ = live(count=50)
    schedule.forget(30, START + 7 * SECOND)
    assert schedule.due(30) == START + 7 * SECOND
    assert schedule.due(36) == START + 7 * SECOND + LATENCY_NS
