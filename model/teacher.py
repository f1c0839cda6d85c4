# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
A first coarticulation teacher: phones with times become ARKit-52 curves at 100 Hz.

Jaw, rounding, spreading and parting are blended by dominance (Cohen and Massaro 1993): a phone's
claim falls off exponentially before and after it, and the shape is the weighted mean of the
targets. Lips that seal and the lip under the teeth are gestures of their own (as in JALI, Edwards
et al. 2016), because a blend would only half close them. Apertures and the lag of the face behind
the sound are fitted on GRID's training clips by `python -m model.fit_teacher`; the numbers are in
`model/configs/teacher.json`.
"""

from __future__ import annotations

from functools import lru_cache
import json
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.rig import INDEX, NAMES
from model.phones import ARTICULATIONS, SILENCE, Phone

Array = NDArray[np.float64]
RATE: Final = 100               # frames per second of the curves
BEFORE: Final = 0.055           # seconds: how fast a claim grows before its phone
AFTER: Final = 0.065            # and falls after it
ROUND_BEFORE: Final = 0.11      # rounding starts earlier
SEAL_RAMP: Final = 0.055        # seconds from open to sealed
SEAL_LEAST: Final = 0.05        # seconds that a seal lasts at least
VOWELS: Final = frozenset({'open', 'mid', 'front', 'back', 'round'})
VOWEL_GAP: Final = 0.03         # dm that the lips are apart in the middle of a vowel, at least
REACH: Final = 0.15             # seconds around sound in which the mouth may move
FITTED: Final = Path(__file__).parent / 'configs' / 'teacher.json'


@lru_cache(maxsize=1)
def fitted() -> dict[str, float]:
    """Return the fitted numbers: `lag` in seconds and `gap.CLASS` in dm."""
    return dict(json.loads(FITTED.read_text())['fitted'])


def animate(phones: list[Phone], loudness: Array, *, lag: float | None = None) -> Array:
    """
    Return (n, 52) weights for phones and a loudness of (n,) in [0, 1], 100 a second.

    `lag`: seconds that the face comes after the sound; the fitted one if None.
    """
    lag = fitted()['lag'] if lag is None else lag
    times = np.arange(len(loudness)) / RATE - lag
    core = vowel_core(phones, times)
    seal = gesture(phones, times, 'bilabial') * (1 - core)
    bite = gesture(phones, times, 'labiodental') * (1 - core)
    effort = 0.7 + 0.45 * _smooth(loudness, 0.12)
    jaw = _smooth(blend(phones, times, 'aperture'), 0.06) * effort
    jaw = np.maximum(jaw, core * VOWEL_GAP / 0.337)
    shapes = {name: _smooth(blend(phones, times, name), 0.06)
              for name in ('rounding', 'spread', 'parted')}
    shapes['tongue'] = np.maximum(gesture(phones, times, 'dental'),
                                  0.4 * gesture(phones, times, 'lateral'))
    weights = compose(jaw, seal, bite, shapes, _smooth(loudness, 0.3))
    return weights * speaking(loudness)[:, None]


def compose(jaw: Array, seal: Array, bite: Array, shapes: dict[str, Array], loudness: Array,
            ) -> Array:
    """Return (n, 52) weights from articulation curves; `jaw` is jawOpen before seals."""
    weights = np.zeros((len(jaw), len(NAMES)))
    free = (1 - seal) * (1 - 0.85 * bite)
    rounding, spread, parted, tongue = (shapes[name] for name in
                                        ('rounding', 'spread', 'parted', 'tongue'))
    # A sealing mouth lifts the jaw too, though never shut: the lips do the rest.
    jaw = jaw * (1 - 0.45 * seal) * (1 - 0.5 * bite)

    def put(name: str, curve: Array) -> None:
        for side in ('', 'Left', 'Right'):
            if name + side in INDEX:
                weights[:, INDEX[name + side]] = np.clip(curve, 0, 1)

    put('jawOpen', jaw)
    put('mouthClose', jaw * np.maximum(seal, 0.92 * bite))
    put('mouthPress', 0.35 * seal)
    put('mouthRollLower', 0.28 * seal + 0.42 * bite)
    put('mouthRollUpper', 0.22 * seal)
    put('mouthUpperUp', free * 0.16 * parted + 0.22 * bite)
    put('mouthLowerDown', free * 0.24 * parted)
    put('mouthFunnel', free * 0.42 * rounding * np.clip(0.25 + 2.2 * jaw, 0, 1))
    put('mouthPucker', (1 - 0.4 * seal) * 0.55 * rounding * np.clip(1.15 - 1.8 * jaw, 0, 1))
    put('mouthStretch', free * 0.24 * spread)
    put('mouthSmile', (1 - 0.6 * seal) * 0.16 * spread * (1 - rounding))
    put('mouthDimple', free * 0.08 * spread)
    put('mouthShrugUpper', 0.10 * bite)
    put('mouthShrugLower', 0.06 * seal)
    put('jawForward', free * 0.10 * rounding)
    put('tongueOut', free * 0.14 * tongue)
    put('cheekSquint', 0.05 * spread)
    put('browInnerUp', 0.16 * np.clip(loudness - 0.55, 0, 1))
    put('browOuterUp', 0.12 * np.clip(loudness - 0.6, 0, 1))
    put('eyeSquint', 0.05 * loudness)
    return weights


def blend(phones: list[Phone], times: Array, name: str) -> Array:
    """Return the dominance-weighted mean of one target over (n,) times."""
    claims, kinds = dominance(phones, times, before=ROUND_BEFORE if name == 'rounding' else BEFORE)
    targets = np.array([target(phone, kind, name) for phone, kind in
                        zip(phones, kinds, strict=True)])
    return claims @ targets


def target(phone: Phone, kind: str, name: str) -> float:
    """Return a phone's target; unstressed vowels are smaller."""
    if name == 'aperture':
        value = fitted()[f'gap.{kind}'] / 0.337 if kind != SILENCE else 0.0
        return value * (0.9 + 0.2 * phone.stress)
    return float(getattr(ARTICULATIONS[kind], name))


