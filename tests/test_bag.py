# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Recordings of every dialect and storage, whole, cut short and foreign."""

from __future__ import annotations

import shutil
import sqlite3

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from avatar_bridge.errors import AudioError
from avatar_bridge.frames import AudioBlock, EndOfSpeech
from avatar_bridge.message_definitions import DEFINITIONS, MGONZS13, ROS_DRIVERS
from avatar_bridge.sources.bag import BagSource

PLUGINS = {'sqlite3': StoragePlugin.SQLITE3, 'mcap': StoragePlugin.MCAP}
SUFFIX = {'sqlite3': '.db3', 'mcap': '.mcap'}
START = 1_700_000_000_000_000_000
RATE = 22050
PCM = np.random.default_rng(7).integers(-20000, 20000, 40 * 441).astype('<i2')   # 0.8 s
SAMPLES = PCM.astype(np.float32) / 32768


def store_of(dialect):
    store = get_typestore(Stores.ROS2_JAZZY)
    definitions = MGONZS13 if dialect.startswith('mgonzs13') else ROS_DRIVERS
    for name, text in {**DEFINITIONS, **definitions}.items():
        if name not in store.fielddefs:
            store.register(get_types_from_msg(text, name))
    return store


def message(store, dialect, number, last=False):
    types, piece = store.types, PCM[number * 441:(number + 1) * 441]
    stamp = types['builtin_interfaces/msg/Time'](*divmod(START + number * 20_000_000, 10**9))
    header = types['std_msgs/msg/Header'](stamp, '')
    data = piece.view(np.uint8)
    if dialect == 'chunk':
        return types['avatar_bridge_msgs/msg/AudioChunk'](
            header, number * 441, RATE, 1, 'S16LE', last, data)
    if dialect == 'ros_drivers':
        inner = types['audio_common_msgs/msg/AudioData'](data)
        return types['audio_common_msgs/msg/AudioDataStamped'](header, inner)
    none = {kind: np.zeros(0, kind) for kind in ('f4', 'i4', 'i1', 'u1')}
    inner = types['audio_common_msgs/msg/AudioData'](
        none['f4'], none['i4'], piece, none['i1'], none['u1'])
    info = types['audio_common_msgs/msg/AudioInfo'](8, 1, RATE, 441)
    return types['audio_common_msgs/msg/AudioStamped'](
        header, types['audio_common_msgs/msg/Audio'](inner, info))


TYPE = {'chunk': 'avatar_bridge_msgs/msg/AudioChunk',
        'ros_drivers': 'audio_common_msgs/msg/AudioDataStamped',
        'mgonzs13': 'audio_common_msgs/msg/AudioStamped'}


def record(path, *, storage='mcap', dialect='chunk', topics=('/audio',), pieces=40):
    store = store_of(dialect)
    with Writer(path, version=9, storage_plugin=PLUGINS[storage]) as writer:
        text = writer.add_connection('/text', 'std_msgs/msg/String', typestore=store)
        connections = [writer.add_connection(topic, TYPE[dialect], typestore=store)
                       for topic in topics]
        if dialect == 'ros_drivers':
            informed(writer, store, 'WAVE')
        for number in range(pieces):
            time = START + number * 20_000_000 + 5
            for connection in connections:
                content = message(store, dialect, number, last=number == 19)
                writer.write(connection, time, store.serialize_cdr(content, TYPE[dialect]))
            word = store.types['std_msgs/msg/String'](f'word {number}')
            writer.write(text, time, store.serialize_cdr(word, 'std_msgs/msg/String'))
    return path


def informed(writer, store, coding):
    kind = 'audio_common_msgs/msg/AudioInfo'
    info = writer.add_connection('/audio_info', kind, typestore=store)
    content = store.types[kind](1, RATE, 'S16LE', 0, coding)
    writer.write(info, START, store.serialize_cdr(content, kind))


def taken(source):
    """Return blocks, how many ends of speech came, and the error at the end, if any."""
    items = []
    try:
        items.extend(source.blocks())
    except AudioError as error:
        return items, str(error)
    return items, ''


def joined(items):
    blocks = [item for item in items if isinstance(item, AudioBlock)]
    return np.concatenate([block.samples for block in blocks])


