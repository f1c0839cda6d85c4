# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Recordings of three formats: what our sinks write is read back, and what is broken says so."""

from fractions import Fraction
import io
import json
import zipfile

import numpy as np
import pytest

from avatar_bridge.errors import AudioError
from avatar_bridge.frames import FaceFrame, Flags, StreamInfo, TimedFrame
from avatar_bridge.rig import INDEX, NAMES
from avatar_bridge.sinks.livelink_csv import LiveLinkCsv
from avatar_bridge.sinks.recorder import JsonLinesRecorder, NpzRecorder
from avatar_bridge.sources import recorded
from avatar_bridge.sources.recorded import read_recording

RECORDERS = {'csv': LiveLinkCsv, 'npz': NpzRecorder, 'jsonl': JsonLinesRecorder}
COUNT = 90


def written(folder, suffix, *, fps=60, turned=True):
    """Record frames with the product's own sink; return weights, turns and the file's bytes."""
    rng = np.random.default_rng(3)
    weights = rng.random((COUNT, 52), np.float32)
    turns = rng.uniform(-0.5, 0.5, (COUNT, 7)).astype(np.float32)
    path = folder / f'take.{suffix}'
    sink = RECORDERS[suffix](path)
    sink.open(StreamInfo('run', 'robot', NAMES, Fraction(fps), Fraction(1, 10), 'live', 16000))
    for index in range(COUNT):
        pose = FaceFrame(index, weights[index], Flags.SPEECH,
                         *((turns[index, :3], turns[index, 3:]) if turned else ()))
        sink.send(TimedFrame(pose, 0, 0))
    sink.close()
    return weights, turns, path.read_bytes()


@pytest.mark.parametrize('suffix', RECORDERS)
@pytest.mark.parametrize('fps', [24, Fraction(30000, 1001), 30, 60])
def test_what_our_sinks_write_is_read_back(tmp_path, suffix, fps):
    weights, turns, content = written(tmp_path, suffix, fps=fps)
    take = read_recording(f'take.{suffix}', content)
    np.testing.assert_allclose(take.weights, weights, atol=1e-7)
    np.testing.assert_allclose(np.hstack([take.head, take.eyes]), turns, atol=1e-7)
    assert take.fps == pytest.approx(float(fps), rel=1e-3)


@pytest.mark.parametrize('suffix', RECORDERS)
def test_a_face_that_only_speaks_turns_nothing(tmp_path, suffix):
    take = read_recording(f'TAKE.{suffix.upper()}', written(tmp_path, suffix, turned=False)[2])
    assert take.head is None
    assert take.eyes is None


def test_columns_in_any_order_and_case_and_some_missing(tmp_path):
    weights, _, content = written(tmp_path, 'csv')
    rows = [line.split(',') for line in content.decode().splitlines()]
    order = np.random.default_rng(1).permutation(len(rows[0]))
    order = [column for column in order if rows[0][column] not in ('TongueOut', 'HeadYaw')]
    rows[0] = [title.upper() for title in rows[0]]
    mixed = '\r\n'.join(','.join(row[column] for column in order) for row in rows)
    take = read_recording('a.csv', ('\ufeff' + mixed).encode())
    weights[:, INDEX['tongueOut']] = 0
    np.testing.assert_allclose(take.weights, weights, atol=1e-7)
    assert take.fps == pytest.approx(60)
    assert take.head is None


def test_a_phone_that_lost_the_face_repeats_the_last_one(tmp_path):
    weights, _, content = written(tmp_path, 'csv')
    lines = content.decode().splitlines()
    empty = lines[20].split(',')
    lines[20] = ','.join([empty[0], '0'] + [''] * (len(empty) - 2))
    take = read_recording('a.csv', '\n'.join(lines).encode())
    np.testing.assert_allclose(take.weights[19], weights[18], atol=1e-7)
    np.testing.assert_allclose(take.weights[20], weights[20], atol=1e-7)


