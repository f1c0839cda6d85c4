# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Revoiced speech has another pitch and other formants, and everything else where it was."""

from concurrent.futures import ProcessPoolExecutor
from importlib.resources import files
import json

import numpy as np
import pytest
import soundfile

pytest.importorskip('pyworld')

from model import data
from model.datasets.sound import read_sound
from model.metrics import loudness_envelope, rms
from model.prosody import pitch
from model.revoicing import FORMANTS_WITH_PITCH, PITCHES, Voice, analyse, draw_voice, spoken

pytestmark = pytest.mark.model
SAMPLES = read_sound(files('avatar_bridge') / 'assets' / 'speech.flac')[8000:56000]
SPEECH = SAMPLES.astype(np.float32) / 32768
HIGH, LOW = Voice(1.8, 1.17), Voice(0.8, 0.9)


@pytest.fixture(scope='module')
def speech():
    """Return what is found in the shipped speech."""
    return analyse(SPEECH)


def octaves(samples):
    """Return the mean log spectrum, at 200 frequencies evenly in octaves from 300 Hz to 4 kHz."""
    frames = samples[:len(samples) // 512 * 512].reshape(-1, 512) * np.hanning(512)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    level = np.log(power[power.sum(axis=1) > np.median(power.sum(axis=1))].mean(axis=0))
    smooth = np.convolve(level, np.ones(9) / 9, 'same')
    return np.interp(np.geomspace(300, 4000, 200), np.arange(257) * 16000 / 512, smooth)


def moved(one, other):
    """Return the ratio of frequencies at which another spectrum is most like one."""
    step = np.log(4000 / 300) / 199
    shifts = np.arange(-15, 16)
    alike = [np.corrcoef(one[20:180], other[20 + shift:180 + shift])[0, 1] for shift in shifts]
    return float(np.exp(step * shifts[int(np.argmax(alike))]))


@pytest.mark.parametrize('voice', [HIGH, LOW, Voice(1.0, 1.0)])
def test_another_voice_is_as_long_as_loud_and_in_time(speech, voice):
    other = spoken(speech, voice)
    assert other.shape == SPEECH.shape
    assert other.dtype == np.float32
    assert rms(other) == pytest.approx(rms(SPEECH), rel=0.01)
    before, after = (loudness_envelope(samples, 16000, fps=100) for samples in (SPEECH, other))
    alike = [np.corrcoef(before[10:-10], after[10 + late:len(after) - 10 + late])[0, 1]
             for late in range(-5, 6)]
    assert int(np.argmax(alike)) - 5 == 0
    assert max(alike) > 0.93


@pytest.mark.parametrize('voice', [HIGH, LOW])
def test_its_pitch_is_as_much_higher_as_asked(speech, voice):
    before, after = pitch(SPEECH), pitch(spoken(speech, voice))
    both = (before > 0) & (after > 0)
    assert both.sum() > 50
    assert np.median(after[both] / before[both]) == pytest.approx(voice.pitch, rel=0.03)


@pytest.mark.parametrize('voice', [Voice(1.0, 1.17), Voice(1.0, 0.9)])
def test_its_formants_are_as_much_higher_as_asked(speech, voice):
    assert moved(octaves(SPEECH), octaves(spoken(speech, voice))) == pytest.approx(
        voice.formants, rel=0.05)


def test_voices_are_drawn_from_low_to_high_with_formants_that_follow():
    rng = np.random.default_rng(1)
    drawn = np.log([draw_voice(rng) for _ in range(500)])
    assert np.exp(drawn[:, 0].min()) == pytest.approx(PITCHES[0], rel=0.05)
    assert np.exp(drawn[:, 0].max()) == pytest.approx(PITCHES[1], rel=0.05)
    slope, middle = np.polyfit(*drawn.T, 1)
    assert slope == pytest.approx(FORMANTS_WITH_PITCH, abs=0.02)
    assert middle == pytest.approx(0, abs=0.01)


def write_talker(folder):
    """Write a GRID talker of two clips, the second held out."""
    (folder / 'audio').mkdir(parents=True)
    names = ['bbaf2n', 'bbaf3s']
    for name in names:
        soundfile.write(folder / 'audio' / f'{name}.opus', SPEECH, 16000, format='OGG',
                        subtype='OPUS')
    words = [['sil', 0, 0.5], ['bin', 0.5, 0.9], ['blue', 0.9, 1.2], ['at', 1.2, 1.4],
             ['f', 1.4, 1.7], ['two', 1.7, 2.0], ['now', 2.0, 2.4], ['sil', 2.4, 3.0]]
    (folder / 'words.json').write_text(json.dumps(dict.fromkeys(names, words)))
    (folder / 'validation.txt').write_text(names[1])
    opening = np.abs(np.sin(np.arange(75) / 4))
    lip = np.stack([10 + 20 * opening, np.full(75, 50.0), np.full(75, 200.0)], axis=1)
    np.savez(folder / 'face.npz', ids=names, lip=np.stack([lip, lip]),
             tracked=np.ones((2, 75), bool))


def test_clips_to_train_with_are_there_in_other_voices_with_the_same_face(tmp_path):
    write_talker(tmp_path)
    with ProcessPoolExecutor(1) as pool:
        found = list(data.grid_clips(tmp_path, pool))
        again = list(data.grid_clips(tmp_path, pool))
    assert [label[0] for label, _ in found] == [
        'bbaf2n', *(f'bbaf2n~{number + 1}' for number in range(data.REVOICED)), 'bbaf3s']
    assert [label[2] for label, _ in found] == ['train'] * (data.REVOICED + 1) + ['valid']
    recorded, *others, _ = (clip for _, clip in found)
    for other in others:
        assert np.array_equal(other.faces[0], recorded.faces[0])
        assert len(other.samples) == len(recorded.samples)
        assert not np.array_equal(other.samples, recorded.samples)
    for (_, one), (_, other) in zip(found, again, strict=True):
        assert np.array_equal(one.samples, other.samples)
