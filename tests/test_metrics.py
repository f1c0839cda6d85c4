# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Metrics on signals whose answer is known."""

import numpy as np
import pytest

from avatar_bridge.rig import INDEX, NAMES
from model import metrics

RNG = np.random.default_rng(3)


def moving(seconds, fps):
    """Return a smooth (n,) track without period."""
    times = np.arange(round(seconds * fps)) / fps
    return sum(np.sin(speed * times + phase) for speed, phase in ((5.1, 0), (8.3, 1), (13.7, 2)))


def pose(**shapes):
    """Return (1, 52) weights."""
    weights = np.zeros((1, len(NAMES)), np.float32)
    for name, value in shapes.items():
        weights[0, INDEX[name]] = value
    return weights


def test_an_open_jaw_with_closed_lips_has_no_gap():
    assert metrics.lip_gap(pose(jawOpen=1.0)) == pytest.approx(0.337)
    assert metrics.lip_gap(pose(jawOpen=0.5, mouthFunnel=0.5)) == pytest.approx(0.2275)
    assert metrics.lip_gap(pose(jawOpen=0.5, mouthClose=0.5)) == 0
    assert metrics.lip_gap(pose(mouthSmileLeft=1, mouthSmileRight=1, jawOpen=1)) == pytest.approx(
        0.309)


def test_correlation_knows_sign_and_scale():
    track = moving(3, 25)
    assert metrics.pearson(track, 3 * track + 7) == pytest.approx(1)
    assert metrics.pearson(track, -track) == pytest.approx(-1)
    assert metrics.pearson(track, np.full(75, 0.4)) == 0
    assert metrics.pearson(np.array([1, 2, 3]), np.array([1, 3, 2])) == pytest.approx(0.5)


@pytest.mark.parametrize('frames', [-6, -1, 0, 3, 12])
def test_a_shifted_copy_gives_its_shift(frames):
    track = moving(4, 60)
    lags = [frame / 60 for frame in range(-15, 16)]
    rows = [metrics.lag_correlations(np.roll(track, frames), track, lags, fps=60, tracked_fps=60)]
    best = metrics.best_lag(rows, lags)
    assert best.milliseconds == pytest.approx(1000 * frames / 60)
    assert best.correlation > 0.97


def test_rates_need_not_agree():
    assert metrics.lip_gap_correlation(moving(3, 60), moving(3, 25), fps=60,
                                       tracked_fps=25) > 0.999


def test_closures_are_counted_by_hand():
    gap = np.full(100, 1.0)
    gap[20:23] = 0.1            # p at 0.20 s
    gap[70] = 0.1               # the vowel around 0.70 s
    phones = [('p', 0.20, 0.25), ('a', 0.30, 0.40), ('b', 0.50, 0.55), ('ə', 0.65, 0.75),
              ('t', 0.80, 0.90)]
    counted = metrics.closures(gap, phones, fps=100)
    assert counted == (1, 1, 1, 2)
    assert counted.f1 == pytest.approx(0.5)
    assert counted.false_share == 0.5


def test_labiodentals_are_counted_apart():
    gap = np.ones(100)
    gap[40:45] = 0
    phones = [('f', 0.40, 0.44), ('p', 0.60, 0.64), ('aɪ', 0.80, 0.90)]
    assert metrics.closures(gap, phones, fps=100, among=metrics.LABIODENTALS) == (1, 0, 0, 1)
    assert metrics.closures(gap, phones, fps=100) == (0, 1, 0, 1)


def test_a_vowel_beside_a_closure_of_another_kind_is_not_wrongly_shut():
    gap = np.ones(100)
    gap[60:68] = 0
    phones = [('p', 0.60, 0.64), ('ə', 0.64, 0.68), ('f', 0.80, 0.84)]
    assert metrics.closures(gap, phones, fps=100, among=metrics.LABIODENTALS) == (0, 1, 0, 0)


def test_closures_of_several_clips_count_together():
    together = metrics.pooled(iter([metrics.Closures(3, 1, 0, 8), metrics.Closures(0, 1, 1, 2)]))
    assert together == (3, 2, 1, 10)
    assert together.f1 == pytest.approx(6 / 9)
    assert np.isnan(metrics.pooled([]).f1)


@pytest.mark.parametrize(('late', 'hits'), [(0.0, 1), (0.03, 1), (0.06, 0)])
def test_a_closure_may_miss_its_phone_by_40_ms(late, hits):
    gap = np.full(100, 1.0)
    gap[round(100 * (0.5 + late))] = 0
    assert metrics.closures(gap, [('m', 0.5, 0.5)], fps=100).hits == hits


