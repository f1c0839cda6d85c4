# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""The Audio2Face-3D service, asked by clients made of NVIDIA's own stubs."""

import contextlib
from importlib.util import find_spec
import os
from pathlib import Path
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import soundfile

from avatar_bridge.clock import MonotonicClock
from avatar_bridge.config import SessionConfig
from avatar_bridge.errors import SinkError, UsageError
from avatar_bridge.rig import INDEX, NAMES

if any(find_spec(package) is None for package in ('grpc', 'nvidia_audio2face_3d')):
    if os.environ.get('AVATAR_BRIDGE_REQUIRE_CLIENTS'):
        raise RuntimeError('the tests of a2f must run, but grpcio and the stubs are not installed')
    pytest.skip('grpcio and the stubs are not installed', allow_module_level=True)

import grpc
from nvidia_ace.audio_pb2 import AudioHeader
from nvidia_ace.status_pb2 import Status
from nvidia_audio2face_3d import messages_pb2 as nvidia
from nvidia_audio2face_3d.audio2face_pb2_grpc import A2FControllerServiceStub

from avatar_bridge.a2f.emotions import EMOTIONS
from avatar_bridge.a2f.messages import AnimationDataStream, AnimationIds, AudioStream
from avatar_bridge.a2f.server import ANIMATION, CLIPS, CONTROLLER, FACE, Server, host_and_port

pytestmark = pytest.mark.slow
#: Of the long stream; 1200 is twenty minutes.
SECONDS = int(os.environ.get('AVATAR_BRIDGE_A2F_SECONDS', '120'))
PATIENCE = 60           # seconds; a busy machine is slow, nothing here waits for long


@pytest.fixture(scope='module')
def server():
    with Server(SessionConfig(), '127.0.0.1', 0) as server:
        yield server


@pytest.fixture
def channel(server):
    with grpc.insecure_channel(server.address) as channel:
        yield channel


def pcm(speech, seconds, rate=24000):
    samples, found = soundfile.read(speech, dtype='int16')
    assert found == rate
    return samples[:int(seconds * rate)].astype('<i2').tobytes()


def header(rate=24000, channels=1, bits=16, **facts):
    return nvidia.AudioWithEmotionStream(audio_stream_header=nvidia.AudioWithEmotionStreamHeader(
        audio_header=AudioHeader(audio_format=AudioHeader.AUDIO_FORMAT_PCM,
                                 channel_count=channels, samples_per_second=rate,
                                 bits_per_sample=bits), **facts))


def sound(data, *emotions):
    return nvidia.AudioWithEmotionStream(audio_with_emotion=nvidia.AudioWithEmotion(
        audio_buffer=data, emotions=emotions))


def end():
    return nvidia.AudioWithEmotionStream(end_of_audio=nvidia.AudioWithEmotionStream.EndOfAudio())


def asked(channel, *parts):
    stub = A2FControllerServiceStub(channel)
    return list(stub.ProcessAudioStream(iter(parts), timeout=PATIENCE))


def patient(channel, *parts):
    """Ask until there is a place: a call that was given up leaves a moment later."""
    for _ in range(200):
        with contextlib.suppress(grpc.RpcError):
            return asked(channel, *parts)
        threading.Event().wait(0.05)
    raise AssertionError('no place became free')


def kinds(answer):
    return [part.WhichOneof('stream_part') for part in answer]


def poses(answer):
    return [part.animation_data for part in answer if part.HasField('animation_data')]


def weights(answer):
    return np.array([pose.skel_animation.blend_shape_weights[0].values for pose in poses(answer)])


def is_well(channel, service=''):
    """Return what the health service says, read by hand: field 1, SERVING."""
    check = channel.unary_unary('/grpc.health.v1.Health/Check')
    return check(b'\n' + bytes([len(service)]) + service.encode(), timeout=PATIENCE) == b'\x08\x01'


def test_a_clip_comes_back_as_header_poses_event_and_status(channel, speech):
    data = pcm(speech, 1.01)
    before = MonotonicClock().now() / 1e9
    answer = asked(channel, header(), *(sound(data[start:start + 7001])
                                        for start in range(0, len(data), 7001)), end())
    assert kinds(answer) == ['animation_data_stream_header', *['animation_data'] * 61, 'event',
                             'status']
    first = answer[0].animation_data_stream_header
    assert first.audio_header.samples_per_second == 24000
    assert list(first.skel_animation_header.blend_shapes) == [
        name[0].upper() + name[1:] for name in NAMES]
    assert abs(first.start_time_code_since_epoch - before) < PATIENCE
    assert answer[-1].status == Status(code=Status.SUCCESS)
    codes = [pose.skel_animation.blend_shape_weights[0].time_code for pose in poses(answer)]
    assert codes == pytest.approx(np.arange(61) / 60)
    assert [pose.audio.time_code for pose in poses(answer)] == codes
    assert b''.join(pose.audio.audio_buffer for pose in poses(answer)) == data
    assert {len(pose.audio.audio_buffer) for pose in poses(answer)[:60]} == {800}
    assert weights(answer)[:, INDEX['jawOpen']].std() > 0.02