@pytest.mark.parametrize('storage', PLUGINS)
@pytest.mark.parametrize('dialect', TYPE)
def test_every_dialect_in_every_storage_gives_the_same_samples(storage, dialect, tmp_path):
    items, error = taken(BagSource(record(tmp_path / 'bag', storage=storage, dialect=dialect)))
    assert error == ''
    assert np.array_equal(joined(items), SAMPLES)
    blocks = [item for item in items if isinstance(item, AudioBlock)]
    assert {block.sample_rate for block in blocks} == {RATE}
    assert [block.start for block in blocks] == list(range(0, len(PCM), 441))
    assert [block.capture_ns for block in blocks] == [
        START + n * 20_000_000 for n in range(40)]


def test_the_end_of_speech_comes_after_its_chunk(tmp_path):
    items, _ = taken(BagSource(record(tmp_path / 'bag')))
    assert [n for n, item in enumerate(items) if isinstance(item, EndOfSpeech)] == [20]


@pytest.mark.parametrize('storage', PLUGINS)
@pytest.mark.parametrize('dialect', TYPE)
def test_a_file_alone_will_do(storage, dialect, tmp_path):
    folder = record(tmp_path / 'bag', storage=storage, dialect=dialect)
    (folder / 'metadata.yaml').unlink()
    for path in (folder, folder / f'bag{SUFFIX[storage]}'):
        items, error = taken(BagSource(path))
        assert (len(joined(items)), error) == (len(PCM), '')


@pytest.mark.parametrize('mode', [CompressionMode.FILE, CompressionMode.MESSAGE])
def test_compressed_recordings_are_read(mode, tmp_path):
    store = store_of('chunk')
    writer = Writer(tmp_path / 'bag', version=9)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection('/audio', TYPE['chunk'], typestore=store)
        content = store.serialize_cdr(message(store, 'chunk', 0), TYPE['chunk'])
        writer.write(connection, START, content)
    assert np.array_equal(joined(taken(BagSource(tmp_path / 'bag'))[0]), SAMPLES[:441])


@pytest.mark.parametrize('dialect', TYPE)
def test_a_recording_without_definitions_is_read_with_ours(dialect, tmp_path):
    """Humble's sqlite3 files carry none."""
    folder = record(tmp_path / 'bag', storage='sqlite3', dialect=dialect)
    with sqlite3.connect(folder / 'bag.db3') as database:
        database.execute('DELETE FROM message_definitions')
    database.close()
    (folder / 'metadata.yaml').unlink()
    items, error = taken(BagSource(folder))
    assert (len(joined(items)), error) == (len(PCM), '')


