# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The evaluation on a small data set whose answers are known."""

import csv
import json

import numpy as np
import pytest
import soundfile

from avatar_bridge import rig
from model import evaluate

NAMES = [name[0].upper() + name[1:] for name in rig.NAMES]
TIMES = np.arange(75) / 25


def jaw(times):
    """Return an opening that moves without period."""
    return 0.5 + 0.2 * np.sin(7 * times) + 0.2 * np.sin(11.3 * times + 1)


def write_csv(path, opening, names=NAMES):
    """Write a Live Link file in which only the jaw moves."""
    with path.open('w', newline='') as file:
        table = csv.writer(file)
        table.writerow(['Timecode', 'BlendShapeCount', *names])
        for row, value in enumerate(opening):
            table.writerow([f'00:00:{row // 60:02}:{row % 60:02}.000', 61,
                            *(value if name == 'JawOpen' else 0.0 for name in names)])


@pytest.fixture
def data(tmp_path):
    """Return a data folder with one clip of a talker whose lips follow `jaw`."""
    folder = tmp_path / 'data' / 'grid_others'
    (folder / 'audio').mkdir(parents=True)
    rng = np.random.default_rng(0)
    soundfile.write(folder / 'audio' / 'talk.opus', 0.1 * rng.standard_normal(48000), 16000,
                    format='OGG', subtype='OPUS')
    (folder / 'words.json').write_text(json.dumps(
        {'talk': [['sil', 0, 0.2], ['hello', 0.2, 2.0], ['sil', 2.0, 3.0]]}))
    lip = np.stack([50 * jaw(TIMES), np.full(75, 100.0)], axis=1)[None]
    np.savez(folder / 'face.npz', ids=['talk'], lip=lip, fps=25.0,
             lip_names=['inner_lip_gap_px', 'face_height_px'])
    return tmp_path / 'data'


@pytest.mark.parametrize('late', [0.0, 0.1, -0.05])
def test_a_face_that_follows_late_gets_its_lag(data, tmp_path, capsys, late):
    write_csv(tmp_path / 'talk.csv', jaw(np.arange(180) / 60 - late))
    write_csv(tmp_path / 'speech.csv', np.full(860, 0.3))
    target = tmp_path / 'figures.json'
    assert evaluate.main(['--data', str(data), '--csv', str(tmp_path), '--json', str(target)]) == 0
    row = json.loads(target.read_text())['rows'][0]
    assert row['set'] == 'grid_others'
    assert row['lag_ms'] == pytest.approx(1000 * late)
    assert row['best_correlation'] > 0.999
    assert f'{1000 * late:+.0f}' in capsys.readouterr().out


def test_a_missing_file_is_one_line_and_not_a_figure(data, tmp_path, capsys):
    assert evaluate.main(['--data', str(data), '--csv', str(tmp_path)]) == 1
    assert 'talk.csv' in capsys.readouterr().err


def test_columns_are_read_by_name_and_a_blank_row_repeats(tmp_path):
    path = tmp_path / 'a.csv'
    write_csv(path, [0.25, 0.5], names=NAMES[::-1])
    with path.open('a') as file:
        file.write('00:00:00:02.000,61' + ',' * len(NAMES) + '\n')
    weights = evaluate.read_live_link(path)
    assert weights[:, rig.INDEX['jawOpen']] == pytest.approx([0.25, 0.5, 0.5])
    assert weights.sum() == pytest.approx(1.25)


def test_a_file_without_a_shape_is_refused(tmp_path):
    write_csv(tmp_path / 'a.csv', [0.1], names=NAMES[:-1])
    with pytest.raises(ValueError, match='tongueOut'):
        evaluate.read_live_link(tmp_path / 'a.csv')


def test_bundled_speech_pauses_for_a_second_and_sounds_where_its_phones_are():
    clip = evaluate.bundled_speech()
    loud = evaluate.loudness_motion(100)(clip).gap
    times = np.arange(len(loud)) / 100
    spoken = np.zeros(len(loud), bool)
    for start, end in clip.speech:
        spoken |= (times >= start - 0.1) & (times <= end + 0.2)
    assert np.max(np.diff(times[loud > 0])) > 1
    assert np.mean(loud[spoken]) > 30
    assert np.max(loud[~spoken]) < 15
    assert sum(ipa in ('p', 'b', 'm') for ipa, *_ in clip.phones) > 40


def test_silence_is_judged_after_speech_let_go():
    gap = np.ones(300)
    gap[240:] = 0                           # speech ends at 2 s, 300 ms later the mouth must rest
    clip = evaluate.Clip('a', np.zeros(48000), ((0.0, 2.0),))
    row = evaluate.judge([clip], [evaluate.Motion(gap)], 100)
    assert row['silence'] == pytest.approx(60 / 69, abs=0.01)
