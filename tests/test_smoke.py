# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Every system at toy size from corpus to table, and what the smoke test would complain about."""

import json

import numpy as np
import pytest

pytest.importorskip('torch')

from model import smoke, toy_speech
from model.clip_sets import clip_sets, synthetic_clips
from model.clip_store import read_rows
from model.metrics import loudness_envelope
from model.voices import split_of_row

pytestmark = pytest.mark.model
FINE = {**dict.fromkeys(smoke.ALWAYS, 0.5), 'model': 'a', 'steps': 2, 'parity': 0.0}


@pytest.mark.slow
def test_every_system_is_made_and_judged_at_toy_size(tmp_path):
    shop = smoke.Workshop(tmp_path / 'smoke', ('onnx',))    # torch.export takes half of the time
    assert smoke.smoke(shop, list(smoke.SYSTEMS)) == []


def write_log(folder, losses):
    (folder / 'runs' / 'a').mkdir(parents=True)
    (folder / 'runs' / 'a' / 'log.csv').write_text('step,coefficient\n' + ''.join(
        f'{step},{loss}\n' for step, loss in enumerate(losses)))
    return smoke.Workshop(folder)


def test_a_loss_that_falls_is_no_fault(tmp_path):
    shop = write_log(tmp_path, np.linspace(1, 0.5, 20))
    assert smoke.faults(shop, [FINE], [FINE]) == []


@pytest.mark.parametrize('losses', [np.ones(20), np.linspace(0.5, 1, 20), np.full(20, np.nan)])
def test_a_loss_that_does_not_fall_is_a_fault(tmp_path, losses):
    assert smoke.faults(write_log(tmp_path, losses), [FINE], [FINE]) == [
        'runs/a: its loss did not fall']


@pytest.mark.parametrize(('changed', 'said'), [
    ({'lve': float('nan')}, 'lve is nan'), ({'parity': 0.1}, 'other blocks'),
    ({'parity': float('inf')}, 'other blocks')])
def test_what_is_not_finite_or_does_not_stream_is_a_fault(tmp_path, changed, said):
    found = smoke.faults(smoke.Workshop(tmp_path), [{**FINE, **changed}], [{**FINE, **changed}])
    assert any(said in fault for fault in found)


def test_babble_is_where_its_phones_say(tmp_path):
    toy_speech.write(tmp_path, clips=2, held_out=2)
    held = [row for row in read_rows(tmp_path) if split_of_row(row) == 'validation']
    clips = list(synthetic_clips(tmp_path, held))
    assert len(clips) == 2                          # those of voices that no training hears
    for clip in clips:
        loud = loudness_envelope(clip.samples, 16000, fps=100, window=0.02)
        middles = [round(50 * (start + end)) for symbol, start, end in clip.phones
                   if symbol in toy_speech.VOWELS]
        assert loud[middles].min() > 35
        assert loud[:20].max() < 10
        assert clip.truth.max() > 0.2


def test_a_corpus_of_speech_gives_voices_and_languages_that_no_training_hears(tmp_path):
    toy_speech.write(tmp_path, clips=4, held_out=0)
    path, = tmp_path.glob('align_*.jsonl')
    splits = [('train', 'en-us'), ('test', 'pt-br'), ('test', 'ja'), ('validation', 'hi')]
    rows = [{**row, 'split': split, 'lang': lang}
            for row, (split, lang) in zip(read_rows(tmp_path), splits, strict=True)]
    path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    sets = clip_sets(tmp_path / 'no data', speech=tmp_path)
    assert [clip.name for clip in sets['voices']] == [rows[1]['id']]
    assert [clip.name for clip in sets['languages']] == [rows[2]['id'], rows[3]['id']]
