# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Recordings are played to sinks: every frame, in time, whatever wrote them."""

from fractions import Fraction
import os
import signal
import subprocess
import sys
import time

from listener import Listener
import numpy as np
import pytest
from takes import COUNT, INFO, ROOT, recorded, turns_of, weights_of

from avatar_bridge.cli import main
from avatar_bridge.clock import ManualClock
from avatar_bridge.errors import AudioError, SinkError
from avatar_bridge.frames import Event, FaceFrame, Flags, TimedFrame
from avatar_bridge.play import Playback
from avatar_bridge.schedule import MARGIN
from avatar_bridge.session import Pace, SessionSettings
from avatar_bridge.sinks.livelink_csv import LiveLinkCsv
from avatar_bridge.sinks.mcap import McapRecorder
from avatar_bridge.sinks.recorder import JsonLinesRecorder, NpzRecorder
from avatar_bridge.sources.recorded import read_file
from avatar_bridge.wire import Take

RECORDERS = {'csv': LiveLinkCsv, 'npz': NpzRecorder, 'jsonl': JsonLinesRecorder,
             'mcap': McapRecorder}
FRAMES = pytest.mark.parametrize('suffix', RECORDERS)


class Notebook:
    """A sink that remembers."""

    def __init__(self):
        self.info, self.frames, self.events, self.closed = None, [], [], 0

    def open(self, info):
        self.info = info

    def send(self, frame):
        self.frames.append(frame)

    def hear(self, audio):      # noqa: ARG002 - never called
        raise AssertionError('a recording has no sound')

    def notify(self, event):
        self.events.append(event)

    def close(self):
        self.closed += 1


class Full(Notebook):
    """A disk that is full."""

    def send(self, frame):      # noqa: ARG002 - full
        raise SinkError('no room')


def take(count=COUNT, **more):
    head, eyes = turns_of(count)
    return Take(60.0, weights_of(count), head=head, eyes=eyes, **more)


def maximal(recording, sink):
    """Play as fast as possible."""
    Playback(recording, [sink], settings=SessionSettings(pace=Pace.MAX, avatar='a')).run()
    return sink


def test_every_frame_arrives_once_and_as_it_was_recorded():
    recording = take(flags=bytes([Flags.SPEECH] * COUNT))
    sink = maximal(recording, Notebook())
    assert [frame.frame.index for frame in sink.frames] == list(range(COUNT))
    for index, (pose, _, _) in enumerate(sink.frames):
        np.testing.assert_array_equal(pose.weights, recording.weights[index])
        np.testing.assert_array_equal(pose.head, recording.head[index])
        np.testing.assert_array_equal(pose.eyes, recording.eyes[index])
        assert pose.flags == Flags.SPEECH
    assert (sink.info.avatar, sink.info.fps) == ('a', 60)
    assert [event.name for event in sink.events] == ['start', 'end']
    assert sink.closed == 1


