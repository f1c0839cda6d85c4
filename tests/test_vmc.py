# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""VMC: what a marionette in another process understands, read by python-osc."""

from __future__ import annotations

from fractions import Fraction
import json
import math

from hypothesis import given, settings
from hypothesis import strategies as st
from listener import Listener, speak
import numpy as np
import pytest
from pythonosc.osc_packet import OscPacket

from avatar_bridge.errors import UsageError
from avatar_bridge.frames import FaceFrame, StreamInfo, TimedFrame
from avatar_bridge.mappings.layouts import ARKIT, pascal
from avatar_bridge.mappings.vrm import VRM0
from avatar_bridge.protocols.osc import LARGEST
from avatar_bridge.protocols.vmc import Assistant, Performer, bones, still, target
from avatar_bridge.rig import INDEX, MOUTH, NAMES
from avatar_bridge.sinks.datagrams import REST_FRAMES
from avatar_bridge.sinks.recorder import JsonLinesRecorder
from avatar_bridge.sinks.vmc import PROFILES, from_argument

INFO = StreamInfo('run', 'robot', NAMES, Fraction(60), Fraction(1, 10), 'live', 16000)
VALUE, DONE = '/VMC/Ext/Blend/Val', '/VMC/Ext/Blend/Apply'
STEP = math.radians(20)


def read(datagrams):
    """Return (address, arguments) of every message in the order of its arrival."""
    return [(one.message.address, one.message.params) for datagram in datagrams
            for one in OscPacket(datagram).messages]


def spoken(shapes=VRM0.shapes, turn=still, role=Performer, **pose):
    dialect = role(shapes, turn)
    dialect.begin(INFO)
    weights = pose.pop('weights', np.zeros(52, np.float32))
    return dialect.encode(TimedFrame(FaceFrame(pose.pop('index', 0), weights, **pose), 0, 0))


def test_a_performer_says_that_there_is_a_model_then_the_face_and_at_last_apply():
    said = read(spoken(index=90, weights=np.eye(52, dtype=np.float32)[INDEX['jawOpen']]))
    assert said[:2] == [('/VMC/Ext/OK', [1]), ('/VMC/Ext/T', [1.5])]
    assert {address for address, _ in said[2:-1]} == {VALUE}
    assert dict(params for _, params in said[2:-1])['A'] == 1
    assert said[-1] == (DONE, [])


def test_the_bytes_of_a_frame_are_those_of_the_specification():
    (bundle,) = spoken(lambda _: {'A': 0.5}, index=90)
    assert bundle == (
        b'#bundle\0' + bytes.fromhex('00000000 00000001')
        + bytes.fromhex('00000014') + b'/VMC/Ext/OK\0,i\0\0' + bytes.fromhex('00000001')
        + bytes.fromhex('00000014') + b'/VMC/Ext/T\0\0,f\0\0' + bytes.fromhex('3fc00000')
        + bytes.fromhex('00000020') + b'/VMC/Ext/Blend/Val\0\0,sf\0A\0\0\0'
        + bytes.fromhex('3f000000')
        + bytes.fromhex('0000001c') + b'/VMC/Ext/Blend/Apply\0\0\0\0,\0\0\0')


def test_an_assistant_only_adds_a_face():
    assert {address for address, _ in read(spoken(role=Assistant))} == {VALUE, DONE}


@given(st.lists(st.floats(0, 1, width=32), min_size=52, max_size=52))
@settings(max_examples=50, deadline=None)
def test_perfect_sync_fits_into_small_datagrams_and_is_read_again(weights):
    datagrams = spoken(ARKIT.renamed(pascal).shapes, weights=np.array(weights, np.float32))
    assert len(datagrams) == 2
    assert max(map(len, datagrams)) <= LARGEST
    said = read(datagrams)
    assert dict(params for address, params in said if address == VALUE) == {
        pascal(name): weight for name, weight in zip(NAMES, weights, strict=True)}
    assert [address for address, _ in said].index(DONE) == len(said) - 1


