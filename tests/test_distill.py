# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

import csv
from dataclasses import replace
import math

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from tiny_corpus import plan, write_corpus  # noqa: E402

from model.batches import draw  # noqa: E402
from model.data import load_corpus  # noqa: E402
from model.distill import (  # noqa: E402
    DistillConfig,
    distil,
    draw_starts,
    listen,
    losses,
    start,
    update,
)
from model.export import Denoise, random_cut, random_step  # noqa: E402
from model.few_steps import Place, consistency, moved, two_as_one, unhurried  # noqa: E402
from model.loop import save, seeded  # noqa: E402
from model.noising import levels_at  # noqa: E402
from model.ranks import ALONE  # noqa: E402
from model.train import train  # noqa: E402

pytestmark = pytest.mark.model
MEAN, SPREAD = 0.4, 0.7         # of the Gaussian that the analytical estimates know


def levels(timesteps):
    return levels_at('live', timesteps.numpy(), timesteps.device)


def denoiser(place, _step_size):
    """Return the mean of the clean data, exactly, as a network trained for ever would."""
    level = levels(place.timesteps)
    gain = level.alpha * SPREAD**2 / (level.alpha**2 * SPREAD**2 + level.sigma**2)
    return MEAN + gain * (place.noisy - level.alpha * MEAN)


def flowed(place, timesteps):
    """Return where the exact flow (infinitely many steps) carries the frames."""
    now, then = levels(place.timesteps), levels(timesteps)
    width = [torch.sqrt(level.alpha**2 * SPREAD**2 + level.sigma**2) for level in (now, then)]
    return then.alpha * MEAN + width[1] / width[0] * (place.noisy - now.alpha * MEAN)


def flow(place, step_size):
    """Return the perfect shortcut: the estimate whose one step ends where the flow does."""
    after = place.timesteps - step_size[:, None]
    now, then, end = levels(place.timesteps), levels(after), flowed(place, after)
    return (now.sigma * end - then.sigma * place.noisy) / (
        now.sigma * then.alpha - then.sigma * now.alpha)


def somewhere(timestep, *, excerpts=3, frames=5):
    torch.manual_seed(0)
    times = torch.full((excerpts, frames), timestep)
    return Place(torch.randn(excerpts, frames, 52), times, torch.ones(excerpts, frames))


def sized(size, excerpts=3):
    return torch.full((excerpts,), size)


@pytest.mark.parametrize(('timestep', 'size'), [(1.0, 1.0), (1.0, 0.5), (0.5, 0.5), (0.75, 0.25)])
def test_a_perfect_student_is_a_fixed_point_of_halving_and_of_shortcuts(timestep, size):
    place = somewhere(timestep)
    assert torch.allclose(two_as_one(flow, place, sized(size), levels), flow(place, sized(size)),
                          atol=1e-5)


@pytest.mark.parametrize('timestep', [1.0, 0.5, 0.25])
def test_a_perfect_student_is_a_fixed_point_of_consistency(timestep):
    def end(place, _step_size):
        return flowed(place, torch.zeros_like(place.timesteps))

    place = somewhere(timestep)
    found = consistency(flow, end, place, sized(0.25), levels)
    assert torch.allclose(found, end(place, None), atol=1e-5)


@pytest.mark.parametrize(('timestep', 'size'), [(1.0, 1.0), (1.0, 0.5), (0.5, 0.25)])
def test_one_step_to_the_target_ends_where_two_steps_do(timestep, size):
    place, half = somewhere(timestep), sized(size / 2)
    middle = moved(place, denoiser(place, half), half, levels)
    end = moved(middle, denoiser(middle, half), half, levels)
    target = two_as_one(denoiser, place, sized(size), levels)
    assert torch.allclose(moved(place, target, sized(size), levels).noisy, end.noisy, atol=1e-5)


def test_the_target_is_the_mean_of_both_estimates_that_the_docstring_says():
    place, half = somewhere(0.75), sized(0.25)
    first = denoiser(place, half)
    second = denoiser(moved(place, first, half, levels), half)
    a, b, c = (0.5 * math.pi * timestep for timestep in (0.75, 0.5, 0.25))
    share = math.sin(a) * math.sin(b - c) / (math.sin(b) * math.sin(a - c))
    found = two_as_one(denoiser, place, sized(0.5), levels)
    assert 0 < share < 1
    assert torch.allclose(found, share * second + (1 - share) * first, atol=1e-5)


