# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

import json
import math

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from golden_codetalker import golden_frames  # noqa: E402
from golden_talkers import GOLDEN  # noqa: E402

from avatar_bridge.bundle import load_bundle  # noqa: E402
from avatar_bridge.config import EngineConfig  # noqa: E402
from avatar_bridge.stream.engine import Engine  # noqa: E402
from model.batches import BatchConfig, draw  # noqa: E402
from model.biased_denoiser import (  # noqa: E402
    BiasedConfig,
    BiasedDenoiser,
    DiagonalBias,
    PeriodicBias,
)
from model.condition import Condition, Cut  # noqa: E402
from model.data import Corpus, Entry, load_corpus  # noqa: E402
from model.train import TrainConfig, start  # noqa: E402

pytestmark = pytest.mark.model
CONFIG = BiasedConfig(width=32, heads=4, layers=2, feed_forward=48, encoder_blocks=1)
OURS = BiasedConfig(width=32, heads=4, layers=1, feed_forward=48, encoder_blocks=1,
                    motion_bias='seconds', audio_bias='seconds')


def shaken(config):
    """Return a network in which nothing hides behind a zero initialisation."""
    torch.manual_seed(0)
    network = BiasedDenoiser(config).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    return network


@pytest.fixture(scope='module', params=[CONFIG, OURS], ids=['paper', 'ours'])
def network(request):
    return shaken(request.param)


def cut(frames=12, tokens=20, *, horizon=1.0, fps=30.0):
    numbers = torch.arange(frames)[None]
    return Cut(numbers / fps, torch.div(numbers, 4, rounding_mode='floor').float(),
               torch.full((1, frames), horizon), 0.02 * torch.arange(tokens)[None])


def predict(network, *, heard, noisy, horizon=1.0, style=None, timestep=0.5):
    at = cut(noisy.shape[1], heard.shape[2], horizon=horizon)
    style = network.style.weight[:1] if style is None else style
    condition = Condition(heard, *network.align(at), style)
    return network.denoise(noisy, torch.full(noisy.shape[:2], timestep), condition)


def sound(network, seed=0):
    features = torch.randn(1, 40, 80, generator=torch.Generator().manual_seed(seed))
    return network.listen(features, network.initial_state())[0]


