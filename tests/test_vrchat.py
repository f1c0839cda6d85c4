# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""VRChat: the parameters that an avatar hears in another process, read by python-osc."""

from __future__ import annotations

from fractions import Fraction
import json

from listener import Listener, speak
import numpy as np
import pytest
from pythonosc.osc_packet import OscPacket

from avatar_bridge.errors import UsageError
from avatar_bridge.frames import FaceFrame, StreamInfo, TimedFrame
from avatar_bridge.mappings.unified import UNIFIED
from avatar_bridge.protocols.osc import LARGEST, bundles
from avatar_bridge.protocols.vrchat import Avatar, VrChat, lips_active, under
from avatar_bridge.rig import INDEX, NAMES
from avatar_bridge.sinks.datagrams import REST_FRAMES
from avatar_bridge.sinks.vrchat import from_argument

INFO = StreamInfo('run', 'robot', NAMES, Fraction(60), Fraction(1, 10), 'live', 16000)
ROOT = '/avatar/parameters/'
JAW = ROOT + 'FT/v2/JawOpen'
ACTIVE = (ROOT + 'LipTrackingActive', ROOT + 'EyeTrackingActive')


def read(datagrams):
    return [(one.message.address, one.message.params) for datagram in datagrams
            for one in OscPacket(datagram).messages]


def heard_of(option='', **more):
    """Return what another process hears of one frame with an open jaw and closed lids."""
    weights = np.zeros(52, np.float32)
    weights[[INDEX[name] for name in ('jawOpen', 'eyeBlinkLeft', 'eyeBlinkRight')]] = 0.5
    with Listener() as listener:
        sink = from_argument(f'127.0.0.1:{listener.port}?{option}')
        sink.open(INFO)
        sink.send(TimedFrame(FaceFrame(0, weights, **more), 0, 0))
        datagrams = [one.data for one in listener.heard()]
        sink.close()
    assert max(map(len, datagrams)) <= LARGEST
    return dict(read(datagrams))


def test_the_bytes_of_a_frame_are_those_of_the_specification():
    dialect = VrChat(lambda _: {'JawOpen': 0.5}, [lips_active], say=under('/FT/v2/'))
    (bundle,) = dialect.encode(TimedFrame(FaceFrame(0, np.zeros(52, np.float32)), 0, 0))
    assert bundle == (
        b'#bundle\0' + bytes.fromhex('00000000 00000001')
        + bytes.fromhex('0000002c') + b'/avatar/parameters/LipTrackingActive\0\0\0\0,T\0\0'
        + bytes.fromhex('0000002c') + b'/avatar/parameters/FT/v2/JawOpen\0\0\0\0,f\0\0'
        + bytes.fromhex('3f000000'))


def test_every_parameter_comes_once_under_the_prefix_and_the_mouth_is_switched_to_tracking():
    said = heard_of()
    assert set(said) == {f'{ROOT}FT/v2/{name}' for name in UNIFIED.names} | set(ACTIVE)
    assert said[JAW] == [0.5]
    assert [said[name] for name in ACTIVE] == [[True], [False]]     # nobody moves the eyes


@pytest.mark.parametrize(('option', 'switched'), [
    ('', [False, False]), ('channels=mouth', [False]), ('eyes=native', [False]),
])
def test_at_last_vrchat_moves_mouth_and_eyes_itself_again(option, switched):
    with Listener() as listener:
        sink = from_argument(f'127.0.0.1:{listener.port}?{option}')
        sink.open(INFO)
        sink.send(TimedFrame(FaceFrame(0, np.zeros(52, np.float32)), 0, 0))
        sink.close()
        *_, last = listener.heard()
    said = read([last.data])
    assert [params for _, params in said] == [[truth] for truth in switched]
    assert {address for address, _ in said} <= set(ACTIVE)


@pytest.mark.parametrize(('prefix', 'address'), [
    ('v2', 'v2/JawOpen'), ('/My/v2/', 'My/v2/JawOpen'), ('', 'JawOpen'),
])
def test_parameters_lie_where_the_avatar_has_them(prefix, address):
    assert heard_of(f'prefix={prefix}')[ROOT + address] == [0.5]


def test_who_owns_the_mouth_alone_leaves_eyes_and_brows_to_a_tracker():
    said = heard_of('channels=mouth', eyes=np.ones(4, np.float32))
    assert JAW in said
    assert not [address for address in said if 'Eye' in address or 'Brow' in address]


def test_who_owns_the_rest_leaves_the_mouth():
    said = heard_of('channels=upper', eyes=np.zeros(4, np.float32))
    assert said[ACTIVE[1]] == [True]
    assert not [address for address in said if 'Jaw' in address or 'Lip' in address]


