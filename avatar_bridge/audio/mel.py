# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Causal log-mel features: 80 bands, 25 ms frames, 10 ms apart, 16 kHz."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.frames import Samples

SAMPLE_RATE: Final = 16000
STRIDE: Final = 160             # samples between features
LENGTH: Final = 400             # samples in one feature; the last one is the newest heard
HISTORY: Final = LENGTH - STRIDE
BANDS: Final = 80
FFT_SIZE: Final = 512
FLOOR: Final = 1e-5             # power; about -70 dBFS of white noise
OFFSET: Final = 4.0             # (log power + OFFSET) / SCALE is near unit variance on speech
SCALE: Final = 4.0


@lru_cache(maxsize=1)
def mel_filters() -> NDArray[np.float32]:
    """Return (257, 80) triangles of height 1, evenly spaced in mel from 60 to 7600 Hz."""
    def mel(hertz: float) -> float:
        return 2595.0 * float(np.log10(1.0 + hertz / 700.0))

    edges = 700.0 * (10.0 ** (np.linspace(mel(60.0), mel(7600.0), BANDS + 2) / 2595.0) - 1.0)
    bins = np.arange(FFT_SIZE // 2 + 1)[:, None] * SAMPLE_RATE / FFT_SIZE
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)


@lru_cache(maxsize=1)
def hann() -> NDArray[np.float32]:
    """Return the periodic Hann window of one feature."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(LENGTH) / LENGTH)).astype(np.float32)


def mel_power(samples: Samples) -> NDArray[np.float32]:
    """
    Return the (n, 80) mel power of every whole feature in `samples`.

    `samples` begins with the HISTORY samples before the first feature's own STRIDE samples. The
    mean of each feature is taken out first, so a constant offset (DC) is never heard.
    """
    count = max(0, (len(samples) - HISTORY) // STRIDE)
    if count == 0:
        return np.zeros((0, BANDS), np.float32)
    pieces = np.lib.stride_tricks.sliding_window_view(samples, LENGTH)[::STRIDE][:count]
    centred = pieces - pieces.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(centred * hann(), FFT_SIZE, axis=1)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    return power @ mel_filters()


def log_compress(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return features near unit variance; digital silence is (log FLOOR + OFFSET) / SCALE."""
    return ((np.log(power + np.float32(FLOOR)) + OFFSET) / SCALE).astype(np.float32)


def log_mel(samples: Samples, tail: Samples) -> tuple[NDArray[np.float32], Samples]:
    """
    Return the (n, 80) features that `samples` complete, and the new tail.

    `tail` holds what the next feature still needs: HISTORY zeros before the first sample.
    """
    heard = np.concatenate([tail, samples])
    features = log_compress(mel_power(heard))
    return features, heard[len(features) * STRIDE:]
