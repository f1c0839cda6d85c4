# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Faces side by side, and curves of latency and frame rate."""

from dataclasses import replace
from fractions import Fraction
import json

import av
import numpy as np
from PIL import Image
import pytest

from avatar_bridge import rig
from avatar_bridge.bundle import load_bundle
from avatar_bridge.stream.engine import Engine
from model import curves, look, metrics
from model.clip_sets import bundled_speech
from model.performers import Motion


@pytest.fixture(scope='module')
def short():
    """Return the first second of the bundled speech."""
    clip = bundled_speech()
    return replace(clip, samples=clip.samples[:16000],
                   phones=tuple(phone for phone in clip.phones if phone[2] < 1))


def test_names_are_hidden_the_same_way_each_time_and_otherwise_in_each_clip():
    names = ['live', 'teacher', 'openfacefx', 'other', 'another']
    hidden = look.shuffled(names, 7, 'one')
    assert hidden == look.shuffled(names, 7, 'one')
    assert sorted(hidden.values()) == sorted(names)
    assert list(hidden) == list('ABCDE')
    assert list(hidden.values()) != list(look.shuffled(names, 7, 'two').values())
    assert look.shuffled(names, None, 'one') == {name: name for name in names}


@pytest.mark.parametrize('animate', [look.taught, look.peer])
def test_what_is_said_moves_the_mouth_and_what_is_unknown_moves_nobody(animate, short):
    weights = animate(short)
    assert weights.shape == (60, 52)
    assert np.ptp(metrics.lip_gap(weights)) > 0.01
    early = replace(short, phones=(('sil', -0.05, 0.02), *short.phones))    # as settled ones are
    assert animate(early).shape == (60, 52)
    assert len(animate(replace(short, phones=()))) == 0


def test_a_gallery_has_all_faces_with_names_and_sound(short, tmp_path, monkeypatch):
    monkeypatch.setattr(look, 'COLUMNS', 2)
    still, wide = np.zeros((6, 52)), np.zeros((6, 52))
    wide[:, rig.INDEX['jawOpen']] = 0.7
    gallery = look.Gallery()
    gallery.sheet(tmp_path / 's.png', short, {'A': still, 'B': wide})
    gallery.film(tmp_path / 's.mp4', short, {'A': still, 'B': wide})
    gallery.close()
    with Image.open(tmp_path / 's.png') as picture:
        sheet = np.asarray(picture).astype(int)
    rows = [sheet[row * look.CELL:(row + 1) * look.CELL, look.LEFT:] for row in (0, 1)]
    assert np.abs(rows[0] - rows[1]).max() > 60
    with av.open(str(tmp_path / 's.mp4')) as film:
        picture = next(film.decode(video=0))
        assert (picture.width, picture.height) == (2 * look.TILE, look.TILE + look.NAME)
    with av.open(str(tmp_path / 's.mp4')) as film:
        assert sum(frame.samples for frame in film.decode(audio=0)) >= 1600


def test_looking_without_data_takes_the_bundled_speech(tmp_path, monkeypatch, short):
    monkeypatch.setattr(look, 'COLUMNS', 2)
    monkeypatch.setattr(look, 'clip_sets', lambda *_: {'speech': [short]})
    assert look.main([str(tmp_path / 'out'), '--sheets-only', '--blind', '3']) == 0
    key = json.loads((tmp_path / 'out' / 'key.json').read_text())
    assert sorted(key['speech-speech'].values()) == ['live', 'openfacefx', 'teacher']
    assert (tmp_path / 'out' / 'speech-speech.png').stat().st_size > 5000


def test_cuts_have_the_latency_that_they_are_named_after():
    bundle = load_bundle('live')
    for cut in curves.cuts():
        engine = Engine(bundle, cut.config, spec=cut.spec)
        if cut.kind == 'look-ahead ms':
            wanted = Fraction(50 + int(cut.value), 1000)
            assert wanted - Fraction(1, 60) < engine.latency <= wanted
            assert engine.spec.context in (9, 10)
        if cut.kind == 'frames a second':
            assert engine.spec.fps == int(cut.value)


def test_motions_of_other_rates_agree_where_they_are_the_same_curve():
    def gap(fps):
        return Motion(1 + np.sin(7 * np.arange(2 * fps) / fps))
    assert curves.agreement(gap(60), 60, gap(60), 60) == pytest.approx(1)
    assert curves.agreement(gap(25), 25, gap(60), 60) > 0.999
    late = Motion(gap(60).gap[6:])
    assert curves.agreement(late, 60, gap(60), 60) < 0.9


def test_curves_are_a_picture(tmp_path):
    rows = [{'kind': kind, 'value': value, 'correlation': 0.8, 'agreement': 0.9}
            for kind in ('look-ahead ms', 'frames a second') for value in ('20', '60')]
    curves.draw(tmp_path / 'curves.png', rows)
    with Image.open(tmp_path / 'curves.png') as picture:
        assert picture.size == (1200, 480)