def test_weights_are_those_of_animate_whatever_the_buffers(channel, speech, tmp_path):
    from avatar_bridge.compose import compose, sink_for

    data, path = pcm(speech, 1.0), tmp_path / 'face.npz'
    wav = tmp_path / 'speech.wav'
    soundfile.write(wav, np.frombuffer(data, '<i2'), 24000)
    compose(SessionConfig(source=str(wav), pace='max', sinks=(sink_for(path),))).run()
    with np.load(path) as face:
        expected = face['weights']
    for size in (997, len(data)):
        pieces = (sound(data[start:start + size]) for start in range(0, len(data), size))
        assert np.array_equal(weights(asked(channel, header(), *pieces, end())), expected)


@pytest.mark.parametrize(('rate', 'channels', 'bits'), [
    (16000, 1, 16), (44100, 2, 16), (8000, 1, 24), (96000, 3, 32)])
def test_other_formats_come_back_byte_for_byte(channel, rate, channels, bits):
    data = os.urandom(rate // 4 * channels * bits // 8)
    answer = asked(channel, header(rate, channels, bits), sound(data), end())
    assert b''.join(pose.audio.audio_buffer for pose in poses(answer)) == data
    assert len(poses(answer)) == 15
    assert np.isfinite(weights(answer)).all()


def test_a_client_may_end_by_closing_its_half(channel):
    answer = asked(channel, header(), sound(bytes(4800)))
    assert len(poses(answer)) == 6
    assert answer[-1].status.code == Status.SUCCESS


def test_multipliers_offsets_and_strengths_are_honoured(channel, speech):
    data = pcm(speech, 0.7)
    plain = weights(asked(channel, header(), sound(data), end()))
    wish = nvidia.BlendShapeParameters(
        bs_weight_multipliers={'JawOpen': 0.5, 'TongueTipUp': 2.0},
        bs_weight_offsets={'BrowInnerUp': 0.25, 'CheekPuff': 3.0}, enable_clamping_bs_weight=False)
    face = nvidia.FaceParameters(float_params={'upperFaceStrength': 0.0, 'skinStrength': 1.0})
    answer = asked(channel, header(blendshape_params=wish, face_params=face), sound(data), end())
    found, jaw = weights(answer), INDEX['jawOpen']
    assert np.allclose(found[:, jaw], plain[:, jaw] / 2, atol=1e-6)
    assert np.allclose(found[:, INDEX['browInnerUp']], 0.25)
    assert found[:, INDEX['cheekPuff']].min() >= 3.0
    assert answer[-1].status.code == Status.SUCCESS
    assert answer[-1].status.message == 'not known here: TongueTipUp, skinStrength'
    wish.ClearField('enable_clamping_bs_weight')
    clamped = weights(asked(channel, header(blendshape_params=wish), sound(data), end()))
    assert clamped.max() == 1.0


def test_emotions_show_from_their_time_on_and_are_reported(channel):
    joy = nvidia.EmotionWithTimeCode(time_code=0.5, emotion={'joy': 1.0, 'boredom': 1.0})
    strong = nvidia.EmotionPostProcessingParameters(
        emotion_strength=1.0, preferred_emotion_strength=1.0, live_blend_coef=0.0)
    answer = asked(channel, header(16000, emotion_post_processing_params=strong,
                                   emotion_params=nvidia.EmotionParameters(
                                       live_transition_time=0.1)),
                   sound(bytes(32000), joy), end())
    smile = weights(answer)[:, INDEX['mouthSmileLeft']]
    assert smile[:30].max() < 0.1
    assert smile[40:].min() > 0.75
    aggregate = nvidia.EmotionAggregate()
    aggregate.ParseFromString(poses(answer)[-1].metadata['emotion_aggregate'].value)
    assert aggregate.a2f_smoothed_output[0].emotion['joy'] == pytest.approx(1.0)
    assert set(aggregate.a2f_smoothed_output[0].emotion) == set(EMOTIONS)


def test_emotions_at_first_and_none_where_they_are_not_wanted(channel):
    begin = nvidia.EmotionParameters(beginning_emotion={'sadness': 1.0})
    seen = weights(asked(channel, header(emotion_params=begin), sound(bytes(4800)), end()))
    assert seen[0, INDEX['browInnerUp']] > 0.25
    never = nvidia.EmotionPostProcessingParameters(enable_preferred_emotion=False)
    seen = weights(asked(channel, header(emotion_params=begin,
                                         emotion_post_processing_params=never),
                         sound(bytes(4800)), end()))
    assert seen[0, INDEX['browInnerUp']] < 0.1


@pytest.mark.parametrize(('parts', 'text'), [
    ([], 'expected audio_stream_header first, got nothing'),
    ([sound(b'')], 'expected audio_stream_header first, got audio_with_emotion'),
    ([header(0)], 'sample rate'),
    ([header(bits=8)], 'bits_per_sample'),
    ([header(channels=0)], 'channel_count'),
    ([header(), header()], 'got audio_stream_header'),
    ([header(), nvidia.AudioWithEmotionStream()], 'got None'),
    ([header(blendshape_params=nvidia.BlendShapeParameters(
        bs_weight_offsets={'JawOpen': float('nan')}))], 'JawOpen: expected a number'),
], ids=str)
def test_a_stream_that_breaks_the_protocol_is_told_why(channel, parts, text):
    with pytest.raises(grpc.RpcError) as caught:
        asked(channel, *parts)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert text in caught.value.details()
    assert is_well(channel)


def test_nothing_at_all_and_torn_samples_are_warned_of(channel):
    status = asked(channel, header(), end())[-1].status
    assert (status.code, status.message) == (Status.WARNING, 'no audio came')
    answer = asked(channel, header(), sound(bytes(4801)), end())
    assert sum(len(pose.audio.audio_buffer) for pose in poses(answer)) == 4800
    assert answer[-1].status.message == 'the last 1 bytes were not a whole sample'


def test_garbage_and_messages_that_are_too_large_leave_the_server_well(channel):
    call = channel.stream_stream(f'/{CONTROLLER}/ProcessAudioStream')
    rng = np.random.default_rng(6)
    for size in (1, 3, 100, 5000):
        with pytest.raises(grpc.RpcError):
            list(call(iter([rng.bytes(size)]), timeout=PATIENCE))
    with pytest.raises(grpc.RpcError) as caught:
        list(call(iter([header().SerializeToString(), bytes(17 << 20)]), timeout=PATIENCE))
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary('/nvidia.Nobody/Knows')(b'', timeout=PATIENCE)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert is_well(channel)
    assert len(poses(asked(channel, header(), sound(bytes(4800)), end()))) == 6


def test_calls_that_are_given_up_free_their_place(channel):
    stub = A2FControllerServiceStub(channel)
    for _ in range(CLIPS + 4):
        call = stub.ProcessAudioStream(iter([header(), sound(bytes(96000))]), timeout=PATIENCE)
        next(call)
        call.cancel()
    assert is_well(channel)
    assert len(poses(patient(channel, header(), sound(bytes(4800)), end()))) == 6


def test_health_knows_the_services_and_can_be_watched(channel):
    assert is_well(channel)
    assert is_well(channel, CONTROLLER)
    with pytest.raises(grpc.RpcError) as caught:
        is_well(channel, 'nobody')
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    watch = channel.unary_stream('/grpc.health.v1.Health/Watch')(b'', timeout=PATIENCE)
    assert next(watch) == b'\x08\x01'
    watch.cancel()


def test_when_all_places_are_taken_one_more_is_told_so(server, channel, monkeypatch):
    monkeypatch.setattr(server, '_free', threading.BoundedSemaphore(1))
    held, gone = A2FControllerServiceStub(channel), threading.Event()

    def waiting():
        yield header()
        gone.wait(PATIENCE)

    call = held.ProcessAudioStream(waiting(), timeout=PATIENCE)
    assert next(call).HasField('animation_data_stream_header')
    with pytest.raises(grpc.RpcError) as caught:
        asked(channel, header(), end())
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert is_well(channel)
    gone.set()
    assert kinds(call) == ['event', 'status']
    assert len(poses(patient(channel, header(), sound(bytes(4800)), end()))) == 6


def test_two_clips_at_once_are_the_same_as_one(channel, speech):
    parts = [header(), sound(pcm(speech, 0.7)), end()]
    found = {}
    threads = [threading.Thread(target=lambda name=name: found.update(
        {name: weights(asked(channel, *parts))})) for name in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    alone = weights(asked(channel, *parts))
    assert all(np.array_equal(found[name], alone) for name in range(3))


def pushed(name, data):
    """Return messages of the service that pushes, with ids in their header."""
    stream = AudioStream()
    given = stream.audio_stream_header
    given.animation_ids.stream_id, given.animation_ids.request_id = name, 'r'
    given.audio_header.CopyFrom(header().audio_stream_header.audio_header)
    return [stream.SerializeToString(), sound(data).SerializeToString()]


def test_what_is_pushed_can_be_pulled_by_its_id(channel, speech):
    data = pcm(speech, 5.0)         # more frames than wait at once
    pull = channel.unary_stream(f'/{ANIMATION}/PullAnimationDataStream',
                                response_deserializer=AnimationDataStream.FromString)
    push = channel.stream_unary(f'/{FACE}/PushAudioStream', None, Status.FromString)
    pulled = pull(AnimationIds(stream_id='s').SerializeToString(), timeout=PATIENCE)
    done = push.future(iter(pushed('s', data)), timeout=PATIENCE)
    answer = list(pulled)
    assert done.result(PATIENCE).code == Status.SUCCESS
    assert kinds(answer) == ['animation_data_stream_header', *['animation_data'] * 300, 'status']
    first = answer[0].animation_data_stream_header
    assert (first.animation_ids.stream_id, first.animation_ids.request_id) == ('s', 'r')
    assert b''.join(pose.audio.audio_buffer for pose in poses(answer)) == data


def test_animation_of_others_passes_through(channel):
    push = channel.stream_unary(f'/{ANIMATION}/PushAnimationDataStream', None, Status.FromString)
    pull = channel.unary_stream(f'/{ANIMATION}/PullAnimationDataStream')
    stream = AnimationDataStream()
    stream.animation_data_stream_header.animation_ids.stream_id = 'other'
    message = stream.SerializeToString()
    done = push.future(iter([message]), timeout=PATIENCE)
    assert list(pull(AnimationIds(stream_id='other').SerializeToString(),
                     timeout=PATIENCE)) == [message]
    assert done.result(PATIENCE).code == Status.SUCCESS
    with pytest.raises(grpc.RpcError) as caught:
        push(iter([b'\xff']), timeout=PATIENCE)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_minutes_are_one_stream(server, channel, monkeypatch):
    """Streaming for long loses nothing; the engine here only counts."""
    from energy_engine import EnergyEngine

    monkeypatch.setattr(server, '_idle', [EnergyEngine(24)])
    second = (np.sin(np.arange(16000) * 0.05) * 8000).astype('<i2').tobytes()
    parts = (header(16000), *[sound(second)] * SECONDS, end())
    stub = A2FControllerServiceStub(channel)
    frames, length, last, before = 0, 0, None, -1.0
    for part in stub.ProcessAudioStream(iter(parts), timeout=300):
        if part.HasField('animation_data'):
            code = part.animation_data.skel_animation.blend_shape_weights[0].time_code
            assert code > before
            before, frames = code, frames + 1
            length += len(part.animation_data.audio.audio_buffer)
        last = part
    assert (frames, length) == (24 * SECONDS, 32000 * SECONDS)
    assert before == pytest.approx(SECONDS - 1 / 24)
    assert last.status.code == Status.SUCCESS


def test_a_taken_port_and_a_wrong_one_are_said(server):
    with pytest.raises(SinkError, match='is another server running'):
        Server(SessionConfig(), '127.0.0.1', server.port)
    for text in ('x', '70000', 'a:', ''):
        with pytest.raises(UsageError, match='PORT'):
            host_and_port(text)
    assert host_and_port('[::]:1') == ('::', 1)


def test_the_example_of_the_page_runs(server, speech, tmp_path, monkeypatch, capsys):
    page = Path(__file__).parents[1] / 'docs' / 'audio2face.md'
    example = page.read_text(encoding='utf-8').split('```python\n')[1].split('```')[0]
    soundfile.write(tmp_path / 'speech.wav', np.frombuffer(pcm(speech, 0.5), '<i2'), 24000)
    monkeypatch.chdir(tmp_path)
    exec(example.replace('127.0.0.1:52000', server.address), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 30
    assert lines[0].startswith('0.000 s  jaw 0.')


def test_who_can_be_reached_from_elsewhere_says_so(caplog):
    with Server(SessionConfig(), '0.0.0.0', 0):
        assert 'other machines can send clips' in caplog.text


def test_the_verb_serves_a_client_until_it_is_interrupted(speech):
    program = subprocess.Popen([sys.executable, '-m', 'avatar_bridge', 'a2f', '--port', '0',
                                '--fps', '30'], stdout=subprocess.PIPE, text=True)
    try:
        address = program.stdout.readline().split()[5]
        with grpc.insecure_channel(address) as channel:
            answer = asked(channel, header(), sound(pcm(speech, 0.5)), end())
        assert len(poses(answer)) == 15
        program.send_signal(signal.SIGINT)
        assert program.wait(PATIENCE) == 0
    finally:
        program.kill()
        program.stdout.close()
