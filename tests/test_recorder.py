# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Recordings are readable by others, repeat to the byte and survive a crash."""

from __future__ import annotations

import csv
from fractions import Fraction
import json
from pathlib import Path
import subprocess
import sys

import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from avatar_bridge.errors import SinkError
from avatar_bridge.frames import Event, FaceFrame, Flags, StreamInfo, TimedAudio, TimedFrame
from avatar_bridge.message_definitions import DEFINITIONS
from avatar_bridge.rig import INDEX, NAMES
from avatar_bridge.sinks.livelink_csv import COLUMNS, LiveLinkCsv, timecode
from avatar_bridge.sinks.mcap import McapRecorder
from avatar_bridge.sinks.recorder import JsonLinesRecorder, NpzRecorder

ROOT = Path(__file__).parents[1]
RECORDERS = {'csv': LiveLinkCsv, 'jsonl': JsonLinesRecorder, 'npz': NpzRecorder,
             'mcap': McapRecorder}
JOURNALS = ['csv', 'jsonl', 'mcap']
FPS = Fraction(60)
WEIGHTS = np.random.default_rng(5).random((90, 52), np.float32)


def info(stream='run', fps=FPS):
    return StreamInfo(stream, 'robot', NAMES, fps, Fraction(1, 10), 'live', 16000)


def frame(index, capture_ns=0):
    flags = Flags.SPEECH if index % 2 else Flags.NONE
    return TimedFrame(FaceFrame(index, WEIGHTS[index], flags), capture_ns, capture_ns + 5)


def record(path, *, frames=range(90), stream='run', clock=0):
    sink = RECORDERS[path.suffix[1:]](path)
    sink.open(info(stream))
    for index in frames:
        sink.send(frame(index, clock + index))
        sink.hear(TimedAudio(0, np.zeros(4, np.float32), 16000, 0, 0))
    sink.notify(Event('end'))
    sink.close()
    sink.close()
    return path


def read(path):
    """Return index and weights, read by others' code or by column name."""
    if path.suffix == '.csv':
        rows = list(csv.DictReader(path.read_text().splitlines()))
        names = [name[0].upper() + name[1:] for name in NAMES]
        return list(range(len(rows))), [[float(row[name]) for name in names] for row in rows]
    if path.suffix == '.jsonl':
        rows = [json.loads(line) for line in path.read_text().splitlines()[1:]]
        return [row['index'] for row in rows], [row['weights'] for row in rows]
    if path.suffix == '.npz':
        arrays = np.load(path, allow_pickle=False)
        return arrays['index'].tolist(), arrays['weights']
    with AnyReader([path]) as reader:
        messages = [reader.deserialize(data, connection.msgtype)
                    for connection, _, data in reader.messages()
                    if connection.topic == '/avatar_bridge/blendshapes']
    return [message.index for message in messages], [message.weights for message in messages]


@pytest.mark.parametrize('suffix', RECORDERS)
def test_what_was_sent_can_be_read(suffix, tmp_path):
    index, weights = read(record(tmp_path / f'new/folder/take.{suffix}'))
    assert index == list(range(90))
    assert np.allclose(weights, WEIGHTS, atol=1e-7)


@pytest.mark.parametrize('suffix', RECORDERS)
def test_the_same_frames_make_the_same_bytes_in_another_run_at_another_time(suffix, tmp_path):
    first = record(tmp_path / f'a.{suffix}', stream='monday', clock=1)
    second = record(tmp_path / f'b.{suffix}', stream='friday', clock=10**18)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize('suffix', RECORDERS)
def test_a_recorder_that_is_opened_again_goes_on(suffix, tmp_path):
    path = tmp_path / f'take.{suffix}'
    sink = RECORDERS[suffix](path)
    for part in (range(40), range(40, 90)):
        sink.open(info())
        for index in part:
            sink.send(frame(index))
        sink.close()
    assert path.read_bytes() == record(tmp_path / f'whole.{suffix}').read_bytes()


@pytest.mark.parametrize('suffix', RECORDERS)
def test_a_second_take_replaces_the_first(suffix, tmp_path):
    path = record(tmp_path / f'take.{suffix}')
    record(path, frames=range(10))
    assert read(path)[0] == list(range(10))


@pytest.mark.parametrize('suffix', RECORDERS)
def test_no_frames_make_a_valid_recording(suffix, tmp_path):
    assert read(record(tmp_path / f'take.{suffix}', frames=()))[0] == []


@pytest.mark.parametrize('suffix', RECORDERS)
def test_places_that_cannot_be_written_are_refused_in_one_line(suffix, tmp_path):
    (tmp_path / 'file').touch()
    (tmp_path / f'folder.{suffix}').mkdir()
    for path in (tmp_path / 'file' / f'x.{suffix}', tmp_path / f'folder.{suffix}'):
        with pytest.raises(SinkError, match=r'^cannot write .*; choose another place'):
            RECORDERS[suffix](path).open(info())