@pytest.mark.parametrize('dialect', TYPE)
@pytest.mark.parametrize('storage', PLUGINS)
def test_of_a_cut_recording_everything_readable_is_used_and_the_cut_is_told(
        storage, dialect, tmp_path):
    folder = record(tmp_path / 'bag', storage=storage, dialect=dialect)
    file = folder / f'bag{SUFFIX[storage]}'
    size = file.stat().st_size
    with file.open('r+b') as opened:
        opened.truncate(size * 6 // 10)
    for path in (folder, file):
        items, error = taken(BagSource(path))
        got = joined(items)
        assert len(PCM) // 5 < len(got) < len(PCM)
        assert np.array_equal(got, SAMPLES[:len(got)])
        assert f'{len(got) / RATE:.2f} s of audio could be read' in error


def test_of_a_chunk_that_was_cut_and_compressed_the_beginning_is_used(tmp_path):
    store = store_of('chunk')
    writer = Writer(tmp_path / 'bag', version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection('/audio', TYPE['chunk'], typestore=store)
        for number in range(40):
            content = store.serialize_cdr(message(store, 'chunk', number), TYPE['chunk'])
            for copy in range(20):      # zstd hands out blocks of 128 KB
                writer.write(connection, START + number * 20 + copy, content)
    file = tmp_path / 'bag/bag.mcap'
    with file.open('r+b') as opened:
        opened.truncate(file.stat().st_size * 7 // 10)
    items, error = taken(BagSource(tmp_path / 'bag'))
    assert len(joined(items)) > 441 * 100
    assert 'was cut short' in error


def test_an_mcap_cut_anywhere_never_crashes(tmp_path):
    whole = (record(tmp_path / 'bag') / 'bag.mcap').read_bytes()
    path, lengths = tmp_path / 'cut.mcap', []
    for size in range(0, len(whole) - 1, 997):
        path.write_bytes(whole[:size])
        try:
            items, error = taken(BagSource(path))
        except AudioError:
            lengths.append(0)
            continue
        lengths.append(sum(len(x.samples) for x in items if isinstance(x, AudioBlock)))
        assert error
    assert lengths == sorted(lengths)
    assert lengths[-1] == len(PCM)


def test_a_killed_sqlite_recorder_leaves_a_journal_that_is_read(tmp_path):
    folder = record(tmp_path / 'bag', storage='sqlite3')
    database = sqlite3.connect(folder / 'bag.db3')
    database.execute('PRAGMA journal_mode=WAL')
    database.execute('INSERT INTO messages (topic_id, timestamp, data) '
                     'SELECT topic_id, timestamp + 1, data FROM messages WHERE topic_id = 2')
    database.commit()
    shutil.copytree(folder, tmp_path / 'killed')        # as it is while the recorder runs
    database.close()
    items, _ = taken(BagSource(tmp_path / 'killed'))
    assert len(joined(items)) == 2 * len(PCM)


def test_a_split_recording_is_read_in_the_order_of_its_numbers(tmp_path):
    folder = tmp_path / 'split'
    folder.mkdir()
    for number, name in enumerate(('bag_2', 'bag_10')):
        part = record(tmp_path / name, pieces=40 - 30 * number)
        shutil.move(part / f'{name}.mcap', folder)
    items, _ = taken(BagSource(folder))
    assert np.array_equal(joined(items), np.concatenate([SAMPLES, SAMPLES[:4410]]))


def test_the_topic_can_be_chosen_and_must_be_where_it_is_not_clear(tmp_path):
    path = record(tmp_path / 'bag', topics=('/left/audio', '/right/audio'))
    with pytest.raises(AudioError, match=r'several topics, choose one: /left/audio .*/right'):
        BagSource(path)
    assert BagSource(path, '/right/audio').topic == '/right/audio'
    assert BagSource(path, 'left/audio').topic == '/left/audio'
    with pytest.raises(AudioError, match='expected audio on /text, found /left/audio'):
        BagSource(path, '/text')


def test_a_bag_without_audio_says_what_it_has(tmp_path):
    with pytest.raises(AudioError, match=r'expected a topic with audio .* found /text \(std_msgs'):
        BagSource(record(tmp_path / 'bag', topics=()))


def test_a_topic_without_messages_is_refused(tmp_path):
    with pytest.raises(AudioError, match='found no samples'):
        list(BagSource(record(tmp_path / 'bag', pieces=0)).blocks())


def test_mp3_is_refused_with_what_to_do(tmp_path):
    store = store_of('ros_drivers')
    with Writer(tmp_path / 'bag', version=9) as writer:
        kind = 'audio_common_msgs/msg/AudioData'
        connection = writer.add_connection('/audio', kind, typestore=store)
        informed(writer, store, 'MP3')
        content = store.types[kind](np.zeros(100, np.uint8))
        writer.write(connection, START, store.serialize_cdr(content, kind))
    with pytest.raises(AudioError, match='format:=wave'):
        BagSource(tmp_path / 'bag')


@pytest.mark.parametrize('name', ['x.mcap', 'x.db3', 'x.bag', 'x.wav', 'folder'])
@pytest.mark.parametrize('content', [b'', b'garbage' * 50, b'\x89MCAP0\r\n' + b'\xff' * 100,
                                     b'SQLite format 3\0' + b'\x10' * 200])
def test_what_is_no_recording_is_refused_in_one_line(name, content, tmp_path):
    path = tmp_path / name
    if name == 'folder':
        path.mkdir()
        (path / 'metadata.yaml').write_bytes(content)
    else:
        path.write_bytes(content)
    with pytest.raises(AudioError, match=r'expected a rosbag2 folder|repair it') as caught:
        BagSource(path)
    assert '\n' not in str(caught.value)


def test_a_missing_recording_is_refused(tmp_path):
    with pytest.raises(AudioError, match='no such recording'):
        BagSource(tmp_path / 'nothing')


def test_close_ends_the_stream(tmp_path):
    source = BagSource(record(tmp_path / 'bag'))
    blocks = source.blocks()
    next(blocks)
    source.close()
    assert list(blocks) == []
