# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The training loop: runs that are killed, logs, several processes, bfloat16, every network."""

import csv
from dataclasses import replace
import os
from pathlib import Path
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from tiny_corpus import plan, train_until, write_corpus  # noqa: E402
from two_ranks import stepped  # noqa: E402

from model.batches import draw  # noqa: E402
from model.journal import Journal, keep_steps_before  # noqa: E402
from model.loop import mixed, seeded  # noqa: E402
from model.networks import KINDS  # noqa: E402
from model.ranks import ALONE, Ranks  # noqa: E402
from model.train import losses, open_corpus, start, train, update  # noqa: E402

pytestmark = pytest.mark.model
HERE = Path(__file__).parent
ENVIRONMENT = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(HERE.parent)}


@pytest.fixture(scope='module')
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp('corpus'))


def same(one, other):
    """Tell whether two checkpoints hold the same bits, whatever they nest."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def checkpoint(config):
    return torch.load(Path(config.out) / 'checkpoint.pt', weights_only=True)


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_as_if_it_never_was(corpus, tmp_path):
    whole, cut = plan(corpus, tmp_path / 'whole'), plan(corpus, tmp_path / 'cut')
    train(whole, device='cpu')
    code = (f'import os; from tiny_corpus import plan, train_until\n'
            f'train_until(5, plan({str(corpus)!r}, {cut.out!r}), '
            'end=lambda: os.kill(os.getpid(), 9))')         # two steps behind its checkpoint
    died = subprocess.run([sys.executable, '-c', code], env=ENVIRONMENT, cwd=HERE, timeout=120,
                          capture_output=True)
    assert died.returncode == -9, died.stderr
    assert checkpoint(cut)['step'] == 3
    train(cut, device='cpu')
    assert same(checkpoint(whole), checkpoint(cut))
    assert (tmp_path / 'whole' / 'log.csv').read_bytes() == (
        tmp_path / 'cut' / 'log.csv').read_bytes()


def test_the_log_has_a_row_for_each_step_and_tensorboard_the_same_figures(corpus, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train_until(5, plan(corpus, tmp_path))
    train(plan(corpus, tmp_path), device='cpu')
    with (tmp_path / 'log.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert [int(row['step']) for row in rows] == list(range(6))
    events = EventAccumulator(str(tmp_path / 'tensorboard')).Reload().Scalars('coefficient')
    assert [event.step for event in events] == list(range(6))
    assert [event.value for event in events] == pytest.approx(
        [float(row['coefficient']) for row in rows], abs=1e-5)


@pytest.mark.parametrize(('written', 'kept'), [
    ('step,a\n0,1\n1,2\n2,3\n', 'step,a\n0,1\n1,2\n'),
    ('step,a\n0,1\n1,2\n2,', 'step,a\n0,1\n1,2\n'),
    ('0,1\n1,2\n2,3\n', '0,1\n1,2\n'),       # of the time before there was a header
])
def test_what_a_killed_run_logged_behind_its_checkpoint_is_dropped(tmp_path, written, kept):
    (tmp_path / 'log.csv').write_text(written)
    keep_steps_before(2, tmp_path / 'log.csv')
    assert (tmp_path / 'log.csv').read_text() == kept


def test_a_fresh_run_begins_a_fresh_log(tmp_path):
    (tmp_path / 'log.csv').write_text('step,b\n0,9\n')
    with Journal(tmp_path, first=0, last=1) as journal:
        journal.write(0, {'a': 0.5})
    assert (tmp_path / 'log.csv').read_text().split() == ['step,a', '0,0.50000']


def test_dropout_is_drawn_by_seed_step_and_rank():
    drawn = [(seeded(1, step, ranks), torch.rand(4))[1] for step, ranks in (
        (5, ALONE), (6, ALONE), (5, Ranks(1, 2)), (5, ALONE))]
    assert torch.equal(drawn[0], drawn[3])
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.slow
def test_two_processes_train_one_network(corpus, tmp_path):
    subprocess.run([sys.executable, '-m', 'torch.distributed.run', '--standalone',
                    '--nproc_per_node', '2', HERE / 'two_ranks.py', corpus, tmp_path],
                   check=True, env=ENVIRONMENT, timeout=240, capture_output=True)
    first, second = (torch.load(tmp_path / f'rank-{rank}.pt', weights_only=True)
                     for rank in (0, 1))
    assert first['agreed']['weight'].unique().tolist() == [1.5]
    assert first['agreed']['bias'].unique().tolist() == [2.0]
    assert same(first, second)
    assert same(first['straight'], first['resumed'])
    assert same(first['stepped'], stepped())
    alone = train(plan(corpus, tmp_path / 'alone', steps=4, optimiser='muon'), device='cpu')
    assert not same(alone.network.state_dict(), first['straight'])      # other halves were drawn
    assert len((tmp_path / 'straight' / 'log.csv').read_text().splitlines()) == 5


def test_a_batch_that_cannot_be_shared_is_refused():
    assert Ranks(1, 2).share(8) == 4
    with pytest.raises(ValueError, match='multiple'):
        Ranks(0, 3).share(8)


@pytest.mark.parametrize('kind', KINDS)
def test_every_network_learns_one_batch_by_heart(corpus, tmp_path, kind):
    config = plan(corpus, tmp_path, kind, steps=50, learning_rate=1e-2)
    run = start(config, open_corpus(config), 'cpu')
    batch = draw(open_corpus(config), config.batch, np.random.default_rng(3))
    found = [update(run, config, batch, 'cpu')['coefficient'] for _ in range(50)]
    assert min(found) < 0.35 * found[0]


@pytest.mark.parametrize('kind', KINDS)
def test_bfloat16_gives_nearly_the_losses_of_float32(corpus, tmp_path, kind):
    config = plan(corpus, tmp_path, kind)
    batch = draw(open_corpus(config), config.batch, np.random.default_rng(3))
    found = []
    for precision in ('float32', 'bfloat16'):
        run = start(replace(config, precision=precision), open_corpus(config), 'cpu')
        for _ in range(3):
            update(run, config, batch, 'cpu')
        found.append([loss.item() for loss in losses(run, batch, 'cpu').values()])
        assert all(parameter.dtype == torch.float32 for parameter in run.network.parameters())
    exact, rough = found
    assert exact != rough
    assert rough == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize(('precision', 'kind'), [
    ('auto', torch.float32), ('float32', torch.float32), ('bfloat16', torch.bfloat16)])
def test_matrix_work_is_done_as_configured(precision, kind):
    with mixed('cpu', precision):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == kind


@pytest.mark.parametrize('kind', KINDS)
def test_nothing_stays_behind_on_the_cpu(corpus, tmp_path, kind):
    """Tensors of the device `meta` refuse to meet those of the CPU, as those of a GPU do."""
    config = plan(corpus, tmp_path, kind)
    run = start(config, open_corpus(config), 'meta')
    parts = losses(run, draw(open_corpus(config), config.batch, np.random.default_rng(3)), 'meta')
    sum(parts.values()).backward()
    assert {loss.device.type for loss in parts.values()} == {'meta'}


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match='bfloat16'):
        mixed('cpu', 'half')
