# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

pytest.importorskip('torch')

from tiny_corpus import BATCH, plan, write_corpus

from avatar_bridge.bundle import load_bundle
from avatar_bridge.stream.engine import Engine
from model.batches import draw
from model.data import load_corpus
from model.export import export
from model.settings import from_table
from model.train import TrainConfig, statistics, train

pytestmark = pytest.mark.model


@pytest.fixture(scope='module')
def corpus_path(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp('corpus'))


def test_a_batch_is_drawn_by_its_seed(corpus_path):
    corpus = load_corpus(corpus_path)
    one, same, other = (draw(corpus, BATCH, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one.noise[:, :5], other.noise[:, :5])
    assert one.features.shape[1] == 2 * one.token_times.shape[1]
    assert (one.horizons[one.horizons > 0] >= one.times[one.horizons > 0]).all()


def test_deviations_have_a_floor(corpus_path):
    _, deviation = statistics(load_corpus(corpus_path))
    assert deviation.min() >= 0.02


def test_what_is_exported_is_what_was_trained(corpus_path, tmp_path):
    train(plan(corpus_path, tmp_path / 'run'), device='cpu')
    about = {'name': 'tiny', 'version': '0', 'styles': ['neutral'], 'languages': ['en'],
             'data': [], 'licence': 'Apache-2.0'}
    assert export(tmp_path / 'run', tmp_path / 'tiny', about) < 1e-4
    frames = Engine(load_bundle(tmp_path / 'tiny')).push(np.zeros(16000, np.float32))
    assert len(frames) == 57


def test_an_unknown_key_is_refused():
    with pytest.raises(ValueError, match='stepps'):
        from_table(TrainConfig, {'stepps': 3}, 'live.toml')
    assert from_table(TrainConfig, {'live': {'width': 64}}, 'x').network.width == 64
