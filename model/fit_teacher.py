# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Fit the teacher on GRID's training clips: `python -m model.fit_teacher DATA`.

The blended gap is linear in the phones' targets, so the gaps that explain the tracked lips best
are a non-negative least-squares problem: first of the classes, then of each phone that GRID has
often, drawn towards its class. Around it, the constants of the blend are tried one by one. What
they are judged by is what the teacher is: the mean correlation of a clip at lag 0.
"""

from __future__ import annotations

from functools import cache
import json
from pathlib import Path
import sys
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d
from scipy.optimize import nnls

from model import teacher
from model.articulation import CLASSES, GLIDES, HEIGHT_OF, ROUNDED, SILENCE
from model.coarticulation import RATE, claims, gesture, strengths
from model.data import read
from model.grid import GridCorpus
from model.metrics import lip_gap, pearson
from model.phones import GRID_WORDS, Phone, gliding
from model.word_aligner import align, cepstra, learnt

Array = NDArray[np.float64]
STRIDE: Final = RATE // 25      # of the tracked frames in the teacher's
EVERY: Final = 9                # which clips try constants; all of them fit the gaps
CLASS_PRIOR: Final = 100.0      # frames of evidence that a guess is worth
PHONE_PRIOR: Final = 40.0       # and a class against a phone of its own
GUESS: Final = 0.05             # dm
LEAST: Final = 0.02             # dm; lips that need not touch are apart
OFTEN: Final = 3                # of GRID's words must have a phone for a gap of its own
SECONDS: Final = (0.02, 0.03, 0.045, 0.065, 0.09, 0.125, 0.17)
#: What is tried for each constant; its middle is where the search begins.
TRIED: Final = {
    'lag': (-0.01, 0.0, 0.01, 0.02, 0.03), 'silence': (0.25, 0.5, 1.0, 2.0, 4.0),
    'tongue': (0.25, 0.35, 0.5, 0.7, 1.0), 'haste': (0.0, 0.25, 0.5, 0.75, 1.0),
    'gap.before.vowel': SECONDS, 'gap.before.consonant': SECONDS,
    'gap.after.vowel': SECONDS, 'gap.after.consonant': SECONDS,
    'width.before': SECONDS, 'width.after': SECONDS,
}


class Heard(NamedTuple):
    """A clip: its phones, its loudness at RATE, and its tracked mouth at 25 Hz."""

    phones: list[Phone]
    loudness: Array
    gap: Array
    width: Array


def heard(corpus: GridCorpus, *, validation: bool) -> list[Heard]:
    """Return the clips that train, or those that do not."""
    clips = []
    for clip in corpus.clips():
        if (clip.id in corpus.validation) == validation and clip.tracked.all():
            samples = read(corpus.audio(clip.id))
            phones = align(corpus.words[clip.id], cepstra(samples), learnt())
            clips.append(Heard(gliding(phones), teacher.loudness(samples), clip.gap, clip.width))
    return clips


def columns(clip: Heard, constants: dict[str, float], name: str) -> Array:
    """Return (75, phones): what a unit of each phone's target adds to the `gap` or the `width`."""
    times = np.arange(len(clip.loudness)) / RATE - constants['lag']
    strong = strengths(clip.phones, constants['silence'], constants['tongue'])
    shares = claims(clip.phones, times, teacher.reach(name, constants), strong)
    half = round(teacher.BLEND * RATE / 2)
    window = np.hanning(2 * half + 3)[1:-1]
    shares = convolve1d(shares, window / window.sum(), axis=0, mode='nearest')
    if name == 'gap':
        seal, bite = (gesture(clip.phones, times, made) for made in ('seal', 'bite'))
        shares *= ((1 - seal) * (1 - bite) * teacher.effort(clip.loudness))[:, None]
    return shares[::STRIDE][:len(clip.gap)]


@cache
def mixture(symbol: str) -> dict[str, float]:
    """Return the groups that a phone's gap is made of; a vowel lies between close and open."""
    if symbol in HEIGHT_OF:
        lips = 'rounded' if ROUNDED.get(symbol, 0) > 0.4 else 'unrounded'
        return {f'{lips}.close': 1 - HEIGHT_OF[symbol], f'{lips}.open': HEIGHT_OF[symbol]}
    kind = teacher.class_of(symbol)
    return {} if kind == SILENCE else {kind: 1.0}


GROUPS: Final = ('unrounded.close', 'unrounded.open', 'rounded.close', 'rounded.open',
                 *(name for name in CLASSES if name not in teacher.VOWELS))


def by(names: tuple[str, ...], clip: Heard, shares: Array) -> Array:
    """Return the columns of phones gathered into those of `names`, groups or symbols."""
    gather = np.array([[mixture(phone.symbol).get(name, float(phone.symbol == name))
                        for name in names] for phone in clip.phones])
    return shares @ gather