def turned(quaternion, vector):
    """Return a vector turned by x, y, z, w."""
    axis, w = np.array(quaternion[:3]), quaternion[3]
    once = np.cross(axis, vector) + w * np.array(vector)
    return np.array(vector) + 2 * np.cross(axis, once)


# in Unity's world x is to the model's right, y up and z ahead
@pytest.mark.parametrize(('head', 'nose', 'crown'), [
    ((STEP, 0, 0), (-math.sin(STEP), 0, math.cos(STEP)), (0, 1, 0)),                # left
    ((0, STEP, 0), (0, math.sin(STEP), math.cos(STEP)), (0, math.cos(STEP), -math.sin(STEP))),
    ((0, 0, STEP), (0, 0, 1), (-math.sin(STEP), math.cos(STEP), 0)),    # to the left shoulder
])
def test_the_bone_of_the_head_turns_as_the_head_does(head, nose, crown):
    said = read(spoken(turn=bones, head=np.array(head, np.float32)))
    (name, *place, x, y, z, w), = (params for address, params in said
                                   if address == '/VMC/Ext/Bone/Pos')
    assert (name, place) == ('Head', [0, 0, 0])
    assert turned((x, y, z, w), (0, 0, 1)) == pytest.approx(nose, abs=1e-6)
    assert turned((x, y, z, w), (0, 1, 0)) == pytest.approx(crown, abs=1e-6)


def test_bones_are_turned_about_their_axes_in_unitys_order():
    yaw, pitch, roll = 0.5, 0.4, 0.3
    said = dict((params[0], params[4:]) for address, params in read(spoken(
        turn=bones, head=np.array([yaw, pitch, roll], np.float32),
        eyes=np.array([0.1, 0.2, -0.1, 0.2], np.float32))) if address == '/VMC/Ext/Bone/Pos')
    assert set(said) == {'Head', 'LeftEye', 'RightEye'}
    nose = turned(said['Head'], (0, 0, 1))          # roll does not move it, pitch comes before yaw
    assert nose == pytest.approx([-math.sin(yaw) * math.cos(pitch), math.sin(pitch),
                                  math.cos(yaw) * math.cos(pitch)], abs=1e-6)
    assert np.linalg.norm(said['Head']) == pytest.approx(1, abs=1e-6)
    assert turned(said['RightEye'], (0, 0, 1))[0] == pytest.approx(
        math.sin(0.1) * math.cos(0.2), abs=1e-6)


def test_eyes_look_at_a_point_a_metre_away():
    eyes = np.array([0.3, 0.2, 0.1, 0.0], np.float32)
    point = dict(read(spoken(turn=target, eyes=eyes)))['/VMC/Ext/Set/Eye']
    assert point[0] == 1
    assert point[1:] == pytest.approx([-math.sin(0.2) * math.cos(0.1), math.sin(0.1),
                                       math.cos(0.2) * math.cos(0.1)], abs=1e-6)


@pytest.mark.parametrize('turn', [still, bones, target])
def test_a_frame_that_turns_nothing_says_nothing_of_it(turn):
    assert {address for address, _ in read(spoken(turn=turn, role=Assistant))} == {VALUE, DONE}


# what follows the = of the sink

def heard_of(option, **pose):
    """Return what another process hears of one frame, and on which port it listened."""
    with Listener() as listener:
        sink = from_argument(f'127.0.0.1:{listener.port}?{option}')
        sink.open(INFO)
        sink.send(TimedFrame(FaceFrame(0, np.full(52, 0.5, np.float32), **pose), 0, 0))
        sink.close()
        said = read(one.data for one in listener.heard())
    first = said[:[address for address, _ in said].index(DONE)]
    return {params[0]: params[1] for address, params in first if address == VALUE}, first


def test_who_owns_the_mouth_alone_leaves_the_rest_to_a_camera():
    values, said = heard_of('channels=mouth&profile=perfect_sync&turn=bones&gain=0.5',
                            head=np.ones(3, np.float32), eyes=np.ones(4, np.float32))
    assert values == {pascal(NAMES[index]): 0.25 for index in MOUTH}
    assert not [address for address, _ in said if 'Bone' in address]


