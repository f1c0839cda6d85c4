# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

import numpy as np

from avatar_bridge.audio import mel

RNG = np.random.default_rng(0)
SAMPLES = (0.1 * RNG.standard_normal(16000)).astype(np.float32)


def test_streaming_equals_offline():
    tail = np.zeros(mel.HISTORY, np.float32)
    whole, _ = mel.log_mel(SAMPLES, tail)
    pieces = []
    for start in range(0, len(SAMPLES), 333):
        features, tail = mel.log_mel(SAMPLES[start:start + 333], tail)
        pieces.append(features)
    assert np.allclose(np.concatenate(pieces), whole, atol=1e-5)
    assert whole.shape == (100, mel.BANDS)


def test_a_feature_is_complete_with_its_last_sample():
    tail = np.zeros(mel.HISTORY, np.float32)
    assert len(mel.log_mel(SAMPLES[:159], tail)[0]) == 0
    assert len(mel.log_mel(SAMPLES[:160], tail)[0]) == 1


def test_a_constant_offset_is_not_heard():
    tail = np.full(mel.HISTORY, 0.3, np.float32)
    silence, _ = mel.log_mel(np.full(1600, 0.3, np.float32), tail)
    assert np.allclose(silence, mel.log_compress(np.zeros(1, np.float32)), atol=1e-3)


def test_a_tone_lights_its_own_band():
    low, high = 2595 * np.log10(1 + np.array([60, 7600]) / 700)
    edges = 700 * (10 ** (np.linspace(low, high, mel.BANDS + 2) / 2595) - 1)
    time = np.arange(1600) / 16000
    for band in (20, 40, 60):
        tone = np.sin(2 * np.pi * edges[band + 1] * time).astype(np.float32)
        features, _ = mel.log_mel(tone, np.zeros(mel.HISTORY, np.float32))
        assert features[5].argmax() == band
