# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Every client shows frames when they are to be seen, whatever way they came; simulated time."""

import numpy as np
import pytest

FPS = 60
FRAME = 1_000_000_000 // FPS    # ns
MS = 1_000_000
AHEAD = 30 * MS                 # between publication and presentation, as the session has it
SENDER = 1_700_000_000_000_000_000      # its clock when the stream begins
HERE = 5_000_000_000                    # ours at that moment
OFFSET = HERE - SENDER
REFRESH = 1_000_000_000 // 72   # of the picture
DISCONTINUITY = 8

pytestmark = pytest.mark.slow


class Stream:
    """
    Frames whose weights say when they are to be seen, seconds since the stream began.

    `way` are ns that each needs, as an array, in order of the frames.
    """

    def __init__(self, seconds=60, *, name='run', start=0):
        self.index = np.arange(int(seconds * FPS))
        self.present = SENDER + start + self.index * FRAME
        self.publish = self.present - AHEAD
        self.flags = np.zeros(len(self.index), int)
        self.name, self.drift = name, 0.0

    def pushes(self, way):
        """Return (our time, command) of each frame's arrival."""
        arrive = self.publish + OFFSET + np.int64(way)
        arrive = arrive + np.int64(self.drift * (self.publish - SENDER))
        for number, when in enumerate(arrive):
            value = (self.present[number] - SENDER) / 1e9
            yield int(when), (f'push {self.index[number]} {self.publish[number]} '
                              f'{self.present[number]} {when} {value} {self.flags[number]} '
                              f'{self.name}')


def watched(client, pushes, seconds, begin=0.0):
    """
    Return our times and what is seen, (n, 3): index, weight, sender's time; NaN for nothing.

    Pictures are drawn while `pushes` come in; also returns received, lost, late and the delay.
    """
    times = HERE + np.arange(int(begin * 1e9), int(seconds * 1e9), REFRESH)
    todo = [*pushes, *((int(now), f'sample {now}') for now in times)]
    todo.sort(key=lambda item: item[0])
    *poses, counts = client.script([*(command for _, command in todo), 'counts'])
    seen = np.array([pose or [np.nan] * 3 for pose in poses], float)
    return times, seen, counts


def error(times, seen):
    """Return by how much what is seen is older than it should be, ns."""
    return times - HERE - 1e9 * seen[:, 1]


def in_order(way):
    """Return ways as of TCP: nothing overtakes."""
    arrive = np.arange(len(way)) * FRAME + way
    return np.maximum.accumulate(arrive) - np.arange(len(way)) * FRAME


@pytest.mark.parametrize('overtaking', [in_order, np.asarray], ids=['tcp', 'reordered'])
def test_30_ms_of_jitter_cost_less_than_a_frame(client, overtaking):
    stream, rng = Stream(30), np.random.default_rng(1)
    pushes = stream.pushes(overtaking(rng.uniform(0, 30 * MS, len(stream.index))))
    times, seen, counts = watched(client, pushes, 29.9, begin=1.0)
    wrong = error(times, seen)
    print(f'{np.abs(wrong).max() / MS:.2f} ms at most, {np.abs(wrong).mean() / MS:.2f} on average')
    assert np.abs(wrong).max() <= FRAME
    assert (np.diff(seen[:, 0]) >= 0).all()         # nothing goes back
    assert (np.diff(seen[:, 1]) > 0).all()
    assert counts[:3] == [1800, 0, 0]


def test_more_jitter_delays_the_face_and_is_forgotten(client):
    stream, rng = Stream(40), np.random.default_rng(2)
    way = rng.uniform(0, 5 * MS, len(stream.index))
    way[300:600] = rng.uniform(0, 80 * MS, 300)
    times, seen, _ = watched(client, stream.pushes(in_order(way)), 39, begin=1.0)
    wrong, seconds = error(times, seen), (times - HERE) / 1e9
    assert np.abs(wrong[seconds < 5]).max() <= 5 * MS
    assert 30 * MS <= wrong[(seconds > 8) & (seconds < 10)].mean() <= 60 * MS
    assert np.abs(wrong[seconds > 16]).max() <= FRAME
    assert (np.diff(seen[:, 1]) >= 0).all()
    trembling = np.diff(seen[(seconds > 7) & (seconds < 10), 1])
    assert trembling.max() <= 3 * REFRESH / 1e9     # delayed, but smooth