def test_the_past_stays_where_it_is():
    place = somewhere(0.5)
    place.active[:, :2] = 0
    after = moved(place, torch.zeros(3, 5, 52), sized(0.25), levels)
    assert torch.equal(after.noisy[:, :2], place.noisy[:, :2])
    assert torch.equal(after.timesteps[0], torch.tensor([0.5, 0.5, 0.25, 0.25, 0.25]))


def test_the_shortest_shortcuts_are_made_of_estimates_that_know_no_step():
    asked = []
    unhurried(lambda _place, size: asked.append(size), 1 / 16)(None, torch.tensor([1 / 16, 1 / 8]))
    assert torch.equal(asked[0], torch.tensor([0.0, 1 / 8]))


@pytest.fixture(scope='module')
def corpus_path(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp('corpus'))


@pytest.fixture(scope='module')
def teacher(corpus_path, tmp_path_factory):
    """Return the folder of a trained run."""
    folder = tmp_path_factory.mktemp('teacher')
    train(plan(corpus_path, folder, steps=6, learning_rate=6e-3), device='cpu')
    return folder


def distillation(corpus_path, teacher, out, **changes):
    values = {'corpus': str(corpus_path), 'start_from': str(teacher), 'out': str(out), 'finest': 4,
              'steps': 4, 'warm_up': 1, 'checkpoint_every': 4, 'shortcut_share': 0.5,
              'batch': plan(corpus_path, out).batch, **changes}
    return DistillConfig(**values)


@pytest.mark.parametrize('method', ['halving', 'shortcut', 'consistency'])
def test_a_resumed_run_is_the_run_that_was_never_stopped(corpus_path, teacher, tmp_path, method):
    corpus = load_corpus(corpus_path)
    whole = distil(distillation(corpus_path, teacher, tmp_path / 'whole', method=method,
                                past_share=0.5), device='cpu')
    config = distillation(corpus_path, teacher, tmp_path / 'cut', method=method, past_share=0.5)
    run = start(config, 'cpu')
    for step in range(2):           # of halving, the first stage: the second has another teacher
        rng = seeded(config.seed, step, ALONE)
        update(run, config, draw(corpus, config.batch, rng), rng, 'cpu')
    (tmp_path / 'cut').mkdir()
    save(run, tmp_path / 'cut')
    resumed = distil(config, device='cpu')
    for one, two in ((whole.network, resumed.network), (whole.average, resumed.average),
                     (whole.teacher, resumed.teacher)):
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(),
                                                     strict=True))


def test_halving_promotes_its_student(corpus_path, teacher, tmp_path):
    config = distillation(corpus_path, teacher, tmp_path, method='halving')
    assert config.stages == [2, 1]
    assert [config.stage(step) for step in range(4)] == [(2, 0), (2, 1), (1, 0), (1, 1)]
    first = start(config, 'cpu').teacher
    assert first.config.told == ()
    last = distil(config, device='cpu').teacher
    assert last.config.told == ('guidance',)        # the teacher of the second stage is a student


def test_a_student_begins_as_its_guided_teacher(corpus_path, teacher, tmp_path):
    config = distillation(corpus_path, teacher, tmp_path)
    run = start(config, 'cpu')
    batch = draw(load_corpus(corpus_path), config.batch, np.random.default_rng(0))
    clean = torch.from_numpy(batch.clean)
    place = Place(torch.from_numpy(batch.noise), torch.ones(clean.shape[:2]),
                  torch.ones(clean.shape[:2]))
    guidance, size = torch.ones(len(clean)), torch.zeros(len(clean))
    heard = {one: listen(one, batch, clean) for one in (run.teacher, run.network)}
    plain = run.teacher.denoise(place.noisy, place.timesteps, heard[run.teacher].condition)
    for one in heard.values():      # guidance of 1, in two passes or told, is none
        assert torch.allclose(one.estimate(guidance)(place, size), plain, atol=1e-5)


