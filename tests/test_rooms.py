# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The same clips in rooms: what the settings do to sound and labels, and how they are judged."""

import numpy as np
import pytest

from model.clip_sets import Clip
from model.performers import Motion, loudness_motion
from model.room_scores import room_clips, room_rows
from model.room_sets import BACKGROUNDS, BEFORE, SETTINGS, heard_in, level, rms

TIMES = np.arange(48000) / 16000
SPEECH = ((0.5, 2.2),)


def clip(name, pitch):
    """Return 3 s of a buzz that swells, whose lips go with its loudness."""
    swell = np.where((TIMES > 0.5) & (TIMES < 2.2), 0.55 + 0.45 * np.sin(9 * TIMES + pitch), 0)
    buzz = swell * np.sign(np.sin(2 * np.pi * pitch * TIMES))
    return Clip(name, (0.1 * buzz).astype(np.float32), SPEECH, swell[::640], 25.0,
                (('a', 0.5, 1.0), ('m', 1.6, 2.2)))


CLIPS = [clip('low', 110), clip('high', 210), clip('other', 160)]


@pytest.mark.parametrize('name', SETTINGS)
def test_a_setting_is_the_same_every_time_and_stays_sound(name):
    once, again = (heard_in(name, CLIPS) for _ in range(2))
    for one, other, original in zip(once, again, CLIPS, strict=True):
        samples = one.clip.samples
        assert np.array_equal(samples, other.clip.samples)
        assert samples.dtype == np.float32
        assert np.isfinite(samples).all()
        more = round((one.before - one.begins) * 16000)
        assert len(samples) == len(original.samples) + more
        assert rms(samples) > 0


@pytest.mark.parametrize('name', BACKGROUNDS)
@pytest.mark.parametrize('decibels', [10, 5])
def test_backgrounds_are_held_against_the_speech_itself(name, decibels):
    for heard, original in zip(heard_in(f'{name} {decibels} dB', CLIPS), CLIPS, strict=True):
        ratio = level(original) / rms(heard.clip.samples - original.samples)
        assert 20 * np.log10(ratio) == pytest.approx(decibels, abs=0.01)


def test_a_crowd_talks_before_the_speaker_as_loud_as_beneath_him():
    for heard, original in zip(heard_in(f'babble 10 dB after {BEFORE} s', CLIPS), CLIPS,
                               strict=True):
        speaker = np.pad(original.samples, (BEFORE * 16000, 0))
        crowd = heard.clip.samples - speaker
        assert 20 * np.log10(level(original) / rms(crowd)) == pytest.approx(10, abs=0.01)
        assert rms(crowd[:BEFORE * 16000]) == pytest.approx(rms(crowd), rel=0.1)
        assert heard.clip.speech == original.speech


@pytest.mark.parametrize('name', BACKGROUNDS)
def test_a_background_alone_has_no_speech(name):
    for heard, original in zip(heard_in(f'{name} alone', CLIPS), CLIPS, strict=True):
        ratio = level(original) / rms(heard.clip.samples)
        assert 20 * np.log10(ratio) == pytest.approx(10, abs=0.01)
        assert not heard.clip.speech
        assert heard.clip.tracked is None


@pytest.mark.parametrize('decibels', [-45, -30, -15, 0])
def test_peaks_stand_where_they_should(decibels):
    for heard in heard_in(f'peak {decibels} dBFS', CLIPS):
        assert 20 * np.log10(np.abs(heard.clip.samples).max()) == pytest.approx(decibels, abs=0.01)


def test_labels_are_cut_with_the_sound():
    for heard, original in zip(heard_in('cut-in', CLIPS), CLIPS, strict=True):
        first = round(heard.begins * 16000)
        assert np.array_equal(heard.clip.samples, original.samples[first:])
        times = heard.begins + np.arange(len(heard.clip.tracked)) / 25
        assert heard.clip.tracked == pytest.approx(
            np.interp(times, np.arange(75) / 25, original.tracked), abs=1e-6)
        assert heard.clip.speech[0][1] == pytest.approx(2.2 - heard.begins)


def test_a_mouth_that_follows_loudness_moves_for_noise_and_one_that_knows_does_not():
    known = {one.name: loudness_motion(60.0)(one) for one in CLIPS}
    rows = {row['room']: row for row in room_rows(loudness_motion(60.0), CLIPS, 60.0)}
    assert rows['clean']['of_clean'] == 1
    assert rows['babble alone']['rest'] < 0.3
    assert 'correlation' not in rows['babble alone']
    assert rows['babble 5 dB']['of_clean'] < rows['babble 10 dB']['of_clean'] < 1

    def animate(heard):
        earlier = max(0, round((len(heard.samples) / 16000 - 3) * 60))
        gap = known[heard.name].gap if heard.speech else np.zeros(180)
        return Motion(np.pad(gap, (earlier, 0)))
    rows = {row['room']: row for row in room_rows(animate, CLIPS, 60.0)}
    assert rows['music alone']['rest'] == 1
    assert rows['music 5 dB']['of_clean'] == pytest.approx(1)
    assert rows[f'babble 10 dB after {BEFORE} s']['of_clean'] == pytest.approx(1)


def test_rooms_get_every_fifth_clip_of_the_one_talker_and_all_of_the_others():
    sets = {'grid_s1': CLIPS * 2, 'grid_others': CLIPS, 'speech': CLIPS}
    assert len(room_clips(sets)) == 2 + 3