def test_vrchats_own_eyes_turn_right_and_down_by_degrees():
    # the left eye 20 degrees to the right and 15 up, as in VRChat's own example
    eyes = np.deg2rad(np.array([-20, 15, -10, 0], np.float32))
    said = heard_of('eyes=native', eyes=eyes)
    assert said['/tracking/eye/LeftRightPitchYaw'] == pytest.approx([-15, 20, 0, 10], abs=1e-4)
    assert said['/tracking/eye/EyesClosedAmount'] == [0.5]
    assert not [address for address in said if 'EyeLid' in address or 'EyeLeftX' in address]
    assert ACTIVE[1] not in said
    assert not [address for address in heard_of('eyes=native') if address.startswith('/tracking')]


AVATAR = {'id': 'avtr_1', 'name': 'Somebody', 'parameters': [
    *({'name': name, 'input': {'address': ROOT + name, 'type': kind},
       'output': {'address': ROOT + name, 'type': kind}} for name, kind in (
        ('FT/v2/JawOpen1', 'Bool'), ('FT/v2/JawOpen2', 'Bool'), ('FT/v2/JawOpen4', 'Bool'),
        ('Face/v2/JawX', 'Float'), ('SmileFrownLeft1', 'Bool'), ('SmileFrownLeft2', 'Bool'),
        ('SmileFrownLeftNegative', 'Bool'), ('MouthX1', 'Bool'), ('VRCEmote', 'Int'))),
    {'name': 'VelocityZ', 'output': {'address': ROOT + 'VelocityZ', 'type': 'Float'}}]}


@pytest.mark.parametrize(('name', 'value', 'bits'), [
    ('JawOpen', 0, (False, False, False)), ('JawOpen', 0.13, (True, False, False)),
    ('JawOpen', 0.5, (False, False, True)), ('JawOpen', 1, (True, True, True)),
    ('SmileFrownLeft', 0.5, (False, False, True)), ('SmileFrownLeft', -0.25, (True, True, False)),
    ('MouthX', 0.6, (True,)), ('MouthX', -0.6, (False,)), ('TongueOut', 1, ()),
])
def test_an_avatar_that_has_bits_gets_bits(name, value, bits):
    said = read(bundles(Avatar.from_json(json.dumps(AVATAR)).say(name, value)))
    assert tuple(params[0] for _, params in said) == bits


def test_an_avatars_own_file_says_what_it_hears_and_where(tmp_path):
    path = tmp_path / 'avtr_1.json'
    path.write_text(json.dumps(AVATAR), 'utf-8-sig')       # VRChat writes a byte order mark
    said = heard_of(f'avatar={path}')
    assert said[f'{ROOT}FT/v2/JawOpen4'] == [True]
    assert said[f'{ROOT}Face/v2/JawX'] == [0]
    assert len(said) == len(ACTIVE) + 8


@pytest.mark.parametrize('content', [
    b'', b'[]', b'{"parameters": 3}', b'{"parameters": [{"input": {}}]}', b'\xff\xfe\0',
    b'{"parameters": [{"input": {"address": 5, "type": "Float"}}]}',
    b'{"parameters": [{"input": {"address": "/a", "type": "Texture"}}]}',
])
def test_a_file_that_is_no_avatar_is_refused(tmp_path, content):
    path = tmp_path / 'avatar.json'
    path.write_bytes(content)
    with pytest.raises(UsageError, match='avatar'):
        from_argument(f'?avatar={path}')
    with pytest.raises(UsageError, match='cannot read'):
        from_argument(f'?avatar={tmp_path}')


@pytest.mark.parametrize(('text', 'problem'), [
    ('?eyes=nativ', "did you mean native"), ('?profile=v1', 'prefix, avatar, eyes'),
    ('9000000', 'HOST:PORT'),
])
def test_a_wrong_option_is_refused_with_what_was_expected(text, problem):
    with pytest.raises(UsageError, match=problem):
        from_argument(text)


def test_an_avatar_in_another_process_gets_every_frame_of_the_speech_in_time():
    with Listener() as listener:
        speak({'vrchat': from_argument(f'127.0.0.1:{listener.port}')})
        heard = listener.heard()
    jaw = [(one.at, params[0]) for one in heard for address, params in read([one.data])
           if address == JAW]
    assert len(jaw) == 120 + REST_FRAMES
    assert np.std([value for _, value in jaw]) > 0.02
    assert [value for _, value in jaw[120:]] == REST_FRAMES * [0]
    assert (jaw[119][0] - jaw[0][0]) / 1e9 == pytest.approx(119 / 60, rel=0.25)