@pytest.mark.parametrize('suffix', RECORDERS)
def test_a_recorder_that_is_not_open_says_so(suffix, tmp_path):
    with pytest.raises(SinkError, match='not open'):
        RECORDERS[suffix](tmp_path / f'x.{suffix}').send(frame(0))


@pytest.mark.parametrize('suffix', JOURNALS)
def test_a_full_disk_is_one_line(suffix):
    sink = RECORDERS[suffix]('/dev/full')
    with pytest.raises(SinkError, match='No space left'):
        sink.open(info())
    sink.close()


CRASH = """
import os, sys
sys.path.insert(0, 'tests')
import test_recorder as test
sink = test.RECORDERS[sys.argv[1].rsplit('.')[-1]](sys.argv[1])
sink.open(test.info())
for index in range(90):
    sink.send(test.frame(index))
os._exit(9)
"""


@pytest.mark.slow
@pytest.mark.parametrize('suffix', JOURNALS)
def test_a_crash_loses_no_frame(suffix, tmp_path):
    path = tmp_path / f'take.{suffix}'
    assert subprocess.run([sys.executable, '-c', CRASH, str(path)], cwd=ROOT).returncode == 9
    whole = record(tmp_path / f'whole.{suffix}').read_bytes()
    assert whole.startswith(path.read_bytes())
    assert len(path.read_bytes()) > 90 * 240
    assert suffix == 'mcap' or len(path.read_bytes()) == len(whole)


def test_the_columns_are_those_of_the_app(tmp_path):
    header = record(tmp_path / 'take.csv').read_text().splitlines()[0].split(',')
    assert header == list(COLUMNS)
    assert header[:4] == ['Timecode', 'BlendShapeCount', 'EyeBlinkLeft', 'EyeLookDownLeft']
    assert header[16:24] == ['JawForward', 'JawRight', 'JawLeft', 'JawOpen', 'MouthClose',
                             'MouthFunnel', 'MouthPucker', 'MouthRight']
    assert header[24] == 'MouthLeft'
    assert header[53:] == ['TongueOut', 'HeadYaw', 'HeadPitch', 'HeadRoll', 'LeftEyeYaw',
                           'LeftEyePitch', 'LeftEyeRoll', 'RightEyeYaw', 'RightEyePitch',
                           'RightEyeRoll']


def test_a_row_is_what_the_app_writes(tmp_path):
    row = record(tmp_path / 'take.csv').read_text().splitlines()[62].split(',')
    assert (len(row), row[0], row[1]) == (63, '00:00:01:01.000', '61')
    assert row[2] == f'{WEIGHTS[61, 0]:.10f}'
    assert row[17] == f'{WEIGHTS[61, INDEX["jawRight"]]:.10f}'
    assert row[-9:] == ['0.0000000000'] * 9


@pytest.mark.parametrize(('index', 'fps', 'expected'), [
    (0, 60, '00:00:00:00.000'), (59, 60, '00:00:00:59.000'), (60, 60, '00:00:01:00.000'),
    (1, 30, '00:00:00:02.000'), (1, 24, '00:00:00:02.500'), (3600 * 60, 60, '01:00:00:00.000'),
    (24 * 3600 * 60, 60, '00:00:00:00.000'), (1, Fraction(30000, 1001), '00:00:00:02.002'),
])
def test_time_codes_count_sixty_a_second(index, fps, expected):
    assert timecode(index, Fraction(fps)) == expected


def test_the_first_json_line_describes_the_stream(tmp_path):
    lines = record(tmp_path / 'take.jsonl').read_text().splitlines()
    head = json.loads(lines[0])
    assert (head['version'], head['avatar'], head['fps'], head['latency'], head['bundle']) == (
        1, 'robot', '60', 0.1, 'live')
    assert head['names'] == list(NAMES)
    second = json.loads(lines[2])
    assert (second['index'], second['t'], second['flags']) == (1, round(1 / 60, 9), 1)


def test_an_npz_carries_times_and_description(tmp_path):
    arrays = np.load(record(tmp_path / 'take.npz'), allow_pickle=False)
    assert np.allclose(arrays['t'], np.arange(90) / 60)
    assert arrays['names'].tolist() == list(NAMES)
    assert (arrays['fps'].tolist(), float(arrays['latency']), str(arrays['bundle'])) == (
        [60, 1], 0.1, 'live')
    assert arrays['flags'].tolist() == [0, 1] * 45


