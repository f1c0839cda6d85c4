# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
What the mouth does for every phone of the IPA, and for Kokoro's letters.

Kokoro writes a letter for a diphthong or an affricate (A = eɪ, I = aɪ, O = oʊ, Q = əʊ, W = aʊ,
Y = ɔɪ, ʣ, ʤ, ʥ, ʦ, ʧ, ʨ, ꭧ). Vowels get their shape from the IPA chart (height, backness and
rounding), consonants from their place; how far the lips open is fitted on GRID
(`model/fit_teacher.py`). Sources: `docs/teacher.md`.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

SILENCE: Final = 'sil'


class Articulation(NamedTuple):
    """What one phone does with the lips; shapes are in [0, 1] of what they do in speech."""

    strength: float             # how much of the lip gap it claims against its neighbours
    rounding: float = 0.0       # lips rounded and forward
    spread: float = 0.0         # corners back
    parted: float = 0.0         # lips drawn off the teeth
    tongue: float = 0.0         # tip between or behind the open teeth
    seal: float = 0.0           # lips shut
    bite: float = 0.0           # lower lip under the upper teeth


#: Class of each phone. Phones of a class open the lips alike where GRID has too few of them.
CLASSES: Final = {
    'open': 'aæɑɐIWɶ', 'mid': 'ɛʌəɜeAᵻᵊɚɤɘɝɞ', 'front': 'iɪɨɯ', 'back': 'uʊyʉʏ',
    'round': 'ɔoOQYɒøœɵ',
    'bilabial': 'pbmɓʙ', 'labiodental': 'fvʋɱⱱ', 'narrow': 'ɸβ', 'dental': 'θð',
    'alveolar': 'tdnɾrʈɖɳɽɗ', 'lateral': 'lʎɫɭɬɮʟ', 'sibilant': 'szʦʣɕʨʥʑ',
    'postalveolar': 'ʃʒʧʤʂʐꭧɧ', 'velar': 'kɡgŋxɣhjʝɲʔçqχʁɴɰcɟɦħʕʀɢɠʄʛ',
    'rhotic': 'ɹɻ', 'glide': 'wɥʍ',
}
CLASS_OF: Final = {phone: name for name, phones in CLASSES.items() for phone in phones}
#: Length, nasality, kinds of release, tones: they belong to the phone before them.
MARKS: Final = 'ːˑ̩̯̥̪̃͡ʰʱʲʷˠˤⁿᵝʼ˞→↗↓↘'
#: What synthesisers write where nothing sounds.
PAUSES: Final = frozenset((SILENCE, '<s>', '</s>', '', *' ;:,.!?—–…"()“”«»-'))
VOWELS: Final = ('open', 'mid', 'front', 'back', 'round')
SONORANTS: Final = (*VOWELS, 'lateral', 'rhotic', 'glide')     # a burst before them is heard
BEHIND_LIPS: Final = ('dental', 'alveolar', 'lateral', 'sibilant', 'velar')
#: Vowels that are never stressed; what GRID says about them is what they are.
REDUCED: Final = frozenset('əᵻᵊɚ')
#: Diphthongs glide from one vowel to another, and are as long in the first as in the second.
GLIDES: Final = {'A': 'eɪ', 'I': 'aɪ', 'O': 'oʊ', 'Q': 'əʊ', 'W': 'aʊ', 'Y': 'ɔɪ'}

#: The IPA chart, close to open; rows of equal steps of the jaw.
HEIGHTS: Final = ('iyɨʉɯu', 'ɪʏʊᵻ', 'eøɘɵɤo', 'əᵊɚ', 'ɛœɜɝɞʌɔ', 'æɐ', 'aɶɑɒ')
HEIGHT_OF: Final = {vowel: row / (len(HEIGHTS) - 1)
                    for row, vowels in enumerate(HEIGHTS) for vowel in vowels}
