# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Muon steps the matrices between layers, AdamW the rest; a run of either can be resumed."""

from dataclasses import replace

import pytest

pytest.importorskip('torch')

from tiny_corpus import plan, train_until, write_corpus
import torch

from model import optimisers
from model.live_denoiser import LiveConfig, LiveDenoiser
from model.train import train

pytestmark = pytest.mark.model


@pytest.fixture(scope='module')
def corpus_path(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp('corpus'))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return LiveDenoiser(LiveConfig(width=16, heads=2, layers=1, feed_forward=32, encoder_blocks=1))


def test_what_goes_in_and_comes_out_is_no_hidden_matrix(network):
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    hidden = [names[id(matrix)] for matrix in optimisers.hidden_matrices(network)]
    assert {name.rsplit('.', 2)[-2] for name in hidden} == {
        'up', 'down', 'query', 'key_value', 'out', 'modulate'}
    assert 'out.weight' not in hidden
    assert 'into.weight' not in hidden


def test_a_step_of_muon_leaves_no_direction_behind(network):
    matrix = network.layers[0].up.weight
    before = matrix.detach().clone()
    matrix.grad = torch.outer(torch.ones(len(matrix)), torch.ones(matrix.shape[1]))
    matrix.grad += 0.01 * torch.randn_like(matrix)
    wanted = torch.linalg.svdvals(matrix.grad)
    assert wanted[0] > 100 * wanted[1]
    optimisers.make('muon', network, 0.01, 0.0).step()
    taken = torch.linalg.svdvals(matrix.detach() - before)
    assert taken[0] < 5 * taken[-1]


def test_whoever_is_not_known_is_refused(network):
    with pytest.raises(ValueError, match='expected one of adamw, muon'):
        optimisers.make('sgd', network, 0.01, 0.0)


@pytest.mark.parametrize('kind', ['adamw', 'muon'])
def test_a_resumed_run_is_the_run_that_was_never_stopped(corpus_path, tmp_path, kind):
    config = replace(plan(corpus_path, tmp_path / 'whole'), optimiser=kind, steps=4)
    whole = train(config, device='cpu')
    cut = replace(config, out=str(tmp_path / 'cut'), checkpoint_every=2)
    train_until(3, cut)
    resumed = train(cut, device='cpu')
    for one, two in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
        assert torch.equal(one, two)
