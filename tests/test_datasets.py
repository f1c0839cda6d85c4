# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Loaders read the published layouts, on small files in exactly those layouts."""

import collections
import json
import os
import pickle

import numpy as np
import pytest
import soundfile

from avatar_bridge.rig import INDEX, NAMES
from avatar_bridge.sinks.livelink_csv import COLUMNS, timecode
from model.data import build, load_corpus
from model.datasets import beat, biwi, live_link, text_grid, vocaset
from model.datasets.plain_pickle import read_plain_pickle
from model.datasets.recording import DatasetError, Recording, drawn_split
from model.phones import CLASS_OF, NUMBERED, SILENCE, UNKNOWN
from model.teacher_styles import STYLES
from model.vertex_head import load_head
from model.vertex_sets import main

RNG = np.random.default_rng(0)


def sound(path, seconds=1.0, sample_rate=16000, channels=1):
    """Write a sine of 200 Hz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.5 * np.sin(2 * np.pi * 200 * np.arange(round(seconds * sample_rate)) / sample_rate)
    soundfile.write(path, np.repeat(wave[:, None], channels, axis=1), sample_rate)


ROWS = [('', 0, 0.2), ('M', 0.2, 0.3), ('AA1', 0.3, 0.5), ('ER0', 0.5, 0.7), ('sp', 0.7, 1)]


def grid(rows, tier='phones', short=False):
    """Return a TextGrid with a tier of words and one of phones."""
    tiers = [('words', [('', 0, 0.2), ('mama 2', 0.2, 0.7), ('', 0.7, 1)]), (tier, rows)]
    if short:
        lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', '', '0', '1',
                 '<exists>', str(len(tiers))]
        for name, found in tiers:
            lines += ['"IntervalTier"', f'"{name}"', '0', '1', str(len(found))]
            lines += [line for text, start, end in found
                      for line in (str(start), str(end), f'"{text}"')]
        return '\n'.join(lines)
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', '', 'xmin = 0', 'xmax = 1',
             'tiers? <exists>', f'size = {len(tiers)}', 'item []:']
    for number, (name, found) in enumerate(tiers, 1):
        lines += [f'    item [{number}]:', '        class = "IntervalTier"',
                  f'        name = "{name}"', '        xmin = 0', '        xmax = 1',
                  f'        intervals: size = {len(found)}']
        for index, (text, start, end) in enumerate(found, 1):
            lines += [f'        intervals [{index}]:', f'            xmin = {start}',
                      f'            xmax = {end}', f'            text = "{text}"']
    return '\n'.join(lines)


@pytest.mark.parametrize('short', [False, True], ids=['long', 'short'])
@pytest.mark.parametrize('coding', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-16-be'])
def test_text_grids_of_either_form_and_coding_give_the_phones(tmp_path, short, coding):
    sound(tmp_path / 'anna' / 'one.wav', sample_rate=44100, channels=2)
    data = grid(ROWS, 'anna - phones', short).encode(coding)
    bom = b'\xfe\xff' if coding == 'utf-16-be' else b''
    (tmp_path / 'anna' / 'one.TextGrid').write_bytes(bom + data)
    found = list(text_grid.recordings(tmp_path))
    assert [(one.id, one.speaker, len(one.samples)) for one in found] == [
        ('anna/one', 'anna', 16000)]
    assert [phone.symbol for phone in found[0].phones] == [SILENCE, 'm', 'ɑ', 'ɜ', 'ɹ', SILENCE]
    assert [phone.stress for phone in found[0].phones] == [0, 0, 1, 0, 0, 0]
    assert found[0].phones[2][1:3] == (0.3, 0.5)
    assert found[0].phones[4][1:3] == pytest.approx((0.6, 0.7))


@pytest.mark.parametrize(('label', 'symbols'), [
    ('AH0', 'ə'), ('AH1', 'ʌ'), ('NG', 'ŋ'), ('CH', 'ʧ'), ('HH', 'h'), ('Y', 'j'), ('W', 'w'),
    ('OY2', 'Y'), ('aj', 'I'), ('ej', 'A'), ('tʃ', 'ʧ'), ('t͡ʃ', 'ʧ'), ('pʰ', 'p'), ('tʲ', 't'),
    ('iː', 'i'), ('n̩', 'n'), ('ɫ', 'l'), ('ç', 'ç'), ('ɔ̃', 'ɔ'), ('ã', 'a'), ('ɟʷ', 'ɟ'),
    ('d̪', 'd'), ('ɱ', 'ʋ'), ('spn', ' '), ('SIL', ' '), ('<eps>', ' '), ('ʂ', 'ʂ'),
])
def test_labels_of_aligners_become_our_phones(label, symbols):
    kinds = [CLASS_OF.get(symbol, SILENCE) for symbol in text_grid.transcribed(label)[1]]
    assert kinds == [CLASS_OF.get(symbol, SILENCE) for symbol in symbols]


@pytest.mark.parametrize(('text', 'reason'), [
    ('no grid', 'no tier'), (grid([('7', 0, 1)]), "'7'"), (grid([('XX1', 0, 1)]), 'ARPAbet'),
    (grid([('M', 0.5, 0.2)]), 'from 0.5 to 0.2'),
])
def test_a_text_grid_that_is_none_is_named(tmp_path, text, reason):
    (tmp_path / 'bad.TextGrid').write_text(text)
    with pytest.raises(DatasetError, match=f'bad.TextGrid.*{reason}'):
        text_grid.read_phones(tmp_path / 'bad.TextGrid')


def table(path, count=60, first='23:59:59:30.000', skip=(), blank=()):
    """Write a take of `count` frames whose jaw opens from 0 to 1; it begins before midnight."""
    lines = [','.join(COLUMNS)]
    for index in range(count):
        if index in skip:
            continue
        values = dict.fromkeys(COLUMNS[2:], 0.0) | {'JawOpen': index / count, 'MouthLeft': 2.0}
        hour = '23:59:59' if index < 30 else '00:00:00'
        code = f'{hour}:{(30 + index) % 60:02}.000' if first else timecode(index, 60)
        cells = [''] * 61 if index in blank else [f'{value:.10f}' for value in values.values()]
        lines.append(','.join([code, '61', *cells]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(lines) + '\n')


def test_live_link_takes_are_read_by_name_and_time_code(tmp_path):
    table(tmp_path / 'anna' / 'MySlate_1_iPhone_cal.csv', skip=(10, 11), blank=(20,))
    table(tmp_path / 'anna' / 'MySlate_1_iPhone_raw.csv', count=5)
    sound(tmp_path / 'anna' / 'MySlate_1_iPhone.wav', sample_rate=48000)
    (tmp_path / 'anna' / 'frame_log.csv').write_text('V,0,0\n')
    take, = live_link.recordings(tmp_path)
    assert (take.speaker, take.fps, take.curves.shape) == ('anna', 60.0, (60, 52))
    assert len(take.samples) == 16000
    expected = np.arange(60) / 60
    assert np.allclose(take.curves[:, INDEX['jawOpen']], expected, atol=1e-6)   # gaps are bridged
    assert (take.curves[:, INDEX['mouthLeft']] == 1).all()                      # and clamped
    assert not take.curves[:, INDEX['mouthRight']].any()


def test_the_only_sound_of_a_folder_is_that_of_its_take(tmp_path):
    table(tmp_path / 'one' / 'take.csv')
    sound(tmp_path / 'one' / 'audio.wav', 0.5)
    take, = live_link.recordings(tmp_path)
    assert (take.id, len(take.samples)) == ('one/take', 8000)


@pytest.mark.parametrize(('text', 'reason'), [
    ('a,b\n1,2\n', 'Timecode'), (','.join(COLUMNS) + '\n', 'rows with weights'),
    (','.join(COLUMNS) + '\n1,61' + ',0' * 61 + '\n', 'line 2.*time code'),
])
def test_a_table_that_is_none_is_named(tmp_path, text, reason):
    (tmp_path / 'take.csv').write_text(text)
    with pytest.raises(DatasetError, match=f'take.csv.*{reason}'):
        live_link.read_curves(tmp_path / 'take.csv')


def test_a_take_without_its_sound_is_named(tmp_path):
    table(tmp_path / 'take.csv', count=3)
    with pytest.raises(DatasetError, match=r'expected its sound take\.wav'):
        list(live_link.recordings(tmp_path))


def beat_clip(folder, name, seconds=2.0, names=None, **changes):
    """Write a BEAT recording; shapes are in the order of the alphabet, without the tongue."""
    names = sorted(set(NAMES) - {'tongueOut'}) if names is None else names
    frames = [{'weights': [0.01 * place for place in range(len(names))], 'time': index / 60,
               'rotation': [0, 0, 0]} for index in range(round(60 * seconds))]
    path = folder / name.split('_')[0] / f'{name}.json'
    sound(path.with_suffix('.wav'), seconds)
    path.write_text(json.dumps({'names': names, 'frames': frames} | changes))
    path.with_suffix('.TextGrid').write_text(grid(ROWS))
    return path


def test_beat_is_read_in_our_order(tmp_path):
    beat_clip(tmp_path, '1_wayne_0_9_9')
    clip, = beat.recordings(tmp_path)
    assert (clip.id, clip.speaker, clip.split, clip.language) == (
        '1_wayne_0_9_9', '1_wayne', 'train', 'en')
    assert clip.curves.shape == (120, 52)
    names = sorted(set(NAMES) - {'tongueOut'})
    assert clip.curves[5, INDEX['jawOpen']] == pytest.approx(0.01 * names.index('jawOpen'))
    assert clip.curves[5, INDEX['tongueOut']] == 0
    assert clip.phones[1].symbol == 'm'


@pytest.mark.parametrize(('name', 'splits'), [
    ('1_wayne_0_1_8', ('test',)), ('1_wayne_0_9_16', ('train',)), ('2_scott_0_57_64', ('valid',)),
    ('1_wayne_0_65_65', ('test',)), ('1_wayne_0_72_72', ('valid',)), ('1_wayne_1_1_1', ('test',)),
    ('1_wayne_1_12_12', ('valid',)), ('5_stewart_0_5_5', ('valid',)),
    ('5_stewart_0_1_4', ('test',)), ('5_stewart_0_65_65', ('test', 'valid')),
    ('30_katya_1_1_1', ('test', 'valid')), ('30_katya_6_118_118', ('train',)),
])
def test_beat_has_its_published_split(tmp_path, name, splits):
    assert beat.parsed(tmp_path / f'{name}.json').splits == splits


def test_beat_halves_what_its_list_halves(tmp_path):
    beat_clip(tmp_path, '5_stewart_0_73_73')
    first, second = beat.recordings(tmp_path)
    assert (first.id, first.split, second.id, second.split) == (
        '5_stewart_0_73_73_a', 'test', '5_stewart_0_73_73_b', 'valid')
    assert len(first.samples) == len(second.samples) == 16000
    assert len(first.curves) == len(second.curves) == 60
    assert (len(first.phones), len(second.phones)) == (6, 0)


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'names': ['jawOpen']}, 'ARKit names'), ({'frames': [{}]}, 'KeyError'),
    ({'frames': [{'weights': [0.0, 1.0]}]}, '51 weights'),
    ({'frames': [{'weights': [0.0] * 51, 'time': 1e3 * k} for k in range(9)]}, '60 frames'),
])
def test_a_json_that_is_not_beats_is_named(tmp_path, changes, reason):
    path = beat_clip(tmp_path, '1_wayne_0_9_9', **changes)
    with pytest.raises(DatasetError, match=f'1_wayne_0_9_9.json.*{reason}'):
        beat.read_curves(path)


SUBJECTS = ('FaceTalk_170728_03272_TA', 'FaceTalk_170811_03275_TA', 'FaceTalk_170809_00138_TA')


@pytest.fixture
def voca(tmp_path):
    """Write a VOCASET of three subjects with two sentences and 7 vertices, as Python 2 did."""
    rows, sounds, count = {}, {}, 0
    for subject in SUBJECTS:
        rows[subject], sounds[subject] = {}, {}
        for sentence in ('sentence01', 'sentence21'):
            rows[subject][sentence] = {frame: count + frame for frame in range(20)}
            sounds[subject][sentence] = {
                'audio': (8000 * np.sin(np.arange(7333) / 10)).astype(np.int16),
                'sample_rate': 22000}
            count += 20
    vertices = RNG.standard_normal((count, 7, 3)).astype(np.float32)
    np.save(tmp_path / 'data_verts.npy', vertices)
    neutrals = {subject: vertices[0] for subject in SUBJECTS}
    for name, value in (('subj_seq_to_idx', rows), ('raw_audio_fixed', sounds),
                        ('templates', neutrals)):
        (tmp_path / f'{name}.pkl').write_bytes(pickle.dumps(value, protocol=2))
    return tmp_path, vertices


def test_vocaset_is_read_with_its_official_split(voca):
    folder, vertices = voca
    found = list(vocaset.recordings(folder))
    assert [(clip.split, clip.id[-10:]) for clip in found] == [
        ('train', 'sentence01'), ('train', 'sentence21'), ('test', 'sentence21'),
        ('valid', 'sentence21')]
    assert (found[1].fps, found[1].vertices.shape) == (30.0, (10, 7, 3))
    assert np.array_equal(found[1].vertices, vertices[20:40:2])
    assert np.array_equal(found[1].neutral, vertices[0])
    assert len(found[0].samples) == 5334
    assert 7800 < found[0].samples.max() < 8200


def test_a_vertex_set_becomes_coefficients_of_its_own_head(voca, tmp_path, capsys):
    folder, vertices = voca
    (folder / 'regions').mkdir()
    (folder / 'regions' / 'lve.txt').write_text('2, 5')
    assert main(['vocaset', str(folder), '--out', str(tmp_path / 'set')]) == 0
    head = load_head(tmp_path / 'set' / 'head.npz')
    assert head.regions['lve'].tolist() == [2, 5]
    path = tmp_path / 'set' / 'train' / f'{SUBJECTS[0]}_sentence21.npz'
    with np.load(path, allow_pickle=False) as file:
        decoded = head.decode(file['coefficients'], file['neutral'])
        assert (file['fps'], len(file['samples'])) == (30, 5334)
    assert np.allclose(decoded, vertices[20:40:2], atol=1e-2)      # 20 frames, 19 components
    lost = json.loads((tmp_path / 'set' / 'set.json').read_text())['lost']
    assert lost['train']['vertex'] < 1e-2 < lost['test']['vertex']      # noise is not learnt
    assert len(list((tmp_path / 'set').rglob('*_sentence*.npz'))) == 4
    assert 'LVE' in capsys.readouterr().out
    assert main(['biwi', str(folder), '--out', str(tmp_path / 'other')]) == 1
    assert 'vertices_npy' in capsys.readouterr().err


def test_a_pickle_that_wants_to_run_something_is_refused(voca):
    folder, _ = voca

    class Evil:
        def __reduce__(self):
            return os.system, ('touch stolen',)

    (folder / 'templates.pkl').write_bytes(pickle.dumps({'FaceTalk': Evil()}))
    with pytest.raises(DatasetError, match=r'templates\.pkl.*system'):
        list(vocaset.recordings(folder))


@pytest.mark.parametrize('protocol', range(6))
def test_arrays_and_containers_come_back_from_a_pickle(tmp_path, protocol):
    value = {'a': np.arange(6.0).reshape(2, 3), 'b': [1, (2.5, 'x', None)], 'c': np.float32(2),
             'd': collections.OrderedDict(e={1, 2}), 'f': np.array(['x', 'y'])}
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(value, protocol=protocol))
    found = read_plain_pickle(tmp_path / 'a.pkl')
    assert repr(found) == repr(value)


def test_a_broken_pickle_is_named(tmp_path):
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps({'a': np.arange(6.0)})[:-20])
    with pytest.raises(DatasetError, match=r'a\.pkl.*containers and arrays'):
        read_plain_pickle(tmp_path / 'a.pkl')


def test_biwi_is_read_with_its_official_splits(tmp_path):
    (tmp_path / 'vertices_npy').mkdir()
    for name in ('F2_e01', 'F2_e33', 'F2_e40', 'F1_e01', 'F1_e37', 'F2_n01'):
        np.save(tmp_path / 'vertices_npy' / f'{name}.npy', np.ones((5, 12), np.float32))
        sound(tmp_path / 'wav' / f'{name}.wav', 0.2, 44100)
    (tmp_path / 'templates.pkl').write_bytes(pickle.dumps(
        {'F1': np.zeros((4, 3)), 'F2': np.zeros(12)}))
    (tmp_path / 'regions').mkdir()
    (tmp_path / 'regions' / 'lve.txt').write_text('0, 3, 2')
    (tmp_path / 'regions' / 'fdd.txt').write_text('1\n')
    found = list(biwi.recordings(tmp_path))
    assert [(clip.id, clip.split) for clip in found] == [
        ('F1_e37', 'test'), ('F2_e01', 'train'), ('F2_e33', 'valid'), ('F2_e40', 'test')]
    assert (found[0].fps, found[0].vertices.shape, len(found[0].samples)) == (
        25.0, (5, 4, 3), 3200)
    regions = biwi.read_regions(tmp_path)
    assert regions['lve'].tolist() == [0, 3, 2]
    (tmp_path / 'vertices_npy' / 'F2_e02.npy').write_bytes(b'x')
    with pytest.raises(DatasetError, match=r'F2_e02\.npy'):
        list(biwi.recordings(tmp_path))


def test_a_folder_without_recordings_is_named(tmp_path):
    for loader in (text_grid, live_link, beat):
        with pytest.raises(DatasetError, match='none'):
            list(loader.recordings(tmp_path))


def test_long_recordings_are_cut_in_their_pauses():
    rows = [(symbol, 0.5 * k, 0.5 * (k + 1)) for k, symbol in enumerate('ab,ab,ab,ab,ab,ab')]
    phones = tuple(text_grid.from_kokoro([list(row) for row in rows]))
    whole = Recording('x', 'train', 'v', 'en', np.zeros(round(8.5 * 16000), np.int16),
                      phones=phones)
    parts = list(whole.pieces(4.0))
    assert sum(len(part.samples) for part in parts) == len(whole.samples)
    assert max(len(part.samples) for part in parts) <= 4 * 16000
    assert [part.id for part in parts] == ['x_000', 'x_001', 'x_002']
    assert all(part.phones[-1].kind == SILENCE for part in parts[:-1])


def test_own_recordings_become_a_cache_to_train_on(tmp_path):
    beat_clip(tmp_path / 'beat', '1_wayne_0_9_9', 3.0)
    table(tmp_path / 'live' / 'take.csv')
    sound(tmp_path / 'live' / 'take.wav', 1.5)
    sound(tmp_path / 'mfa' / 'anna' / 'one.wav')
    (tmp_path / 'mfa' / 'anna' / 'one.TextGrid').write_text(grid(ROWS))
    build(tmp_path / 'nothing', tmp_path / 'cache', own={
        'textgrid': tmp_path / 'mfa', 'live_link': tmp_path / 'live', 'beat': tmp_path / 'beat'})
    corpus = load_corpus(tmp_path / 'cache')
    assert [(entry.id, entry.corpus, entry.voice, entry.samples, entry.frames)
            for entry in corpus.entries] == [
        ('anna/one', 'textgrid', 'anna', 16000, 100), ('take', 'live_link', 'live', 24000, 150),
        ('1_wayne_0_9_9', 'beat', '1_wayne', 48000, 300)]
    by_teacher, own, _ = (corpus.clip(entry).curves for entry in corpus.entries)
    assert by_teacher[35:55, INDEX['jawOpen']].max() > 0.1
    assert by_teacher[25, INDEX['mouthClose']] > 0.7 * by_teacher[25, INDEX['jawOpen']]
    assert own[50, INDEX['jawOpen']] == pytest.approx(0.5, abs=0.01)
    assert own[149, INDEX['jawOpen']] == pytest.approx(59 / 60, abs=0.01)   # the end is held
    shouted, same, _ = (corpus.clip(entry, list(STYLES).index('shouting')).curves
                        for entry in corpus.entries)
    assert shouted[:, INDEX['jawOpen']].max() > 1.2 * by_teacher[:, INDEX['jawOpen']].max()
    assert np.array_equal(same, own)                    # a recorded face is as it is
    sounding, unheard, _ = (corpus.clip(entry).phones for entry in corpus.entries)
    assert NUMBERED[sounding[25]] == 'bilabial'         # where the lips are shut, above
    assert NUMBERED[sounding[99]] == SILENCE
    assert (unheard == UNKNOWN).all()
    rng = np.random.default_rng(0)
    assert {len(corpus.draw('grid', rng).samples) for _ in range(20)} == {24000, 48000}
    assert len(corpus.draw('kokoro', rng).samples) == 16000


def test_the_split_of_own_recordings_never_changes():
    splits = [drawn_split(f'take {number}') for number in range(2000)]
    assert 60 < splits.count('valid') < 140
    assert 60 < splits.count('test') < 140
    assert drawn_split('anna/one') == 'train'
