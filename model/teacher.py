# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
The coarticulation teacher: phones with times become ARKit-52 curves at 100 Hz.

The lip gap comes first: claims of the phones on it (`model/coarticulation.py`), fitted on GRID's
training clips by `python -m model.fit_teacher`; the numbers are in `model/configs/teacher.json`.
What rounded, spread and parted lips open by themselves is taken from it, and the jaw does the
rest. Then come lips that seal and the lip under the teeth. Brows and lids follow the prosody
(`model/upper_face.py`). Sources, fit and figures: `docs/teacher.md`.
"""

from __future__ import annotations

from functools import cache
import json
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.rig import INDEX, NAMES
from model.articulation import (
    HEIGHT_OF,
    REDUCED,
    ROUNDED,
    SILENCE,
    VOWELS,
    articulation,
    class_of,
    nucleus,
)
from model.coarticulation import (
    RATE,
    Reach,
    claims,
    gesture,
    smooth,
    strengths,
    vowel_core,
)
from model.metrics import LIP_GAP
from model.phones import Phone, gliding
from model.teacher_styles import NEUTRAL, Style
from model.upper_face import upper_face

Array = NDArray[np.float64]
REDUCTION: Final = 0.2          # how much less far an unstressed full vowel opens
VOWEL_GAP: Final = 0.045        # dm that the lips are apart in the middle of a vowel, at least
BLEND: Final = 0.06             # seconds that curves are smoothed over
AHEAD, BEHIND = 0.07, 0.16      # seconds before and after sound in which the mouth may move
SNAP: Final = 0.03              # and lips that close or part
#: Louder speech opens farther (Schulman 1989). GRID's talker keeps one level, so that this cannot
#: be fitted on him; it costs 0.003 of correlation there.
EFFORT: Final = 0.3
LOUDNESS: Final = 0.3           # seconds that effort takes to follow the voice
MIDDLE: Final = 0.7             # loudness at which the fitted gaps are what they are
JAW_GAP: Final = float(LIP_GAP[INDEX['jawOpen']])       # dm per unit
FITTED: Final = Path(__file__).parent / 'configs' / 'teacher.json'


@cache
def fitted() -> dict[str, float]:
    """Return the fitted numbers; `docs/teacher.md` explains them. Gaps are in dm."""
    return dict(json.loads(FITTED.read_text())['fitted'])


class Lips(NamedTuple):
    """What the lips do, (n,) each: the gap in dm, the others in [0, 1] of what speech needs."""

    gap: Array
    core: Array                 # 1 in the middle of a vowel
    rounding: Array
    spread: Array
    parted: Array
    tongue: Array
    seal: Array
    bite: Array


def animate(phones: list[Phone], loudness: Array, *, lag: float | None = None,
            style: Style = NEUTRAL, pitch: Array | None = None,
            rng: np.random.Generator | None = None) -> Array:
    """
    Return (n, 52) weights for phones and a loudness of (n,) in [0, 1], 100 a second.

    :param lag: seconds that the face comes after the sound; the fitted one if None
    :param pitch: (n,) Hz, 0 where there is none; accents are told from loudness alone if None
    :param rng: of what the voice does not decide, in the upper face; its mean if None
    """
    lag = fitted()['lag'] if lag is None else lag
    phones = phones or [Phone(SILENCE, 0.0, len(loudness) / RATE)]
    weights = compose(articulate(phones, loudness, lag=lag, style=style), style)
    weights += upper_face(phones, loudness, pitch=pitch, style=style, rng=rng)
    return np.clip(weights, 0, 1) * speaking(loudness)[:, None]


def articulate(phones: list[Phone], loudness: Array, *, lag: float, style: Style) -> Lips:
    """Return what the lips do, `lag` seconds late where they do not make the sound themselves."""
    phones = gliding(phones)
    sound = np.arange(len(loudness)) / RATE
    times = sound - lag
    core = vowel_core(phones, sound)
    numbers = fitted()
    strong = strengths(phones, numbers['silence'], numbers['tongue'])
    shares = claims(phones, times, reach('gap', numbers, style), strong)
    gap = smooth(shares @ [lip_gap(phone, style) for phone in phones], BLEND)
    gap *= style.jaw * effort(loudness)
    targets = np.array([articulation(phone.symbol)[1:4] for phone in phones])
    lips = claims(phones, times, reach('width', numbers, style), strong)
    rounding, spread = (smooth(curve, BLEND) for curve in (lips @ targets[:, :2]).T)
    # Sibilants bare the teeth whatever the vowels around them do.
    strong = strengths(phones, numbers['silence'], 1.0)
    teeth = claims(phones, times, reach('gap', numbers, style), strong)
    parted = smooth(teeth @ targets[:, 2], BLEND)
    return Lips(gap, core, rounding, spread, parted,
                gesture(phones, times, 'tongue'),
                smooth(gesture(phones, sound, 'seal') * (1 - core), SNAP),
                smooth(gesture(phones, sound, 'bite') * (1 - core), SNAP))


def effort(loudness: Array) -> Array:
    """Return the factor of the lip gap, (n,), that goes with a loudness in [0, 1]."""
    return 1 + EFFORT * (smooth(loudness, LOUDNESS) - MIDDLE)


def reach(name: str, numbers: dict[str, float], style: Style = NEUTRAL) -> Reach:
    """Return how far claims reach: on the `gap` of vowels and of consonants, on the `width`."""
    names = [f'{name}.{side}' for side in ('before', 'after')]
    before, after = (tuple(style.reach * numbers.get(side, numbers.get(f'{side}.{kind}', 0))
                           for kind in ('vowel', 'consonant')) for side in names)
    return Reach(before, after, numbers['haste'])


def lip_gap(phone: Phone, style: Style = NEUTRAL) -> float:
    """Return the gap in dm that a phone wants; unstressed full vowels are smaller."""
    gap = usual_gap(phone.symbol)
    if phone.kind not in VOWELS or phone.symbol in REDUCED:
        return gap
    return gap * (1 - REDUCTION * style.reduction * (1 - phone.stress))


def usual_gap(symbol: str) -> float:
    """Return a phone's gap: its own where GRID has it often, else as its like open the lips."""
    numbers, kind = fitted(), class_of(symbol)
    if kind == SILENCE:
        return 0.0
    symbol = nucleus(symbol)
    if (own := numbers.get(f'gap.{symbol}')) is not None:
        return own
    if symbol in HEIGHT_OF:
        lips = 'rounded' if ROUNDED.get(symbol, 0) > 0.4 else 'unrounded'
        close, opened = (numbers[f'gap.{lips}.{height}'] for height in ('close', 'open'))
        return close + (opened - close) * HEIGHT_OF[symbol]
    return numbers[f'gap.{kind}']


