# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What the Unity package alone has: its own ZeroMQ socket, its sound, its files."""

from fractions import Fraction
import json
import re
import socket
import threading

import numpy as np
from probes import CORE, HERE, ROOT, compiled
import pytest
import zmq.auth

from avatar_bridge import wire
from avatar_bridge.frames import StreamInfo
from avatar_bridge.rig import NAMES
from avatar_bridge.sinks.zeromq import ZeroMqSink

PACKAGE = ROOT / 'clients' / 'unity'
GREETING = b'\xff' + bytes(8) + b'\x7f\x03\x00' + b'NULL'.ljust(20, b'\0') + bytes(32)
READY = b'\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB'
MS = 1_000_000
RATE = 16000


def framed(*parts):
    """Return a message as ZMTP 3.0 has it: flags (more, long), size, bytes."""
    frames = b''
    for number, part in enumerate(parts):
        more = number < len(parts) - 1
        frames += (bytes([more, len(part)]) if len(part) < 256
                   else bytes([more | 2]) + len(part).to_bytes(8, 'big')) + part
    return frames


MESSAGES = [(b'ab/1/a/face', bytes(300)), (b'x', b''), (b'', b'y' * 255, b'z' * 256)]
STREAM = GREETING + READY + b''.join(framed(*message) for message in MESSAGES)


@pytest.mark.parametrize('piece', [1, 7, 64, 4096])
def test_bytes_of_a_publisher_become_messages_however_they_are_cut(unity, piece):
    answer, = unity.script([f'zmtp {STREAM.hex()} {piece}'])
    assert answer == [part.hex() for message in MESSAGES for part in message]


@pytest.mark.parametrize('piece', [333, 4096, 5000])
def test_a_long_stream_loses_nothing_however_it_is_cut(unity, piece):
    sent = [(b'ab/1/a/face', number.to_bytes(2, 'big') * 150) for number in range(500)]
    stream = GREETING + READY + b''.join(framed(*message) for message in sent)
    answer, = unity.script([f'zmtp {stream.hex()} {piece}'])
    assert answer[1::2] == [payload.hex() for _, payload in sent]


@pytest.mark.parametrize(('stream', 'reason'), [
    (b'HTTP/1.1 400 Bad Request\r\n\r\n', 'ZeroMQ socket'),
    (GREETING[:10] + b'\x01' + GREETING[11:], 'version 3'),
    (GREETING.replace(b'NULL\0', b'CURVE'), 'CURVE'),
    (GREETING + READY + b'\x02' + b'\xff' * 8, 'at most'),
    (GREETING + b'\x04\x0a\x05ERROR\x03bad', 'refused'),
    (GREETING + READY + framed(b'a', *[b'b'] * 20), 'at most'),
])
def test_what_is_no_publisher_is_told_so(unity, stream, reason):
    answer, = unity.script([f'zmtp {stream.hex()} 64'])
    assert reason in answer['refused']


def test_spoilt_bytes_never_crash_it(unity):
    rng = np.random.default_rng(9)
    lines = []
    for _ in range(300):
        stream = bytearray(STREAM)
        stream[rng.integers(len(stream))] = rng.integers(256)
        lines.append(f'zmtp {stream.hex()} {rng.integers(1, 200)}')
    assert len(unity.script(lines)) == 300


def test_it_says_why_it_hears_nothing(unity):
    with socket.create_server(('127.0.0.1', 0)) as server:
        reception = unity.receive(f'tcp://127.0.0.1:{server.getsockname()[1]}')
        connection, _ = server.accept()
        with connection:
            connection.sendall(b'HTTP/1.1 400 Bad Request\r\n\r\n')
            told = waited(reception, 'ZeroMQ')
    reception.kill()
    assert 'expected a ZeroMQ socket' in told


def waited(reception, word, seconds=20):
    """Return the first state with a word in it."""
    over = threading.Event()
    for _ in range(seconds * 20):
        for message in list(reception.messages):
            if word in message.get('state', ''):
                return message['state']
        over.wait(0.05)
    pytest.fail(f'{word}: {reception.messages}')


TONES = np.array([131.0, 440.0, 977.0, 1730.0])         # Hz; together they repeat rarely


def melody(seconds):
    """Return what the sender hears at its times."""
    return 0.15 * np.sin(2 * np.pi * np.multiply.outer(seconds, TONES)).sum(-1)


def listened(unity, *, output=48000, drift=0.0, jitter=0.0, seconds=5):
    """
    Return what a loudspeaker plays at `output` Hz, and the sender's time of each sample.

    Our clock is 7 s ahead and faster by `drift`; the callbacks tremble by `jitter` ns.
    """
    def ours(when):
        return int(when * (1 + drift)) + 7_000_000_000

    rng, begin, todo = np.random.default_rng(4), 1_000_000_000, []
    for index in range(seconds * 60):           # frames teach the clock
        due = begin + index * 1_000_000_000 // 60
        came = ours(due - 30 * MS)
        todo.append((came, f'push {index} {due - 30 * MS} {due} {came} 0 0 run'))
    for start in range(0, seconds * RATE, 320):
        due = begin + start * 1_000_000_000 // RATE
        samples = melody(np.arange(start, start + 320) / RATE).astype(np.float32)
        payload = wire.encode_audio(wire.AudioMessage(start, due, due, RATE, samples)).hex()
        todo.append((ours(due - 25 * MS), f'sound {payload} {ours(due - 25 * MS)}'))
    first, count = ours(begin), seconds * 100 - 10
    for heard in range(first, first + count * 10 * MS, 10 * MS):
        read = heard + int(rng.uniform(-jitter, jitter))
        todo.append((heard, f'read {read} {output} {output // 100}'))
    todo.sort(key=lambda item: item[0])
    sound = np.concatenate(unity.script([command for _, command in todo]))
    return sound, np.arange(len(sound)) / output / (1 + drift)


