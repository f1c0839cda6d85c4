# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('torch')

from tiny_corpus import BATCH, write_corpus

from model.batches import draw
from model.data import load_corpus
from model.noise_levels import Levels, chunk, even, triangle

pytestmark = pytest.mark.model
TIMES = 0.64 + np.arange(90) / 30.0
LEVELS = Levels(np.zeros(90, np.float32), np.repeat(np.arange(9.0), 10),
                np.repeat(0.64 + np.arange(1, 10) / 3.0, 10))


def many(draw_one):
    return [draw_one(np.random.default_rng(seed)) for seed in range(60)]


def test_even_noise_is_one_level_and_often_where_samplers_start():
    drawn = many(lambda rng: even(LEVELS, rng).timesteps)
    assert all(np.ptp(timesteps) == 0 for timesteps in drawn)
    assert 0.2 < np.mean([timesteps[0] >= 0.95 for timesteps in drawn]) < 0.6
    assert min(timesteps[0] for timesteps in drawn) < 0.1


def test_a_chunk_follows_a_past():
    for levels in many(lambda rng: chunk(LEVELS, rng)):
        assert len(set(levels.timesteps)) == 2
        assert levels.timesteps[0] <= 0.2
        changed = np.flatnonzero(np.diff(levels.timesteps))
        assert len(changed) == 1
        assert levels.blocks[changed[0]] != levels.blocks[changed[0] + 1]


def test_a_triangle_rises_in_even_rungs_behind_a_past():
    for levels in many(lambda rng: triangle(LEVELS, TIMES, 4, rng)):
        ahead = levels.blocks == levels.blocks[-1]
        first = int(np.argmax(ahead))
        assert 0 < first < 90
        assert (levels.timesteps[:first] <= 0.2).all()
        assert len(set(levels.timesteps[:first])) == 1
        rungs = np.unique(levels.timesteps[ahead & (levels.timesteps < 1.0)])
        assert 0 < rungs[0] <= 0.25 + 1e-6
        assert np.allclose(np.diff(rungs), 0.25)
        assert (np.diff(levels.timesteps[first:]) >= 0).all()


def test_frames_ahead_hear_the_same_and_not_far():
    for levels in many(lambda rng: triangle(LEVELS, TIMES, 4, rng)):
        ahead = levels.blocks == levels.blocks[-1]
        assert np.ptp(levels.horizons[ahead]) == 0
        heard = levels.horizons[-1] - TIMES[int(np.argmax(ahead))]
        assert 1 / 30 - 1e-6 <= heard <= 0.31       # a hop and at most two more of look-ahead
        assert (np.diff(levels.horizons) >= 0).all()


def test_the_deaf_stay_deaf():
    deaf = LEVELS._replace(horizons=np.full(90, -1e3))
    assert (triangle(deaf, TIMES, 4, np.random.default_rng(0)).horizons <= -1e3).all()


def test_a_batch_has_the_shares_it_is_told_of(tmp_path):
    corpus = load_corpus(write_corpus(tmp_path))
    shares = replace(BATCH, size=24, even_share=0.5, triangle_share=0.5)
    batch = draw(corpus, shares, np.random.default_rng(0))
    even_ones = np.ptp(batch.timesteps, axis=1) == 0
    assert 6 <= even_ones.sum() <= 18
    assert (batch.timesteps[~even_ones].max(axis=1) == 1).any()