def solve(matrix: Array, wanted: Array, prior: Array, weight: Array) -> Array:
    """Return targets, LEAST or more, near the evidence and, by its weight, near a prior."""
    rows = np.sqrt(weight)
    above = nnls(np.concatenate([matrix, np.diag(rows)]),
                 np.concatenate([wanted - matrix.sum(axis=1) * LEAST, rows * (prior - LEAST)]))[0]
    return LEAST + above


def gaps(clips: list[Heard], shares: list[Array]) -> dict[str, float]:
    """Return the gap of each group in dm."""
    matrix = np.concatenate([by(GROUPS, *pair) for pair in zip(clips, shares, strict=True)])
    prior = np.full(len(GROUPS), GUESS)
    found = solve(matrix, np.concatenate([clip.gap for clip in clips]), prior,
                  np.full(len(GROUPS), CLASS_PRIOR))
    return dict(zip(GROUPS, found, strict=True))


def own_gaps(clips: list[Heard], shares: list[Array], groups: dict[str, float],
             ) -> dict[str, float]:
    """Return the gap of each phone that GRID has often enough, drawn towards its group's."""
    symbols = tuple(sorted({phone.symbol for clip in clips for phone in clip.phones} - {SILENCE}))
    matrix = np.concatenate([by(symbols, *pair) for pair in zip(clips, shares, strict=True)])
    prior = np.array([sum(share * groups[name] for name, share in mixture(symbol).items())
                      for symbol in symbols])
    found = solve(matrix, np.concatenate([clip.gap for clip in clips]), prior,
                  np.full(len(symbols), PHONE_PRIOR))
    return {symbol: gap for symbol, gap in zip(symbols, found, strict=True)
            if words_with(symbol) >= OFTEN}


def words_with(symbol: str) -> int:
    """Count GRID's words with a phone: what is in one word only may be that word's."""
    return sum(symbol in ''.join(GLIDES.get(phone, phone) for phone in phones)
               for phones in GRID_WORDS.values())


def gap_score(clips: list[Heard], constants: dict[str, float]) -> float:
    """Return the mean correlation of the blended gap with the tracked one."""
    shares = [columns(clip, constants, 'gap') for clip in clips]
    targets = np.array([*gaps(clips, shares).values()])
    return float(np.mean([pearson(by(GROUPS, clip, part) @ targets, clip.gap)
                          for clip, part in zip(clips, shares, strict=True)]))


def width_score(clips: list[Heard], constants: dict[str, float]) -> float:
    """Return the correlation of the width with what free targets of the groups make of it."""
    matrix = np.concatenate([by(GROUPS, clip, columns(clip, constants, 'width'))
                             for clip in clips])
    width = np.concatenate([clip.width - np.median(clip.width) for clip in clips])
    ridge = np.linalg.solve(matrix.T @ matrix + np.eye(len(GROUPS)), matrix.T @ width)
    return pearson(matrix @ ridge, width)


def search(clips: list[Heard]) -> dict[str, float]:
    """Return the constants that explain the clips best, tried one by one, twice."""
    constants = {name: values[len(values) // 2] for name, values in TRIED.items()}
    for _ in range(2):
        for name, values in TRIED.items():
            score = width_score if name.startswith('width') else gap_score
            tried = {value: score(clips, constants | {name: value}) for value in values}
            constants[name] = max(tried, key=tried.__getitem__)
            print(f'{name:22s} {constants[name]:6.3f}  r {max(tried.values()):.4f}', flush=True)
    return constants


def correlation(clips: list[Heard]) -> float:
    """Return the mean correlation of the teacher's own lip gap with the tracked one."""
    return float(np.mean([
        pearson(lip_gap(teacher.animate(clip.phones, clip.loudness))[::STRIDE]
                [:len(clip.gap)], clip.gap) for clip in clips]))


def main() -> None:
    """Fit and write `teacher.json`."""
    corpus = GridCorpus(Path(sys.argv[1]) / 'grid_s1')
    clips = heard(corpus, validation=False)
    constants = search(clips[::EVERY])
    shares = [columns(clip, constants, 'gap') for clip in clips]
    groups = gaps(clips, shares)
    own = own_gaps(clips, shares, groups)
    numbers = constants | {f'gap.{name}': float(gap) for name, gap in (groups | own).items()}
    stored = {'source': 'GRID s1, training clips: tracked inner-lip gap and mouth width',
              'fitted': {name: round(value, 4) for name, value in numbers.items()}}
    teacher.FITTED.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + '\n')
    teacher.fitted.cache_clear()
    stored['correlation'] = {
        'training': round(correlation(clips), 4),
        'validation': round(correlation(heard(corpus, validation=True)), 4)}
    teacher.FITTED.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + '\n')


if __name__ == '__main__':
    main()
