# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

import json

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from avatar_bridge.bundle import load_bundle  # noqa: E402
from avatar_bridge.stream.engine import Engine  # noqa: E402
from model.batches import BatchConfig, draw  # noqa: E402
from model.data import Entry, load_corpus  # noqa: E402
from model.export import export  # noqa: E402
from model.live_denoiser import LiveConfig  # noqa: E402
from model.settings import from_table  # noqa: E402
from model.train import TrainConfig, losses, save, start, statistics, train, update  # noqa: E402

pytestmark = pytest.mark.model
NETWORK = LiveConfig(width=48, heads=4, layers=1, feed_forward=64, encoder_blocks=1)
BATCH = BatchConfig(size=4, seconds=0.8, lead_in=0.2)


@pytest.fixture(scope='module')
def corpus_path(tmp_path_factory):
    """Write a cache of six clips whose jaw follows bursts of noise."""
    folder, rng, entries = tmp_path_factory.mktemp('corpus'), np.random.default_rng(0), []
    audio, curves = [], []
    for index in range(6):
        level = np.repeat(rng.random(20) > 0.5, 10).astype(np.float32)
        audio.append((8000 * np.repeat(level, 160) * rng.standard_normal(32000)).clip(
            -32000, 32000).astype(np.int16))
        curves.append(np.outer(level, np.linspace(0.1, 0.5, 52)).astype(np.float16))
        entries.append(Entry(str(index), ('kokoro', 'grid')[index % 2], 'train', 'v', 'en',
                             32000 * index, 32000, 200 * index, 200))
    np.concatenate(audio).tofile(folder / 'audio.i16')
    np.concatenate(curves).tofile(folder / 'curves.f16')
    (folder / 'clips.json').write_text(json.dumps(entries))
    return folder


def config(corpus_path, out, **changes):
    values = {'corpus': str(corpus_path), 'out': str(out), 'steps': 4, 'warm_up': 2,
              'checkpoint_every': 2, 'threads': 1, 'live': NETWORK, 'batch': BATCH, **changes}
    return TrainConfig(**values)


def test_a_batch_is_drawn_by_its_seed(corpus_path):
    corpus = load_corpus(corpus_path)
    one, same, other = (draw(corpus, BATCH, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one.noise[:, :5], other.noise[:, :5])
    assert one.features.shape[1] == 2 * one.token_times.shape[1]
    assert (one.horizons[one.horizons > 0] >= one.times[one.horizons > 0]).all()


def test_one_batch_can_be_learnt_by_heart(corpus_path, tmp_path):
    settings = config(corpus_path, tmp_path, steps=150, learning_rate=3e-3)
    corpus = load_corpus(corpus_path)
    run = start(settings, corpus, 'cpu')
    batch = draw(corpus, BATCH, np.random.default_rng(3))._replace()
    first = losses(run, batch, 'cpu')['coefficient'].item()
    for _ in range(150):
        update(run, settings, batch, 'cpu')
    assert losses(run, batch, 'cpu')['coefficient'].item() < 0.15 * first


def test_a_resumed_run_is_the_run_that_was_never_stopped(corpus_path, tmp_path):
    whole = train(config(corpus_path, tmp_path / 'whole'), device='cpu')
    settings = config(corpus_path, tmp_path / 'cut')
    corpus = load_corpus(corpus_path)
    run = start(settings, corpus, 'cpu')
    (tmp_path / 'cut').mkdir()
    for step in range(2):
        update(run, settings, draw(corpus, BATCH, np.random.default_rng([settings.seed, step])),
               'cpu')
    save(run, tmp_path / 'cut')
    resumed = train(settings, device='cpu')
    for one, two in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
        assert torch.equal(one, two)


def test_deviations_have_a_floor(corpus_path):
    _, deviation = statistics(load_corpus(corpus_path))
    assert deviation.min() >= 0.02


def test_what_is_exported_is_what_was_trained(corpus_path, tmp_path):
    train(config(corpus_path, tmp_path / 'run'), device='cpu')
    about = {'name': 'tiny', 'version': '0', 'styles': ['neutral'], 'languages': ['en'],
             'data': [], 'licence': 'Apache-2.0'}
    assert export(tmp_path / 'run', tmp_path / 'tiny', about) < 1e-4
    frames = Engine(load_bundle(tmp_path / 'tiny')).push(np.zeros(16000, np.float32))
    assert len(frames) == 57


def test_an_unknown_key_is_refused():
    with pytest.raises(ValueError, match='stepps'):
        from_table(TrainConfig, {'stepps': 3}, 'live.toml')
    assert from_table(TrainConfig, {'live': {'width': 64}}, 'x').network.width == 64
