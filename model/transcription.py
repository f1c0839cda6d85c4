# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Text to the symbols of Kokoro: espeak-ng for most languages, own rules for pinyin and romaji.

Kokoro writes IPA with a letter each for diphthongs and affricates (A = eɪ, I = aɪ, O = oʊ, Q = əʊ,
W = aʊ, Y = ɔɪ, ʤ, ʧ, ʣ, ʦ). espeak-ng is a program of its own (GPL), called, never linked.
"""

from __future__ import annotations

from itertools import zip_longest
import re
import shutil
import subprocess
from typing import Final

#: espeak's voice for each language; what it lacks is spelt here.
ESPEAK_VOICES: Final = {'en-us': 'en-us', 'en-gb': 'en-gb', 'es': 'es', 'fr': 'fr-fr', 'de': 'de',
                        'hi': 'hi', 'it': 'it', 'pt-br': 'pt-br'}
#: A mark inside a number, 1,400, is none.
PUNCTUATION: Final = re.compile(r'([;:,.!?—…]+)(?=\s|$)')
#: Marks that other scripts write.
PLAIN: Final = str.maketrans({'।': '.', '¿': '', '¡': '', '’': "'", '–': '—'})
TIED: Final = {'a^ɪ': 'I', 'a^ʊ': 'W', 'd^z': 'ʣ', 'd^ʒ': 'ʤ', 'e^ɪ': 'A', 'o^ʊ': 'O',
               'ə^ʊ': 'Q', 't^s': 'ʦ', 't^ʃ': 'ʧ', 'ɔ^ɪ': 'Y'}
#: Symbols of espeak that Kokoro writes otherwise, or does not know.
SPELT: Final = {
    'en-us': {'oːɹ': 'ɔɹ', 'ɜːɹ': 'ɜɹ', 'ɜː': 'ɜɹ', 'ɚ': 'əɹ', 'ɐ': 'ə', 'r': 'ɹ',
              'x': 'k', 'ç': 'k', 'ː': '', 'ɬ': 'l', 'ʲ': '', 'n̩': 'ᵊn', 'l̩': 'ᵊl'},
    'de': {'ʏ': 'y', 'ɜ': 'ɐ', 'g': 'ɡ'},
    'pt-br': {'æ': 'ɐ', 'y': 'ɪ'},
}
SPELT['en-gb'] = SPELT['en-us'] | {'ɜːɹ': 'ɜːɹ', 'ɜː': 'ɜː', 'ː': 'ː'}


class TranscriptionError(Exception):
    """Text cannot be turned into phones; the message says what to install or to change."""


def transcribe(text: str, language: str) -> str:
    """Return a text as Kokoro's symbols, its punctuation in place."""
    pieces = PUNCTUATION.split(text.translate(PLAIN))       # words, mark, words, mark, ...
    symbols = _phones([piece.strip() for piece in pieces[::2]], language)
    marks = [f'{mark[0]} ' for mark in pieces[1::2]]
    return ''.join(part for pair in zip_longest(symbols, marks, fillvalue='')
                   for part in pair).strip()


def _phones(pieces: list[str], language: str) -> list[str]:
    """Return the symbols of each piece between punctuation marks."""
    if language == 'zh':
        return [from_pinyin(piece) for piece in pieces]
    if language == 'ja':
        return [from_romaji(piece) for piece in pieces]
    return [spell(line, language) for line in espeak(pieces, ESPEAK_VOICES[language])]


def espeak(pieces: list[str], voice: str) -> list[str]:
    """Return espeak's IPA, a line for each piece; its affricates and diphthongs are tied by ^."""
    program = shutil.which('espeak-ng')
    if program is None:
        raise TranscriptionError('espeak-ng is not installed: apt install espeak-ng')
    # A piece a call: given several lines, espeak breaks a long one wherever it likes.
    return [' '.join(subprocess.run(
        [program, '-q', '--ipa', '--tie=^', '-v', voice, '--', piece],
        check=True, capture_output=True, text=True).stdout.split()) if piece else ''
        for piece in pieces]


def spell(ipa: str, language: str) -> str:
    """Return espeak's IPA in Kokoro's spelling."""
    # (e^n) and the like mark a word of another language; a hyphen a pause that is none.
    ipa = re.sub(r'\([a-z^-]+\)|[-_]', '', ipa)
    for table in (TIED, {'^': ''}, SPELT.get(language, {})):
        for old, new in table.items():
            ipa = ipa.replace(old, new)
    return ipa


