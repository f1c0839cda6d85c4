# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""The whole house on real speech: every way in and out gives the same frames."""

import io
import os
from pathlib import Path
import subprocess
import sys
import threading

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
import soundfile

import avatar_bridge
from avatar_bridge.clock import MonotonicClock
from avatar_bridge.compose import compose, sink_for
from avatar_bridge.config import SessionConfig
from avatar_bridge.frames import AudioBlock
from avatar_bridge.message_definitions import DEFINITIONS
from avatar_bridge.rig import INDEX
from avatar_bridge.sources.bag import BagSource
from avatar_bridge.sources.feed import FeedSource
from avatar_bridge.sources.file import FileSource
from avatar_bridge.sources.raw import RawSource

SPEECH = Path(avatar_bridge.__file__).parent / 'assets' / 'speech.flac'
SECONDS = 2.01
RATE = 24000


@pytest.fixture(scope='module')
def speech(tmp_path_factory):
    """Return the first two seconds of the shipped speech as a WAV file."""
    path = tmp_path_factory.mktemp('speech') / 'speech.wav'
    samples, rate = soundfile.read(SPEECH, dtype='int16')
    assert rate == RATE
    soundfile.write(path, samples[:int(SECONDS * rate)], rate, subtype='PCM_16')
    return path


@pytest.fixture(scope='module')
def expected(speech, tmp_path_factory):
    """Return the weights that `animate` writes."""
    return animated(FileSource(speech), tmp_path_factory.mktemp('expected'))


def animated(source, folder, **options):
    path = folder / 'face.npz'
    config = SessionConfig.from_mapping({'pace': 'max', 'sink': sink_for(path), **options})
    compose(config, source=source).run()
    with np.load(path) as face:
        assert np.array_equal(face['index'], np.arange(len(face['weights'])))
        return face['weights']


def pcm(path):
    return soundfile.read(path, dtype='int16')[0].astype('<i2').tobytes()


def test_there_are_as_many_frames_as_the_audio_lasts_and_the_jaw_moves(expected):
    assert expected.shape == (121, 52)
    assert expected[:, INDEX['jawOpen']].std() > 0.02


@pytest.mark.parametrize('size', [77, 480, 48000])
def test_the_size_of_blocks_changes_nothing(speech, expected, tmp_path, size):
    assert np.array_equal(animated(FileSource(speech, block=size), tmp_path), expected)


def test_a_pipe_with_odd_writes_gives_the_same_frames(speech, expected, tmp_path):
    reader, writer = os.pipe()
    data = pcm(speech)

    def write():
        with open(writer, 'wb', buffering=0) as pipe:
            for start in range(0, len(data), 1237):     # samples are torn in two
                pipe.write(data[start:start + 1237])

    threading.Thread(target=write, daemon=True).start()
    with open(reader, 'rb') as pipe:
        weights = animated(RawSource(pipe, RATE), tmp_path)
    assert np.array_equal(weights, expected)


def test_raw_audio_of_another_length_of_sample_is_still_counted_right(tmp_path):
    weights = animated(RawSource(io.BytesIO(b'\0\0' * 16000 + b'\0'), 16000), tmp_path)
    assert weights.shape == (60, 52)


def test_a_feed_as_of_ros_or_a_voice_gives_the_same_frames(speech, expected, tmp_path):
    samples = soundfile.read(speech, dtype='float32')[0]
    feed = FeedSource()
    for start in range(0, len(samples), 731):
        feed.push(AudioBlock(start, samples[start:start + 731], RATE))
    feed.end()
    feed.finish()
    assert np.array_equal(animated(feed, tmp_path), expected)


def test_live_frames_are_those_of_offline(speech, expected, tmp_path):
    clock = MonotonicClock()
    path = tmp_path / 'face.npz'
    session = compose(SessionConfig.from_mapping({'sink': sink_for(path)}),
                      source=FileSource(speech, clock=clock), clock=clock)
    session.run()
    stats = session.stats
    with np.load(path) as face:
        weights = face['weights']
    assert weights.shape == expected.shape
    if stats.speculative == 0:      # a busy machine guesses, and says so
        assert np.array_equal(weights, expected)


