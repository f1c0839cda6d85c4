# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from avatar_bridge.rig import INDEX, NAMES
from model.articulation import CLASSES
from model.data import follow_gap
from model.metrics import lip_gap
from model.phones import GRID_WORDS, Phone, from_kokoro, from_words, settle
from model.teacher import animate
from model.teacher_styles import STYLES
from model.word_aligner import NAMES as SPOKEN
from model.word_aligner import align, estimate

LOUD = np.ones(140)


def say(symbols, *, start=0.3, length=0.08):
    """Return phones of one length each, silence around them."""
    phones = [Phone('sil', 0.0, start)]
    for index, symbol in enumerate(symbols):
        phones.append(Phone(symbol, start + index * length, start + (index + 1) * length, 1.0))
    return [*phones, Phone('sil', phones[-1].end, phones[-1].end + 0.5)]


def curve(weights, name):
    return weights[:, INDEX[name]]


@pytest.mark.parametrize('seal', 'pbm')
def test_lips_seal_for_at_least_40_ms(seal):
    phones = say('ɑ' + seal + 'ɑ')
    gap = lip_gap(animate(phones, LOUD, lag=0.0))
    middle = round(100 * (phones[2].start + phones[2].end) / 2)
    assert gap[middle - 2:middle + 3].max() < 0.05 * np.percentile(gap, 95)


@pytest.mark.parametrize('bite', 'fv')
def test_the_lower_lip_goes_under_the_teeth(bite):
    weights = animate(say('ɑ' + bite + 'ɑ'), LOUD, lag=0.0)
    middle = 42
    assert curve(weights, 'mouthRollLower')[middle] > 0.3
    assert lip_gap(weights)[middle] < 0.3 * lip_gap(weights).max()


def test_the_mouth_rests_in_pauses():
    loud = np.concatenate([np.zeros(25), np.ones(40), np.zeros(75)])
    weights = animate(say('ɑɑɑɑ'), loud, lag=0.0)
    mouth = weights[:, INDEX['jawForward']:INDEX['browDownLeft']]
    assert mouth[:8].max() < 0.01
    assert mouth[95:].max() < 0.01
    assert mouth[40].max() > 0.2


def test_lips_never_close_further_than_the_jaw_is_open():
    rng = np.random.default_rng(0)
    symbols = [str(rng.choice(list(''.join(CLASSES.values())))) for _ in range(60)]
    weights = animate(say(symbols), np.ones(600))
    assert (curve(weights, 'mouthClose') <= curve(weights, 'jawOpen') + 1e-9).all()
    assert weights.min() >= 0
    assert weights.max() <= 1


def test_rounding_starts_before_its_vowel():
    weights = animate(say('tttu'), LOUD, lag=0.0)
    onset = 0.3 + 3 * 0.08
    assert curve(weights, 'mouthPucker')[round(100 * onset)] > 0.3 * curve(
        weights, 'mouthPucker').max()


def test_louder_speech_opens_the_jaw_further():
    quiet, loud = (curve(animate(say('ɑɑɑ'), np.full(140, level)), 'jawOpen').max()
                   for level in (0.3, 1.0))
    assert loud > 1.2 * quiet


def test_nothing_jumps():
    weights = animate(say('mɑpifusæbɔtwi'), np.ones(200))
    # the lip leaves the teeth within 60 ms: a short vowel behind f must open
    assert np.abs(np.diff(weights, axis=0)).max() < 0.2


def test_the_face_is_symmetric():
    weights = animate(say('mɑpifusæ'), np.ones(200))
    for name in NAMES:
        if name.endswith('Left') and name not in ('jawLeft', 'mouthLeft'):
            assert np.array_equal(curve(weights, name), curve(weights, name[:-4] + 'Right'))


def test_stress_marks_give_their_time_to_the_vowel():
    phones = from_kokoro([['<s>', 0.0, 0.3], ['m', 0.3, 0.35], ['ˈ', 0.35, 0.4], ['ɑ', 0.4, 0.5],
                          [' ', 0.5, 0.55], ['.', 0.55, 0.9]], shift=0.03)
    vowel = next(phone for phone in phones if phone.symbol == 'ɑ')
    assert (vowel.start, vowel.end, vowel.stress) == pytest.approx((0.32, 0.52, 1.0))


@pytest.mark.parametrize('burst', [0.38, 0.40, 0.44])
def test_lips_are_sealed_before_the_burst_of_p_and_open_after_it(burst):
    rng = np.random.default_rng(0)
    samples = 0.2 * rng.standard_normal(16000).astype(np.float32)
    samples[round(16000 * (burst - 0.07)):round(16000 * burst)] *= 1e-3
    late = [Phone('ɑ', 0.2, 0.39), Phone('p', 0.39, 0.45), Phone('ɑ', 0.45, 0.8)]
    phones = settle(late, samples)
    assert phones[1].end == pytest.approx(burst - 0.01, abs=0.006)
    gap = lip_gap(animate(phones, np.ones(100), lag=0.0))
    assert gap[round(100 * burst) - 4:round(100 * burst)].max() < 0.05 * gap.max()
    assert gap[round(100 * burst) + 4] > 0.15 * gap.max()


def test_consonants_begin_before_kokoro_says_so_and_nothing_overlaps():
    late = [Phone('ɑ', 0.2, 0.4), Phone('s', 0.4, 0.5), Phone('i', 0.5, 0.7)]
    phones = settle(late, np.zeros(16000, np.float32))
    assert phones[1].start == pytest.approx(0.375)
    assert phones[0].end == phones[1].start
    assert phones[2] == late[2]


