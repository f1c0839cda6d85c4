# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""VTube Studio's plug-in API: tokens, parameters, refreshing, reconnecting."""

from __future__ import annotations

from fractions import Fraction
import json
import os
from pathlib import Path
import socket
import stat
import subprocess
import sys
import threading
import time

from hypothesis import given, settings
from hypothesis import strategies as st
from listener import speak
import numpy as np
import pytest

from avatar_bridge.errors import SinkError, UsageError
from avatar_bridge.frames import FaceFrame, StreamInfo, TimedFrame
from avatar_bridge.mappings.live2d import LIVE2D
from avatar_bridge.protocols import vts
from avatar_bridge.pump import Pump
from avatar_bridge.rig import INDEX, NAMES
from avatar_bridge.sinks.recorder import JsonLinesRecorder
from avatar_bridge.sinks.tokens import Tokens
from avatar_bridge.sinks.vts import from_argument

if not os.environ.get('AVATAR_BRIDGE_REQUIRE_CLIENTS'):
    pytest.importorskip('websockets', reason='websockets is not installed: make test')

from vtube_studio import DEFAULTS, TOKEN, VTubeStudio, values

INFO = StreamInfo('run', 'robot', NAMES, Fraction(60), Fraction(1, 10), 'live', 16000)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Keep tokens away from the user's own."""
    monkeypatch.setenv('XDG_CONFIG_HOME', str(tmp_path / 'config'))
    return tmp_path / 'config' / 'avatar_bridge'


@pytest.fixture
def studio():
    """A VTube Studio that runs."""
    with VTubeStudio() as studio:
        yield studio


def sink_at(port, options=''):
    return from_argument(f'127.0.0.1:{port}{options}')


def frame(index=0, head=None, **weights):
    pose = np.zeros(52, np.float32)
    for name, weight in weights.items():
        pose[INDEX[name]] = weight
    return TimedFrame(FaceFrame(index, pose, head=head), 0, 0)


def shown(studio, name='MouthOpen'):
    studio.settle()
    return [values(data)[name] for _, data in studio.frames]


# messages

def test_the_bytes_of_an_injection_are_those_of_the_api():
    data = vts.injection({'MouthOpen': 0.5}, {'faceFound': True})
    assert vts.request('InjectParameterDataRequest', data, 7) == (
        '{"apiName":"VTubeStudioPublicAPI","apiVersion":"1.0","requestID":"7",'
        '"messageType":"InjectParameterDataRequest","data":{"faceFound":true,"mode":"set",'
        '"parameterValues":[{"id":"MouthOpen","value":0.5}]}}')


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(),
                    lambda children: st.lists(children) | st.dictionaries(
                        st.sampled_from(['requestID', 'messageType', 'data', 'x']), children),
                    max_leaves=10))
@settings(max_examples=50, deadline=None)
def test_any_answer_is_understood_or_refused(found):
    try:
        answer = vts.answer(json.dumps(found))
    except ValueError:
        return
    assert isinstance(answer.error, str)


# poses

@given(st.lists(st.floats(0, 1, width=32), min_size=52, max_size=52))
@settings(max_examples=100, deadline=None)
def test_parameters_stay_in_the_ranges_of_vtube_studio(weights):
    found = LIVE2D.shapes(np.array(weights, np.float32))
    assert set(found) <= set(DEFAULTS)
    for name, value in found.items():
        lowest = -1 if name == 'MouthX' or name[:4] == 'EyeL' or name[:4] == 'EyeR' else 0
        assert lowest <= value <= 1, name


@pytest.mark.parametrize(('pose', 'expected'), [
    ({}, {'MouthOpen': 0, 'MouthSmile': 0.5, 'MouthX': 0, 'EyeOpenLeft': 1, 'Brows': 0.5}),
    ({'jawOpen': 0.6, 'mouthClose': 0.6}, {'MouthOpen': 0}),        # m, b, p
    ({'jawOpen': 0.6}, {'MouthOpen': 0.6, 'MouthSmile': 0.5}),
    ({'mouthSmileLeft': 1, 'mouthSmileRight': 1}, {'MouthSmile': 1, 'MouthX': 0}),
    ({'mouthPucker': 1}, {'MouthSmile': 0.25}),
    ({'eyeBlinkLeft': 1}, {'EyeOpenLeft': 0, 'EyeOpenRight': 1}),
    ({'eyeLookOutLeft': 0.5, 'eyeLookInRight': 0.5}, {'EyeLeftX': -0.5, 'EyeRightX': -0.5}),
    ({'eyeLookUpLeft': 0.5, 'eyeLookDownRight': 0.5}, {'EyeLeftY': 0.5, 'EyeRightY': -0.5}),
    ({'browDownRight': 1}, {'BrowLeftY': 0.5, 'BrowRightY': 0, 'Brows': 0.25}),
])
def test_known_poses_look_as_they_should(pose, expected):
    found = LIVE2D.shapes(frame(**pose).frame.weights)
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_the_head_turns_as_in_a_mirror():
    head = np.deg2rad([10, 20, 30]).astype(np.float32)
    assert vts.turned(frame(head=head).frame) == pytest.approx(
        {'FaceAngleX': -10, 'FaceAngleY': 20, 'FaceAngleZ': -30})
    assert vts.turned(frame().frame) == {}


