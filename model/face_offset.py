# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
How late a recording's face is: the loudness of the sound against the gap between the lips.

Some sets (BEAT) were recorded by a phone and a camera that nobody synchronised: each clip has an
offset of its own. The loudness of ten bands around an instant tells by a fixed linear map how far
lips are apart; at which lag that agrees best with the lips that were seen is the offset. The map
is fitted on the training clips of a cache, where the face has the lag that faces have by nature:
`python -m model.face_offset runs/corpus`. Loudness as a whole is a poor judge (`docs/data.md`).
"""

from __future__ import annotations

from functools import lru_cache
import json
from pathlib import Path
import sys
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.audio import mel
from model.motion import at_times

Array = NDArray[np.float64]
RATE: Final = 100               # of the tracks that are compared, Hz
LONGEST: Final = 0.4            # seconds of offset that are tried
NEAR: Final = 0.12              # seconds around the best lag that belong to it
BANDS: Final = 10
TAPS: Final = np.arange(-12, 13, 3)         # frames around an instant whose loudness counts
DEPTH: Final = 8.0              # natural log below the clip's loud parts that is silence
RIDGE: Final = 0.01
FITTED: Final = Path(__file__).parent / 'configs' / 'face_offset.json'


class FaceOffset(NamedTuple):
    """How late the face is, and whether to believe it."""

    seconds: float              # + = the face is late: move it this much earlier
    confidence: float           # [0, 1]: by how much the best lag's r is above any other's


def estimate(samples: NDArray[np.int16], gap: NDArray[np.floating], fps: float) -> FaceOffset:
    """
    Return the offset of a clip, with no confidence where it is shorter than 2 s.

    :param samples: (n,) 16 kHz
    :param gap: (frames,) how far the lips are apart, any unit
    :param fps: of the gap
    """
    heard = expected_gap(samples)
    count = min(len(heard), int((len(gap) - 1) / fps * RATE))
    if count < 2 * RATE:
        return FaceOffset(0.0, 0.0)
    seen = at_times(np.asarray(gap, np.float32), fps, np.arange(count) / RATE).astype(np.float64)
    lags, agreement = correlations(heard[:count], seen)
    best = int(np.argmax(agreement))
    if not 0 < best < len(lags) - 1:
        return FaceOffset(0.0, 0.0)
    before, top, after = agreement[best - 1:best + 2]
    bend = before - 2 * top + after
    exact = lags[best] + (0.5 * (before - after) / bend if bend < 0 else 0.0) / RATE
    other = agreement[np.abs(lags - lags[best]) > NEAR].max()
    return FaceOffset(float(exact), float(np.clip(top - other, 0, 1)))


def correlations(heard: Array, seen: Array) -> tuple[Array, Array]:
    """Return lags (seconds the face is late) and Pearson's r at each of two tracks at RATE."""
    reach = round(LONGEST * RATE)
    found = []
    for lag in range(-reach, reach + 1):
        one = heard[max(0, -lag):len(heard) - max(0, lag)]
        other = seen[max(0, lag):len(seen) - max(0, -lag)]
        one, other = one - one.mean(), other - other.mean()
        scale = np.sqrt((one @ one) * (other @ other))
        found.append(one @ other / scale if scale > 1e-12 else 0.0)
    return np.arange(-reach, reach + 1) / RATE, np.array(found)


def expected_gap(samples: NDArray[np.int16]) -> Array:
    """Return the (n,) gap that (m,) 16 kHz samples sound like, RATE a second, any unit."""
    return loudness_around(samples) @ fitted()


def loudness_around(samples: NDArray[np.int16]) -> Array:
    """Return (n, BANDS * taps + 1): loudness around each frame, below the clip's loud parts."""
    half = mel.LENGTH // 2      # a feature's middle stands at its frame
    power = mel.mel_power(np.pad(samples.astype(np.float32) / 32768, (half, half)))
    bands = np.log(power.reshape(len(power), BANDS, -1).mean(axis=2, dtype=np.float64) + 1e-7)
    if not len(bands):
        return np.zeros((0, BANDS * len(TAPS) + 1))
    below = np.maximum(bands - np.percentile(bands.mean(axis=1), 95), -DEPTH)
    around = np.clip(np.arange(len(below))[:, None] + TAPS, 0, len(below) - 1)
    return np.concatenate([below[around].reshape(len(below), -1), np.ones((len(below), 1))], 1)


@lru_cache(maxsize=1)
def fitted() -> Array:
    """Return the (BANDS * taps + 1,) map."""
    return np.array(json.loads(FITTED.read_text())['map'])


def fit(folder: Path) -> Array:
    """Return the map that explains the lips of a cache's training clips best."""
    # Held back until here: `model.data` asks this module for offsets.
    from model.data import load_corpus
    from model.metrics import lip_gap

    products, right, count = 0.0, 0.0, 0
    for clip in load_corpus(folder).training():
        gap = lip_gap(clip.curves.astype(np.float32)).astype(np.float64)
        rows = loudness_around(clip.samples)[:len(gap)]
        products, right = products + rows.T @ rows, right + rows.T @ gap[:len(rows)]
        count += len(rows)
    return np.linalg.solve(products / count + RIDGE * np.eye(len(right)), right / count)


if __name__ == '__main__':
    FITTED.write_text(json.dumps({
        'source': 'ridge regression on the training clips of the cache: Kokoro and GRID s1',
        'map': [round(value, 6) for value in fit(Path(sys.argv[1]))]}) + '\n')
