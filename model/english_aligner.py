# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
English text and its sound become phones in time, with PyPI `pocketsphinx`.

Words that its dictionary lacks are an error here: the decoder itself would leave them out and
align the rest beside the sound.
"""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.phones import SILENCE, Phone

Array = NDArray[np.floating]

FRAMES: Final = 100             # a second
#: ARPAbet in Kokoro's spelling of IPA. The dictionary does not tell stress.
SYMBOLS: Final = {
    'AA': 'ɑ', 'AE': 'æ', 'AH': 'ʌ', 'AO': 'ɔ', 'AW': 'W', 'AY': 'I', 'B': 'b', 'CH': 'ʧ',
    'D': 'd', 'DH': 'ð', 'EH': 'ɛ', 'ER': 'ɚ', 'EY': 'A', 'F': 'f', 'G': 'ɡ', 'HH': 'h',
    'IH': 'ɪ', 'IY': 'i', 'JH': 'ʤ', 'K': 'k', 'L': 'l', 'M': 'm', 'N': 'n', 'NG': 'ŋ', 'OW': 'O',
    'OY': 'Y', 'P': 'p', 'R': 'ɹ', 'S': 's', 'SH': 'ʃ', 'T': 't', 'TH': 'θ', 'UH': 'ʊ', 'UW': 'u',
    'V': 'v', 'W': 'w', 'Y': 'j', 'Z': 'z', 'ZH': 'ʒ',
}
DIGITS: Final = dict(zip('0123456789', ('zero', 'one', 'two', 'three', 'four', 'five', 'six',
                                       'seven', 'eight', 'nine'), strict=True))


class AlignmentError(Exception):
    """A text and its sound cannot be brought together; the message says why."""


class EnglishAligner:
    """A decoder that is told what was said."""

    def __init__(self) -> None:
        """Load the models that the package carries."""
        from pocketsphinx import Decoder  # the extra `judge`
        self._decoder: Any = Decoder(samprate=16000, lm=None, bestpath=False, loglevel='FATAL')

    def align(self, text: str, samples: Array) -> list[Phone]:
        """Return the phones and pauses of 16 kHz samples; raises `AlignmentError`."""
        said = words(text)
        if unknown := [word for word in said if self._decoder.lookup_word(word) is None]:
            raise AlignmentError(f'the dictionary lacks {unknown[0]!r}')
        pcm = (np.clip(samples, -1, 1) * 32767).astype('<i2').tobytes()
        try:
            self._decoder.set_align_text(' '.join(said))
            self._hear(pcm)             # words first, then the phones inside them
            self._decoder.set_alignment()
            self._hear(pcm)
            # An entry is dead memory once the next one is asked for: copy while passing.
            found = [(word.name, [(phone.name, phone.start, phone.duration) for phone in word])
                     for word in self._decoder.get_alignment() or ()]
        except RuntimeError as error:
            raise AlignmentError(f'the decoder gave up: {error}') from None
        heard = [re.sub(r'\(\d+\)$', '', word) for word, _ in found]
        if [word for word in heard if word[0] != '<'] != said:
            raise AlignmentError('the decoder left words out')
        return [Phone(SYMBOLS.get(phone, SILENCE), start / FRAMES, (start + count) / FRAMES)
                for _, phones in found for phone, start, count in phones]

    def _hear(self, pcm: bytes) -> None:
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, full_utt=True)
        self._decoder.end_utt()


def words(text: str) -> list[str]:
    """Return the words of a text, digits spelt; raises `AlignmentError` on longer numbers."""
    if re.search(r'\d\d|[\[\]%$€@]', text):
        raise AlignmentError(f'cannot tell how {text!r} is said')
    plain = re.sub(r'\d', lambda digit: f' {DIGITS[digit[0]]} ', text.lower().replace('’', "'"))
    found = re.findall(r"[a-z]+(?:'[a-z]+)*", plain)
    if not found:
        raise AlignmentError('there are no words')
    return found
