# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""Every phone that a synthesiser or an aligner writes has a mouth of its own, or is refused."""

import string

import numpy as np
import pytest

from model.articulation import CLASSES, GLIDES, HEIGHT_OF, MARKS, PAUSES, articulation, class_of
from model.phones import Phone, from_kokoro, gliding
from model.synthesisers import ARPABET
from model.teacher import usual_gap
from model.transcription import FINALS, INITIALS, SPELT, TIED

#: What each synthesiser wrote in the corpora that we made: Kokoro after espeak-ng, and flite.
WRITTEN = {
    'en-us': 'AIOWYbdfhijklmnpstuvwzæðŋɑɔəɛɜɡɪɹɾʃʊʌʒʔʤʧˈˌθᵊᵻ',
    'en-gb': 'AIQYWabdfhiklmnpstuvwzðŋɑɒɔəɛɜɡɪɹʃʤʧˈˌːθjæʊʌʒ',
    'es': 'Iabdefijklmnoprstuwxðŋɛɡɣɪɲɾʃʊʎʝʲˈˌːβθʧ',
    'it': 'abdefijklmnoprstuvwzŋɔɛɡɪɲɾʃʊʎʒʣɕʤʦʧʲˈˌː',
    'pt-br': 'AWabdefijklmnoprstuvwxzŋɐɔəɛɡɪɲɾʃʊʎʒʤʧʲˈˌː̃',
    'fr': 'abdefijklmnopstuvwyzøœɑɔəɛʁʃʒɲɡɥˈˌ̃',
    'de': 'IWYabdefhijklmnoprstuvxyzçøŋœɐɑɔəɛɡɪɾʁʃʊʏʦʧʒˈˌː',
    'hi': 'abdeijklmnoprstuzɔəɟɡɪɾʊʋʌɛæʰˈˌː̃cʃʂɖʈɳɽɲŋɦʱhfw',
    'ja': 'abdehikmnopstɕɡɯɨɲɴɾʔʥʨʦʣʲːβɸçwjz',
    'zh': 'aefijklmnopstuwxyɥŋɕəɚɛɤɨɻʂʊʦʨʰ→↓↗↘ꭧ',
}
#: The pulmonic consonants and the vowels of the chart of the International Phonetic Association.
IPA = ('pbtdʈɖcɟkɡqɢʔmɱnɳɲŋɴʙrʀⱱɾɽɸβfvθðszʃʒʂʐçʝxɣχʁħʕhɦɬɮʋɹɻjɰlɭʎʟʍwɥɕʑɧ'
       'iyɨʉɯuɪʏʊeøɘɵɤoəɛœɜɞʌɔæɐaɶɑɒɝɚ')


@pytest.mark.parametrize('language', WRITTEN)
def test_no_phone_of_a_language_falls_to_a_default(language):
    for symbol in WRITTEN[language]:
        assert symbol in MARKS + 'ˈˌ' or articulation(symbol)


@pytest.mark.parametrize('symbols', [
    IPA, ''.join(ARPABET.values()), ''.join(TIED.values()), ''.join(INITIALS.values()),
    ''.join(FINALS.values()), ''.join(''.join(table.values()) for table in SPELT.values())])
def test_the_chart_and_the_tables_of_the_synthesisers_are_known(symbols):
    for symbol in set(symbols) - set(MARKS) - PAUSES:
        assert class_of(symbol) in CLASSES
        assert 0 <= usual_gap(symbol) < 0.25


def test_a_phone_has_one_class():
    everything = ''.join(CLASSES.values())
    assert len(everything) == len(set(everything))
    assert not set(everything) & set(MARKS)


@pytest.mark.parametrize('symbol', ['☃', '1', 'ʘ'])
def test_what_nobody_knows_is_refused_and_no_silence(symbol):
    with pytest.raises(ValueError, match=symbol):
        from_kokoro([['a', 0.0, 0.1], [symbol, 0.1, 0.2]])


def test_punctuation_is_a_pause():
    phones = from_kokoro([[mark, 0.2 * at, 0.2 * at + 0.2] for at, mark in enumerate(';:,.!?—…')])
    assert {phone.kind for phone in phones} == {'sil'}


def test_letters_for_diphthongs_glide():
    pieces = gliding([Phone('I', 0.0, 0.2, 1.0), Phone('t', 0.2, 0.3)])
    assert [piece.symbol for piece in pieces] == ['a', 'ɪ', 't']
    assert pieces[0].end == pieces[1].start == pytest.approx(0.11)
    letters = set(''.join(CLASSES.values()))
    assert set(GLIDES) == set(string.ascii_uppercase) & letters


def test_open_vowels_open_farther_and_rounded_ones_less():
    spread = [usual_gap(vowel) for vowel in ('ɨ', 'ɤ', 'ɜ', 'ɶ')]
    assert usual_gap('ɯ') < usual_gap('ɑ')
    assert all(usual_gap(pair[1]) < usual_gap(pair[0]) for pair in ('iy', 'eø', 'ɛœ', 'ɯu', 'ɤo'))
    assert np.all(np.diff([HEIGHT_OF[vowel] for vowel in 'iɪeəɛæa']) > 0)
    assert min(spread) > 0


def test_a_language_that_marks_no_stress_has_half_of_it_everywhere():
    unmarked = from_kokoro([['a', 0.0, 0.1], ['ə', 0.1, 0.2]])
    marked = from_kokoro([['a', 0.0, 0.1], ['ˈ', 0.1, 0.1], ['i', 0.1, 0.2]])
    assert [phone.stress for phone in unmarked] == [0.5, 0.0]
    assert [phone.stress for phone in marked] == [0.0, 1.0]
