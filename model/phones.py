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

SILENCE: Final = 'sil'
LONGEST: Final = 0.3            # seconds; an aligner hides pauses in longer phones


class Articulation(NamedTuple):
    """Targets of one class of phones, each in [0, 1] of what the shape does in speech."""

    aperture: float             # lip opening through the jaw, fitted
    strength: float             # how much of the jaw it claims against its neighbours
    rounding: float = 0.0       # lips rounded and forward
    spread: float = 0.0         # corners back
    parted: float = 0.0         # lips drawn off the teeth
    tongue: float = 0.0         # tip between or behind the teeth, seen


#: Class of each phone; long vowels and nasal vowels share their plain vowel's class.
CLASSES: Final = {
    'open': 'aæɑɐIW', 'mid': 'ɛʌəɜeAᵻᵊ', 'front': 'iɪ', 'back': 'uʊ', 'round': 'ɔoOQYɒ',
    'bilabial': 'pbm', 'labiodental': 'fv', 'dental': 'θð', 'alveolar': 'tdnɾr', 'lateral': 'lʎ',
    'sibilant': 'sz', 'postalveolar': 'ʃʒʧʤ', 'velar': 'kɡŋxɣhjʝɲʔβ', 'rhotic': 'ɹ', 'glide': 'w',
}
CLASS_OF: Final = {phone: name for name, phones in CLASSES.items() for phone in phones}
VOWELS: Final = ('open', 'mid', 'front', 'back', 'round')

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
    'dental': Articulation(0.2, 0.5, parted=0.3, tongue=0.6),
    'alveolar': Articulation(0.2, 0.45, spread=0.1, parted=0.35, tongue=0.1),
    'lateral': Articulation(0.3, 0.45, parted=0.3, tongue=0.25),
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

    The time of a stress mark belongs to the vowel behind it, that of a length or nasal mark to the
    phone before it. So does a short space; a long one is a pause.
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
        elif symbol in ('ː', '̃', 'ʲ', ' ') and phones and end - start < 0.1:
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