def test_the_tongue_shows_at_th():
    assert curve(animate(say('ɑθɑ'), LOUD, lag=0.0), 'tongueOut')[42] > 0.08
    assert curve(animate(say('ɑkɑ'), LOUD, lag=0.0), 'tongueOut').max() == 0


def test_a_tracked_gap_makes_no_jumps():
    gap = np.tile([0.0, 0.0, 0.03, 0.02, 0.1], 7)
    followed = follow_gap(animate(say('ɑbɑbɑ'), LOUD), say('ɑbɑbɑ'), gap)
    assert np.abs(np.diff(followed, axis=0)).max() < 0.2


def test_every_grid_word_is_spelt_with_known_phones():
    known = set(''.join(CLASSES.values()))
    assert all(set(symbols) <= known for symbols in GRID_WORDS.values())
    phones = from_words([['sil', 0.0, 0.5], ['place', 0.5, 0.9]])
    assert phones[1].start == 0.5
    assert phones[-1].end == pytest.approx(0.9)


def test_a_real_talkers_gap_is_followed_where_the_lips_are_not_sealed():
    phones = say('ɑɑɑbɑɑɑ')
    weights = animate(phones, np.ones(140), lag=0.0)
    gap = np.full(35, 0.08)
    gap[12:15] = 0.0
    followed = lip_gap(follow_gap(weights, phones, gap))
    assert np.allclose(followed[35:43], 0.08, atol=0.002)
    assert followed[52:55].max() < 0.02
    assert followed[52:55].min() < 0.005


@pytest.mark.parametrize('style', STYLES.values(), ids=STYLES)
def test_lips_seal_between_open_vowels_in_every_style(style):
    weights = animate(say('ɑmɑ'), LOUD, style=style)
    gap = lip_gap(weights)
    assert gap[40:45].max() < 0.05 * gap.max()
    assert min(gap[34:38].max(), gap[50:54].max()) > 0.5 * gap.max()
    for name in ('mouthClose', 'mouthPressLeft', 'mouthRollLower', 'mouthRollUpper'):
        assert curve(weights, name)[42] > 0.5 * curve(weights, name).max() > 0.02
    assert curve(weights, 'jawOpen')[42] > 0
    assert 0 <= weights.min() <= weights.max() <= 1


def test_styles_are_in_order():
    ordered = ('mumbling', 'neutral', 'articulate', 'shouting')
    jaws = [curve(animate(say('ɑtɑ'), LOUD, style=STYLES[name]), 'jawOpen').max()
            for name in ordered]
    lips = [curve(animate(say('tutu'), LOUD, style=STYLES[name]), 'mouthPucker').max()
            for name in ordered[:3]]
    assert np.all(np.diff(jaws) > 0.15 * jaws[1])
    assert np.all(np.diff(lips) > 0.1 * lips[1])


def test_a_stressed_vowel_opens_the_jaw_farther():
    phones = say('tɑtɑt')
    phones[2] = phones[2]._replace(stress=0.0)
    jaw = curve(animate(phones, LOUD, lag=0.0), 'jawOpen')
    assert jaw[54:62].max() > 1.1 * jaw[38:46].max()


def test_hasty_speech_falls_short():
    slow, fast = (lip_gap(animate(say('wɑw', length=length), LOUD, lag=0.0)).max()
                  for length in (0.15, 0.05))
    assert fast < 0.9 * slow


@pytest.mark.parametrize('symbol', 'uyoøwɥʃ')
def test_rounding_leads_its_phone_through_consonants_that_do_not_care(symbol):
    weights = animate(say('tt' + symbol + 't', length=0.1), LOUD, lag=0.0)
    rounded = curve(weights, 'mouthPucker') + curve(weights, 'mouthFunnel')
    assert rounded[44] > 0.25 * rounded.max() > 0.05
    assert rounded[30] < 0.7 * rounded[50]


@pytest.mark.parametrize(('symbol', 'shape'), [
    ('i', 'mouthStretchLeft'), ('i', 'mouthSmileLeft'), ('s', 'mouthDimpleLeft'),
    ('u', 'mouthPucker'), ('ʃ', 'mouthFunnel'), ('s', 'mouthLowerDownLeft'), ('θ', 'tongueOut')])
def test_shapes_go_with_their_phones(symbol, shape):
    with_it, without = (curve(animate(say('ə' + middle + 'ə', length=0.12), LOUD), shape)[48]
                        for middle in (symbol, 'ʔ'))
    assert with_it > without + 0.005


def test_nothing_said_is_a_face_at_rest():
    assert not animate([], np.zeros(100)).any()


def test_phones_are_found_inside_their_words():
    rng = np.random.default_rng(0)
    sounds = {name: 2 * rng.standard_normal(26) for name in SPOKEN}
    words = [['sil', 0.0, 0.3], ['six', 0.3, 0.7], ['sil', 0.7, 1.0]]
    true = [Phone(*row) for row in (('sil', 0.0, 0.3), ('s', 0.3, 0.43), ('ɪ', 0.43, 0.5),
                                    ('k', 0.5, 0.6), ('s', 0.6, 0.7), ('sil', 0.7, 1.0))]
    heard = np.stack([sounds[phone.symbol] for phone in true
                      for _ in range(round(100 * phone.length))])
    heard += 0.3 * rng.standard_normal(heard.shape)
    found = align(words, heard, estimate([(true, heard)]))
    assert [phone.symbol for phone in found] == [phone.symbol for phone in true]
    assert np.allclose([phone.start for phone in found], [phone.start for phone in true],
                       atol=0.021)
    proportional = from_words(words)
    assert abs(proportional[2].start - true[2].start) > 0.04