@pytest.mark.parametrize('suffix', ['csv', 'jsonl', 'npz', 'mcap'])
def test_twice_the_same_command_writes_the_same_bytes(speech, tmp_path, suffix):
    written = []
    for number in range(2):
        path = tmp_path / f'{number}.{suffix}'
        compose(SessionConfig(source=str(speech), pace='max', sinks=(sink_for(path),))).run()
        written.append(path.read_bytes())
    assert written[0] == written[1]
    assert len(written[0]) > 1000


@pytest.mark.parametrize(('rate', 'channels', 'subtype'), [
    (8000, 1, 'PCM_16'), (11025, 2, 'PCM_24'), (44100, 8, 'PCM_32'), (48000, 2, 'FLOAT'),
    (96000, 1, 'DOUBLE'), (192000, 2, 'PCM_16'),
])
def test_any_rate_channels_and_samples_give_the_right_count(tmp_path, rate, channels, subtype):
    path = tmp_path / 'in.wav'
    noise = np.random.default_rng(1).normal(0, 0.1, (rate, channels))
    soundfile.write(path, noise, rate, subtype=subtype)
    assert animated(FileSource(path), tmp_path).shape == (60, 52)


def test_one_channel_can_be_chosen(speech, expected, tmp_path):
    samples = soundfile.read(speech, dtype='float32')[0]
    path = tmp_path / 'in.wav'
    soundfile.write(path, np.stack([0 * samples, samples], 1), RATE, subtype='FLOAT')
    assert np.array_equal(animated(FileSource(path), tmp_path, channel=1), expected)


def recorded(path, data, storage):
    """Write a rosbag2 whose chunks hold 20 ms of s16le `data` each."""
    store, kind = get_typestore(Stores.ROS2_JAZZY), 'avatar_bridge_msgs/msg/AudioChunk'
    for name, text in DEFINITIONS.items():
        if name not in store.fielddefs:
            store.register(get_types_from_msg(text, name))
    types = store.types
    with Writer(path, version=9, storage_plugin=storage) as writer:
        topic = writer.add_connection('/audio', kind, typestore=store)
        for start in range(0, len(data), 960):
            stamp = types['builtin_interfaces/msg/Time'](1000, start * 20_000_000 // 960 % 10**9)
            chunk = types[kind](types['std_msgs/msg/Header'](stamp, ''), start // 2, RATE, 1,
                                'S16LE', start + 960 >= len(data),
                                np.frombuffer(data[start:start + 960], np.uint8))
            writer.write(topic, 10**12 + start, store.serialize_cdr(chunk, kind))
    return path


@pytest.mark.parametrize('storage', [StoragePlugin.SQLITE3, StoragePlugin.MCAP])
def test_a_recording_of_ros_gives_the_same_frames(speech, expected, tmp_path, storage):
    bag = recorded(tmp_path / 'bag', pcm(speech), storage)
    assert np.array_equal(animated(BagSource(bag), tmp_path), expected)


SUBSCRIBER = """
import sys, zmq
from avatar_bridge import wire
socket = zmq.Context().socket(zmq.SUB)
socket.setsockopt(zmq.RCVTIMEO, 20000)
socket.setsockopt(zmq.SUBSCRIBE, b'')
socket.connect(sys.argv[1])
print('ready', flush=True)
while True:
    topic, payload = socket.recv_multipart()
    kind = topic.decode().rsplit('/', 1)[1]
    if kind == 'face':
        print(wire.decode_face(payload).index)
    elif kind == 'event' and wire.decode_event(payload).name == 'end':
        break
"""


def test_a_subscriber_in_another_process_gets_every_frame_once(speech, tmp_path):
    url = f'ipc://{tmp_path}/face'
    with subprocess.Popen([sys.executable, '-c', SUBSCRIBER, url], text=True,
                          stdout=subprocess.PIPE) as subscriber:
        assert subscriber.stdout.readline() == 'ready\n'
        clock = MonotonicClock()
        source = Late(FileSource(speech, clock=clock), clock)
        compose(SessionConfig(sinks=(f'zmq={url}',)), source=source, clock=clock).run()
        output = subscriber.communicate(timeout=20)[0]
    assert [int(line) for line in output.split()] == list(range(121))


class Late:
    """A source that gives subscribers a second to connect."""

    def __init__(self, source, clock):
        self.source, self.clock = source, clock

    def blocks(self):
        self.clock.sleep_until(self.clock.now() + 1_000_000_000)
        yield from self.source.blocks()

    def close(self):
        self.source.close()