#: Lips of rounded vowels, less the opener they are (Ladefoged and Maddieson 1996, chapter 9).
ROUNDED: Final = {'u': 1.0, 'y': 1.0, 'ʉ': 0.9, 'ʏ': 0.8, 'ʊ': 0.75, 'o': 0.85, 'ø': 0.85,
                  'ɵ': 0.75, 'ɔ': 0.7, 'œ': 0.65, 'ɞ': 0.5, 'ɒ': 0.45, 'ɶ': 0.4, 'ɝ': 0.25,
                  'ɚ': 0.25}
#: Of i; GRID's talker draws his corners back for sibilants more than for any vowel.
SPREAD: Final = 0.3
#: Japanese and Mandarin close vowels that are neither spread nor rounded.
NEUTRAL: Final = frozenset('ɨɯᵻɘɤəᵊɜʌɐɑ')

_CONSONANTS: Final = {
    SILENCE: Articulation(1.0),
    'bilabial': Articulation(1.2, seal=1.0),
    'narrow': Articulation(1.1, rounding=0.2, seal=0.7),
    'labiodental': Articulation(1.2, parted=0.2, bite=1.0),
    'dental': Articulation(0.6, parted=0.3, tongue=1.0),
    'alveolar': Articulation(0.5, spread=0.2, parted=0.35),
    'lateral': Articulation(0.5, parted=0.3, tongue=0.4),
    'sibilant': Articulation(0.9, spread=0.5, parted=0.6),
    'postalveolar': Articulation(0.9, rounding=0.6, parted=0.55),
    'velar': Articulation(0.3, parted=0.2),
    'rhotic': Articulation(0.5, rounding=0.45, parted=0.2),
    'glide': Articulation(0.9, rounding=1.0),
}
#: Consonants that are unlike their class.
_OWN: Final = {
    'ʋ': Articulation(0.9, rounding=0.1, bite=0.6),     # Hindi's is an approximant
    'ʂ': Articulation(0.9, rounding=0.3, parted=0.5),   # Mandarin's lips protrude little
    'ʐ': Articulation(0.9, rounding=0.3, parted=0.5),
    'ꭧ': Articulation(0.9, rounding=0.3, parted=0.5),
    'ɻ': Articulation(0.5, rounding=0.3, parted=0.3),
    **dict.fromkeys('jʝɲcɟç', Articulation(0.5, spread=0.4, parted=0.3)),
    'ʎ': Articulation(0.5, spread=0.4, parted=0.3),
    # What follows h decides its mouth; nothing shows of a glottal stop.
    **dict.fromkeys('hɦʔħʕ', Articulation(0.1)),
}


@cache
def articulation(symbol: str) -> Articulation:
    """Return what the mouth does for a phone; `ValueError` where nobody knows."""
    if (vowel := nucleus(symbol)) in HEIGHT_OF:
        return _vowel(vowel)
    return _OWN.get(symbol) or _CONSONANTS[class_of(symbol)]


def nucleus(symbol: str) -> str:
    """Return the vowel that a diphthong begins with; any other phone itself."""
    return GLIDES.get(symbol, symbol)[0]


def _vowel(symbol: str) -> Articulation:
    """Return a vowel's lips: the opener, the stronger; close front ones are spread."""
    height, rounding = HEIGHT_OF[symbol], ROUNDED.get(symbol, 0.0)
    spread = 0.05 if symbol in NEUTRAL else SPREAD * (1 - height)
    return Articulation(0.8 + 0.2 * height, rounding, 0.0 if rounding else spread,
                        0.0 if rounding > 0.6 else 0.35)


def class_of(symbol: str) -> str:
    """Return a phone's class, SILENCE for a pause; `ValueError` where nobody knows."""
    if symbol in CLASS_OF:
        return CLASS_OF[symbol]
    if symbol in PAUSES:
        return SILENCE
    raise ValueError(f'{symbol!r} is no phone that is known here; '
                     'model/articulation.py says which are')
