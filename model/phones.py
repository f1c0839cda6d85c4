# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Phones and what the mouth does for them.

Symbols are IPA in Kokoro's spelling (A = eɪ, I = aɪ, O = oʊ, Q = əʊ, W = aʊ, Y = ɔɪ, ʤ, ʧ). Jaw
and lip apertures are per class, fitted on GRID (`model/fit_teacher.py`); the rest of an
articulation says which shapes go with it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

SILENCE: Final = 'sil'
LONGEST: Final = 0.3            # seconds; an aligner hides pauses in longer phones


class Articulation(NamedTuple):
    """Targets of one class of phones, each in [0, 1] of what the shape does in speech."""

    aperture: float             # lip opening through the jaw, fitted
    strength: float             # how much of the jaw it claims against its neighbours
    rounding: float = 0.0       # lips rounded and forward
    spread: float = 0.0         # corners back
    parted: float = 0.0         # lips drawn off the teeth


#: Class of each phone; long vowels and nasal vowels share their plain vowel's class.
CLASSES: Final = {
    'open': 'aæɑɐIW', 'mid': 'ɛʌəɜeAᵻᵊɚɤ', 'front': 'iɪɨɯ', 'back': 'uʊy', 'round': 'ɔoOQYɒøœ',
    'bilabial': 'pbm', 'labiodental': 'fvʋ', 'dental': 'θð', 'alveolar': 'tdnɾrʈɖɳɽ',
    'lateral': 'lʎ', 'sibilant': 'szʦʣɕʨʥ', 'postalveolar': 'ʃʒʧʤʂꭧcɟ',
    'velar': 'kɡŋxɣhjʝɲʔβçqχʁɴɰ', 'rhotic': 'ɹɻ', 'glide': 'wɥɸ',
}
CLASS_OF: Final = {phone: name for name, phones in CLASSES.items() for phone in phones}
#: Length, nasality, kinds of release, tones: they belong to the phone before them.
MARKS: Final = 'ː̃ʲʰᵝ→↗↓↘'
VOWELS: Final = ('open', 'mid', 'front', 'back', 'round')
SONORANTS: Final = (*VOWELS, 'lateral', 'rhotic', 'glide')     # a burst before them is heard

#: The shapes beside the jaw. Apertures here are the starting point of the fit.
ARTICULATIONS: Final = {
    SILENCE: Articulation(0.0, 1.0),
    'open': Articulation(0.9, 1.0, spread=0.15, parted=0.35),
    'mid': Articulation(0.6, 0.8, spread=0.25, parted=0.3),
    'front': Articulation(0.35, 0.8, spread=0.7, parted=0.35),
    'back': Articulation(0.3, 0.8, rounding=0.95),
    'round': Articulation(0.6, 0.9, rounding=0.75),
    'bilabial': Articulation(0.05, 1.2),
    'labiodental': Articulation(0.1, 1.2, parted=0.2),
    'dental': Articulation(0.2, 0.5, parted=0.3),
    'alveolar': Articulation(0.2, 0.45, spread=0.1, parted=0.35),
    'lateral': Articulation(0.3, 0.45, parted=0.3),
    'sibilant': Articulation(0.1, 0.9, spread=0.35, parted=0.6),
    'postalveolar': Articulation(0.15, 0.9, rounding=0.6, parted=0.55),
    'velar': Articulation(0.35, 0.3, parted=0.2),
    'rhotic': Articulation(0.25, 0.5, rounding=0.45, parted=0.2),
    'glide': Articulation(0.1, 0.9, rounding=1.0),
}


class Phone(NamedTuple):
    """A phone in time; `stress` is 1 on a stressed vowel."""

    symbol: str
    start: float                # seconds
    end: float                  # seconds
    stress: float = 0.0

    @property
    def kind(self) -> str:
        """Class of the phone; what is no phone is silence."""
        return CLASS_OF.get(self.symbol, SILENCE)


def from_kokoro(rows: list[list[object]], *, shift: float = 0.0) -> list[Phone]:
    """
    Return the phones of a Kokoro alignment, `shift` seconds earlier.

    The time of a stress mark belongs to the vowel behind it, that of another mark to the phone
    before it. So does a short space; a long one is a pause.
    """
    phones: list[Phone] = []
    pending: tuple[float, float] | None = None      # start of a stress mark, its weight
    for symbol, start, end in rows:
        start, end = float(start) - shift, float(end) - shift     # type: ignore[arg-type]
        if symbol in ('ˈ', 'ˌ'):
            pending = (start, 1.0 if symbol == 'ˈ' else 0.5)
        elif symbol in CLASS_OF:
            stress = 0.0
            if pending is not None:
                start, stress = pending[0], pending[1]
            phones.append(Phone(str(symbol), start, end, stress))
            pending = None
        elif phones and (str(symbol) in MARKS or (symbol == ' ' and end - start < 0.1)):
            phones[-1] = phones[-1]._replace(end=end)
        else:
            phones.append(Phone(SILENCE, start, end))
    return [piece for phone in phones for piece in _without_pause(phone)]