# the user

def test_the_user_is_asked_once_and_the_token_is_kept_to_ourselves(studio, folder):
    for _ in range(2):
        sink = sink_at(studio.port)
        sink.open(INFO)
        sink.send(frame(1, jawOpen=0.5))
        sink.close()
    assert studio.asked == 1
    assert shown(studio) == [0.5, 0, 0.5, 0]        # each time the face is put to rest
    path = folder / 'vtube_studio.json'
    assert json.loads(path.read_text()) == {f'127.0.0.1:{studio.port}': TOKEN}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_token_that_is_not_known_any_more_is_asked_for_again(studio):
    Tokens(Path(os.environ['XDG_CONFIG_HOME']) / 'avatar_bridge' / 'vtube_studio.json').put(
        f'127.0.0.1:{studio.port}', 'forgotten')
    sink = sink_at(studio.port)
    sink.open(INFO)
    sink.send(frame(1, jawOpen=0.5))
    sink.close()
    assert (studio.asked, shown(studio)) == (1, [0.5, 0])


def test_frames_do_not_wait_for_a_user_who_thinks_about_it(studio):
    studio.click.clear()
    sink = sink_at(studio.port)
    sink.open(INFO)
    for index in range(100):
        sink.send(frame(index, jawOpen=index / 100))
    studio.click.set()
    studio.wait_for(lambda: studio.frames)
    sink.close()
    assert shown(studio)[-2:] == [0.99, 0]
    assert sink.skipped == 101 - len(shown(studio)) > 80


def test_a_user_who_says_no_is_not_asked_again(studio):
    studio.allow = False
    sink = sink_at(studio.port)
    for _ in range(3):
        sink.open(INFO)
        with pytest.raises(SinkError, match=r'denied API access.*click Allow'):
            sink.send(frame())
        sink.close()
    assert studio.asked == 1


@pytest.mark.parametrize('content', ['', '[]', '{"127.0.0.1": 1', '\0', '[' * 5000])
def test_a_broken_file_of_tokens_is_as_none(folder, content):
    folder.mkdir(parents=True)
    tokens = Tokens(folder / 'x.json')
    (folder / 'x.json').write_text(content)
    assert tokens.get('a') == ''
    tokens.put('a', 'b')
    assert tokens.get('a') == 'b'
    tokens.put('a', '')
    assert tokens.get('a') == ''


def test_a_folder_that_cannot_be_written_costs_nothing_but_a_question(studio, folder):
    folder.parent.mkdir(parents=True)
    folder.write_text('a file')
    sink = sink_at(studio.port)
    sink.open(INFO)
    sink.send(frame(1, jawOpen=0.5))
    sink.close()
    assert shown(studio) == [0.5, 0]


# parameters

def test_shapes_of_our_own_are_made_once_and_default_ones_never(studio):
    for _ in range(2):
        sink = sink_at(studio.port, '?profile=arkit')
        sink.open(INFO)
        sink.send(frame(1, jawOpen=0.5, cheekPuff=0.25))
        sink.close()
        studio.settle()
    made = [one['parameterName'] for one in studio.created]
    assert len(made) == len(set(made)) == 52 - 2    # CheekPuff and TongueOut are there
    found = values(studio.frames[0][1])
    assert len(found) == 52
    assert (found['JawOpen'], found['CheekPuff']) == (0.5, 0.25)


