# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from avatar_bridge import rig
from avatar_bridge.diffusion.face_model import DiffusionFaceModel, Sampling, frame_noise
from avatar_bridge.diffusion.rolling import RollingFaceModel
from avatar_bridge.diffusion.sampler import (
    SCHEDULES,
    cosine_level,
    evenly,
    guided,
    sample,
    scaled_linear_level,
)
from avatar_bridge.frames import AudioWindow
from avatar_bridge.timeline import StreamSpec

NOISE = np.random.default_rng(0).standard_normal((8, 52)).astype(np.float32)


@pytest.mark.parametrize('steps', [1, 2, 4, 8])
def test_a_perfect_denoiser_is_believed(steps):
    truth = np.full((8, 52), 0.7, np.float32)
    out = sample(lambda _noisy, _level: truth, NOISE, levels=evenly(steps))
    assert np.allclose(out, truth)


@pytest.mark.parametrize('steps', [1, 2, 8])
def test_known_frames_come_back_untouched_and_are_seen_clean(steps):
    known = np.full((3, 52), 0.2, np.float32)

    def denoise(noisy, _level):
        assert np.array_equal(noisy[:3], known)
        return np.zeros_like(noisy)

    out = sample(denoise, NOISE, levels=evenly(steps), known=known)
    assert np.array_equal(out[:3], known)
    assert not out[3:].any()


@pytest.mark.parametrize('path', SCHEDULES.values(), ids=SCHEDULES)
def test_a_path_keeps_the_variance(path):
    for timestep in (0.0, 0.3, 1.0):
        level = path(timestep)
        assert level.timestep == timestep
        assert level.alpha**2 + level.sigma**2 == pytest.approx(1.0)


def test_the_scaled_linear_path_is_the_published_one():
    assert scaled_linear_level(0.0)[1:] == (1.0, 0.0)
    assert scaled_linear_level(0.001).alpha ** 2 == pytest.approx(1 - 0.00085)
    ends = scaled_linear_level(0.999).alpha ** 2, scaled_linear_level(1.0).alpha ** 2
    assert ends[1] / ends[0] == pytest.approx(1 - 0.012)
    assert ends[1] == pytest.approx(0.00466, abs=1e-5)      # a check by numpy's cumulative product


def test_ddim_follows_the_exact_path_of_a_gaussian():
    # Data N(0, s^2): the ideal denoiser is linear and many small steps reach deviation s.
    spread = 0.5

    def denoise(noisy, level):
        return noisy * level.alpha * spread**2 / (level.alpha**2 * spread**2 + level.sigma**2)

    noise = np.random.default_rng(1).standard_normal((4000, 4))
    out = sample(denoise, noise, levels=evenly(64))
    assert out.std() == pytest.approx(spread, rel=0.05)


def test_guidance_of_one_is_off_and_two_goes_twice_as_far():
    def one(noisy, _level):
        return noisy * 0 + 1

    def nothing(noisy, _level):
        return noisy * 0

    level = cosine_level(1.0)
    assert guided(one, nothing, 1.0) is one
    assert (guided(one, nothing, 2.0)(NOISE, level) == 2).all()


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match='steps'):
        evenly(0)


def test_noise_belongs_to_the_seed_and_the_frame():
    whole = frame_noise(7, 100, 20)
    assert np.array_equal(frame_noise(7, 110, 5), whole[10:15])
    assert not np.array_equal(frame_noise(8, 100, 20), whole)
    assert abs(float(frame_noise(7, -50, 200).std()) - 1.0) < 0.02


@pytest.mark.parametrize('make', [DiffusionFaceModel, RollingFaceModel])
def test_the_mouth_starts_from_as_much_noise_as_the_manifest_says(make):
    class Keeping(Guided):
        def denoise(self, noisy, timesteps, condition):
            self.given = noisy
            return super().denoise(noisy, timesteps, condition)

    mouth, spec = list(rig.MOUTH), StreamSpec()
    upper = [index for index in range(52) if index not in rig.MOUTH]
    given = {}
    for share in (0.0, 0.5, 1.0):
        network = Keeping()
        sampling = Sampling(past_from_steps=None, guidance='baked', mouth_noise=share)
        model = make(network, spec, seed=7, sampling=sampling)
        model.predict(AudioWindow(0, np.zeros(0, np.float32), 0, spec.window),
                      np.zeros((0, 52), np.float32), model.initial_state())
        given[share] = network.given
    assert not given[0.0][:, mouth].any()
    assert np.allclose(2 * given[0.5][:, mouth], given[1.0][:, mouth])
    assert np.array_equal(given[0.0][:, upper], given[1.0][:, upper])
    assert given[1.0][:, mouth].std() > 0.8


class Guided:
    """Says the guidance that it was told, and how often it was asked."""

    def __init__(self):
        self.asked = 0

    def initial_state(self):
        return {}

    def listen(self, _audio, state):
        return {'deaf': 0.0}, state

    def spoken(self, _state):
        return None

    def deaf(self, condition):
        return {**condition, 'deaf': 1.0}

    def told(self, condition, **told):
        return {**condition, **told}

    def denoise(self, noisy, _timesteps, condition):
        self.asked += 1
        return np.full_like(noisy, condition['guidance'] * (1.0 - condition['deaf']))


@pytest.mark.parametrize(('guidance', 'asked', 'said'), [('baked', 2, 3.0), ('two_pass', 4, 9.0)])
def test_guidance_that_is_baked_in_costs_no_second_pass(guidance, asked, said):
    network = Guided()
    model = DiffusionFaceModel(network, StreamSpec(), steps=2, guidance_scale=3.0,
                               sampling=Sampling(guidance=guidance, past_from_steps=None))
    audio = AudioWindow(0, np.zeros(0, np.float32), 0, StreamSpec().window)
    frames, _ = model.predict(audio, np.zeros((0, 52), np.float32), model.initial_state())
    assert network.asked == asked
    assert np.allclose(frames.coefficients, said)       # two passes: 0 + 3 (3 - 0)


@pytest.mark.parametrize(('past_from', 'seen'), [(None, 1.0), (2, 0.1), (3, 1.0)])
def test_the_past_is_handed_over_where_the_manifest_asks_for_it(past_from, seen):
    class Watching(Guided):
        def denoise(self, noisy, timesteps, condition):
            self.first = timesteps[0] if not self.asked else self.first
            return super().denoise(noisy, timesteps, condition)

    network, spec = Watching(), StreamSpec()
    model = DiffusionFaceModel(network, spec, steps=2,
                               sampling=Sampling(past_from_steps=past_from))
    model.predict(AudioWindow(0, np.zeros(0, np.float32), 0, spec.window),
                  np.zeros((spec.context, 52), np.float32), {})
    assert network.first == pytest.approx(seen)
