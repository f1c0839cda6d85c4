# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Melody of a voice: pitch, accents, and phrases that end in a question.

Pitch is YIN (de Cheveigné and Kawahara 2002) written with FFTs: no more is needed where only
accents and rises are asked for, and it costs no dependency.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from model.articulation import SILENCE, VOWELS
from model.coarticulation import RATE
from model.phones import Phone

Array = NDArray[np.float64]
SAMPLE_RATE: Final = 16000
HOP: Final = SAMPLE_RATE // RATE
WINDOW: Final = 512             # samples that are compared with later ones, 32 ms
LOWEST, HIGHEST = 65.0, 500.0   # Hz
LAGS: Final = round(SAMPLE_RATE / LOWEST)       # samples
SIZE: Final = 1024              # of the FFT: WINDOW + LAGS and more
PERIODIC: Final = 0.2           # difference, 1 for noise, below which a frame has a pitch
QUIET: Final = 1e-5             # mean power below which nothing sounds
CHUNK: Final = 2048             # frames at once
PAUSE: Final = 0.2              # seconds of silence that end a phrase
SPAN: Final = 6.0               # semitones above the voice's middle that make a full accent
LEAST: Final = 0.35             # prominence of an accent
ASKING: Final = 3.0             # semitones that a question rises


class Accent(NamedTuple):
    """A syllable that stands out; `prominence` in [0, 1]."""

    time: float                 # seconds
    prominence: float


class Phrase(NamedTuple):
    """Speech between pauses; `rise` in semitones from its middle to its last tone."""

    start: float                # seconds
    end: float                  # seconds
    rise: float

    @property
    def asks(self) -> bool:
        """Tell whether the voice rises as in a question."""
        return self.rise >= ASKING


def pitch(samples: NDArray[np.float32]) -> Array:
    """Return the (n,) pitch of 16 kHz samples in Hz, 100 a second; 0 where there is none."""
    count = -(-len(samples) // HOP)
    padded = np.pad(np.asarray(samples, float), (WINDOW // 2, WINDOW + LAGS + HOP))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW + LAGS)[::HOP][:count]
    found = np.concatenate([_yin(frames[at:at + CHUNK]) for at in range(0, count, CHUNK)]
                           or [np.zeros(0)])
    return median_filter(found, 5) * (found > 0)


def _yin(frames: Array) -> Array:
    """Return the pitch of (n, WINDOW + LAGS) frames."""
    spectrum = np.fft.rfft(frames, SIZE)
    alike = np.fft.irfft(spectrum * np.fft.rfft(frames[:, :WINDOW], SIZE).conj())[:, :LAGS]
    sums = np.cumsum(np.pad(frames ** 2, ((0, 0), (1, 0))), axis=1)
    power = sums[:, WINDOW:WINDOW + LAGS] - sums[:, :LAGS]
    difference = np.maximum(power[:, :1] + power - 2 * alike, 0)
    lags = np.arange(LAGS)
    mean = np.cumsum(difference, axis=1) / np.maximum(lags, 1)
    normal = np.where(lags > 0, difference / np.maximum(mean, 1e-12), 1.0)
    shortest = int(SAMPLE_RATE / HIGHEST)
    # The first dip that is deep enough, not the deepest: that may be an octave down.
    dip = (normal[:, 1:-1] < PERIODIC) & (normal[:, 1:-1] <= normal[:, 2:])
    dip &= (lags[1:-1] >= shortest) & (power[:, :1] > QUIET * WINDOW)
    period = np.argmax(dip, axis=1) + 1
    rows = np.arange(len(frames))
    before, at, after = (normal[rows, period + step] for step in (-1, 0, 1))
    bend = np.maximum(before - 2 * at + after, 1e-9)
    exact = period + np.clip(0.5 * (before - after) / bend, -1, 1)
    return np.where(dip.any(axis=1), SAMPLE_RATE / exact, 0.0)


def semitones(pitch: Array) -> Array:
    """Return (n,) semitones above the voice's middle; NaN where there is no pitch."""
    voiced = pitch > 0
    if not voiced.any():
        return np.full(len(pitch), np.nan)
    return np.where(voiced, 12 * np.log2(np.where(voiced, pitch, 1) / np.median(pitch[voiced])),
                    np.nan)


def accents(phones: list[Phone], loudness: Array, pitch: Array | None = None) -> list[Accent]:
    """Return the accents: stressed vowels that are louder or higher than the voice's middle."""
    tones = np.zeros(len(loudness)) if pitch is None else np.nan_to_num(semitones(pitch))
    share = 0.0 if pitch is None else 0.6           # of the melody; the others are loudness
    found = []
    for phone in phones:
        first, last = round(phone.start * RATE), round(phone.end * RATE)
        if phone.kind not in VOWELS or not phone.stress or not 0 <= first < last <= len(loudness):
            continue
        height = np.clip(tones[first:last].max() / SPAN, 0, 1)
        strong = np.clip((loudness[first:last].max() - 0.5) / 0.5, 0, 1)
        prominence = phone.stress * (share * height + (1 - share) * strong)
        if prominence >= LEAST:
            found.append(Accent(0.5 * (phone.start + phone.end), float(prominence)))
    return found


def phrases(phones: list[Phone], pitch: Array | None = None) -> list[Phrase]:
    """Return what is said between pauses; without a pitch nobody asks."""
    spoken = [phone for phone in phones if phone.kind != SILENCE]
    edges = [0, *(index for index, (one, other) in enumerate(pairwise(spoken), 1)
                  if other.start - one.end >= PAUSE), len(spoken)]
    groups = [spoken[first:last] for first, last in pairwise(edges) if last > first]
    return [Phrase(group[0].start, group[-1].end,
                   0.0 if pitch is None else rise(pitch, group[0].start, group[-1].end))
            for group in groups]


def rise(pitch: Array, start: float, end: float) -> float:
    """Return by how many semitones the last 0.15 s with a pitch are above the middle before."""
    tones = semitones(pitch)[max(0, round(start * RATE)):round(end * RATE) + 1]
    tones = tones[~np.isnan(tones)]
    last = round(0.15 * RATE)
    if len(tones) < 3 * last:
        return 0.0
    return float(np.median(tones[-last:]) - np.median(tones[:-last]))