def test_a_batch_begins_where_the_sampler_will(corpus_path, teacher, tmp_path):
    blocks = np.repeat(np.arange(6.0), 4)[None].repeat(64, axis=0)
    for method, grid in (('halving', 2), ('shortcut', 4), ('consistency', 4)):
        config = distillation(corpus_path, teacher, tmp_path, method=method, past_share=0.5)
        starts = draw_starts(config, blocks, config.stage(0)[0], np.random.default_rng(0))
        now = starts.timesteps[starts.active > 0]
        assert np.array_equal(now * grid, np.round(now * grid))
        assert now.min() > 0
        assert starts.timesteps[starts.active == 0].max() <= 0.2
        assert ((starts.guidance >= 1) & (starts.guidance <= 3)).all()
        assert 0.2 < (starts.guidance == 1).mean() < 0.8
        reach = starts.timesteps[:, -1] - starts.step_size
        assert (reach >= 0).all()
    assert set(starts.step_size) == {0.25}


def test_one_batch_can_be_learnt_by_heart(corpus_path, teacher, tmp_path):
    config = distillation(corpus_path, teacher, tmp_path, steps=12, learning_rate=3e-3)
    run = start(config, 'cpu')
    batch = draw(load_corpus(corpus_path), config.batch, np.random.default_rng(3))
    starts = draw_starts(config, batch.blocks, 4, np.random.default_rng(0))
    first = losses(run, config, batch, starts, 'cpu')['coefficient'].item()
    for _ in range(12):
        update(run, config, batch, np.random.default_rng(0), 'cpu')
    assert losses(run, config, batch, starts, 'cpu')['coefficient'].item() < 0.6 * first


def test_what_a_student_is_told_are_inputs_of_its_graph(corpus_path, teacher, tmp_path):
    # `python -m model.smoke` exports students and streams them; here, what is exported.
    run = start(distillation(corpus_path, teacher, tmp_path, finest=16), 'cpu')
    assert run.manifest == {'steps': [1, 8], 'usual_steps': 2, 'guidance': 'baked',
                            'past_from_steps': None}
    network = run.network.eval().requires_grad_(False)
    rng = np.random.default_rng(0)
    inputs = random_step(network, random_cut(6, 20, rng), rng)
    assert list(inputs)[-2:] == ['step_size', 'guidance']
    plain = Denoise(network)(*inputs.values())
    for name in ('step_size', 'guidance'):
        other = {**inputs, name: inputs[name] + 0.5}
        assert torch.equal(Denoise(network)(*other.values()), plain)    # nothing learnt yet
        network.told.embeddings[name].down.weight.normal_()
        assert not torch.allclose(Denoise(network)(*other.values()),
                                  Denoise(network)(*inputs.values()), atol=1e-4)
        network.told.embeddings[name].down.weight.zero_()


def test_a_talker_halves_its_encoder_too_and_keeps_telling_voices_apart(corpus_path, tmp_path):
    settings = plan(corpus_path, tmp_path / 'teacher', 'diffusiontalker', steps=2)
    sizes = replace(settings.diffusiontalker, encoder_blocks=2)
    train(replace(settings, diffusiontalker=sizes, learning_rate=6e-3), device='cpu')
    config = distillation(
        corpus_path, tmp_path / 'teacher', tmp_path / 'student', method='halving', audio=1.0,
        contrast=0.1, encoder_blocks=1, steps=2, voices=str(corpus_path / 'voices.json'),
        batch=replace(settings.batch, voice_seconds=0.6))
    run = distil(config, device='cpu')
    assert len(run.network.encoder.blocks) == 1
    rows = list(csv.DictReader((tmp_path / 'student' / 'log.csv').read_text().splitlines()))
    assert float(rows[0]['audio']) > 0
    assert {'identity', 'emotion', 'face', 'personal'} < set(rows[0])


@pytest.mark.parametrize('wrong', [{'method': 'magic'}, {'finest': 12}, {'steps': 5}])
def test_a_plan_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=r'expected|shared'):
        DistillConfig(**{'method': 'halving', **wrong})
