# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Sessions one after the other before pages that stay, and the verbs that show them."""

import asyncio
from contextlib import asynccontextmanager, contextmanager
import io
from pathlib import Path
import re
import signal
import socket
import subprocess
import sys
import threading

import aiohttp
import msgpack
import numpy as np
import pytest
import soundfile
from web_page import is_a, is_frame, is_meta, page

from avatar_bridge.compose import compose
from avatar_bridge.config import SessionConfig
from avatar_bridge.errors import AudioError, AvatarBridgeError
from avatar_bridge.frames import Event
from avatar_bridge.sinks.web import WebSink
from avatar_bridge.stage import Stage

pytestmark = pytest.mark.slow
SPEECH = Path(__file__).parents[1] / 'avatar_bridge' / 'assets' / 'speech.flac'
PROGRAM = (sys.executable, '-m', 'avatar_bridge')


@contextmanager
def playing(source=SPEECH, **options):
    """Run a stage as `view` does, in a thread; yield it."""
    config = SessionConfig.from_mapping({
        'source': str(source), 'sink': ['web=0'], 'idle': 'off', **options})
    with Stage(config) as stage:
        over = threading.Event()

        def play():
            while not over.is_set():
                try:
                    session = stage.session()
                    session.start()
                    while not session.wait(0.05):
                        if over.is_set():
                            session.stop()
                    session.close()
                except AvatarBridgeError as error:
                    stage.report(error)
                while not over.is_set() and not stage.wait(0.05):
                    pass

        thread = threading.Thread(target=play)
        thread.start()
        try:
            yield stage
        finally:
            over.set()
            thread.join()


@asynccontextmanager
async def looking(stage):
    """Open a page and wait for its first frame."""
    async with page(stage.server.address) as seen:
        await seen.until(is_frame)
        yield seen


def status_with(**values):
    return lambda heard: is_a(heard, 'status') and all(
        heard[name] == value for name, value in values.items())


def is_event(name):
    return lambda heard: isinstance(heard, Event) and heard.name == name


def weights_of(frames, stream):
    return {frame.index: frame.weights for frame in frames if frame.stream == stream}


def test_another_seed_is_another_stream_with_other_frames_on_the_same_socket():
    async def look(stage):
        async with looking(stage) as seen:
            first = await seen.until(status_with(running=True))
            await seen.until(lambda heard: is_frame(heard) and heard.index > 90)
            await seen.say({'type': 'gain', 'name': 'jawOpen', 'value': 0.5})
            await seen.say({'type': 'mute', 'on': True})
            await seen.say({'type': 'mute', 'on': False})
            await seen.say({'type': 'seed', 'value': 77})
            meta = await seen.until(is_meta)
            await seen.until(lambda heard: is_frame(heard) and heard.stream == meta.stream
                             and heard.index > 90)
            status = await seen.until(status_with(seed=77, stream=meta.stream))
            return first, meta, status, seen.frames

    with playing() as stage:
        first, meta, status, frames = asyncio.run(look(stage))
    assert meta.stream != first['stream']
    assert status['gains'] == {'jawOpen': 0.5}
    before, after = weights_of(frames, first['stream']), weights_of(frames, meta.stream)
    both = sorted(before.keys() & after.keys())
    assert len(both) > 30
    assert any(np.abs(before[index] - after[index]).max() > 1e-3 for index in both)


def test_mute_and_idle_outlive_a_session():
    async def look(stage):
        async with looking(stage) as seen:
            await seen.say({'type': 'mute', 'on': True})
            await seen.say({'type': 'idle', 'value': 0.25})
            await seen.until(status_with(muted=True, idle=0.25))
            await seen.say({'type': 'seed', 'value': 3})
            return await seen.until(status_with(seed=3, running=True))

    with playing() as stage:
        status = asyncio.run(look(stage))
    assert status['muted'] is True
    assert status['idle'] == 0.25


def test_choices_in_a_hurry_all_count():
    async def look(stage):
        async with looking(stage) as seen:
            style = (await seen.until(status_with(running=True)))['styles'][-1]
            for number in range(5):
                await seen.say({'type': 'seed', 'value': number})
            await seen.say({'type': 'style', 'name': style})
            await seen.say({'type': 'seed', 'value': 1000})
            status = await seen.until(status_with(seed=1000, style=style, running=True))
            return await seen.until(
                lambda heard: is_frame(heard) and heard.stream == status['stream'])

    with playing() as stage:
        assert asyncio.run(look(stage)).index >= 0