def test_an_mcap_is_a_ros_recording_with_layout_and_stamps(tmp_path):
    with AnyReader([record(tmp_path / 'take.mcap')]) as reader:
        rows = [(connection.topic, time, reader.deserialize(data, connection.msgtype))
                for connection, time, data in reader.messages()]
        assert reader.message_count == 91
    topic, time, layout = rows[0]
    assert (topic, time) == ('/avatar_bridge/layout', 0)
    assert (layout.version, layout.avatar, layout.names) == (1, 'robot', list(NAMES))
    assert (layout.fps_numerator, layout.fps_denominator, layout.latency) == (60, 1, 0.1)
    assert (layout.bundle, layout.sample_rate, layout.has_head) == ('live', 16000, False)
    topic, time, last = rows[90]
    assert (topic, time) == ('/avatar_bridge/blendshapes', 1_483_333_333)
    assert (last.header.frame_id, last.flags) == ('robot', 1)
    for stamp in (last.header.stamp, last.capture_stamp):
        assert (stamp.sec, stamp.nanosec) == (1, 483_333_333)


HEAD = np.array([0.1, -0.2, 0.3], np.float32)
EYES = np.array([0.4, -0.5, 0.6, -0.7], np.float32)


@pytest.fixture(params=RECORDERS)
def turned(request, tmp_path):
    """Return the path of three frames of which the last two turn head and eyes."""
    path = tmp_path / f'turned.{request.param}'
    sink = RECORDERS[request.param](path)
    sink.open(info())
    for index in range(3):
        turns = (HEAD * index, EYES * index) if index else (None, None)
        pose = FaceFrame(index, WEIGHTS[index], Flags.IDLE, *turns)
        sink.send(TimedFrame(pose, 0, 0))
    sink.close()
    return path


def turns_of(path):
    """Return (n, 7) head and eyes, read by others' code or by column name."""
    if path.suffix == '.csv':       # the app's angles are of a world with x mirrored
        return np.array([[-float(row['HeadYaw']), -float(row['HeadPitch']), float(row['HeadRoll']),
                          -float(row['LeftEyeYaw']), -float(row['LeftEyePitch']),
                          -float(row['RightEyeYaw']), -float(row['RightEyePitch'])]
                         for row in csv.DictReader(path.read_text().splitlines())])
    if path.suffix == '.jsonl':
        return np.array([row.get('head', [0] * 3) + row.get('eyes', [0] * 4) for row in
                         map(json.loads, path.read_text().splitlines()[1:])])
    if path.suffix == '.npz':
        arrays = np.load(path, allow_pickle=False)
        return np.concatenate([arrays['head'], arrays['eyes']], axis=1)
    with AnyReader([path]) as reader:
        messages = [(connection.topic, reader.deserialize(data, connection.msgtype))
                    for connection, _, data in reader.messages()]
    assert [message.has_head for topic, message in messages if 'layout' in topic] == [False, True]
    return np.array([[*message.head, *message.eyes] for topic, message in messages
                     if 'blendshapes' in topic])


def test_recordings_carry_head_and_eyes(turned):
    expected = np.outer(range(3), [*HEAD, *EYES])
    assert np.allclose(turns_of(turned), expected, atol=1e-6)
    assert np.allclose(read(turned)[1], WEIGHTS[:3], atol=1e-7)


def test_recordings_that_turn_nothing_say_so(tmp_path):
    assert '"head"' not in record(tmp_path / 'take.jsonl').read_text()
    assert 'head' not in np.load(record(tmp_path / 'take.npz'), allow_pickle=False).files
    assert record(tmp_path / 'take.csv').read_text().splitlines()[1].endswith(',0.0000000000' * 9)


@pytest.mark.parametrize('name', ['AudioChunk', 'BlendshapeFrame', 'BlendshapeLayout'])
def test_shipped_definitions_are_those_of_the_messages(name):
    full = f'avatar_bridge_msgs/msg/{name}'
    source = ROOT / f'ros_ws/src/avatar_bridge_msgs/msg/{name}.msg'
    assert get_types_from_msg(DEFINITIONS[full], full) == get_types_from_msg(
        source.read_text(), full)


def test_frames_are_serialised_as_by_others(tmp_path):
    store = get_typestore(Stores.ROS2_JAZZY)
    for name in ('BlendshapeFrame', 'BlendshapeLayout'):
        full = f'avatar_bridge_msgs/msg/{name}'
        store.register(get_types_from_msg(DEFINITIONS[full], full))
    with AnyReader([record(tmp_path / 'take.mcap')]) as reader:
        for connection, _, data in reader.messages():
            message = store.deserialize_cdr(data, connection.msgtype)
            assert bytes(store.serialize_cdr(message, connection.msgtype)) == bytes(data)