def dominance(phones: list[Phone], times: Array, *, before: float = BEFORE,
              ) -> tuple[Array, list[str]]:
    """Return normalised claims (n, phones) and the phones' classes."""
    kinds = [phone.kind for phone in phones]
    starts = np.array([phone.start for phone in phones])
    ends = np.array([phone.end for phone in phones])
    # Before the first and after the last phone there is silence for ever.
    if kinds and kinds[0] == SILENCE:
        starts[0] = -np.inf
    if kinds and kinds[-1] == SILENCE:
        ends[-1] = np.inf
    early = np.maximum(0.0, starts - times[:, None]) / before
    late = np.maximum(0.0, times[:, None] - ends) / AFTER
    strengths = np.array([ARTICULATIONS[kind].strength for kind in kinds])
    # A vowel's middle claims more than its edges: neighbours reach into it.
    claims = strengths * np.exp(-np.minimum(early + late, 40.0))
    rest = 1e-4
    return claims / (claims.sum(axis=1, keepdims=True) + rest), kinds


def gesture(phones: list[Phone], times: Array, kind: str) -> Array:
    """Return (n,) in [0, 1]: 1 while a phone of this class lasts, with cosine ramps around it."""
    curve = np.zeros(len(times))
    for phone in phones:
        if phone.kind != kind:
            continue
        middle = 0.5 * (phone.start + phone.end)
        half = max(0.5 * (phone.end - phone.start), 0.5 * SEAL_LEAST)
        outside = np.maximum(0.0, np.abs(times - middle) - half) / SEAL_RAMP
        curve = np.maximum(curve, 0.5 + 0.5 * np.cos(np.pi * np.minimum(outside, 1.0)))
    return curve


def vowel_core(phones: list[Phone], times: Array) -> Array:
    """Return (n,) in [0, 1]: 1 in the middle of vowels, 0 from their edges on."""
    curve = np.zeros(len(times))
    for phone in phones:
        if phone.kind in VOWELS:
            away = np.abs(times - 0.5 * (phone.start + phone.end))
            part = np.minimum(2 * away / max(phone.end - phone.start, 0.04), 1.0)
            curve = np.maximum(curve, 0.5 + 0.5 * np.cos(np.pi * part))
    return curve


def sounding(phones: list[Phone], times: Array) -> Array:
    """Return (n,): 1 where a phone sounds, 0 in silence."""
    heard = [(times >= phone.start) & (times < phone.end)
             for phone in phones if phone.kind != SILENCE]
    return np.any(heard, axis=0).astype(float) if heard else np.zeros(len(times))


def speaking(loudness: Array) -> Array:
    """Return (n,) in [0, 1]: 0 where nothing was heard 0.15 s around; a face rests in silence."""
    reach = round(REACH * RATE)
    heard = np.convolve(loudness > 0.05, np.ones(2 * reach + 1), mode='same') > 0.5
    return _smooth(heard.astype(float), 0.12)


def loudness(samples: NDArray[np.float32]) -> Array:
    """Return (n,) loudness in [0, 1], 100 a second: 30 dB below the clip's loud parts is 0."""
    count = -(-len(samples) // 160)
    padded = np.pad(samples.astype(np.float64), (0, count * 160 - len(samples)))
    level = 10 * np.log10((padded.reshape(count, 160) ** 2).mean(axis=1) + 1e-9)
    return np.clip(1 + (level - np.percentile(level, 95)) / 30, 0, 1)


def _smooth(curve: Array, seconds: float) -> Array:
    """Return the curve under a Hann window of this length; edges are held."""
    half = max(1, round(seconds * RATE / 2))
    window = np.hanning(2 * half + 3)[1:-1]
    padded = np.pad(curve, half, mode='edge')
    return np.convolve(padded, window / window.sum(), mode='valid')