def noise(frames=12, seed=1):
    return torch.randn(1, frames, 52, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize('fps', [25, 30, 60])
def test_frames_are_biased_as_the_paper_has_it(fps):
    """The paper: past -m floor((i - j) / p), future -m floor((j - i - 1) / p), p = fps."""
    bias = PeriodicBias(4, 1.0, (-9.0, 9.0))
    frames = torch.arange(3 * fps)[None] / fps
    found = bias(frames, frames)[0].detach()
    i, j = np.meshgrid(np.arange(3 * fps), np.arange(3 * fps), indexing='ij')
    steps = np.where(j > i, (j - i - 1) // fps, (i - j) // fps)
    for head, slope in enumerate((1 / 4, 1 / 16, 1 / 64, 1 / 256)):
        assert np.allclose(found[head].numpy(), -slope * steps, atol=1e-5)


def test_frames_are_not_seen_beyond_the_span():
    bias = PeriodicBias(2, 1.0, (-0.5, 0.2))(torch.zeros(1, 1), torch.tensor([[-0.6, -0.4, 0.3]]))
    assert (bias[0, :, 0, [0, 2]] < -9e3).all()
    assert (bias[0, :, 0, 1] > -1).all()


def test_the_diagonal_hears_one_token_the_newest_it_may():
    at = cut(6, 20, horizon=0.15, fps=20.0)
    bias = DiagonalBias(0.05)(at)[0, 0]
    # frames at 0, .05, ... .25; tokens every .02, those up to min(frame + .05, .15) may be heard
    assert [torch.nonzero(row == 0).flatten().tolist() for row in bias] == [
        [2], [5], [7], [7], [7], [7]]
    assert (bias[bias != 0] <= -9e3).all()


def test_who_is_deaf_hears_no_token():
    assert (DiagonalBias(0.05)(cut(horizon=-1e3)) <= -9e3).all()


def test_what_a_frame_is_told_is_never_masked(network):
    motion, audio = network.align(cut(horizon=-1e3))
    assert (audio[..., 0] == 0).all()
    assert motion.shape == (1, 4, 12, 12)
    one, two = (predict(network, heard=sound(network), noisy=noise(), horizon=-1e3, **told)
                for told in ({}, {'style': network.style.weight[:1] + 1}))
    assert not torch.allclose(one, two, atol=1e-3)
    later = predict(network, heard=sound(network), noisy=noise(), horizon=-1e3, timestep=0.9)
    assert not torch.allclose(one, later, atol=1e-3)


def test_who_is_deaf_answers_the_same_to_every_sound(network):
    one, two = (predict(network, heard=sound(network, seed), noisy=noise(), horizon=-1e3)
                for seed in (0, 1))
    assert torch.equal(one, two)


def test_sound_beyond_the_horizon_is_not_heard(network):
    quiet = sound(network)
    loud = quiet.clone()
    loud[:, :, 11:] += 5.0              # tokens complete after 0.21 s
    one, two = (predict(network, heard=heard, noisy=noise(), horizon=0.21)
                for heard in (quiet, loud))
    assert torch.equal(one, two)
    assert not torch.equal(one, predict(network, heard=loud, noisy=noise(), horizon=0.4))


def test_a_block_does_not_see_the_blocks_after_it(network):
    changed = noise()
    changed[:, 8:] = 3.0
    one, two = (predict(network, heard=sound(network), noisy=noisy)
                for noisy in (noise(), changed))
    assert torch.allclose(one[:, :8], two[:, :8], atol=1e-6)
    assert not torch.allclose(one[:, 8:], two[:, 8:], atol=1e-3)


@pytest.fixture(scope='module')
def corpus(tmp_path_factory):
    """Write a cache of four clips whose faces follow bursts of noise."""
    folder, rng = tmp_path_factory.mktemp('corpus'), np.random.default_rng(0)
    levels = [np.repeat(rng.random(20) > 0.5, 10).astype(np.float32) for _ in range(4)]
    np.concatenate([6000 * np.repeat(level, 160) * rng.standard_normal(32000) for level in levels]
                   ).clip(-32768, 32767).astype(np.int16).tofile(folder / 'audio.i16')
    np.concatenate([np.outer(level, np.linspace(0.1, 0.5, 52)) for level in levels]
                   ).astype(np.float16).tofile(folder / 'curves.f16')
    (folder / 'clips.json').write_text(json.dumps([
        Entry(str(index), ('kokoro', 'grid')[index % 2], 'train', 'v', 'en', 32000 * index, 32000,
              200 * index, 200) for index in range(4)]))
    return folder


def settings(corpus, out, **changes):
    return TrainConfig(**{
        'corpus': str(corpus), 'out': str(out), 'kind': 'diffspeaker', 'steps': 2, 'threads': 1,
        'diffspeaker': CONFIG,
        'batch': BatchConfig(size=4, seconds=0.8, lead_in=0.2, noise_times='window'), **changes})


def test_all_frames_of_an_excerpt_have_one_noise_time(corpus):
    config = BatchConfig(size=8, seconds=0.8, noise_times='window')
    times = draw(load_corpus(corpus), config, np.random.default_rng(0)).timesteps
    assert (times == times[:, :1]).all()
    assert len(np.unique(times)) == 8


def test_raw_coefficients_are_the_weights_themselves(corpus, tmp_path):
    opened: Corpus = load_corpus(corpus)
    run = start(settings(corpus, tmp_path, coefficients='raw'), opened, 'cpu')
    assert (run.mean == 0).all()
    assert (run.deviation == 1).all()
    other = start(settings(corpus, tmp_path), opened, 'cpu')
    assert other.deviation.min() >= 0.02 > other.mean.min() - 1


@pytest.fixture(scope='module')
def bundle():
    return load_bundle(GOLDEN / 'diffspeaker')


def spoken(bundle, block):
    engine = Engine(bundle, EngineConfig(steps=3, guidance=1.5))
    samples = 0.2 * np.random.default_rng(0).standard_normal(12345).astype(np.float32)
    frames = [frame for start in range(0, len(samples), block)
              for frame in engine.push(samples[start:start + block])]
    return np.stack([frame.weights for frame in frames + engine.flush()])


def test_the_stream_does_not_depend_on_the_size_of_blocks(bundle):
    whole = spoken(bundle, 12345)
    assert len(whole) == math.ceil(12345 * 60 / 16000)
    for block in (160, 997, 4096):
        assert np.abs(spoken(bundle, block) - whole).max() < 1e-5


def test_the_golden_bundle_makes_the_golden_frames(bundle):
    frames = np.load(bundle.path / 'frames.npy')
    assert np.allclose(golden_frames(bundle.path), frames, atol=1e-4)


def test_it_is_sampled_as_the_paper_samples_it(bundle):
    assert bundle.manifest['network'] == 'diffspeaker'
    assert bundle.manifest['schedule'] == 'scaled_linear'
    assert bundle.manifest['past_from_steps'] is None
    assert (bundle.manifest['steps'], bundle.manifest['usual_steps']) == ([1, 50], 50)