def test_with_the_mouth_alone_a_camera_keeps_the_rest(studio):
    head = np.full(3, 0.1, np.float32)
    for options in ('?channels=mouth', ''):
        sink = sink_at(studio.port, options)
        sink.open(INFO)
        sink.send(frame(1, head=head, jawOpen=0.5))
        sink.close()
        studio.settle()
    mouth, whole = studio.frames[0][1], studio.frames[2][1]
    assert set(values(mouth)) == {'MouthOpen', 'MouthSmile', 'MouthX', 'TongueOut'}
    assert 'faceFound' not in mouth
    assert set(values(whole)) == set(DEFAULTS)
    assert whole['faceFound'] is True


def test_parameters_are_refreshed_while_frames_pause(studio):
    sink = sink_at(studio.port)
    sink.open(INFO)
    sink.send(frame(1, jawOpen=0.5))
    studio.wait_for(lambda: len(studio.frames) >= 3)
    sink.close()
    times = [at for at, _ in studio.frames]
    assert set(shown(studio)[:3]) == {0.5}
    assert np.diff(times[:3]).min() > 0.3
    assert times[2] - times[0] < 2 * 1.0            # of VTube Studio's patience


def test_what_vtube_studio_does_not_take_is_said_once(studio, caplog):
    sink = sink_at(studio.port, '?profile=arkit')
    sink.open(INFO)
    studio.created.clear()
    for index in range(20):
        sink.send(frame(index))
    sink.close()
    assert [one.message for one in caplog.records if 'not found' in one.message] == [
        'VTube Studio does not take a frame: Parameter JawForward not found (error 453)']


# reconnecting

def free_port():
    with socket.create_server(('127.0.0.1', 0)) as probe:
        return probe.getsockname()[1]


def test_vtube_studio_may_start_late_and_may_be_started_again():
    port = free_port()
    pump = Pump(sink_at(port))
    pump.open(INFO)
    index = 0
    for _ in range(2):
        for _ in range(10):
            pump.send(frame(index := index + 1, jawOpen=0.5))
            time.sleep(0.01)
        with VTubeStudio(port) as studio:
            deadline = time.monotonic() + 20
            while not studio.frames:
                pump.send(frame(index := index + 1, jawOpen=0.5))
                time.sleep(0.01)
                assert time.monotonic() < deadline, pump.stats
    assert pump.close()
    assert pump.stats.stuck == 0
    assert pump.stats.restarts >= 2


def test_nobody_there_is_an_error_that_says_what_to_do():
    sink = sink_at(free_port())
    sink.open(INFO)
    with pytest.raises(SinkError, match=r'cannot talk to VTube Studio.*start it'):
        sink.send(frame())
    sink.close()


@pytest.mark.parametrize('said', [b'', b'HTTP/1.1 200 OK\r\n\r\n', bytes(100)],
                         ids=['nothing', 'another page', 'noise'])
def test_another_program_at_the_port_is_an_error(said):
    with socket.create_server(('127.0.0.1', 0)) as server:
        server.settimeout(10)
        sink = sink_at(server.getsockname()[1])
        opening = threading.Thread(target=sink.open, args=(INFO,))
        opening.start()
        with server.accept()[0] as other:
            other.sendall(said)
            opening.join(10)
    with pytest.raises(SinkError, match='cannot talk to VTube Studio'):
        sink.send(frame())
    sink.close()


@pytest.mark.parametrize('argument', ['?mode=phones', '?profile=vrm', ':0', '?name=x'])
def test_a_wrong_argument_is_refused(argument):
    with pytest.raises(UsageError, match='sink vts'):
        from_argument(argument)


# the whole way

def test_vtube_studio_in_another_process_gets_every_frame_of_the_speech(tmp_path):
    path = tmp_path / 'face.jsonl'
    program = Path(__file__).parent / 'vtube_studio.py'
    with subprocess.Popen([sys.executable, program], text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        port = int(process.stdout.readline())
        speak({'vts': sink_at(port), 'jsonl': JsonLinesRecorder(path)})
        lines = process.communicate('\n', timeout=20)[0].splitlines()
    said = [json.loads(line) for line in lines]
    written = [np.array(json.loads(line)['weights'], np.float32)
               for line in path.read_text().splitlines()[1:]]
    expected = [LIVE2D.shapes(weights) for weights in written]
    assert len(said) >= len(expected) + 1 == 121        # more where the machine paused: refreshed
    remaining = iter([found for _, found in said])
    for shapes in expected:
        assert any(found == pytest.approx(shapes, abs=1e-4) for found in remaining)
    assert np.std([found['MouthOpen'] for _, found in said]) > 0.02
    assert 1.8 < said[-2][0] - said[0][0] < 2.8
