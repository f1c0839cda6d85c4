# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Speech with Praat TextGrids, as the Montreal Forced Aligner writes them.

`DIR/**/NAME.TextGrid` lies beside its sound `NAME.wav` (.flac, .opus, .ogg, .mp3); the folder that
both lie in is the speaker, as in the aligner's own corpora. Labels are ARPAbet (`AA1`) or IPA
(`aj`, `tʃ`, `pʰ`); they become the phones of `model/phones.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final
import unicodedata

from avatar_bridge.phones import decoded, text_grid_rows
from model.datasets.recording import DatasetError, Recording, drawn_split, found_in
from model.datasets.sound import read_sound, sound_of
from model.phones import CLASS_OF, Phone, from_kokoro
from model.synthesisers import ARPABET

#: What aligners write where nobody speaks, or where nobody knows what was said.
SILENCES: Final = frozenset(('', 'sil', 'sp', 'spn', 'pau', '<eps>', '#', '<p:>', '<s>', '</s>',
                             'noise', 'laughter'))
#: Diphthongs and affricates that are one letter here.
LETTERS: Final = {
    'aj': 'I', 'aɪ': 'I', 'ɑɪ': 'I', 'aw': 'W', 'aʊ': 'W', 'ej': 'A', 'eɪ': 'A', 'ow': 'O',
    'oʊ': 'O', 'əw': 'Q', 'əʊ': 'Q', 'ɔj': 'Y', 'ɔɪ': 'Y', 'ɔʏ': 'Y', 'oj': 'Y', 'tʃ': 'ʧ',
    'dʒ': 'ʤ', 'ts': 'ʦ', 'dz': 'ʣ', 'tɕ': 'ʨ', 'dʑ': 'ʥ', 'ʈʂ': 'ꭧ',
}
#: Weight of a digit behind an ARPAbet vowel, as a mark of Kokoro's.
STRESS: Final = {'1': 'ˈ', '2': 'ˌ'}


def recordings(folder: Path) -> Iterator[Recording]:
    """Yield the recordings under a folder, in the order of their names."""
    for path in found_in(folder, '*.TextGrid'):
        name = path.relative_to(folder).with_suffix('')
        speaker = name.parent.as_posix() if name.parent.name else folder.resolve().name
        yield Recording(name.as_posix(), drawn_split(name.as_posix()), speaker, '',
                        read_sound(sound_of(path)), phones=read_phones(path))


def read_phones(path: Path) -> tuple[Phone, ...]:
    """Return the phones of a TextGrid, long or short form, UTF-8 or UTF-16, with its silences."""
    try:
        rows = text_grid_rows(decoded(path.read_bytes()))
        # An aligner's silences are the ends, too: the face rests before and after.
        return tuple(from_kokoro([list(row) for timed in rows for row in spelled(*timed)]))
    except (IndexError, OSError, ValueError) as error:
        raise DatasetError(path, expected='a TextGrid with a tier of phones',
                           found=str(error)) from error


def spelled(label: str, start: float, end: float) -> list[tuple[str, float, float]]:
    """Return a label in Kokoro's spelling; the symbols of one label share its time."""
    if not start <= end:
        raise ValueError(f'{label!r} from {start:g} to {end:g} s')
    mark, symbols = transcribed(label.strip())
    width = (end - start) / max(len(symbols), 1)
    rows = [(symbol, start + index * width, start + (index + 1) * width)
            for index, symbol in enumerate(symbols)]
    return [(mark, start, start), *rows] if mark else rows


def transcribed(label: str) -> tuple[str, str]:
    """Return the mark of stress, or '', and the symbols of an ARPAbet or IPA label."""
    if label.lower() in SILENCES:
        return '', ' '
    if label.isascii() and label.isupper():
        plain, digit = label.rstrip('012'), label[-1]
        plain = 'ax' if label == 'AH0' else plain.lower()
        if plain not in ARPABET:
            raise ValueError(f'{label!r}, which is no phone of ARPAbet')
        return STRESS.get(digit, ''), ARPABET[plain]
    return '', from_ipa(label)          # aligners write no stress into IPA


def from_ipa(label: str) -> str:
    """Return the symbols of an IPA label without length, release and other marks."""
    composed = unicodedata.normalize('NFC', label)
    bare = ''.join(plain for letter in composed for plain in (
        letter if letter in CLASS_OF else unicodedata.normalize('NFD', letter))
        if unicodedata.category(plain) not in ('Mn', 'Lm', 'Sk'))
    symbols = LETTERS.get(bare, bare)
    if not symbols or any(symbol not in CLASS_OF for symbol in symbols):
        raise ValueError(f'{label!r}, which is no phone that is known here')
    return symbols
