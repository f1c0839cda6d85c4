# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Time-stamp offsets: how late a synthesiser declares its phones, by two measures.

Positive: the declared time is later than the sound. The reader subtracts it (`model/data.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.clip_store import Row
from model.phones import SILENCE, Phone, from_kokoro

Array = NDArray[np.float64]
RATE: Final = 200                       # of levels, Hz
FLOOR: Final = -70.0                    # dB
BELOW_PEAK: Final = 25.0                # dB below a phone's peak at which it has begun
#: A closure is silent: plosives and affricates tell nothing about when they begin.
SILENT_START: Final = 'pbtdkɡʈɖcɟqʧʤʦʣʨʥꭧʔ'
SHIFTS: Final = np.arange(-0.1, 0.1501, 0.005)      # seconds


class Offset(NamedTuple):
    """How late times are, in seconds."""

    sentences: int
    onsets: int                 # phones behind a pause that were measured
    median: float               # declared start less the onset of energy
    low: float                  # quartiles of the same
    high: float
    fitted: float               # shift at which phones explain the loudness of whole clips best


def measure(clips: list[tuple[Row, NDArray[np.float32]]]) -> Offset:
    """Return the offset over clips, each a row and its 16 kHz samples."""
    found = [late for row, samples in clips for late in onset_offsets(row, samples)]
    low, median, high = np.percentile(found, [25, 50, 75]) if found else [np.nan] * 3
    return Offset(len(clips), len(found), float(median), float(low), float(high), fit(clips))


def level(samples: NDArray[np.float32]) -> Array:
    """Return the level in dB, RATE a second; each value is of the 10 ms around its time."""
    power = np.convolve(samples.astype(np.float64) ** 2, np.full(160, 1 / 160), mode='same')
    return np.maximum(10 * np.log10(power[::16000 // RATE] + 1e-12), FLOOR)


def onset_offsets(row: Row, samples: NDArray[np.float32]) -> Iterator[float]:
    """Yield declared start less onset of energy for phones behind a pause of 150 ms or more."""
    levels = level(samples)
    phones = from_kokoro(row['phones'])
    for before, phone in pairwise(phones):
        pause = before.kind == SILENCE and before.end - before.start >= 0.15
        if pause and phone.kind != SILENCE and phone.symbol not in SILENT_START:
            onset = _onset(levels, phone)
            if onset is not None:
                yield phone.start - onset


def _onset(levels: Array, phone: Phone) -> float | None:
    """Return when energy rises around the start of a phone; None where the pause is not quiet."""
    first = max(0, round((phone.start - 0.15) * RATE))
    around = levels[first:round((phone.start + 0.15) * RATE)]
    threshold = around.max(initial=FLOOR) - BELOW_PEAK
    above = np.flatnonzero(around > threshold)
    if not len(above) or above[0] == 0:
        return None
    # Between two values the level is a straight line.
    high, low = around[above[0]], around[above[0] - 1]
    return float((first + above[0] - (high - threshold) / (high - low)) / RATE)


def fit(clips: list[tuple[Row, NDArray[np.float32]]]) -> float:
    """Return the shift at which the classes of the phones explain the level best."""
    levels = [level(samples) for _, samples in clips]
    heard = np.concatenate([track - track.mean() for track in levels])
    explained = []
    for shift in SHIFTS:
        kinds = np.concatenate([_kinds(from_kokoro(row['phones'], shift=float(shift)), len(track))
                                for (row, _), track in zip(clips, levels, strict=True)])
        _, classes = np.unique(kinds, return_inverse=True)
        means = np.bincount(classes, heard) / np.maximum(np.bincount(classes), 1)
        explained.append(-np.mean((heard - means[classes]) ** 2))
    return float(SHIFTS[int(np.argmax(explained))])


def _kinds(phones: list[Phone], frames: int) -> NDArray[np.str_]:
    """Return the class of the phone that sounds at each of `frames` times."""
    starts = np.array([phone.start for phone in phones])
    kinds = np.array([phone.kind for phone in phones])
    at = np.searchsorted(starts, np.arange(frames) / RATE, 'right') - 1
    return kinds[np.maximum(at, 0)]
