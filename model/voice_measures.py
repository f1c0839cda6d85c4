# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What can be measured of a voice in its sound: pure functions on (n,) samples at 16 kHz."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.teacher import loudness

Array = NDArray[np.floating]

RATE: Final = 16000
FRAME: Final = 640              # samples that a pitch is looked for in, two periods of 50 Hz
STEP: Final = 320
TRANSFORM: Final = 2048
LOWEST, HIGHEST = 70, 400       # Hz
VOICED: Final = 0.5             # autocorrelation from which a frame counts as voiced
LOUD: Final = 0.4               # of `teacher.loudness`: above it somebody speaks
BANDS: Final = (250.0, 4000.0)  # Hz between which the tilt is measured
NAMES: Final = ('pitch', 'liveliness', 'tilt', 'brightness')


def measures(samples: Array) -> Array:
    """
    Return the four `NAMES` of a clip.

    Pitch is the median in octaves above 100 Hz, liveliness its deviation in octaves, tilt the
    slope of the spectrum of voiced sound in dB per octave, brightness its centroid in octaves
    above 1 kHz. A clip without voiced sound is like a voice at 150 Hz without colour.
    """
    frames = np.lib.stride_tricks.sliding_window_view(
        np.pad(np.asarray(samples, np.float32), (0, FRAME)), FRAME)[::STEP]
    power = np.abs(np.fft.rfft(frames * np.hanning(FRAME).astype(np.float32), TRANSFORM)) ** 2
    octaves, voiced = pitches(power)
    level = power.sum(axis=1)
    voiced &= level > 0.01 * np.percentile(level, 95)
    if voiced.sum() < 5:
        return np.array([np.log2(1.5), 0.0, 0.0, 0.0])
    heard = octaves[voiced]
    middle = np.median(heard)
    near = heard[np.abs(heard - middle) < 0.6]          # others are octave errors
    return np.array([middle, near.std(), *colour(power[voiced].mean(axis=0))])


def pitches(power: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Return octaves above 100 Hz and whether a frame is voiced, of (n, bins) power spectra."""
    # The window's own autocorrelation falls off; divided out, a long lag has its fair chance.
    window = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(FRAME), TRANSFORM)) ** 2)
    found = np.fft.irfft(power) / np.maximum(window / window[0], 0.05)
    lags = np.arange(RATE // HIGHEST, RATE // LOWEST)
    among = found[:, lags] / np.maximum(found[:, :1], 1e-9)
    best = among.max(axis=1)
    # The first peak that is nearly as high as the highest: one period, not two of them.
    before, after = (np.pad(among, ((0, 0), side), mode='edge') for side in ((1, 0), (0, 1)))
    peak = (among >= before[:, :-1]) & (among >= after[:, 1:])
    first = (peak & (among > 0.9 * best[:, None])).argmax(axis=1)
    return np.log2(RATE / lags[first] / 100.0), best > VOICED


def colour(spectrum: Array) -> tuple[float, float]:
    """Return tilt (dB per octave) and brightness (octaves above 1 kHz) of a mean spectrum."""
    hertz = np.arange(len(spectrum)) * RATE / TRANSFORM
    inside = (hertz >= BANDS[0]) & (hertz <= BANDS[1])
    octaves = np.log2(hertz[inside] / 1000.0)
    share = 1.0 / hertz[inside]                         # every octave counts alike
    level = 10.0 * np.log10(spectrum[inside] + 1e-12)
    away = octaves - np.average(octaves, weights=share)
    tilt = (share * away * level).sum() / (share * away * away).sum()
    return float(tilt), float(np.average(octaves, weights=spectrum[inside]))


def arousal(samples: Array) -> float:
    """Return how fast loudness goes up and down while somebody speaks, per second."""
    level = loudness(np.asarray(samples, np.float32))
    change = np.abs(np.diff(level, append=level[-1:]))
    heard = level > LOUD
    return float(change[heard].mean() * 100.0) if heard.any() else 0.0