@pytest.mark.parametrize('suffix', ['csv', 'jsonl'])
def test_of_a_cut_recording_everything_whole_is_used(tmp_path, suffix):
    weights, _, content = written(tmp_path, suffix)
    take = read_recording(f'a.{suffix}', content[:len(content) * 2 // 3])
    assert COUNT // 2 < len(take.weights) < COUNT
    np.testing.assert_allclose(take.weights, weights[:len(take.weights)], atol=1e-7)


def test_values_that_are_no_weights_do_no_harm(tmp_path):
    weights, _, _ = written(tmp_path, 'npz')
    bad = weights.copy()
    bad[3, 4:8] = np.nan, np.inf, -np.inf, 1e30
    take = read_recording('a.npz', npz(weights=bad))
    assert take.weights[3, 4:8].tolist() == [0, 1, 0, 1]
    text = written(tmp_path, 'csv')[2].decode().splitlines()
    cells = text[5].split(',')
    cells[9:12] = 'nan', 'inf', '-5'
    take = read_recording('a.csv', '\n'.join([*text[:5], ','.join(cells), *text[6:]]).encode())
    assert np.isfinite(take.weights).all()
    assert 0 <= take.weights.min() <= take.weights.max() <= 1


def npz(**changed):
    """Return an npz like ours with some arrays changed; None leaves one out."""
    arrays = {'weights': np.zeros((5, 52), np.float32), 'names': np.array(NAMES),
              'fps': np.array((60, 1)), **changed}
    whole = io.BytesIO()
    np.savez(whole, **{name: array for name, array in arrays.items() if array is not None})
    return whole.getvalue()


def zipped(name, content):
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return whole.getvalue()


HEADER = json.dumps({'names': NAMES, 'fps': '60'}).encode()
LINE = json.dumps({'weights': [0.0] * 52}).encode()
TITLES = ','.join(('Timecode', 'BlendShapeCount', *NAMES)).encode()


@pytest.mark.parametrize(('name', 'content'), [
    ('a.wav', b'RIFF'), ('', b''), ('csv', b'a'), ('a' * 500, b''), ('a\nb.txt', b''),
    ('a.csv', b''), ('a.csv', b'\xff\xfe\x00'), ('a.csv', b'a,b\n1,2\n'), ('a.csv', b'\0' * 99),
    ('a.csv', TITLES), ('a.csv', TITLES + b'\n' + b'x,' * 53 + b'x'),
    ('a.csv', TITLES + b'\n' + b'00:00:00:00.0,' + b'1,' * 52 + b'x'),
    ('a.csv', TITLES + b'\n' + b'1,' * 53 + b'1\n' + b'2,' * 53 + b'1'),
    ('a.csv', b'"' + b'x' * 200_000),
    ('a.jsonl', b''), ('a.jsonl', b'[]'), ('a.jsonl', b'null'), ('a.jsonl', HEADER),
    ('a.jsonl', b'{}\n' + LINE), ('a.jsonl', HEADER + b'\n[]'), ('a.jsonl', HEADER + b'\n3'),
    ('a.jsonl', HEADER + b'\n{"weights": 3}'), ('a.jsonl', HEADER + b'\n{"weights": [1]}'),
    ('a.jsonl', HEADER + b'\n{"weights": {"a": 1}}'), ('a.jsonl', b'[' * 100_000),
    ('a.jsonl', HEADER + b'\n{"weights": ["' + b'x' * 100 + b'"]}'),
    ('a.jsonl', HEADER.replace(b'60', b'0') + b'\n' + LINE),
    ('a.jsonl', HEADER.replace(b'60', b'1/0') + b'\n' + LINE),
    ('a.jsonl', HEADER.replace(b'"60"', b'1e999') + b'\n' + LINE),
    ('a.jsonl', HEADER.replace(b'"60"', b'NaN') + b'\n' + LINE),
    ('a.jsonl', HEADER + b'\n' + LINE.replace(b'}', b', "head": [1]}')),
    ('a.jsonl', HEADER + b'\n' + LINE.replace(b'}', b', "head": 7}')),
    ('a.npz', b''), ('a.npz', b'PK\x03\x04'), ('a.npz', npz()[:-40]), ('a.npz', npz()[:300]),
    ('a.npz', npz(weights=None)), ('a.npz', npz(names=None)), ('a.npz', npz(fps=None)),
    ('a.npz', npz(fps=np.array('x'))), ('a.npz', npz(fps=np.array((60, 0)))),
    ('a.npz', npz(fps=np.array(np.nan))), ('a.npz', npz(fps=np.array([]))),
    ('a.npz', npz(weights=np.zeros((0, 52), np.float32))), ('a.npz', npz(weights=np.zeros(5))),
    ('a.npz', npz(weights=np.zeros(()))), ('a.npz', npz(names=np.array(7))),
    ('a.npz', npz(weights=np.array(['x'] * 52).reshape(1, 52))),
    ('a.npz', npz(weights=np.zeros((5, 7)))), ('a.npz', npz(weights=np.zeros((5, 52, 2)))),
    ('a.npz', npz(head=np.zeros((4, 3)), eyes=np.zeros((4, 4)))),
    ('a.npz', npz(head=np.ones((5, 3)))), ('a.npz', zipped('weights.npy', b'no array')),
], ids=range(53))
def test_what_is_no_recording_is_said_in_one_line(name, content):
    with pytest.raises(AudioError) as refused:
        read_recording(name, content)
    assert len(str(refused.value)) < 700
    assert '\n' not in str(refused.value).replace(name, '')


def test_nothing_in_an_npz_is_executed(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath('sprung').touch, ())

    with pytest.raises(AudioError):
        read_recording('a.npz', npz(weights=np.array([Trap()], object)))
    assert not (tmp_path / 'sprung').exists()


def test_an_npz_that_unpacks_to_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(recorded, 'LARGEST', 10_000)
    assert len(npz(weights=np.zeros((9, 52), np.float32)))
    with pytest.raises(AudioError, match='unpacked'):
        read_recording('a.npz', npz(weights=np.zeros((10_000, 52), np.float32)))


def test_an_npz_that_lies_about_its_sizes_is_refused():
    head = np.lib.format.magic(1, 0) + (118).to_bytes(2, 'little')
    text = "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 52), }"
    bomb = head + text.ljust(117).encode() + b'\n'
    with pytest.raises(AudioError):
        read_recording('a.npz', zipped('weights.npy', bomb + bytes(1000)))
