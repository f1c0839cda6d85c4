# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from avatar_bridge.audio.resample import Resampler

RATES = [8000, 11025, 22050, 44100, 48000, 96000, 192000]


def tones(rate, seconds=0.6):
    time = np.arange(int(rate * seconds) + 57) / rate
    return (0.5 * np.sin(2 * np.pi * 440 * time) + 0.2 * np.sin(2 * np.pi * 3000 * time + 1)
            ).astype(np.float32)


def stream(samples, rate, block):
    resampler = Resampler(rate, 16000)
    out = [resampler.push(samples[i:i + block]) for i in range(0, len(samples), block)]
    return np.concatenate([*out, resampler.flush()])


@pytest.mark.parametrize('rate', RATES)
def test_output_does_not_depend_on_block_size(rate):
    samples = tones(rate)
    whole = stream(samples, rate, len(samples))
    for block in (77, 160, 4096):
        assert np.array_equal(stream(samples, rate, block), whole)


@pytest.mark.parametrize('rate', RATES)
def test_samples_are_counted_exactly_and_stay_in_place(rate):
    samples = tones(rate)
    out = stream(samples, rate, 480)
    assert len(out) == -(-len(samples) * 16000 // rate)
    expected = tones(16000)
    common = slice(200, min(len(out), len(expected)) - 200)
    assert np.abs(out[common] - expected[common]).max() < 1e-4


@pytest.mark.parametrize('rate', RATES)
def test_it_holds_back_less_than_three_milliseconds(rate):
    resampler = Resampler(rate, 16000)
    given = sum(len(resampler.push(np.zeros(100, np.float32))) for _ in range(50))
    assert 5000 / rate - given / 16000 < 0.003


def test_what_would_alias_is_removed():
    time = np.arange(48000) / 48000
    out = stream(np.sin(2 * np.pi * 11000 * time).astype(np.float32), 48000, 480)
    assert np.abs(out[300:-300]).max() < 1e-3


def test_memory_does_not_grow():
    resampler = Resampler(44100, 16000)
    for _ in range(2000):
        resampler.push(np.zeros(441, np.float32))
    assert len(resampler._heard) < 2000


def test_after_a_flush_it_is_new():
    resampler = Resampler(48000, 16000)
    first = np.concatenate([resampler.push(tones(48000)), resampler.flush()])
    second = np.concatenate([resampler.push(tones(48000)), resampler.flush()])
    assert np.array_equal(first, second)