def test_times_are_exact_and_those_of_the_recording():
    slow = take()._replace(fps=30000 / 1001 + 1e-6)
    sink = maximal(slow, Notebook())
    assert sink.info.fps == Fraction(30000, 1001)
    assert [frame.present_ns - MARGIN for frame in sink.frames] == [
        index * 1_000_000_000 * 1001 // 30000 for index in range(COUNT)]


def test_in_real_time_each_frame_is_due_at_its_time():
    sink, clock = Notebook(), ManualClock(10**18)
    playback = Playback(take(600), [sink], clock=clock)
    playback.run()
    seen = np.array([frame.present_ns for frame in sink.frames])
    # Pump and sink have a thread of their own, so a clock of hand-made time may outrun them.
    assert len(sink.frames) + sum(playback.stats.dropped.values()) == 600
    steps = np.diff(seen) / np.diff([frame.frame.index for frame in sink.frames])
    np.testing.assert_allclose(steps, 1e9 / 60, atol=1)
    assert clock.now() - 10**18 >= 599 * 10**9 // 60
    assert playback.stats.late == 0


def test_a_file_that_cannot_be_written_is_an_error():
    with pytest.raises(SinkError, match='no room'):
        maximal(take(), Full())


def test_a_sink_that_fails_leaves_the_others_alone():
    sink = Notebook()
    playback = Playback(take(), [Full(), sink], clock=ManualClock())
    playback.run()
    assert len(sink.frames) == COUNT
    assert playback.stats.errors['0 Full'] == 'no room'


def test_whoever_stops_hears_no_more_and_the_sinks_are_closed():
    sink = Notebook()
    playback = Playback(take(6000), [sink])
    playback.start()
    while not sink.frames:
        time.sleep(0.01)
    playback.close()
    assert 0 < len(sink.frames) < 600
    assert sink.events[-1] == Event('end')
    assert sink.closed == 1


@FRAMES
@pytest.mark.parametrize('turned', [True, False])
def test_what_any_sink_recorded_is_played(suffix, turned, tmp_path):
    path = tmp_path / f'take.{suffix}'
    weights, head = recorded(RECORDERS[suffix](path), turned=turned)
    found = read_file(path)
    np.testing.assert_allclose(found.weights, weights, atol=1e-6)
    assert found.fps == pytest.approx(60, rel=1e-3)
    if turned:
        np.testing.assert_allclose(found.head, head, atol=1e-6)
    else:
        assert found.head is None


@FRAMES
def test_a_recording_is_converted_by_the_command(suffix, tmp_path, capsys):
    path, out = tmp_path / f'take.{suffix}', tmp_path / 'out.npz'
    weights, _ = recorded(RECORDERS[suffix](path))
    assert main(['play', str(path), '-o', str(out)]) == 0
    np.testing.assert_allclose(np.load(out)['weights'], weights, atol=1e-6)
    assert f'{COUNT} frames, 1.50 s' in capsys.readouterr().err


def test_a_bag_without_some_frames_keeps_its_time(tmp_path):
    weights, sink = weights_of(), McapRecorder(tmp_path / 'take.mcap')
    sink.open(INFO)
    for index in (0, 1, 2, 6, 7):
        sink.send(TimedFrame(FaceFrame(index, weights[index]), 0, 0))
    sink.close()
    np.testing.assert_allclose(read_file(tmp_path / 'take.mcap').weights,
                               weights[[0, 1, 2, 2, 2, 2, 6, 7]], atol=1e-6)


def test_a_folder_of_a_bag_is_played(tmp_path):
    (tmp_path / 'bag').mkdir()
    weights, _ = recorded(McapRecorder(tmp_path / 'bag' / 'bag_0.mcap'))
    np.testing.assert_allclose(read_file(tmp_path / 'bag').weights, weights, atol=1e-6)


def test_of_a_cut_bag_everything_readable_is_played(tmp_path):
    weights, _ = recorded(McapRecorder(tmp_path / 'take.mcap'))
    content = (tmp_path / 'take.mcap').read_bytes()
    (tmp_path / 'cut.mcap').write_bytes(content[:len(content) * 2 // 3])
    found = read_file(tmp_path / 'cut.mcap').weights
    assert COUNT // 3 < len(found) < COUNT
    np.testing.assert_allclose(found, weights[:len(found)], atol=1e-6)


def test_lines_that_an_app_left_empty_are_skipped(tmp_path):
    weights, _ = recorded(LiveLinkCsv(tmp_path / 'take.csv'))
    lines = (tmp_path / 'take.csv').read_text().splitlines()
    (tmp_path / 'holes.csv').write_text('\n'.join([*lines[:30], '', *lines[30:], '']))
    np.testing.assert_allclose(read_file(tmp_path / 'holes.csv').weights, weights, atol=1e-6)


@pytest.mark.parametrize(('name', 'content'), [
    ('take.csv', None), ('take.csv', b''), ('take.wav', b'RIFF'), ('take.mcap', b'\x89MCAP0\r\n'),
    ('take.mcap', b''), ('take.npz', b'PK'), ('folder', None),
])
def test_what_is_no_recording_is_one_line(name, content, tmp_path, capsys):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert main(['play', str(tmp_path / name), '-o', str(tmp_path / 'out.npz')]) == 1
    assert capsys.readouterr().err.count('\n') == 1
    assert [file for file in tmp_path.iterdir() if file.name.startswith('out')] == []


def test_a_file_and_sinks_are_not_both_where_frames_go(tmp_path, capsys):
    recorded(NpzRecorder(tmp_path / 'take.npz'))
    assert main(['play', str(tmp_path / 'take.npz'), '-o', str(tmp_path / 'out.glb'),
                 '--sink', 'livelink']) == 2
    assert '--sink glb=' in capsys.readouterr().err


def test_a_bag_of_sound_alone_says_what_it_lacks(tmp_path):
    sink = McapRecorder(tmp_path / 'take.mcap')
    sink.open(INFO)
    sink.close()
    with pytest.raises(AudioError, match='no frames'):
        read_file(tmp_path / 'take.mcap')


def played(path, *words):
    """Start the command as a user would."""
    return subprocess.Popen([sys.executable, '-m', 'avatar_bridge', 'play', str(path), *words],
                            cwd=ROOT, stderr=subprocess.PIPE, text=True)


def test_live_link_in_another_process_hears_all_sixty_a_second(tmp_path):
    weights, _ = recorded(LiveLinkCsv(tmp_path / 'take.csv'))
    with Listener() as listener:
        process = played(tmp_path / 'take.csv', '--sink', f'livelink=127.0.0.1:{listener.port}')
        assert process.wait(30) == 0
        told = process.stderr.read()
        process.stderr.close()
        heard = listener.heard()
    assert f'{COUNT} frames' in told
    values = [np.frombuffer(packet.data[-244:], '>f4')[:52] for packet in heard[:COUNT]]
    np.testing.assert_allclose(values, weights, atol=1e-6)
    seconds = (heard[COUNT - 1].at - heard[0].at) / 1e9
    assert (COUNT - 1) / 60 - 0.1 < seconds < (COUNT - 1) / 60 + 5


def test_ctrl_c_ends_it_well(tmp_path):
    recorded(NpzRecorder(tmp_path / 'take.npz'), count=3600)
    process = played(tmp_path / 'take.npz', '--sink', f'jsonl={tmp_path}/out.jsonl')
    while not (tmp_path / 'out.jsonl').exists() or (tmp_path / 'out.jsonl').stat().st_size < 9000:
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(20) == 0
    process.stderr.close()
    assert 2 < len((tmp_path / 'out.jsonl').read_text().splitlines()) < 3600