@pytest.mark.parametrize(('option', 'some', 'none'), [
    ('', ('A', 'Blink', 'LookUp'), ('Joy', 'aa')),
    ('profile=vrm1&emotions=on', ('aa', 'blinkLeft', 'happy'), ('A',)),
    ('profile=arkit', ('jawOpen', 'eyeLookUpLeft'), ('JawOpen',)),
    ('profile=visemes', ('SIL', 'PP', 'A', 'Blink'), ('sil', 'Joy')),
    ('turn=bones', ('A', 'Blink'), ('LookUp', 'LookLeft')),
    ('turn=target&profile=perfect_sync', ('JawOpen', 'EyeBlinkLeft'), ('EyeLookUpLeft',)),
    ('channels=upper', ('Blink', 'LookUp'), ('A', 'O')),
    ('channels=mouth&emotions=on', ('A', 'O'), ('Blink', 'Joy')),
])
def test_a_profile_names_the_shapes_and_eyes_are_said_once(option, some, none):
    values, _ = heard_of(option)
    assert set(some) <= set(values)
    assert not set(none) & set(values)


@pytest.mark.parametrize('profile', PROFILES)
def test_the_last_frames_put_every_shape_to_rest(profile):
    with Listener() as listener:
        sink = from_argument(f'127.0.0.1:{listener.port}?profile={profile}')
        sink.open(INFO)
        sink.send(TimedFrame(FaceFrame(0, np.full(52, 0.5, np.float32)), 0, 0))
        sink.close()
        said = read(one.data for one in listener.heard())
    assert sum(address == DONE for address, _ in said) == 1 + REST_FRAMES
    at_last = dict(params for address, params in said if address == VALUE)
    assert {name: value for name, value in at_last.items() if value} in ({}, {'SIL': 1})


@pytest.mark.parametrize(('option', 'port'), [('', 39539), ('role=assistant', 39540)])
def test_each_role_has_its_port(option, port):
    with Listener(port) as listener:
        sink = from_argument(f'?{option}')
        sink.open(INFO)
        sink.send(TimedFrame(FaceFrame(0, np.zeros(52, np.float32)), 0, 0))
        sink.close()
        addresses = {address for address, _ in read(one.data for one in listener.heard())}
    assert (DONE in addresses, '/VMC/Ext/OK' in addresses) == (True, port == 39539)


@pytest.mark.parametrize(('text', 'problem'), [
    ('?profile=vrm2', "did you mean vrm"), ('?role=actor', 'performer, assistant'),
    ('?turn=bone', "did you mean bones"), ('?emotions=yes', 'off, on'),
    ('?names=pascal', 'role, turn, emotions'),
])
def test_a_wrong_option_is_refused_with_what_was_expected(text, problem):
    with pytest.raises(UsageError, match=problem):
        from_argument(text)


def test_a_marionette_in_another_process_gets_every_frame_of_the_speech_in_time(tmp_path):
    path = tmp_path / 'face.jsonl'
    with Listener() as listener:
        speak({'vmc': from_argument(f'127.0.0.1:{listener.port}?profile=perfect_sync'),
               'jsonl': JsonLinesRecorder(path)})
        heard = listener.heard()
    frames, times, now = [], [], {}
    for one in heard:
        for address, params in read([one.data]):
            now |= {params[0]: params[1]} if address == VALUE else {}
            if address == DONE:
                frames.append([now[pascal(name)] for name in NAMES])
                times.append(one.at)
                now = {}                # each frame names every shape
    written = [json.loads(line)['weights'] for line in path.read_text().splitlines()[1:]]
    assert len(frames) == 120 + REST_FRAMES
    assert np.array(frames[:120]) == pytest.approx(np.array(written), abs=1e-6)
    assert np.std(frames, 0)[INDEX['jawOpen']] > 0.02
    assert (times[119] - times[0]) / 1e9 == pytest.approx(119 / 60, rel=0.25)
