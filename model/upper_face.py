# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Brows, lids, cheeks and nose of the teacher, from the melody of the voice.

Brows go up a little before an accent (Flecha-García 2010; Cavé et al. 1996), for a question they
go up and stay, and loud speech strains. Which accents raise them and how far no voice decides:
with a generator that is drawn, without one its mean is returned. Blinks, gaze and the head are
not here: the runtime adds them (`avatar_bridge/stream/idle.py`), and the 52 have no head.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.rig import INDEX, NAMES
from model.coarticulation import RATE, smooth
from model.phones import Phone
from model.prosody import Phrase, accents, phrases
from model.teacher_styles import Style

Array = NDArray[np.float64]
CHANCE: Final = 0.45            # that a full accent raises the brows
RAISE: Final = 0.32             # weight of browInnerUp at a full accent
VARIES: Final = 0.4             # deviation of the logarithm of its size
EARLY, JITTER = 0.06, 0.05      # seconds from the top of a raise to its accent's middle; deviation
RISES, FALLS = 0.22, 0.38       # seconds to the top and back
QUESTION: Final = 0.3           # weight of browInnerUp when the voice asks
QUESTION_LASTS: Final = 0.6     # seconds of it before its phrase ends
#: Slow wander of the brows: GRID's talker's browDown, blinks left out (`docs/teacher.md`).
WANDER: Final = 0.023           # deviation
WANDER_TIME: Final = 0.31       # half a Hann window, seconds: correlation falls to 1 / e in 0.24
UNEVEN: Final = 0.26            # deviation of a side from both, of that of both


class Brows(NamedTuple):
    """What moves brows and lids, (n,) each."""

    left: Array                 # raised; lowered where negative
    right: Array
    slow: Array                 # loudness that the face feels, in [0, 1]


def upper_face(phones: list[Phone], loudness: Array, *, pitch: Array | None, style: Style,
               rng: np.random.Generator | None) -> Array:
    """Return (n, 52) weights of the upper face; the mouth is left alone."""
    times = np.arange(len(loudness)) / RATE
    raised = np.zeros((2, len(times)))
    for accent in accents(phones, loudness, pitch):
        size, late, sides = _drawn(accent.prominence, rng)
        bump = size * _bump(times, accent.time - EARLY + late)
        raised = np.maximum(raised, sides[:, None] * bump)
    for phrase in phrases(phones, pitch):
        if phrase.asks:
            raised = np.maximum(raised, QUESTION * _plateau(times, phrase))
    if rng is not None:
        raised = raised + _wander(len(times), rng)
    left, right = style.brows * raised
    return compose(Brows(left, right, smooth(loudness, 0.3)), style)


def _drawn(prominence: float, rng: np.random.Generator | None) -> tuple[float, float, Array]:
    """Return size, lateness in s and both sides' shares of a raise; their means without `rng`."""
    if rng is None:
        return CHANCE * prominence * RAISE * prominence, 0.0, np.ones(2)
    happens = rng.random() < CHANCE * prominence
    size = RAISE * prominence * np.exp(VARIES * rng.standard_normal() - 0.5 * VARIES ** 2)
    sides = 1 + UNEVEN * rng.standard_normal() * np.array([1, -1])
    late = JITTER * rng.standard_normal()
    return happens * size, late, np.clip(sides, 0.5, 1.5)


def compose(brows: Brows, style: Style) -> Array:
    """Return (n, 52) weights."""
    weights = np.zeros((len(brows.slow), len(NAMES)))
    loud = np.clip(brows.slow - 0.55, 0, 1)
    strain = style.strain * np.clip(brows.slow, 0, 1)
    both = 0.5 * (brows.left + brows.right)
    weights[:, INDEX['browInnerUp']] = np.maximum(both, 0) + 0.16 * loud
    for side, curve in (('Left', brows.left), ('Right', brows.right)):
        raised, lowered = np.maximum(curve, 0), np.maximum(-curve, 0)
        for name, value in (
                ('browOuterUp', 0.7 * raised + 0.12 * np.clip(loud - 0.05, 0, 1)),
                ('browDown', lowered + 0.35 * strain),
                ('eyeWide', 0.25 * raised),
                ('eyeSquint', 0.05 * brows.slow + 0.2 * strain),
                ('cheekSquint', 0.15 * strain),
                ('noseSneer', 0.2 * strain)):
            weights[:, INDEX[name + side]] = value
    return weights


def _bump(times: Array, top: float) -> Array:
    """Return (n,): up within RISES seconds and down within FALLS, 1 at `top`."""
    away = times - top
    part = np.where(away < 0, -away / RISES, away / FALLS)
    return 0.5 + 0.5 * np.cos(np.pi * np.minimum(part, 1))


def _plateau(times: Array, phrase: Phrase) -> Array:
    """Return (n,): 1 near the end of a phrase, with a bump's ramps."""
    first = max(phrase.start, phrase.end - QUESTION_LASTS)
    return np.where(times < first, _bump(times, first),
                    np.where(times > phrase.end, _bump(times, phrase.end), 1.0))


def _wander(count: int, rng: np.random.Generator) -> Array:
    """Return (2, n) of slow noise; both brows go together, but for a little."""
    steps = round(WANDER_TIME * RATE)
    kernel = np.hanning(2 * steps + 1)
    kernel /= np.sqrt((kernel ** 2).sum())
    noise = rng.standard_normal((3, count + 2 * steps))
    shared, *own = (np.convolve(row, kernel, mode='valid') for row in noise)
    return WANDER * (np.sqrt(1 - UNEVEN ** 2) * shared + UNEVEN * np.stack(own))
