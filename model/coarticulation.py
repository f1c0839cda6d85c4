# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
How neighbouring phones share a mouth: claims that overlap, and gestures that are made in full.

A phone's claim falls off exponentially before and after it, and a shape is the weighted mean of
the targets (Cohen and Massaro 1993): short phones in fast speech fall short by themselves. Lips
that seal and the lip under the teeth are gestures of their own (as in JALI, Edwards et al. 2016),
because a mean would only half close them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.articulation import BEHIND_LIPS, SILENCE, VOWELS, articulation
from model.phones import Phone

Array = NDArray[np.float64]
RATE: Final = 100               # frames per second
RAMP: Final = 0.055             # seconds from open to sealed
GESTURE_LEAST: Final = 0.05     # seconds that a seal or a bite lasts at least
USUAL: Final = 0.08             # seconds of a phone; faster speech has steeper claims
AROUND: Final = 3               # phones before and after one that its rate is measured over
FURTHEST: Final = 40.0          # time constants; beyond them nothing is left to underflow


class Reach(NamedTuple):
    """How far claims reach, seconds to 1 / e; a vowel's and a consonant's."""

    before: tuple[float, float]
    after: tuple[float, float]
    haste: float = 0.0          # 0: the same at every rate; 1: in proportion to the phones


def strengths(phones: list[Phone], silence: float, tongue: float) -> Array:
    """
    Return (phones,): how strongly each claims the lips; a pause `silence`.

    `tongue` is the factor of consonants that are made behind the lips and leave them to others.
    """
    return np.array([silence if phone.kind == SILENCE else articulation(phone.symbol).strength
                     * (tongue if phone.kind in BEHIND_LIPS else 1) for phone in phones])


def claims(phones: list[Phone], times: Array, reach: Reach, strong: Array) -> Array:
    """Return what share of the mouth each phone has, (n, phones); rows add up to 1 or less."""
    vowel = np.array([phone.kind in VOWELS for phone in phones])
    starts = np.array([phone.start for phone in phones])
    ends = np.array([phone.end for phone in phones])
    # Before the first and after the last phone there is silence for ever.
    if phones and phones[0].kind == SILENCE:
        starts[0] = -np.inf
    if phones and phones[-1].kind == SILENCE:
        ends[-1] = np.inf
    pace = (local_length(phones) / USUAL) ** reach.haste
    before, after = (np.where(vowel, *constants) * pace
                     for constants in (reach.before, reach.after))
    early = np.maximum(0.0, starts - times[:, None]) / before
    late = np.maximum(0.0, times[:, None] - ends) / after
    shares = strong * np.exp(-np.minimum(early + late, FURTHEST))
    rest = 1e-4
    return shares / (shares.sum(axis=1, keepdims=True) + rest)


def local_length(phones: list[Phone]) -> Array:
    """Return (phones,): mean seconds of the phones around each, pauses left out."""
    spoken = np.array([phone.kind != SILENCE for phone in phones], float)
    lengths = spoken * np.array([min(phone.length, 4 * USUAL) for phone in phones])
    window = np.ones(2 * AROUND + 1)
    counted = np.convolve(spoken, window)[AROUND:AROUND + len(phones)]
    total = np.convolve(lengths, window)[AROUND:AROUND + len(phones)]
    mean = np.where(counted > 0, total / np.maximum(counted, 1), USUAL)
    return np.clip(mean, 0.5 * USUAL, 2 * USUAL)


def gesture(phones: list[Phone], times: Array, name: str, *, ramp: float = RAMP) -> Array:
    """Return (n,) in [0, 1]: an articulation's `name` while its phone lasts, with cosine ramps."""
    curve = np.zeros(len(times))
    for phone in phones:
        if not (full := getattr(articulation(phone.symbol), name)):
            continue
        middle = 0.5 * (phone.start + phone.end)
        half = max(0.5 * phone.length, 0.5 * GESTURE_LEAST)
        outside = np.maximum(0.0, np.abs(times - middle) - half) / ramp
        bell = 0.5 + 0.5 * np.cos(np.pi * np.minimum(outside, 1.0))
        curve = np.maximum(curve, full * bell)
    return curve


def vowel_core(phones: list[Phone], times: Array) -> Array:
    """Return (n,) in [0, 1]: 1 in the middle of vowels, 0 from their edges on."""
    curve = np.zeros(len(times))
    for phone in phones:
        if phone.kind in VOWELS:
            away = np.abs(times - 0.5 * (phone.start + phone.end))
            part = np.minimum(2 * away / max(phone.length, 0.04), 1.0)
            curve = np.maximum(curve, 0.5 + 0.5 * np.cos(np.pi * part))
    return curve


def sounding(phones: list[Phone], times: Array) -> Array:
    """Return (n,): 1 where a phone sounds, 0 in silence."""
    heard = [(times >= phone.start) & (times < phone.end)
             for phone in phones if phone.kind != SILENCE]
    return np.any(heard, axis=0).astype(float) if heard else np.zeros(len(times))


def smooth(curve: Array, seconds: float) -> Array:
    """Return the curve under a Hann window of this length; edges are held."""
    half = max(1, round(seconds * RATE / 2))
    window = np.hanning(2 * half + 3)[1:-1]
    padded = np.pad(curve, half, mode='edge')
    return np.convolve(padded, window / window.sum(), mode='valid')