def test_clocks_that_drift_apart_are_followed(client):
    stream, rng = Stream(30), np.random.default_rng(3)
    stream.drift = 200e-6
    way = rng.uniform(0, 10 * MS, len(stream.index))
    times, seen, _ = watched(client, stream.pushes(in_order(way)), 29, begin=1.0)
    true = HERE + (times - HERE) / (1 + stream.drift)
    assert np.abs(error(true, seen)).max() <= 5 * MS


def test_after_a_stall_the_face_is_live_at_once(client):
    stream = Stream(10)
    way = np.full(len(stream.index), MS)
    stalled = (stream.index >= 180) & (stream.index < 300)          # two seconds in one go
    way[stalled] += (300 - stream.index[stalled]) * FRAME
    times, seen, counts = watched(client, stream.pushes(way), 9.9)
    seconds = (times - HERE) / 1e9
    after = error(times, seen)[seconds > 5.2]
    assert np.abs(after).max() <= 102 * MS          # the delay that the stall left, at most
    assert counts[0] == 600
    resting = (seconds > 3.6) & (seconds < 4.9)
    assert (seen[resting, 1] == 0).all()            # no frozen grimace meanwhile


def test_a_clock_that_is_set_back_is_followed(client):
    stream = Stream(6)
    stream.publish[180:] -= 3_600_000_000_000
    stream.present[180:] -= 3_600_000_000_000
    way = np.full(len(stream.index), MS)
    way[180:] += 3_600_000_000_000
    times, seen, _ = watched(client, stream.pushes(way), 5.9)
    last = seen[(times - HERE) > 4e9]
    assert (np.diff(last[:, 0]) >= 0).all()
    assert last[-1, 0] > 340


def test_frames_that_never_come_are_counted_and_bridged(client):
    stream = Stream(5)
    missing = {60, 61, 200}
    pushes = [push for number, push in enumerate(stream.pushes(np.full(300, MS)))
              if number not in missing]
    times, seen, counts = watched(client, pushes, 4.9, begin=0.5)
    assert counts[:3] == [297, 3, 0]
    assert np.abs(error(times, seen)).max() <= FRAME + 2 * MS       # the gap is longer than 30 ms


def test_a_frame_that_comes_twice_or_too_late_changes_nothing(client):
    stream = Stream(3)
    pushes = list(stream.pushes(np.full(180, MS)))
    late, double = pushes[30], pushes[60]
    extra = [(late[0] + 500 * MS, late[1]), (double[0] + 1, double[1])]
    _, seen, counts = watched(client, [*pushes, *extra], 2.9, begin=0.2)
    assert counts[0] == 182
    assert counts[2] == 2
    assert (np.diff(seen[:, 0]) >= 0).all()


def test_before_a_jump_the_face_does_not_slide(client):
    stream = Stream(3)
    stream.flags[90] = DISCONTINUITY
    stream.present[90:] += 200 * MS
    stream.publish[90:] += 200 * MS
    _, seen, _ = watched(client, stream.pushes(np.full(180, MS)), 2.9, begin=0.5)
    between = seen[(seen[:, 0] == 89)]
    held = (stream.present[89] - SENDER) / 1e9
    assert len(between) > 5
    assert (between[:, 1] <= held + 1e-6).all()
    assert np.isclose(between[:3, 1], held).all()


def test_without_frames_the_face_goes_to_rest(client):
    stream = Stream(1)
    times, seen, _ = watched(client, stream.pushes(np.full(60, MS)), 2.0)
    last = (stream.present[-1] - SENDER) / 1e9
    since = (times - HERE - 1 * MS) / 1e9 - last
    held, gone = seen[(since > 0.01) & (since < 0.09), 1], seen[since > 0.41, 1]
    assert np.isclose(held, last).all()
    assert (gone == 0).all()
    assert (np.diff(seen[since > 0.11, 1]) <= 0).all()


def test_before_the_first_frame_is_due_there_is_nothing(client):
    times, seen, _ = watched(client, Stream(1).pushes(np.full(60, MS)), 0.9, begin=-0.1)
    early = times < HERE
    assert np.isnan(seen[early]).all()
    assert not np.isnan(seen[times > HERE + 2 * MS]).any()


def test_another_run_begins_afresh(client):
    first = Stream(2, name='first')
    second = Stream(2, name='second', start=2_500_000_000)
    pushes = [*first.pushes(np.full(120, MS)), *second.pushes(np.full(120, MS))]
    times, seen, counts = watched(client, pushes, 4.4)
    assert counts[:3] == [240, 0, 0]
    assert np.nanmax(seen[(times - HERE) > 2.6e9, 0]) > 100
    assert seen[np.searchsorted(times, HERE + 2_600_000_000), 0] < 10