def lag(sound, times):
    """Return how many ms late the melody plays, and what else there is in it (of 1)."""
    late = np.arange(-5, 5, 0.01)
    rest = [np.std(sound - melody(times - 0.001 * ms)) / np.std(sound) for ms in late]
    return late[np.argmin(rest)], np.min(rest)


def test_sound_is_heard_at_its_time(unity):
    sound, times = listened(unity, jitter=3 * MS)
    late, rest = lag(sound[-2400:], times[-2400:])
    print(f'{late:.2f} ms late, {100 * rest:.1f} % else')
    assert abs(late) <= 1.5
    assert rest < 0.1


def test_sound_follows_a_clock_that_drifts_without_a_click(unity):
    sound, times = listened(unity, output=44100, drift=300e-6)
    late, rest = lag(sound[-2205:], times[-2205:])
    print(f'{late:.2f} ms late, {100 * rest:.1f} % else')
    assert abs(late) <= 3.0
    assert rest < 0.1
    steepest = 0.15 * 2 * np.pi * TONES.sum() / 44100
    assert np.abs(np.diff(sound[8820:])).max() < 1.05 * steepest


def test_sound_that_is_missing_is_silence(unity):
    lines = ['read 1000 48000 480', 'push 0 0 30000000 1000 0 0 run', 'read 2000 48000 480']
    assert not np.any(unity.script(lines))


def files():
    """Return the files and folders that Unity imports."""
    return [path for path in sorted(PACKAGE.rglob('*')) if path.suffix != '.meta'
            and not any(part.endswith('~') for part in path.relative_to(PACKAGE).parts)]


def test_every_file_has_its_meta_file_and_a_guid_of_its_own():
    guids = [re.search(r'^guid: ([0-9a-f]{32})$', path.with_name(path.name + '.meta').read_text(),
                       re.MULTILINE)[1] for path in files()]
    assert len(set(guids)) == len(files())
    assert len(list(PACKAGE.rglob('*.meta'))) == len(files())


def test_the_manifest_and_the_assemblies_name_what_is_there():
    manifest = json.loads((PACKAGE / 'package.json').read_text())
    assert re.fullmatch(r'[a-z0-9-]+(\.[a-z0-9-]+){2,}', manifest['name'])
    assert re.fullmatch(r'\d+\.\d+\.\d+', manifest['version'])
    assert all((PACKAGE / sample['path']).is_dir() for sample in manifest['samples'])
    assemblies = {path: json.loads(path.read_text()) for path in PACKAGE.rglob('*.asmdef')}
    names = {assembly['name'] for assembly in assemblies.values()}
    assert names == {path.stem for path in assemblies}
    assert all(set(assembly['references']) <= names for assembly in assemblies.values())


def test_the_core_names_nothing_of_unity():
    core = json.loads((CORE / 'AvatarBridge.Core.asmdef').read_text())
    assert core['noEngineReferences'] is True
    assert not [path.name for path in CORE.glob('*.cs') if 'UnityEngine' in path.read_text()]


def test_components_and_editor_fit_the_core_and_the_api_of_unity():
    api = compiled('UnityEngine.dll', [HERE / 'unity_api' / 'UnityEngine.cs'],
                   '-target:library', '-nowarn:0626,0660,0661')
    core = compiled('AvatarBridge.Core.dll', sorted(CORE.glob('*.cs')), '-target:library')
    runtime = compiled('AvatarBridge.dll', sorted((PACKAGE / 'Runtime').glob('*.cs')),
                       '-target:library', '-nowarn:0649', f'-r:{api}', f'-r:{core}')
    used = (f'-r:{api}', f'-r:{core}', f'-r:{runtime}')
    for name, folder in (('Editor', 'Editor'), ('Sample', 'Samples~/TalkingFace')):
        assert compiled(f'AvatarBridge.{name}.dll', sorted((PACKAGE / folder).glob('*.cs')),
                        '-target:library', *used).exists()


def test_an_encrypted_publisher_is_told_apart_from_silence(unity, tmp_path):
    zmq.auth.create_certificates(tmp_path, 'server')
    sink = ZeroMqSink('tcp://127.0.0.1:*', curve=tmp_path)
    sink.open(StreamInfo('run', 'default', NAMES, Fraction(60), Fraction(0), 'live', RATE))
    reception = unity.receive(sink.endpoint)
    try:
        assert 'no encryption' in waited(reception, 'CURVE')
    finally:
        reception.kill()
        sink.close()
