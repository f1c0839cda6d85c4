# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Recorded prompts: what is read, aligned and believed."""

import gzip
import json

import numpy as np
import pytest
import soundfile

from model.clip_sets import clip_sets
from model.english_aligner import AlignmentError, words
from model.phone_spikes import Spike, forced
from model.phones import Phone
from model.prompts import SPIKE_LATE, at_bursts, doubt, transcripts

PHONES = [Phone('b', 0.10, 0.18), Phone('ɪ', 0.18, 0.26), Phone('n', 0.26, 0.32)]


def spikes(*later, likelihood=1.0):
    """Return the spikes of PHONES, each so many seconds from where it should be."""
    return [Spike((phone.start + phone.end) / 2 + SPIKE_LATE + late, likelihood)
            for phone, late in zip(PHONES, later, strict=True)]


@pytest.mark.parametrize(('text', 'said'), [
    ('Press 1, please.', ['press', 'one', 'please']),
    ("That's call-forward", ["that's", 'call', 'forward']),
])
def test_texts_become_the_words_that_are_said(text, said):
    assert words(text) == said


@pytest.mark.parametrize('text', ['extension 500', '[a beep]', '...'])
def test_what_nobody_knows_how_to_say_is_refused(text):
    with pytest.raises(AlignmentError):
        words(text)


def test_two_that_agree_are_believed():
    assert doubt(PHONES, spikes(0.03, -0.03, 0.0)).is_small


@pytest.mark.parametrize('heard', [spikes(0.1, 0.0, 0.0), spikes(0.0, 0.1, 0.1),
                                   spikes(0, 0, 0, likelihood=0.1), spikes(0, 0, 0)[:2]])
def test_a_phone_of_the_lips_elsewhere_or_unheard_is_doubtful(heard):
    assert not doubt(PHONES, heard).is_small


def test_the_forced_path_finds_each_spike():
    blank = np.full(7, np.log(0.9))
    spoken = np.full((7, 2), np.log(0.01))
    for frame, symbol in ((1, 0), (5, 1)):
        spoken[frame, symbol], blank[frame] = np.log(0.9), np.log(0.05)
    assert forced(spoken, blank).tolist() == [0, 1, 2, 2, 2, 3, 4]
    assert forced(np.zeros((1, 2)), np.zeros(1)) is None


def test_a_b_ends_shortly_before_its_burst():
    times = np.arange(16000) / 16000
    voice = 0.003 * np.sin(2 * np.pi * 120 * times) * (times < 0.17)
    vowel = 0.3 * np.sign(np.sin(2 * np.pi * 120 * times)) * (times >= 0.17)
    settled = at_bursts(PHONES, (voice + vowel).astype(np.float32))
    assert settled[0].end == pytest.approx(0.16, abs=0.006)
    assert settled[1].start == settled[0].end
    assert settled[2] == PHONES[2]


def test_transcripts_have_names_with_folders_and_comments(tmp_path):
    (tmp_path / 'texts.gz').write_bytes(gzip.compress(
        b'; Sounds\n\nagent-pass: Please: enter.\ndigits/1: one\n'))
    assert transcripts(tmp_path / 'texts.gz') == {'agent-pass': 'Please: enter.',
                                                  'digits/1': 'one'}


def test_prompts_are_one_more_set_where_they_were_made(tmp_path):
    assert 'prompts' not in clip_sets(tmp_path, tmp_path)
    soundfile.write(tmp_path / 'bin.flac', np.zeros(8000), 16000)
    (tmp_path / 'phones.json').write_text(json.dumps(
        {'bin': [['sil', 0, 0.1], *(list(phone[:3]) for phone in PHONES)]}))
    clip, = clip_sets(tmp_path, tmp_path)['prompts']
    assert clip.phones[1] == ('b', 1.10, 1.18)          # a second of silence before and after
    assert clip.speech == ((1.10, 1.18), (1.18, 1.26), (1.26, 1.32))
    assert len(clip.samples) == 8000 + 2 * 16000