def compose(lips: Lips, style: Style) -> Array:
    """Return (n, 52) weights of what the lips do; the jaw opens what they leave of the gap."""
    free = (1 - lips.seal) * (1 - 0.85 * lips.bite)
    weights = np.zeros((len(lips.gap), len(NAMES)))

    def put(name: str, curve: Array) -> None:
        for side in ('', 'Left', 'Right'):
            if name + side in INDEX:
                weights[:, INDEX[name + side]] = np.clip(curve, 0, 1)

    rounding, spread, parted = (np.clip(style.lips * curve, 0, 1)
                                for curve in (lips.rounding, lips.spread, lips.parted))
    parted = parted * (1 + 0.6 * style.strain)
    wide = np.clip(lips.gap / JAW_GAP, 0, 1)        # the jaw that would open it alone
    put('mouthFunnel', 0.42 * rounding * np.clip(0.25 + 2.2 * wide, 0, 1))
    put('mouthPucker', 0.55 * rounding * np.clip(1.15 - 1.8 * wide, 0, 1))
    put('mouthUpperUp', 0.16 * parted)
    put('mouthLowerDown', 0.24 * parted)
    put('mouthSmile', 0.16 * spread * (1 - rounding))
    put('mouthStretch', 0.24 * spread)
    put('mouthDimple', 0.08 * spread)
    put('jawForward', 0.10 * rounding)
    gap = np.maximum(lips.gap, lips.core * VOWEL_GAP * style.jaw)
    jaw = np.maximum(gap - weights @ LIP_GAP, 0) / JAW_GAP
    # A sealing mouth lifts the jaw too, though never shut: the lips do the rest.
    jaw = jaw * (1 - 0.45 * lips.seal) * (1 - 0.5 * lips.bite)
    weights *= free[:, None]
    # On the head pressed lips are wider; GRID's talker's are narrower than his open ones.
    put('mouthPucker', weights[:, INDEX['mouthPucker']] + lips.seal * (0.2 + 0.3 * rounding))
    put('jawOpen', jaw)
    put('mouthClose', np.clip(jaw, 0, 1) * np.maximum(lips.seal, 0.96 * lips.bite))
    put('mouthPress', 0.2 * style.press * lips.seal)
    put('mouthRollLower', 0.28 * style.press * lips.seal + 0.42 * lips.bite)
    put('mouthRollUpper', 0.22 * style.press * lips.seal)
    put('mouthUpperUp', weights[:, INDEX['mouthUpperUpLeft']] + 0.2 * style.lips * lips.bite)
    put('mouthShrugUpper', 0.10 * style.lips * lips.bite)
    put('mouthShrugLower', 0.06 * lips.seal)
    put('tongueOut', free * 0.14 * lips.tongue)
    put('cheekSquint', 0.05 * spread)
    return weights


def speaking(loudness: Array) -> Array:
    """Return (n,) in [0, 1]: 0 where nothing is heard around; a face rests in silence."""
    ahead, behind = round(AHEAD * RATE), round(BEHIND * RATE)
    padded = np.pad(loudness > 0.05, (behind, ahead))
    heard = np.lib.stride_tricks.sliding_window_view(padded, ahead + behind + 1).any(axis=1)
    return smooth(heard.astype(float), 0.12)


def loudness(samples: NDArray[np.float32]) -> Array:
    """Return (n,) loudness in [0, 1], 100 a second: 30 dB below the clip's loud parts is 0."""
    count = -(-len(samples) // 160)
    padded = np.pad(samples.astype(np.float64), (0, count * 160 - len(samples)))
    level = 10 * np.log10((padded.reshape(count, 160) ** 2).mean(axis=1) + 1e-9)
    return np.clip(1 + (level - np.percentile(level, 95)) / 30, 0, 1)
