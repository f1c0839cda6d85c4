# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""The melody of a voice is heard, and brows follow it."""

import numpy as np
import pytest

from avatar_bridge.rig import INDEX, MOUTH, NAMES
from model.phones import Phone
from model.prosody import accents, phrases, pitch
from model.teacher import animate
from model.teacher_styles import STYLES

TIME = np.arange(16000) / 16000
PHONES = [Phone('sil', 0.0, 0.2), Phone('m', 0.2, 0.3), Phone('ɑ', 0.3, 0.5, 1.0),
          Phone('m', 0.5, 0.6), Phone('ɑ', 0.6, 0.8, 1.0), Phone('sil', 0.8, 1.5)]
LOUD = np.where((np.arange(150) >= 20) & (np.arange(150) < 80), 0.8, 0.0)


def voice(hertz):
    """Return (16000,) samples of a buzz, its pitch given for each."""
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(hertz, TIME.shape)) / 16000
    buzz = sum(np.sin(number * phase) / number for number in range(1, 9))
    return (0.1 * buzz).astype(np.float32)


@pytest.mark.parametrize('hertz', [80, 121, 220, 410])
def test_the_pitch_of_a_voice_is_heard(hertz):
    heard = pitch(voice(hertz))
    assert heard.shape == (100,)
    assert np.median(heard[heard > 0]) == pytest.approx(hertz, rel=0.005)
    assert (heard > 0).mean() > 0.95


def test_noise_and_silence_have_no_pitch():
    noise = 0.1 * np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    assert (pitch(noise) > 0).mean() < 0.02
    assert not pitch(np.zeros(16000, np.float32)).any()
    assert pitch(np.zeros(0, np.float32)).shape == (0,)


def test_a_voice_in_hiss_keeps_its_pitch():
    noisy = voice(150) + 0.01 * np.random.default_rng(0).standard_normal(16000)
    heard = pitch(noisy.astype(np.float32))
    assert np.median(heard[heard > 0]) == pytest.approx(150, rel=0.01)


def test_a_phrase_that_rises_asks():
    rising = pitch(voice(np.interp(TIME, [0, 0.6, 0.75], [120, 120, 190])))
    asked, = phrases(PHONES[:-1], rising)
    told, = phrases(PHONES[:-1], np.full(100, 120.0))
    assert asked.asks
    assert not told.asks
    assert (asked.start, asked.end) == (0.2, 0.8)


def test_a_pause_ends_a_phrase():
    later = [phone._replace(start=phone.start + 1, end=phone.end + 1) for phone in PHONES[1:]]
    assert len(phrases([*PHONES[:-1], Phone('sil', 0.8, 1.2), *later])) == 2
    assert phrases([Phone('sil', 0.0, 1.0)]) == []


def test_a_high_syllable_is_an_accent():
    melody = np.full(150, 100.0)
    melody[60:80] = 150.0
    high = max(accents(PHONES, LOUD, melody), key=lambda accent: accent.prominence)
    assert high.time == pytest.approx(0.7)
    assert high.prominence > 0.7
    assert all(accent.prominence < 0.5 for accent in accents(PHONES, LOUD, np.full(150, 100.0)))


def test_brows_rise_before_an_accent():
    flat, high = np.full(150, 100.0), np.full(150, 100.0)
    high[30:50] = 150.0
    even, raised = (animate(PHONES, LOUD, pitch=melody)[:, INDEX['browInnerUp']]
                    for melody in (flat, high))
    assert np.argmax(raised - even) < 40
    assert (raised - even).max() > 0.05


def test_brows_stay_up_where_the_voice_asks():
    asks = np.interp(np.arange(150), [0, 60, 75], [120, 120, 190])
    told, asked = (animate(PHONES, LOUD, pitch=melody)[:, INDEX['browInnerUp']]
                   for melody in (np.full(150, 120.0), asks))
    assert (asked - told)[60:80].min() > 0.15


def test_chance_is_seeded_and_leaves_the_mouth_alone():
    takes = np.stack([animate(PHONES, LOUD, rng=np.random.default_rng(seed))
                      for seed in (1, 1, 2, 3)])
    assert np.array_equal(takes[0], takes[1])
    spread = takes[1:].std(axis=0)
    assert spread[:, list(MOUTH)].max() < 0.01
    assert spread[:, [INDEX['browInnerUp'], INDEX['browDownLeft']]].max() > 0.02
    assert 0 <= takes.min() <= takes.max() <= 1


def test_without_chance_a_raise_is_the_mean_of_the_drawn_ones():
    rise = INDEX['browInnerUp']
    steady = animate(PHONES, LOUD)[20:90, rise].mean()
    drawn = np.mean([animate(PHONES, LOUD, rng=np.random.default_rng(seed))[20:90, rise].mean()
                     for seed in range(60)])
    assert drawn == pytest.approx(steady, abs=0.015)


def test_shouting_strains_the_face_and_mumbling_does_not():
    names = [name for name in NAMES if name.startswith(('browDown', 'noseSneer', 'eyeSquint'))]
    channels = [INDEX[name] for name in names]
    mumbled, shouted = (animate(PHONES, LOUD, style=STYLES[name])[:, channels].max()
                        for name in ('mumbling', 'shouting'))
    assert shouted > 0.2
    assert mumbled < 0.06
