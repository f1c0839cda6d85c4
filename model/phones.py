# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Phones in time: from Kokoro's alignments, settled on the sound, and from GRID's words.

Symbols are those of `model/articulation.py`: IPA, with Kokoro's letters for diphthongs and
affricates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.articulation import (
    CLASS_OF,
    CLASSES,
    GLIDES,
    MARKS,
    PAUSES,
    REDUCED,
    SILENCE,
    SONORANTS,
    VOWELS,
    class_of,
)

#: Classes by number; the last is silence.
NUMBERED: Final = (*CLASSES, SILENCE)
UNKNOWN: Final = 255            # number of what nobody has aligned
LONGEST: Final = 0.3            # seconds; an aligner hides pauses in longer phones
NUCLEUS: Final = 0.55           # of a diphthong, before it glides
UNMARKED: Final = 0.5           # stress of a full vowel where no vowel of the clip has a mark


class Phone(NamedTuple):
    """A phone in time; `stress` is 1 on a stressed vowel."""

    symbol: str
    start: float                # seconds
    end: float                  # seconds
    stress: float = 0.0

    @property
    def kind(self) -> str:
        """Class of the phone; a pause is SILENCE, and what is neither an error."""
        return class_of(self.symbol)

    @property
    def length(self) -> float:
        """Seconds that it lasts."""
        return self.end - self.start


def class_numbers(phones: Sequence[Phone], frames: int, rate: float) -> NDArray[np.uint8]:
    """Return the number of the class that sounds at each frame, (frames,); `rate` in 1/s."""
    numbers = np.full(frames, NUMBERED.index(SILENCE), np.uint8)
    for phone in phones:
        numbers[max(0, round(phone.start * rate)):round(phone.end * rate)] = (
            NUMBERED.index(phone.kind))
    return numbers


def from_kokoro(rows: list[list[object]], *, shift: float = 0.0) -> list[Phone]:
    """
    Return the phones of a Kokoro alignment, `shift` seconds earlier.

    The time of a stress mark belongs to the vowel behind it, that of another mark to the phone
    before it. So does a short space; a long one is a pause. What is neither phone, mark nor pause
    is a `ValueError`: silence would teach a shut mouth.
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
        elif str(symbol) in PAUSES or str(symbol) in MARKS:
            phones.append(Phone(SILENCE, start, end))
        else:
            class_of(str(symbol))
    return [piece for phone in _with_stress(phones) for piece in _without_pause(phone)]


def _with_stress(phones: list[Phone]) -> list[Phone]:
    """Return the phones; all full vowels half stressed where the language marks none."""
    if any(phone.stress for phone in phones):
        return phones
    return [phone._replace(stress=UNMARKED)
            if phone.kind in VOWELS and phone.symbol not in REDUCED else phone
            for phone in phones]


def gliding(phones: list[Phone]) -> list[Phone]:
    """Return the phones with every diphthong as its two vowels."""
    pieces = []
    for phone in phones:
        if phone.symbol not in GLIDES:
            pieces.append(phone)
            continue
        nucleus, glide = GLIDES[phone.symbol]
        edge = phone.start + NUCLEUS * phone.length
        pieces += [phone._replace(symbol=nucleus, end=edge),
                   phone._replace(symbol=glide, start=edge)]
    return pieces


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
