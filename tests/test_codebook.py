# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Motion as codes: the autoencoder streams, its codebook lives, its training can be resumed."""

from dataclasses import replace
import json

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from tiny_corpus import BATCH, write_corpus  # noqa: E402

from model.batches import draw  # noqa: E402
from model.codebook import Codebook, CodebookConfig, MotionCodebook, intervals  # noqa: E402
from model.data import load_corpus  # noqa: E402
from model.loop import save, seeded  # noqa: E402
from model.ranks import ALONE  # noqa: E402
from model.train_codebook import (  # noqa: E402
    CodebookTrainConfig,
    perplexity,
    start,
    train,
    trained,
    update,
)

pytestmark = pytest.mark.model
SMALL = CodebookConfig(width=32, blocks=2, components=4, code_width=6, codebook_size=32)
RATE = intervals(1, 30.0)


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    network = MotionCodebook(SMALL).requires_grad_(False)
    for parameter in network.parameters():      # nothing may hide behind a zero initialisation
        parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def motion(frames, seed=0):
    return torch.randn(1, frames, 52, generator=torch.Generator().manual_seed(seed))


def in_pieces(half, x, state, cuts):
    pieces = []
    for first, last in zip([0, *cuts], [*cuts, x.shape[1]], strict=True):
        piece, state = half(x[:, first:last], RATE, state)
        pieces.append(piece)
    return torch.cat(pieces, dim=1)


@pytest.mark.parametrize('seed', range(4))
def test_both_halves_stream_like_they_read_the_whole(network, seed):
    cuts = np.sort(np.random.default_rng(seed).choice(np.arange(1, 40), 1 + 3 * seed, False))
    for half, x in ((network.encoder, motion(40)), (network.decoder, motion(40)[..., :24])):
        state = half.settled(x[:, 0], RATE)
        whole, _ = half(x, RATE, state)
        assert torch.allclose(in_pieces(half, x, state, cuts.tolist()), whole, atol=1e-5)


def test_nothing_is_known_of_the_future(network):
    one, two = motion(30), motion(30)
    two[:, 20:] = 3.0
    first, second = network.encode(one, RATE), network.encode(two, RATE)
    assert torch.equal(first[:, :20], second[:, :20])
    assert not torch.equal(first[:, 20:], second[:, 20:])
    back = [network.decode(latents, RATE, latents[:, 0]) for latents in (first, second)]
    assert torch.equal(back[0][:, :20], back[1][:, :20])


def test_a_face_that_rests_is_decoded_as_one_pose(network):
    rest = motion(1).expand(-1, 20, -1)
    latents = network.encode(rest, RATE)
    assert torch.allclose(latents, latents[:, :1].expand_as(latents), atol=1e-5)
    back = network.decode(latents, RATE, latents[:, 0])
    assert torch.allclose(back, back[:, :1].expand_as(back), atol=1e-5)


def test_each_component_becomes_its_nearest_code():
    codebook = Codebook(SMALL)
    latents = torch.randn(2, 5, 24)
    parts = latents.reshape(2, 5, 4, 1, 6)
    distance = (parts - codebook.vectors).square().sum(dim=-1)
    assert torch.equal(codebook.nearest(latents), distance.argmin(dim=-1))
    quantised = codebook.quantise(latents)
    assert torch.allclose(quantised.latents, codebook.latents(quantised.codes), atol=1e-6)


def test_gradients_pass_straight_through_the_codebook():
    codebook, latents = Codebook(SMALL), torch.randn(1, 3, 24, requires_grad=True)
    codebook.quantise(latents).latents.mul(torch.arange(24.0)).sum().backward()
    assert torch.equal(latents.grad, torch.arange(24.0).expand(1, 3, 24))
    assert codebook.vectors.grad is None


def test_the_commitment_pulls_the_encoder_a_quarter_as_much():
    codebook, latents = Codebook(SMALL), torch.randn(1, 3, 24, requires_grad=True)
    quantised = codebook.quantise(latents)
    quantised.loss.backward()
    pull = latents - codebook.latents(quantised.codes)
    assert torch.allclose(latents.grad, 0.25 * 2 * pull / 72, atol=1e-7)
    assert codebook.vectors.grad.abs().sum() > 0


def test_dead_codes_come_back_where_latents_are():
    codebook, rng = Codebook(SMALL), np.random.default_rng(0)
    codebook.vectors.requires_grad_(False)
    latents = 5 + torch.randn(8, 30, 24, generator=torch.Generator().manual_seed(0))
    assert codebook.revive(latents, rng) == 32
    codebook.vectors[7:] = -50.0                # nobody is near these any more
    for _ in range(600):
        codebook.count(codebook.nearest(latents))
    assert codebook.revive(latents, rng) == 25
    assert (torch.bincount(codebook.nearest(latents).flatten(), minlength=32) > 0).all()
    assert codebook.revive(latents, rng) == 0


def test_perplexity_counts_codes_that_are_evenly_used():
    assert perplexity(np.array([5, 5, 0, 5, 5])) == pytest.approx(4.0)
    assert perplexity(np.array([9, 0, 0])) == pytest.approx(1.0)


@pytest.fixture(scope='module')
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp('corpus'))


def plan(corpus, out, **changes):
    settings = CodebookTrainConfig(str(corpus), str(out), steps=4, warm_up=2, checkpoint_every=2,
                                   network=SMALL, batch=BATCH)
    return replace(settings, **changes)


def test_one_batch_can_be_learnt_by_heart(corpus, tmp_path):
    settings = plan(corpus, tmp_path, steps=35, learning_rate=1e-2)
    run = start(settings, load_corpus(corpus), 'cpu')
    batch = draw(load_corpus(corpus), BATCH, np.random.default_rng(3))
    rng = np.random.default_rng(4)
    found = [update(run, settings, batch, rng)['coefficient'] for _ in range(35)]
    assert found[-1] < 0.4 * found[0]


def test_a_resumed_run_is_the_run_that_was_never_stopped(corpus, tmp_path):
    whole = train(plan(corpus, tmp_path / 'whole'), device='cpu')
    settings = plan(corpus, tmp_path / 'cut')
    opened = load_corpus(corpus)
    run = start(settings, opened, 'cpu')
    for step in range(2):
        rng = seeded(settings.seed, step, ALONE)
        update(run, settings, draw(opened, BATCH, rng), rng)
    (tmp_path / 'cut').mkdir()
    save(run, tmp_path / 'cut')
    resumed = train(settings, device='cpu')
    assert resumed.step == whole.step == 4
    for one, two in zip(whole.network.state_dict().values(),
                        resumed.network.state_dict().values(), strict=True):
        assert torch.equal(one, two)


def test_a_run_reports_reconstruction_and_usage(corpus, tmp_path):
    settings = plan(corpus, tmp_path)
    train(settings, device='cpu')
    for found in json.loads((tmp_path / 'report.json').read_text()):
        assert 0 < found['usage'] <= 1
        assert 1 <= found['perplexity'] <= 32 * found['usage'] + 1e-6
        assert 0 < found['weight_error'] < 1
        assert found['lip_gap_error_mm'] > 0
    network, mean, deviation = trained(tmp_path, 'cpu')
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert mean.shape == deviation.shape == (52,)