def _without_pause(phone: Phone) -> list[Phone]:
    """Return the phone, and what follows LONGEST of it as silence: an unmarked pause."""
    if phone.kind == SILENCE or phone.end - phone.start <= LONGEST:
        return [phone]
    edge = phone.start + LONGEST
    return [phone._replace(end=edge), Phone(SILENCE, edge, phone.end)]


#: Seconds that a consonant begins before Kokoro says so, once its vowels are right. Over 250 clips
#: the closure or the noise begins 18 (m) to 42 (f) ms early; vowels are off by 5 ms.
CLOSES_EARLY: Final = 0.025
SEALED: Final = 0.06            # seconds that lips are shut before the burst of p and b, at least
PARTING: Final = 0.01           # seconds before the burst at which lips begin to give way
BURST: Final = 8.0              # dB within 20 ms: a rise like this is a burst
ENERGY_RATE: Final = 400        # of `sharpness`, Hz


def settle(phones: list[Phone], samples: NDArray[np.float32]) -> list[Phone]:
    """
    Return a Kokoro alignment with its consonants where the 16 kHz sound has them.

    Consonants begin earlier, and p and b end with their burst, where the lips part.
    """
    energy = sharpness(samples)
    settled = list(phones)
    for index, phone in enumerate(settled):
        if phone.kind in (*VOWELS, SILENCE):
            continue
        start, end = phone.start - CLOSES_EARLY, phone.end
        follower = settled[index + 1] if index + 1 < len(settled) else None
        if phone.symbol in 'pb' and follower and follower.kind in SONORANTS:
            end = burst(energy, phone.start) - PARTING
            start = min(start, end - SEALED)
            settled[index + 1] = follower._replace(start=end)
        settled[index] = phone._replace(start=start, end=end)
        if index and settled[index - 1].end > start:
            earlier = settled[index - 1]
            settled[index - 1] = earlier._replace(end=max(start, earlier.start))
    return settled


def burst(energy: NDArray[np.float64], start: float) -> float:
    """Return the second of the sharpest rise around `start`; where none is heard, the usual."""
    first, last = (round((start + offset) * ENERGY_RATE) for offset in (-0.04, 0.075))
    width = ENERGY_RATE // 50
    if first < width or last + width > len(energy):
        return start + 0.029
    sums = np.concatenate([[0.0], np.cumsum(energy)])
    at = np.arange(first, last)
    rises = (sums[at + width] - 2 * sums[at] + sums[at - width]) / width
    best = int(np.argmax(rises))
    return float(at[best] / ENERGY_RATE) if rises[best] > BURST else start + 0.029


def sharpness(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the level of the high frequencies in dB, ENERGY_RATE a second."""
    # Two differences stand for a high-pass: voicing through closed lips must not count.
    high = np.diff(samples.astype(np.float64), n=2, prepend=[0.0, 0.0])
    window = np.hanning(162)[1:-1]
    power = np.convolve(high ** 2, window / window.sum(), mode='same')
    return 10 * np.log10(power[::16000 // ENERGY_RATE] + 1e-7)


#: The words of GRID (Cooke et al. 2006).
GRID_WORDS: Final = {
    'bin': 'bɪn', 'lay': 'lA', 'place': 'plAs', 'set': 'sɛt', 'blue': 'blu', 'green': 'ɡɹin',
    'red': 'ɹɛd', 'white': 'wIt', 'at': 'æt', 'by': 'bI', 'in': 'ɪn', 'with': 'wɪð',
    'again': 'əɡɛn', 'now': 'nW', 'please': 'pliz', 'soon': 'sun',
    'zero': 'zɪɹO', 'one': 'wʌn', 'two': 'tu', 'three': 'θɹi', 'four': 'fɔ', 'five': 'fIv',
    'six': 'sɪks', 'seven': 'sɛvən', 'eight': 'At', 'nine': 'nIn',
    'a': 'A', 'b': 'bi', 'c': 'si', 'd': 'di', 'e': 'i', 'f': 'ɛf', 'g': 'ʤi', 'h': 'Aʧ', 'i': 'I',
    'j': 'ʤA', 'k': 'kA', 'l': 'ɛl', 'm': 'ɛm', 'n': 'ɛn', 'o': 'O', 'p': 'pi', 'q': 'kju',
    'r': 'ɑ', 's': 'ɛs', 't': 'ti', 'u': 'ju', 'v': 'vi', 'x': 'ɛks', 'y': 'wI', 'z': 'zɛd',
}


def from_words(words: list[list[object]]) -> list[Phone]:
    """Return the phones of GRID words `[word, start, end]`; a vowel lasts twice a consonant."""
    phones: list[Phone] = []
    for word, start, end in words:
        symbols = GRID_WORDS.get(str(word), '')
        if not symbols:
            phones.append(Phone(SILENCE, float(start), float(end)))     # type: ignore[arg-type]
            continue
        shares = [2.0 if CLASS_OF[symbol] in VOWELS else 1.0 for symbol in symbols]
        scale = (float(end) - float(start)) / sum(shares)               # type: ignore[arg-type]
        edge = float(start)                                             # type: ignore[arg-type]
        for symbol, share in zip(symbols, shares, strict=True):
            stress = 1.0 if CLASS_OF[symbol] in VOWELS else 0.0
            phones.append(Phone(symbol, edge, edge + share * scale, stress))
            edge += share * scale
    return phones
