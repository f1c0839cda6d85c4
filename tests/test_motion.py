# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Motion at other rates, in time with its sound, shared out, and as coefficients of a mesh."""

from importlib.resources import files

import numpy as np
import pytest

from avatar_bridge.phones import phones_beside
from avatar_bridge.rig import INDEX
from model import motion, teacher
from model.data import BELIEVED, recorded_clips
from model.datasets.recording import Recording
from model.datasets.sound import read_sound
from model.datasets.text_grid import spelled
from model.face_offset import estimate
from model.metrics import LIP_GAP, lip_gap
from model.phones import from_kokoro, settle
from model.shards import SHARDS, shard, share
from model.vertex_head import VertexHead, fit, load_head

RNG = np.random.default_rng(0)


def waves(fps, hertz, seconds=4.0):
    """Return (frames, 1) of a sine around 0.5."""
    times = np.arange(round(seconds * fps)) / fps
    return (0.5 + 0.4 * np.sin(2 * np.pi * hertz * times))[:, None].astype(np.float32)


@pytest.mark.parametrize(('fps', 'new_fps'), [
    (60, 30), (60, 25), (100, 24), (25, 60), (25, 100), (30, 29.97), (59.94, 60)])
def test_slow_motion_is_the_same_at_any_rate(fps, new_fps):
    found, expected = motion.resample(waves(fps, 3), fps, new_fps), waves(new_fps, 3)
    count = min(len(found), len(expected))
    assert abs(len(found) - len(expected)) <= np.ceil(new_fps / fps)
    inside = slice(round(0.2 * new_fps), count - round(0.2 * new_fps))     # the ends are held
    assert np.abs(found[:count] - expected[:count])[inside].max() < 0.025


@pytest.mark.parametrize(('hertz', 'most'), [(20, 0.02), (25, 0.02), (28, 0.02)])
def test_what_the_new_rate_cannot_hold_does_not_come_back_as_something_slower(hertz, most):
    found = motion.resample(waves(60, hertz), 60, 30)
    assert np.abs(found[5:-5] - 0.5).max() < most
    assert np.abs(waves(60, hertz)[::2] - 0.5).max() > 0.3


def test_what_stands_still_stays_and_nothing_leaves_its_range():
    still = np.full((50, 2, 3), 0.25, np.float32)
    assert np.array_equal(motion.resample(still, 60, 24), np.full((20, 2, 3), 0.25, np.float32))
    jumps = (RNG.random((200, 4)) > 0.5).astype(np.float32)
    for new_fps in (24, 50, 97, 240):
        found = motion.resample(jumps, 60, new_fps)
        assert found.min() >= 0
        assert found.max() <= 1
    assert motion.resample(jumps[:0], 60, 30).shape == (0, 4)
    assert motion.resample(jumps[:1], 60, 30).shape == (1, 4)


def test_motion_is_moved_in_time():
    later = motion.shift(waves(100, 2), 100, 0.05)
    assert np.allclose(later[5:], waves(100, 2)[:-5], atol=1e-6)
    assert np.allclose(later[:5], 0.5)


@pytest.fixture(scope='module')
def spoken():
    """Return the bundled speech and the lip gap that the teacher gives it, 100 a second."""
    path = files('avatar_bridge') / 'assets' / 'speech.flac'
    samples = read_sound(path)
    rows = [list(row) for phone in phones_beside(path) for row in spelled(*phone)]
    heard = samples.astype(np.float32) / 32768
    phones = settle(from_kokoro(rows), heard)
    return samples, lip_gap(teacher.animate(phones, teacher.loudness(heard)))


@pytest.mark.parametrize('late', [-0.12, -0.07, -0.03, 0.0, 0.02, 0.05, 0.09, 0.12])
def test_a_face_that_is_late_or_early_is_found_out(spoken, late):
    samples, gap = spoken
    own = estimate(samples, gap, 100)
    assert abs(own.seconds) < 0.015                 # of one clip; the mean of many is below 5 ms
    for fps in (25, 60):
        moved = motion.resample(motion.shift(gap, 100, late), 100, fps)
        found = estimate(samples, moved, fps)
        assert abs(found.seconds - own.seconds - late) <= 0.01
        assert found.confidence > BELIEVED


