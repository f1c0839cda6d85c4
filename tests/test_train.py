# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('torch')

from tiny_corpus import BATCH, plan, tiny, write_corpus
import torch

from avatar_bridge.bundle import load_bundle
from avatar_bridge.config import EngineConfig
from avatar_bridge.frames import Flags
from avatar_bridge.stream.engine import Engine
from model.augment import AugmentConfig
from model.batches import draw
from model.data import load_corpus
from model.export import export
from model.networks import make
from model.personal_losses import manner
from model.phones import NUMBERED, SILENCE, UNKNOWN
from model.settings import from_table
from model.train import TrainConfig, losses, start, statistics, train

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
    assert ((one.horizons >= one.times) | (one.horizons < 0)).all()


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


@pytest.fixture
def styled(tmp_path):
    """Return a corpus whose second style opens the jaw half as far."""
    folder = write_corpus(tmp_path)
    curves = np.fromfile(folder / 'curves.f16', np.float16)
    (0.5 * curves).tofile(folder / 'curves_mumbling.f16')
    return folder


def test_synthetic_excerpts_are_drawn_in_every_style(styled):
    corpus, batch = load_corpus(styled), replace(BATCH, size=32, grid_share=0.5)
    one, other = (draw(corpus, replace(batch, style_share=share), np.random.default_rng(2))
                  for share in (0.0, 1.0))
    assert not one.style.any()
    assert 8 < other.style.sum() < 24                   # the real ones have the first
    assert one.clean.max() > 0.45
    assert other.clean[other.style == 1].max() < 0.26


def test_a_style_is_drawn_in_part_and_learnt_so(styled, tmp_path):
    corpus = load_corpus(styled)
    batch = replace(BATCH, size=32, style_share=1.0, partly_share=0.5, grid_share=0.0)
    drawn = draw(corpus, batch, np.random.default_rng(2))
    assert 8 < (drawn.amounts < 1).sum() < 24
    whole = corpus.clip(corpus.entries[0]).curves
    half = corpus.clip(corpus.entries[0], 1, 0.5).curves       # the second style is half the first
    np.testing.assert_allclose(half, 0.75 * whole, atol=1e-3)
    config = plan(styled, tmp_path / 'one', live=replace(tiny('live'), styles=2), batch=batch)
    network = start(config, corpus, 'cpu').network
    style, _ = manner(network, drawn, torch.from_numpy(drawn.clean))
    table = network.style.weight
    wanted = table[0] + torch.from_numpy(drawn.amounts)[:, None] * (table[1] - table[0])
    assert torch.allclose(style, wanted)


def test_new_styles_begin_as_the_first(styled, tmp_path):
    train(plan(styled, tmp_path / 'one'), device='cpu')
    wider = replace(tiny('live'), styles=2)
    config = plan(styled, tmp_path / 'two', live=wider, start_from=str(tmp_path / 'one'))
    run = start(config, load_corpus(styled), 'cpu')
    assert run.network.style.weight[0].tolist() == run.network.style.weight[1].tolist()
    train(replace(config, batch=replace(BATCH, style_share=0.5)), device='cpu')
    learnt = torch.load(tmp_path / 'two' / 'checkpoint.pt')['network']['style.weight']
    assert learnt[0].tolist() != learnt[1].tolist()


def test_an_encoder_that_grows_hears_what_it_heard(styled, tmp_path):
    before = train(plan(styled, tmp_path / 'one'), device='cpu').average
    deeper = replace(tiny('live'), encoder_blocks=tiny('live').encoder_blocks + 1,
                     encoder_dilations=(3,))
    config = plan(styled, tmp_path / 'two', live=deeper, start_from=str(tmp_path / 'one'))
    after = start(config, load_corpus(styled), 'cpu').network
    features = torch.randn(2, 40, 80, generator=torch.Generator().manual_seed(1))
    heard = [network.listen(features, network.initial_state(2))[0] for network in (before, after)]
    assert torch.equal(*heard)
    wider = plan(styled, tmp_path / 'three', live=replace(deeper, width=2 * deeper.width),
                 start_from=str(tmp_path / 'one'))
    with pytest.raises(RuntimeError, match='size mismatch'):
        start(wider, load_corpus(styled), 'cpu')


