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
from model.clip_sets import bundled_speech
from model.performers import loudness_motion, read_live_link

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


def judged(*arguments):
    """Return the exit status of the command line."""
    arguments = ('--prompts', 'none', '--speech', 'none', *arguments)   # whatever was made here
    return evaluate.main([str(argument) for argument in arguments])


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


@pytest.fixture
def voices(data):
    """Add a synthetic clip of a held-out voice to the data folder, with its phones."""
    folder = data / 'kokoro'
    folder.mkdir()
    times = np.arange(32000) / 16000
    tone = 0.2 * np.sin(2 * np.pi * 150 * times) * (times > 0.4) * (times < 1.6)
    soundfile.write(folder / 'k.opus', tone, 16000, format='OGG', subtype='OPUS')
    phones = [['<s>', 0.0, 0.4], ['m', 0.4, 0.6], ['a', 0.6, 0.9], ['b', 0.9, 1.1],
              ['i', 1.1, 1.6], ['</s>', 1.6, 2.0]]
    (folder / 'align_1.jsonl').write_text(json.dumps({
        'id': 'k', 'voice': 'af_sky', 'voice2': 'af_sky', 'mix': 1.0, 'phones': phones}) + '\n')
    return data


@pytest.mark.parametrize('late', [0.0, 0.1, -0.05])
def test_a_face_that_follows_late_gets_its_lag(data, tmp_path, capsys, late):
    write_csv(tmp_path / 'talk.csv', jaw(np.arange(180) / 60 - late))
    write_csv(tmp_path / 'speech.csv', np.full(860, 0.3))
    target = tmp_path / 'figures.json'
    assert judged('--data', data, '--csv', tmp_path, '--json', target) == 0
    row = json.loads(target.read_text())['rows'][0]
    assert row['set'] == 'grid_others'
    assert row['lag_ms'] == pytest.approx(1000 * late)
    assert row['best_correlation'] > 0.999
    assert f'{1000 * late:+.0f}' in capsys.readouterr().out


def test_a_peer_is_judged_by_every_figure_that_weights_allow(voices, tmp_path):
    for name, seconds in (('talk', 3), ('k', 2), ('speech', 14.3)):
        write_csv(tmp_path / f'{name}.csv', jaw(np.arange(round(seconds * 60)) / 60))
    target = tmp_path / 'figures.json'
    assert judged('--data', voices, '--csv', tmp_path, '--json', target) == 0
    row = next(row for row in json.loads(target.read_text())['rows'] if row['set'] == 'kokoro')
    wanted = {'correlation', 'lag_ms', 'closure_f1', 'lve', 'fdd', 'fdd_size', 'mve', 'jitter'}
    assert wanted <= set(row)
    assert all(np.isfinite(row[key]) for key in wanted)


def test_a_bundle_has_a_row_for_each_number_of_steps_and_a_picture(voices, tmp_path):
    target, picture = tmp_path / 'figures.json', tmp_path / 'figures.png'
    assert judged('live', '--data', voices, '--fps', 24, '--steps', '1,99', '--only', 'quality',
                  '--set', 'kokoro', '--json', target, '--plot', picture) == 0
    rows = json.loads(target.read_text())['rows']
    assert [(row['model'], row.get('steps')) for row in rows] == [
        ('live', 1), ('live', 8), ('loudness', None)]
    assert picture.read_bytes().startswith(b'\x89PNG')


def test_figures_of_two_evaluations_stand_in_one_table(data, tmp_path, capsys):
    first, second = tmp_path / 'a.json', tmp_path / 'b.json'
    for name in ('a', 'b'):
        (tmp_path / name).mkdir()
        write_csv(tmp_path / name / 'talk.csv', jaw(TIMES))
        write_csv(tmp_path / name / 'speech.csv', np.full(860, 0.3))
    assert judged('--data', data, '--csv', tmp_path / 'a', '--json', first) == 0
    capsys.readouterr()
    assert judged('--data', data, '--csv', tmp_path / 'b', '--with', first, '--json', second) == 0
    models = [row['model'] for row in json.loads(second.read_text())['rows']]
    assert models.count('loudness') == 2            # one for each set
    assert {str(tmp_path / 'a'), str(tmp_path / 'b')} < set(models)
    assert judged('--data', data, '--fps', 30, '--with', first) == 1
    assert 'expected' in capsys.readouterr().err


def test_two_bundles_of_one_name_are_refused(data, tmp_path, capsys):
    assert judged('live', tmp_path / 'live', '--data', data) == 1
    assert 'NAME@1' in capsys.readouterr().err


def test_a_missing_file_is_one_line_and_not_a_figure(data, tmp_path, capsys):
    assert judged('--data', data, '--csv', tmp_path) == 1
    assert 'talk.csv' in capsys.readouterr().err


def test_columns_are_read_by_name_and_a_blank_row_repeats(tmp_path):
    path = tmp_path / 'a.csv'
    write_csv(path, [0.25, 0.5], names=NAMES[::-1])
    with path.open('a') as file:
        file.write('00:00:00:02.000,61' + ',' * len(NAMES) + '\n')
    weights = read_live_link(path)
    assert weights[:, rig.INDEX['jawOpen']] == pytest.approx([0.25, 0.5, 0.5])
    assert weights.sum() == pytest.approx(1.25)


def test_a_file_without_a_shape_is_refused(tmp_path):
    write_csv(tmp_path / 'a.csv', [0.1], names=NAMES[:-1])
    with pytest.raises(ValueError, match='tongueOut'):
        read_live_link(tmp_path / 'a.csv')


def test_bundled_speech_pauses_for_a_second_and_sounds_where_its_phones_are():
    clip = bundled_speech()
    loud = loudness_motion(100)(clip).gap
    times = np.arange(len(loud)) / 100
    spoken = np.zeros(len(loud), bool)
    for start, end in clip.speech:
        spoken |= (times >= start - 0.1) & (times <= end + 0.2)
    assert np.max(np.diff(times[loud > 0])) > 1
    assert np.mean(loud[spoken]) > 30
    assert np.max(loud[~spoken]) < 15
    assert sum(ipa in ('p', 'b', 'm') for ipa, *_ in clip.phones) > 40