def test_silence_ends_100_ms_before_speech_and_begins_300_ms_after_it():
    quiet = metrics.quiet_frames(200, [(0.505, 1.0)], fps=100)
    assert quiet[:41].all()
    assert not quiet[41:131].any()
    assert quiet[131:].all()


def test_silence_share_counts_quiet_frames_at_rest():
    gap = np.ones(100)
    gap[50:75] = 0.04
    gap[75:] = 0.06
    quiet = np.arange(100) >= 50
    assert metrics.silence_share(gap, quiet) == 0.5
    assert metrics.silence_share(np.zeros(100), quiet) == 1
    assert np.isnan(metrics.silence_share(gap, np.zeros(100, bool)))


def test_even_noise_has_invisible_seams_and_steps_show():
    even = RNG.normal(size=(3000, 4))
    assert metrics.seam_ratio(even, 6) == pytest.approx(1, abs=0.1)
    stepped = even * 0.01 + np.repeat(RNG.normal(size=(500, 4)), 6, axis=0)
    assert metrics.seam_ratio(stepped, 6) > 10
    assert np.isnan(metrics.seam_ratio(even, 2))


def test_jitter_of_a_ramp_is_zero_and_of_a_jump_its_height():
    ramp = np.linspace(0, 1, 50)[:, None]
    assert metrics.jitter(ramp) == pytest.approx(0, abs=1e-12)
    assert metrics.jitter(np.array([[0.0], [0.0], [1.0], [1.0]])) == pytest.approx(1)


def test_loudness_is_the_level_of_a_tone_above_the_floor():
    times = np.arange(16000) / 16000
    tone = np.sin(2 * np.pi * 200 * times) * np.where(times < 0.5, 0.1, 0.001)
    loudness = metrics.loudness_envelope(tone, 16000, fps=60)
    assert len(loudness) == 60
    assert loudness[15] == pytest.approx(40 - 3.01, abs=0.1)
    assert loudness[45] == 0


def cloud(count, vertices=6):
    return RNG.normal(size=(count, vertices, 3))


def test_lip_vertex_error_takes_the_worst_lip_vertex_of_each_frame():
    truth = cloud(2)
    predicted = truth.copy()
    predicted[0, 1, 0] += 3         # 9 in the first frame
    predicted[0, 2, 1] += 1
    predicted[1, 2, 2] -= 1         # 1 in the second
    predicted[1, 5] += 100          # no lip
    lips = np.array([1, 2])
    assert metrics.lip_vertex_error(predicted, truth, lips) == pytest.approx(5)
    assert metrics.lip_vertex_error(truth, truth, lips) == 0


def test_mean_vertex_error_is_a_mean_of_distances():
    truth = cloud(3, 4)
    assert metrics.mean_vertex_error(truth + np.array([3, 0, 4]), truth) == pytest.approx(5)
    assert metrics.mean_vertex_error(truth, truth) == 0


def test_upper_face_dynamics_is_signed_and_zero_for_the_same_motion():
    neutral = cloud(1)[0]
    swing = np.array([0.0, 1.0, 0.0, 1.0])      # squared distance 0, 1: deviation 0.5
    truth = neutral + swing[:, None, None] * np.array([1.0, 0, 0])
    still = np.broadcast_to(neutral, truth.shape)
    upper = np.array([0, 3])
    assert metrics.upper_face_dynamics(truth, truth, neutral, upper) == 0
    assert metrics.upper_face_dynamics(still, truth, neutral, upper) == pytest.approx(0.5)
    assert metrics.upper_face_dynamics(truth, still, neutral, upper) == pytest.approx(-0.5)
    twice = neutral + 2 * (truth - neutral)     # squared distance 0, 4: deviation 2
    assert metrics.upper_face_dynamics(twice, truth, neutral, upper) == pytest.approx(-1.5)


def test_diversity_is_the_deviation_from_seed_to_seed():
    takes = np.stack([np.full((10, 2), value) for value in (0.0, 0.2)])
    assert metrics.diversity(takes) == pytest.approx(np.std([0.0, 0.2], ddof=1))
    assert metrics.diversity(np.repeat(takes[:1], 3, axis=0)) == 0


def test_a_track_of_several_channels_is_read_channel_by_channel():
    track = np.stack([np.arange(5.0), np.arange(5.0) ** 2], axis=1)
    assert metrics.at_times(track, np.array([0.05, 9.0]), fps=10) == pytest.approx(
        np.array([[0.5, 0.5], [4.0, 16.0]]))
