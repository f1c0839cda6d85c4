# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Fit the teacher's apertures and lag on GRID's training clips: `python -m model.fit_teacher DATA`.

The blended aperture is linear in the classes' targets, so the lip gaps that explain the tracked
gap best are a non-negative least-squares problem with a prior; the lag is the one with the
highest correlation.
"""

from __future__ import annotations

import json
from pathlib import Path
import sys

import numpy as np
from scipy.optimize import nnls

from model.grid import GridCorpus
from model.phones import ARTICULATIONS, CLASSES, SILENCE, from_words
from model.teacher import FITTED, dominance, gesture

PRIOR_GAP = 0.12        # dm of lip gap at an aperture of 1
PRIOR_WEIGHT = 0.02     # of the evidence


def fit(corpus: GridCorpus, lag: float) -> tuple[np.ndarray, float]:
    """Return the gap of each class in dm and the correlation reached."""
    names = list(CLASSES)
    rows, gaps = [], []
    for clip in corpus.training():
        times = np.arange(len(clip.gap)) / 25.0 - lag
        phones = from_words(corpus.words[clip.id])
        claims, kinds = dominance(phones, times)
        free = 1 - gesture(phones, times, 'bilabial')
        columns = np.stack([claims[:, [kind == name for kind in kinds]].sum(axis=1)
                            for name in names], axis=1)
        rows.append(columns * free[:, None])
        gaps.append(clip.gap)
    matrix, gap = np.concatenate(rows), np.concatenate(gaps)
    # Where a class is rare in GRID's 51 words (ʃ, k, ɡ), the prior speaks.
    prior = np.array([PRIOR_GAP * ARTICULATIONS[name].aperture for name in names])
    weight = np.sqrt(PRIOR_WEIGHT * len(gap))
    targets, _ = nnls(np.concatenate([matrix, weight * np.eye(len(names))]),
                      np.concatenate([gap, weight * prior]))
    return targets, float(np.corrcoef(matrix @ targets, gap)[0, 1])


def main() -> None:
    """Fit and write `teacher.json`."""
    corpus = GridCorpus(Path(sys.argv[1]) / 'grid_s1')
    results = {lag: fit(corpus, lag) for lag in np.arange(-0.06, 0.101, 0.02)}
    lag = max(results, key=lambda key: results[key][1])
    for key, (_, r) in results.items():
        print(f'lag {key:+.2f} s: r {r:.3f}')
    gaps = {f'gap.{name}': round(float(value), 4)
            for name, value in zip(CLASSES, results[lag][0], strict=True)}
    # The bilabials' own gap is the jaw behind sealed lips, which no tracker sees.
    gaps['gap.bilabial'] = round(0.35 * gaps['gap.mid'], 4)
    assert SILENCE in ARTICULATIONS
    FITTED.write_text(json.dumps({
        'source': 'GRID s1 training clips, tracked inner-lip gap, non-negative least squares',
        'correlation': round(results[lag][1], 4),
        'fitted': {'lag': round(float(lag), 3), **gaps}}, indent=1) + '\n')
    print(FITTED.read_text())


if __name__ == '__main__':
    main()
