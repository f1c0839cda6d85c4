# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The figures of a set: means over its clips or phones, NaN where there is nothing to judge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from avatar_bridge import rig
from avatar_bridge.head import load_head
from model import metrics
from model.clip_sets import Clip
from model.performers import Motion

Figures = dict[str, float]
Pairs = Sequence[tuple[Clip, Motion]]

LAGS: Final = tuple(step / 100 for step in range(-20, 21))
MILLIMETRES: Final = 1000.0     # in a metre, the unit of the head


def judge(clips: Sequence[Clip], motions: Sequence[Motion], fps: float) -> Figures:
    """Return every figure that clips and motions at `fps` allow."""
    pairs = list(zip(clips, motions, strict=True))
    silence = (metrics.silence_share(motion.gap, metrics.quiet_frames(
        len(motion.gap), clip.speech, fps=fps)) for clip, motion in pairs)
    return {'clips': len(clips), **lip_sync(pairs, fps), **closure_scores(pairs, fps),
            'silence': mean(silence), **vertex_errors(pairs, fps), **smoothness(motions)}


def lip_sync(pairs: Pairs, fps: float) -> Figures:
    """Return how the lip gap goes with the tracked one, at once and at the best lag."""
    rows = [metrics.lag_correlations(motion.gap, clip.tracked, LAGS, fps=fps,
                                     tracked_fps=clip.tracked_fps)
            for clip, motion in pairs if clip.tracked is not None]
    if not rows:
        return {}
    best = metrics.best_lag(np.stack(rows), LAGS)
    return {'correlation': float(np.mean(rows, axis=0)[LAGS.index(0)]),
            'best_correlation': best.correlation, 'lag_ms': best.milliseconds}


def closure_scores(pairs: Pairs, fps: float) -> Figures:
    """
    Return the F1 of p, b, m and of f, v, and the share of vowels wrongly shut.

    The phones of all clips are counted together: many clips have but one of a kind, whose F1 would
    be 0 or 1.
    """
    lips, teeth = (metrics.pooled(metrics.closures(motion.gap, clip.phones, fps=fps, among=among)
                                  for clip, motion in pairs if clip.phones)
                   for among in (metrics.BILABIALS, metrics.LABIODENTALS))
    return {'closure_f1': lips.f1, 'false_closures': lips.false_share,
            'labiodental_f1': teeth.f1}


def vertex_errors(pairs: Pairs, fps: float) -> Figures:
    """
    Return LVE and FDD in mm^2 and MVE in mm on the head mesh, against the clips' true weights.

    `fdd` says whether the upper face moves too little (+) or too much (-) on the whole, `fdd_size`
    how far off a clip is.
    """
    found = [vertex_error(clip, motion, fps) for clip, motion in pairs
             if clip.truth is not None and motion.weights is not None]
    if not found:
        return {}
    lve, mve, fdd = np.array(found).T
    return {'lve': float(lve.mean()), 'fdd': float(fdd.mean()),
            'fdd_size': float(np.abs(fdd).mean()), 'mve': float(mve.mean())}


def vertex_error(clip: Clip, motion: Motion, fps: float) -> tuple[float, float, float]:
    """Return LVE in mm^2, MVE in mm and FDD in mm^2 of one clip that has both weights."""
    head = load_head()
    groups = head.groups
    lips = np.concatenate([groups['inner_lips'], groups['outer_lips']])
    assert clip.truth is not None
    assert motion.weights is not None
    times = np.arange(len(motion.weights)) / fps
    truth = metrics.at_times(clip.truth, times, fps=clip.tracked_fps)
    made, true = (MILLIMETRES * head.vertices(weights) for weights in (motion.weights, truth))
    return (metrics.lip_vertex_error(made, true, lips), metrics.mean_vertex_error(made, true),
            metrics.upper_face_dynamics(made, true, MILLIMETRES * head.neutral,
                                        groups['upper_face']))


def smoothness(motions: Sequence[Motion]) -> Figures:
    """Return jitter and seam ratio of the mouth; a blink is meant to be sudden."""
    mouths = [(motion.weights[:, rig.MOUTH], motion.hop) for motion in motions
              if motion.weights is not None]
    return {'jitter': mean(metrics.jitter(mouth) for mouth, _ in mouths),
            'seams': mean(metrics.seam_ratio(mouth, hop) for mouth, hop in mouths if hop)}


def mean(values: Iterable[float]) -> float:
    """Return the mean of what is a number; NaN of nothing."""
    numbers = [value for value in values if not np.isnan(value)]
    return float(np.mean(numbers)) if numbers else float('nan')