def test_after_the_end_the_page_stays_and_plays_again(tmp_path):
    path = tmp_path / 'short.wav'
    soundfile.write(path, 0.2 * np.sin(np.arange(16000) / 20), 16000)

    async def look(stage):
        async with page(stage.server.address) as seen:
            ended = await seen.until(status_with(running=False))
            async with page(stage.server.address) as late:      # and one that comes now
                assert (await late.until(is_meta)).stream == ended['stream']
                assert (await late.until(status_with(running=False)))['frames'] == 60
            await seen.say({'type': 'source', 'id': str(path)})
            meta = await seen.until(is_meta)
            await seen.until(is_event('end'))
            return ended, meta, seen

    with playing(path) as stage:
        ended, meta, seen = asyncio.run(look(stage))
    assert meta.stream != ended['stream']
    assert sorted(weights_of(seen.frames, meta.stream)) == list(range(60))


def test_there_is_a_way_to_the_microphone_and_back():
    async def look(stage):
        async with looking(stage) as seen:
            await seen.say({'type': 'source', 'id': 'mic'})
            away = await seen.until(status_with(source='mic'))
            async with page(stage.server.address) as late:
                assert (await late.until(is_event('device'))).detail    # open, or none here
            await seen.say({'type': 'source', 'id': str(SPEECH)})
            await seen.until(status_with(source=str(SPEECH), running=True))
            return away, await seen.until(is_frame)

    with playing() as stage:
        away, _ = asyncio.run(look(stage))
    assert {'id': str(SPEECH), 'name': 'speech.flac'} in away['sources']


def test_a_file_that_went_away_is_told_and_the_stage_stays(tmp_path):
    path = tmp_path / 'gone.wav'
    soundfile.write(path, 0.2 * np.sin(np.arange(16000) / 20), 16000)

    async def look(stage):
        async with page(stage.server.address) as seen:
            await seen.until(status_with(running=False))
            path.unlink()
            await seen.say({'type': 'source', 'id': str(path)})
            error = await seen.until(lambda heard: is_a(heard, 'error'))
            soundfile.write(path, np.zeros(16000), 16000)
            await seen.say({'type': 'source', 'id': str(path)})
            await seen.until(is_event('end'))
            return error['text']

    with playing(path) as stage:
        text = asyncio.run(look(stage))
    assert 'there is no such file' in text
    assert '\n' not in text


def test_a_session_of_somebody_else_can_be_steered_and_not_replaced():
    sink = WebSink(port=0)          # as the ROS node has it: no stage
    config = SessionConfig.from_mapping({'source': str(SPEECH)})

    async def look():
        async with page(sink.server.address) as seen:
            await seen.until(is_frame)
            assert await seen.answer({'type': 'gain', 'name': 'all', 'value': 0}) is None
            await seen.until(lambda heard: is_frame(heard) and heard.weights.max() < 1e-3)
            return await seen.answer({'type': 'seed', 'value': 3})

    with compose(config, sinks={'web': sink}) as session:
        session.start()
        assert 'avatar-bridge view does' in asyncio.run(look())


def test_two_pages_see_the_same_and_one_that_leaves_is_not_missed():
    async def look(stage):
        async with looking(stage) as stays:
            async with looking(stage) as leaves:
                await leaves.until(lambda heard: is_frame(heard) and heard.index > 40)
                seen = weights_of(leaves.frames, leaves.frames[0].stream)
            await stays.until(lambda heard: is_frame(heard) and heard.index > 80)
            return seen, weights_of(stays.frames, stays.frames[0].stream)

    with playing() as stage:
        left, stayed = asyncio.run(look(stage))
    assert all((left[index] == stayed[index]).all() for index in left.keys() & stayed.keys())
    assert list(stayed) == list(range(min(stayed), min(stayed) + len(stayed)))