def test_styles_that_a_corpus_or_a_network_has_not_are_refused(corpus_path, styled, tmp_path):
    batch = replace(BATCH, style_share=0.5)
    with pytest.raises(ValueError, match='this one has 1'):
        train(plan(corpus_path, tmp_path / 'a', batch=batch), device='cpu')
    with pytest.raises(ValueError, match='of 2 to 1 styles'):
        train(plan(styled, tmp_path / 'b', batch=batch), device='cpu')


@pytest.fixture
def sounding(tmp_path):
    """Return a corpus whose bursts of noise are sibilants, for all that is known of clip 0."""
    folder = write_corpus(tmp_path)
    jaw = np.fromfile(folder / 'curves.f16', np.float16).reshape(-1, 52)[:, 0]
    classes = np.where(jaw > 0, NUMBERED.index('sibilant'), NUMBERED.index(SILENCE))
    classes[:200] = UNKNOWN
    classes.astype(np.uint8).tofile(folder / 'phones.u8')
    return folder


def test_a_batch_tells_what_sounded_when_a_token_was_complete(sounding):
    corpus = load_corpus(sounding)
    batch = draw(corpus, replace(BATCH, size=32, phones=True), np.random.default_rng(2))
    assert batch.phones.shape == (32, batch.token_times.shape[1], len(NUMBERED))
    assert set(np.unique(batch.phones.sum(axis=-1))) <= {0.0, 1.0}      # unknown, or one of them
    sibilant = batch.phones[:, :, NUMBERED.index('sibilant')]
    assert 0.05 < sibilant.mean() < 0.6
    # What is told has sounded 60 ms ago: the jaw was open when it did.
    jaw = [np.interp(batch.token_times[0] - 0.06, batch.times[0], clean[:, 0], 0, 0)
           for clean in batch.clean]
    known = batch.phones.sum(axis=-1) * (batch.token_times - 0.06 > batch.times[:, :1]) > 0
    assert np.corrcoef(np.array(jaw)[known], sibilant[known])[0, 1] > 0.9
    plain = draw(corpus, replace(BATCH, size=32), np.random.default_rng(2))
    assert all(np.array_equal(a, b) for a, b in zip(plain[:9], batch[:9], strict=True))
    assert plain.phones is None
    assert plain.speech is None


def test_what_is_taken_away_is_silence_and_what_is_unknown_stays_so(sounding):
    corpus = load_corpus(sounding)
    config = replace(BATCH, size=32, phones=True)
    batch = draw(corpus, config, np.random.default_rng(2))
    assert np.allclose(batch.speech.sum(axis=-1), batch.speech.sum(axis=-1).round(), atol=1e-3)
    # A token tells of the one before it, of whose middle 30 ms have passed.
    heard = [np.interp(batch.token_times[0] - 0.03, batch.times[0], clean[:, 0], 0, 0)
             for clean in batch.clean]
    known = batch.speech.sum(axis=-1) * (batch.token_times - 0.03 > batch.times[:, :1]) > 0
    assert 0.05 < batch.speech[known][:, 0].mean() < 0.9
    assert np.corrcoef(np.array(heard)[known], batch.speech[known][:, 0])[0, 1] > 0.9
    alone = draw(corpus, replace(config, sound=AugmentConfig(alone=1.0)),
                 np.random.default_rng(2))
    assert (alone.speech == [0, 1]).all()
    assert (alone.phones[..., -1] == 1).all()


def test_phones_are_learnt_and_leave_no_trace_in_the_bundle(sounding, tmp_path):
    run = train(plan(sounding, tmp_path / 'run', steps=60, phones=1.0), device='cpu')
    batch = draw(load_corpus(sounding), replace(BATCH, size=16, phones=True),
                 np.random.default_rng(5))
    found = losses(run, batch, 'cpu')['phones']
    assert found < 0.5 * np.log(len(NUMBERED))
    about = {'name': 'tiny', 'version': '0', 'styles': ['neutral'], 'languages': ['en'],
             'data': [], 'licence': 'Apache-2.0'}
    export(tmp_path / 'run', tmp_path / 'tiny', about, ('onnx',))
    plainly = make('live', tiny('live'))
    assert load_bundle(tmp_path / 'tiny').manifest['parameters'] == sum(
        parameter.numel() for parameter in plainly.parameters())