def mouth(spoken):
    """Return (n, 52) curves whose lips open as `spoken` says."""
    curves = np.zeros((len(spoken[1]), 52), np.float32)
    curves[:, INDEX['jawOpen']] = spoken[1] / LIP_GAP[INDEX['jawOpen']]
    return curves


@pytest.mark.parametrize('late', [-0.1, 0.0, 0.1])
def test_a_cache_holds_faces_that_are_in_time(spoken, late):
    samples, _ = spoken
    found = []
    for moved in (0.0, late):
        curves = motion.shift(mouth(spoken), 100, moved)
        (_, clip), = recorded_clips(Recording('x', 'train', 'v', 'en', samples, 100.0,
                                              curves=curves))
        found.append(lip_gap(clip.faces[0].astype(np.float32)))
    assert np.abs(found[1] - found[0])[20:-20].max() < (0.04 if late else 1e-6)
    assert len(found[1]) == -(-len(samples) // 160)


def test_a_face_of_other_speech_or_of_none_is_not_believed(spoken):
    samples, gap = spoken
    assert estimate(samples, gap[::-1], 100).confidence < 0.1
    assert estimate(samples, np.zeros(len(gap)), 100).confidence == 0
    assert estimate(np.zeros(len(samples), np.int16), gap, 100).confidence < 0.1
    assert estimate(samples[:16000], gap[:100], 100).confidence == 0        # too short to tell


def test_a_clip_is_in_one_shard_whatever_the_order_and_the_number_of_workers():
    names = [f'clip {number}' for number in range(1000)]
    for workers in (1, 2, 3, 8):
        parts = [share(reversed(names), str, worker=worker, workers=workers)
                 for worker in range(workers)]
        assert sorted(name for part in parts for name in part) == sorted(names)
        for worker, part in enumerate(parts):
            assert 0.8 < len(part) * workers / len(names) < 1.2
            assert part == [name for name in reversed(names) if shard(name) % workers == worker]
    assert shard('clip 1') == 2220
    with pytest.raises(ValueError, match='worker'):
        share(names, str, worker=2, workers=2)
    assert SHARDS % 8 == 0


def meshes(frames, seed=1):
    """Return (frames, 11, 3) of a face with four ways to move."""
    ways = np.random.default_rng(7).standard_normal((4, 33)) * [[4], [3], [2], [1]]
    moved = np.random.default_rng(seed).standard_normal((frames, 4)) @ ways + 0.1
    return moved.reshape(frames, 11, 3).astype(np.float32)


def test_a_head_is_the_same_in_one_block_as_in_many():
    offsets, neutral = meshes(300), RNG.standard_normal((11, 3)).astype(np.float32)
    whole, pieced = fit([offsets], 6), fit(np.split(offsets, [7, 8, 150]), 6)
    assert whole.basis.shape == (4, 33)                 # no more ways to move than there are
    assert np.allclose(np.abs(np.sum(whole.basis * pieced.basis, axis=1)), 1, atol=1e-4)
    assert np.allclose(whole.deviations, pieced.deviations, rtol=1e-4)
    coefficients = pieced.encode(offsets + neutral, neutral)
    assert np.allclose(coefficients.std(axis=0), 1, atol=1e-3)
    assert np.allclose(pieced.decode(coefficients, neutral), offsets + neutral, atol=1e-3)
    other = meshes(20, seed=2) + neutral
    assert np.allclose(pieced.decode(pieced.encode(other, neutral), neutral), other, atol=1e-3)


def test_a_head_is_saved_without_pickle_with_its_regions(tmp_path):
    head = fit([meshes(50)], 2, {'lve': np.array([0, 3]), 'fdd': np.array([10])})
    head.save(tmp_path / 'head.npz')
    loaded = load_head(tmp_path / 'head.npz')
    assert np.array_equal(loaded.basis, head.basis)
    assert loaded.basis.shape == (2, 33)
    assert {name: region.tolist() for name, region in loaded.regions.items()} == {
        'lve': [0, 3], 'fdd': [10]}
    with pytest.raises(ValueError, match='region lve has vertex 11'):
        VertexHead(head.mean, head.basis, head.deviations, {'lve': np.array([11])})
    with pytest.raises(ValueError, match='1 frames'):
        fit([meshes(1)], 2)