def test_uploads_and_recordings_over_http():
    async def ask(stage):
        async with looking(stage), aiohttp.ClientSession() as client:
            async def post(path, body):
                async with client.post(stage.server.address + path, data=body) as answer:
                    return answer.status, answer.content_type, await answer.read()

            info = await client.get(f'{stage.server.address}api/info')
            assert len((await info.json())['names']) == 52
            status, kind, body = await post('api/animate', SPEECH.read_bytes()[:60_000])
            assert (status, kind) == (200, 'application/msgpack')
            take = msgpack.unpackb(body)
            assert len(take['weights']) == 208 * len(take['flags'])
            for path, junk in (('api/animate', b'junk'), ('api/recording?name=a.csv', b'a,b'),
                               ('api/recording?name=a.npz', b'PK'), ('api/recording', b''),
                               ('api/animate', b''), (f'api/recording?name={"x" * 2000}', b'')):
                status, kind, body = await post(path, junk)
                assert (status, kind) == (422, 'application/json'), body
                assert len(body) < 500
            status, _, _ = await post('api/animate', io.BytesIO(bytes(2**26 + 1)))
            assert status == 413

            async def pieces():
                for _ in range(65):
                    yield b'\0' * 2**20

            status, _, _ = await post('api/recording?name=a.csv', pieces())
            assert status == 413

    with playing() as stage:
        asyncio.run(ask(stage))


def test_a_stage_needs_its_port():
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        for verb in (('run', '--sink', f'web={port}'), ('view', '--port', str(port)),
                     ('view', '--sink', 'web=0', '--sink', f'zmq=tcp://127.0.0.1:{port}')):
            done = subprocess.run([*PROGRAM, *verb, '--source', str(SPEECH)], timeout=60,
                                  capture_output=True, text=True)
            assert done.returncode == 1
            assert done.stderr.count('\n') == 1
            assert f'127.0.0.1:{port}' in done.stderr
            assert re.search('choose .* port', done.stderr)


def test_a_source_that_is_none_ends_before_anything_is_served():
    with pytest.raises(AudioError, match='no such file'), playing_once('no/such/file.wav'):
        pass


@contextmanager
def playing_once(source):
    with Stage(SessionConfig.from_mapping({'source': source, 'sink': ['web=0']})) as stage:
        yield stage.session()


@contextmanager
def program(*arguments):
    """Start avatar-bridge; yield the process and the page's address."""
    with subprocess.Popen([*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as process:
        try:
            line = next(line for line in process.stdout if 'http://' in line)
            yield process, re.search(r'http://\S+/', line)[0]
        finally:
            process.kill()


@pytest.mark.parametrize('verb', [
    ('view', '--port', '0', '--quiet'), ('view', '--sink', 'web=0'), ('run', '--sink', 'web=0')])
def test_the_program_serves_and_ends_by_ctrl_c(verb):
    async def look(address):
        async with page(address) as seen:
            frame = await seen.until(is_frame)
            process.send_signal(signal.SIGINT)
            await seen.until(lambda heard: is_a(heard, 'bye'))
            await seen.end()
            return frame

    with program(*verb, '--source', str(SPEECH)) as (process, address):
        frame = asyncio.run(look(address))
        assert process.wait(20) == 0
        assert 'Traceback' not in process.stdout.read()
    assert (frame.head is not None) is (verb[0] == 'view')


def test_view_stays_when_the_source_ends_and_run_does_not(tmp_path):
    path = tmp_path / 'short.wav'
    soundfile.write(path, 0.2 * np.sin(np.arange(8000) / 20), 16000)
    with program('run', '--sink', 'web=0', '--source', str(path)) as (process, _):
        assert process.wait(20) == 0

    async def look(address):
        async with page(address) as seen:
            await seen.until(status_with(running=False))
            await seen.say({'type': 'seed', 'value': 5})
            await seen.until(status_with(running=True, seed=5))
            await seen.until(status_with(running=False, seed=5))

    with program('view', '--port', '0', '--source', str(path)) as (process, address):
        asyncio.run(look(address))
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_other_machines_are_a_reason_to_warn(tmp_path):
    path = tmp_path / 'short.wav'
    soundfile.write(path, np.zeros(1600), 16000)
    done = subprocess.run([*PROGRAM, 'run', '--sink', 'web=0.0.0.0:0', '--source', str(path)],
                          timeout=60, capture_output=True, text=True)
    assert done.returncode == 0
    assert 'other machines can look and steer' in done.stderr