#: Pinyin. Kokoro puts the tone behind the vowel and writes zh as one letter.
INITIALS: Final = {
    'zh': 'ꭧ', 'ch': 'ꭧʰ', 'sh': 'ʂ', 'b': 'p', 'p': 'pʰ', 'm': 'm', 'f': 'f', 'd': 't', 't': 'tʰ',
    'n': 'n', 'l': 'l', 'g': 'k', 'k': 'kʰ', 'h': 'x', 'j': 'ʨ', 'q': 'ʨʰ', 'x': 'ɕ', 'r': 'ɻ',
    'z': 'ʦ', 'c': 'ʦʰ', 's': 's', '': '',
}
#: A dot stands where the tone goes.
FINALS: Final = {
    'a': 'a.', 'ai': 'ai.', 'an': 'a.n', 'ang': 'a.ŋ', 'ao': 'au.', 'e': 'ɤ.', 'ei': 'ei.',
    'en': 'ə.n', 'eng': 'ə.ŋ', 'er': 'ɚ.', 'i': 'i.', 'ia': 'ja.', 'ian': 'jɛ.n', 'iang': 'ja.ŋ',
    'iao': 'jau.', 'ie': 'je.', 'in': 'i.n', 'ing': 'i.ŋ', 'iong': 'jʊ.ŋ', 'iu': 'jou.',
    'o': 'wo.', 'ong': 'ʊ.ŋ', 'ou': 'ou.', 'u': 'u.', 'ua': 'wa.', 'uai': 'wai.', 'uan': 'wa.n',
    'uang': 'wa.ŋ', 'ui': 'wei.', 'un': 'wə.n', 'uo': 'wo.', 'ü': 'y.', 'üe': 'ɥe.', 'üan': 'ɥɛ.n',
    'ün': 'y.n', 'ɨ': 'ɨ.',
}
TONES: Final = {'1': '→', '2': '↗', '3': '↓', '4': '↘', '5': ''}
#: Syllables without an initial write their glide as a letter.
BARE: Final = {'yi': 'i', 'ya': 'ia', 'yan': 'ian', 'yang': 'iang', 'yao': 'iao', 'ye': 'ie',
               'yin': 'in', 'ying': 'ing', 'yong': 'iong', 'you': 'iu', 'yu': 'ü', 'yue': 'üe',
               'yuan': 'üan', 'yun': 'ün', 'wu': 'u', 'wa': 'ua', 'wai': 'uai', 'wan': 'uan',
               'wang': 'uang', 'wei': 'ui', 'wen': 'un', 'wo': 'uo'}


def from_pinyin(words: str) -> str:
    """Return numbered pinyin as symbols."""
    return ' '.join(_syllable(word[:-1].lower(), word[-1]) for word in words.split())


def _syllable(syllable: str, tone: str) -> str:
    initial, final = '', BARE.get(syllable, syllable)
    if syllable not in BARE:
        initial = next(name for name in INITIALS if syllable.startswith(name))
        final = syllable[len(initial):]
    if initial in ('j', 'q', 'x') and final.startswith('u'):
        final = 'ü' + final[1:]
    elif initial in ('zh', 'ch', 'sh', 'r', 'z', 'c', 's') and final == 'i':
        final = 'ɨ'
    if final not in FINALS or tone not in TONES:
        raise TranscriptionError(f'{syllable}{tone} is no pinyin syllable with its tone')
    return INITIALS[initial] + FINALS[final].replace('.', TONES[tone])


#: Hepburn romanisation, in this order; ' and length marks are settled before.
ROMAJI: Final = (
    (r'([aiueo])\u0304', r'\1ː'), (r'(kk|tt|pp|ss|tch|cch|dd|gg|bb)',
                                   lambda found: 'ʔ' + found[1][1:]),
    (r'n(?=[mpb])', 'm'), (r'n(?=[kg])', 'ŋ'), (r"n(?![aiueoyː'])(?![tdnzrsjcm])", 'ɴ'),
    (r'tsu', 'ʦɨ'), (r'ts', 'ʦ'), (r'ch(?=i)', 'ʨ'), (r'chu', 'ʨɨ'), (r'ch', 'ʨ'),
    (r'sh(?=i)', 'ɕ'), (r'shu', 'ɕɨ'), (r'sh', 'ɕ'), (r'ju', 'ʥɨ'), (r'jo', 'ʥo'), (r'ja', 'ʥa'),
    (r'ji', 'ʥi'), (r'fu', 'ɸɯ'), (r'f', 'ɸ'), (r'hy', 'ç'), (r'hi', 'çi'), (r'ny', 'ɲ'),
    (r'ni', 'ɲi'), (r'([kgbpmr])yu', r'\1ʲɨ'), (r'([kgbpmr])y', r'\1ʲ'), (r'([kgbpmr])i', r'\1ʲi'),
    (r'([sz])u', r'\1ɨ'), (r'z(?=[aeo])', 'ʣ'), (r'u', 'ɯ'), (r'y', 'j'), (r'r', 'ɾ'),
    (r'w', 'β'), (r'g', 'ɡ'),
)
LONG: Final = str.maketrans({'ā': 'a\u0304', 'ī': 'i\u0304', 'ū': 'u\u0304', 'ē': 'e\u0304',
                             'ō': 'o\u0304'})


def from_romaji(words: str) -> str:
    """Return Hepburn romanisation as symbols."""
    symbols = words.lower().translate(LONG)
    for pattern, symbol in ROMAJI:
        symbols = re.sub(pattern, symbol, symbols)
    return symbols
