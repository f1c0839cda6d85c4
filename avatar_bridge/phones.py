# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Which phone is spoken when, from a file beside the audio: IN.json or Praat's IN.TextGrid."""

from __future__ import annotations

import json
import math
from pathlib import Path
import re
from typing import Any, Final, NamedTuple

from avatar_bridge.errors import AudioError

#: Phones that shut the lips, and letters that vowels begin with (IPA and ARPABET).
CLOSURES: Final = frozenset(('p', 'b', 'm', 'P', 'B', 'M'))
VOWELS: Final = frozenset('aeiouyæɑɒɐɔəɛɜɝɚɪʊʌøœᵻɨʉɯɤAEIOU')
SILENCES: Final = frozenset(('', 'sil', 'sp', 'spn', 'pau', '<eps>', '#'))
TIERS: Final = ('phones', 'phone', 'phonemes', 'segments', 'mau')
_STRESS: Final = 'ˈˌ'
#: What a TextGrid consists of: texts in quotes, and numbers that do not count its items.
_WORD: Final = re.compile(
    r'"((?:[^"]|"")*)"|(?<![\w\[])(-?\d+\.?\d*(?:[eE]-?\d+)?)(?![\w\]])')


class Phone(NamedTuple):
    """One sound of speech; seconds."""

    text: str
    start: float
    end: float

    @property
    def is_closure(self) -> bool:
        """Whether the lips are shut for it."""
        return self.text in CLOSURES

    @property
    def is_vowel(self) -> bool:
        """Whether it is a vowel."""
        return self.text[:1] in VOWELS and self.text not in CLOSURES


def phones_beside(audio: Path) -> tuple[Phone, ...]:
    """Return the phones of a recording, none where nobody wrote them down; `AudioError`."""
    if not audio.is_file():         # a microphone
        return ()
    for suffix, read in (('.json', from_json), ('.TextGrid', from_text_grid)):
        path = audio.with_suffix(suffix)
        try:
            if path != audio and path.is_file():
                return read(decoded(path.read_bytes()))
        except (ArithmeticError, LookupError, OSError, TypeError, ValueError) as error:
            raise AudioError(f'{path}: expected the phones of {audio.name}, cannot read them '
                             f'({error}); mend it or take it away') from error
    return ()


def from_json(text: str) -> tuple[Phone, ...]:
    """Return `phones`: [[text, start, end], ...] of an object; other JSON has none."""
    found: Any = json.loads(text)
    rows = found.get('phones', []) if isinstance(found, dict) else []
    return settled([(str(text), float(start), float(end)) for text, start, end in rows])


def from_text_grid(text: str) -> tuple[Phone, ...]:
    """Return the tier of phones of a TextGrid, long or short form."""
    return settled(text_grid_rows(text))


def text_grid_rows(text: str) -> list[tuple[str, float, float]]:
    """Return the tier of phones as it is written: silences and marks of stress, too."""
    words = [number or quoted.replace('""', '"') for quoted, number in _WORD.findall(text)]
    if 'IntervalTier' not in words:
        raise ValueError('it has no tier of intervals')
    kinds = [index for index, word in enumerate(words) if word in ('IntervalTier', 'TextTier')]
    tiers = [words[start:end] for start, end in zip(kinds, [*kinds[1:], len(words)], strict=True)
             if words[start] == 'IntervalTier']
    # With several speakers the Montreal Forced Aligner writes `NAME - phones`.
    chosen = next((tier for tier in tiers if tier[1].lower().rpartition(' - ')[2] in TIERS),
                  tiers[-1])
    rows = chosen[5:5 + 3 * int(chosen[4])]
    return [(rows[k + 2], float(rows[k]), float(rows[k + 1])) for k in range(0, len(rows), 3)]


def settled(rows: list[tuple[str, float, float]]) -> tuple[Phone, ...]:
    """Return phones in the order of time, without silence and marks of stress."""
    phones = []
    for text, start, end in rows:
        if not (math.isfinite(start) and math.isfinite(end) and start <= end):
            raise ValueError(f'{text!r} lasts from {start} to {end}')
        plain = text.strip().strip(_STRESS)
        plain = plain.rstrip('012') if plain.isascii() else plain
        if plain not in SILENCES:
            phones.append(Phone(plain, start, end))
    return tuple(sorted(phones, key=lambda phone: phone.start))


def decoded(data: bytes) -> str:
    """Return text that Praat may have written in UTF-16."""
    if data[:2] in (b'\xff\xfe', b'\xfe\xff'):
        return data.decode('utf-16')
    return data.decode('utf-8-sig')