def test_a_network_that_learnt_who_speaks_tells_it_in_the_bundle(sounding, tmp_path):
    train(plan(sounding, tmp_path / 'one'), device='cpu')
    run = train(plan(sounding, tmp_path / 'run', steps=200, speech=1.0,
                     start_from=str(tmp_path / 'one')), device='cpu')
    batch = draw(load_corpus(sounding), replace(BATCH, size=16, phones=True),
                 np.random.default_rng(5))
    assert losses(run, batch, 'cpu')['speech'] < 0.5 * np.log(2)
    about = {'name': 'tiny', 'version': '0', 'styles': ['neutral'], 'languages': ['en'],
             'data': [], 'licence': 'Apache-2.0'}
    export(tmp_path / 'run', tmp_path / 'tiny', about, ('onnx',))
    engine = Engine(load_bundle(tmp_path / 'tiny'), EngineConfig(idle='off'))
    burst = np.where(np.abs(np.arange(48000) - 24000) < 8000, 0.3, 0).astype(np.float32)
    samples = burst * np.random.default_rng(0).standard_normal(48000).astype(np.float32)
    frames = engine.push(samples) + engine.flush()
    spoken = np.array([frame.flags == Flags.SPEECH for frame in frames])
    assert spoken[65:115].mean() > 0.9
    assert not spoken[:50].any()
    assert not spoken[150:].any()


def test_who_learnt_no_phones_goes_on_with_them_and_back(sounding, tmp_path):
    train(plan(sounding, tmp_path / 'one'), device='cpu')
    train(plan(sounding, tmp_path / 'two', phones=0.1, start_from=str(tmp_path / 'one')),
          device='cpu')
    train(plan(sounding, tmp_path / 'three', start_from=str(tmp_path / 'two')), device='cpu')
    names = {folder: set(torch.load(tmp_path / folder / 'checkpoint.pt')['network'])
             for folder in ('one', 'two', 'three')}
    assert names['two'] - names['one'] == {'ear.weight', 'ear.bias'}
    assert names['three'] == names['one']


def test_who_told_speech_goes_on_without(sounding, tmp_path):
    train(plan(sounding, tmp_path / 'one', speech=0.1), device='cpu')
    train(plan(sounding, tmp_path / 'two', start_from=str(tmp_path / 'one')), device='cpu')
    one, two = (set(torch.load(tmp_path / folder / 'checkpoint.pt')['network'])
                for folder in ('one', 'two'))
    assert {name.split('.')[0] for name in one - two} == {'speech'}


def test_training_goes_on_from_a_bundle(sounding, tmp_path):
    about = {'name': 'tiny', 'version': '0', 'styles': ['neutral'], 'languages': ['en'],
             'data': [], 'licence': 'Apache-2.0'}
    left = train(plan(sounding, tmp_path / 'one', speech=0.1), device='cpu')
    export(tmp_path / 'one', tmp_path / 'tiny', about)
    config = plan(sounding, tmp_path / 'two', speech=0.1, start_from=str(tmp_path / 'tiny'))
    begun = start(config, load_corpus(sounding), 'cpu')
    for name, value in left.average.half().state_dict().items():
        torch.testing.assert_close(begun.network.state_dict()[name], value.float(),
                                   atol=1e-6, rtol=0, msg=name)
    torch.testing.assert_close(begun.deviation, left.deviation, atol=1e-6, rtol=0)
    export(tmp_path / 'one', tmp_path / 'graphs', about, ('onnx',))
    with pytest.raises(ValueError, match='no programs'):
        start(replace(config, start_from=str(tmp_path / 'graphs')), load_corpus(sounding),
              'cpu')


def test_a_cache_without_phones_is_told_apart(corpus_path, tmp_path):
    with pytest.raises(ValueError, match='build it anew'):
        train(plan(corpus_path, tmp_path / 'run', phones=0.1), device='cpu')


def test_an_unknown_key_is_refused():
    with pytest.raises(ValueError, match='stepps'):
        from_table(TrainConfig, {'stepps': 3}, 'live.toml')
    assert from_table(TrainConfig, {'live': {'width': 64}}, 'x').network.width == 64
