# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""A contact sheet shows the frames it says, each with its time and phone."""

from fractions import Fraction
import shutil

import numpy as np
from PIL import Image
import pytest
from small_head import write_head

from avatar_bridge import cli, portrait, rig
from avatar_bridge.errors import SinkError
from avatar_bridge.frames import FaceFrame, StreamInfo, TimedAudio, TimedFrame
from avatar_bridge.phones import Phone
from avatar_bridge.sinks import contact_sheet
from avatar_bridge.sinks.contact_sheet import CELL, STRIP, ContactSheet, chosen, loudness, peaks

INFO = StreamInfo('s', 'default', rig.NAMES, Fraction(60), Fraction(1, 10), 'live', 16000)
PHONES = (Phone('m', 0.1, 0.2), Phone('ɑ', 0.2, 0.5), Phone('s', 0.5, 0.6), Phone('p', 0.9, 1.0),
          Phone('i', 1.4, 1.6))


@pytest.fixture(autouse=True)
def small_head(monkeypatch, tmp_path_factory):
    """Draw an egg: what is tested here does not depend on beauty."""
    path = tmp_path_factory.mktemp('head') / 'egg.glb'
    monkeypatch.setattr(portrait, 'HEAD', write_head(path))


def times(seconds):
    return [index / 60 for index in range(int(seconds * 60))]


def test_moments_are_spread_evenly_where_no_phones_are_known():
    moments = chosen(times(10), (), 32)
    assert len(moments) == 32
    assert np.ptp(np.diff([moment.position for moment in moments])) <= 1
    assert not any(moment.phone for moment in moments)


def test_closures_and_vowels_are_shown_in_their_middle_by_turns():
    moments = chosen(times(2), PHONES, 4)
    assert [moment.phone.text if moment.phone else '' for moment in moments] == [
        'm', 'p', '', 'i']
    assert [moment.position for moment in moments] == [9, 57, 75, 90]


@pytest.mark.parametrize('count', [1, 2, 31, 32, 33])
def test_short_recordings_show_every_frame_once(count):
    moments = chosen([index / 60 for index in range(count)], PHONES, 32)
    positions = [moment.position for moment in moments]
    assert positions == sorted(set(positions))
    assert 1 <= len(positions) <= min(count, 32)


def test_the_waveform_lies_where_it_sounds():
    samples = np.zeros(8000, np.float32)
    samples[4000] = 0.5
    pieces = [TimedAudio(0, np.zeros(8000, np.float32), 16000, 0, 100),
              TimedAudio(8000, samples, 16000, 0, 100 + 500_000_000)]
    found = peaks([loudness(piece) for piece in pieces], 100, 1.0)
    assert found[:, 1].argmax() == 75
    assert found.max() == 1
    assert peaks([], 10, 1.0).shape == (10, 2)


def frames(sheet, count):
    for index in range(count):
        weights = np.zeros(52, np.float32)
        weights[rig.INDEX['jawOpen']] = index >= count // 2
        sheet.send(TimedFrame(FaceFrame(index, weights), 0, index * 10**9 // 60))


@pytest.mark.egl
def test_cells_show_their_frames(tmp_path):
    sheet = ContactSheet(tmp_path / 'sheet.png')
    sheet.recite(PHONES)
    sheet.open(INFO)
    frames(sheet, 120)
    sheet.close()
    pixels = np.asarray(Image.open(tmp_path / 'sheet.png')).astype(int)
    assert pixels.shape == (STRIP + 4 * (CELL + contact_sheet.LABEL), 8 * CELL, 3)
    cells = [pixels[STRIP + row * (CELL + contact_sheet.LABEL):][:CELL, column * CELL:][:, :CELL]
             for row in range(4) for column in range(8)]
    away = [np.abs(cell - cells[0]).mean() for cell in cells]
    assert max(away[:15]) == 0
    assert min(away[17:]) > 0.5
    label = pixels[STRIP + CELL:STRIP + CELL + contact_sheet.LABEL, :CELL]
    assert label.max() > 200, 'something is written'
    assert [path.name for path in tmp_path.iterdir()] == ['sheet.png']


@pytest.mark.egl
def test_without_frames_there_is_no_sheet(tmp_path):
    sheet = ContactSheet(tmp_path / 'sheet.png')
    sheet.open(INFO)
    sheet.close()
    sheet.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.egl
def test_a_place_that_cannot_be_written_to_is_told(tmp_path):
    with pytest.raises(SinkError, match='cannot write'):
        ContactSheet(tmp_path / 'nowhere' / 'sheet.png').open(INFO)


@pytest.mark.egl
def test_the_command_makes_a_sheet_with_phones_from_beside_the_recording(speech, tmp_path):
    soundfile = pytest.importorskip('soundfile')
    samples, rate = soundfile.read(speech, frames=36000)
    for name in ('with', 'without'):
        soundfile.write(tmp_path / f'{name}.wav', samples, rate)
    shutil.copy(speech.with_suffix('.json'), tmp_path / 'with.json')
    for name in ('with', 'without'):
        assert cli.main(['animate', str(tmp_path / f'{name}.wav'), '-o',
                         str(tmp_path / f'{name}.png'), '--quiet']) == 0
    told, plain = (np.asarray(Image.open(tmp_path / f'{name}.png')).astype(int)
                   for name in ('with', 'without'))
    red = told[..., 0] - told[..., 2] > 60
    assert red[:STRIP].any()
    assert not (plain[:STRIP, :, 0] - plain[:STRIP, :, 2] > 60).any()


@pytest.mark.egl
def test_phones_that_cannot_be_read_stop_before_anything_is_made(speech, tmp_path, capsys):
    shutil.copy(speech, tmp_path / 'a.flac')
    (tmp_path / 'a.json').write_text('{"phones": [["m", 2, 1]]}')
    assert cli.main(['animate', str(tmp_path / 'a.flac'), '-o', str(tmp_path / 'a.png')]) == 1
    assert 'a.json: expected the phones of a.flac' in capsys.readouterr().err
    assert not (tmp_path / 'a.png').exists()
