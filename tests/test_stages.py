# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The stages of the shipped bundle: each goes on from the one before, and the last is exported."""

from itertools import pairwise
import json

import pytest

pytest.importorskip('torch')

from model import stages
from model.networks import make
from model.train import grown

pytestmark = pytest.mark.model


def test_each_stage_goes_on_from_the_one_before(tmp_path):
    found = list(stages.plans(tmp_path, share=0.01))
    assert not found[0].start_from
    for before, after in pairwise(found):
        assert after.start_from == before.out
        network = make(after.kind, after.network)
        network.load_state_dict(grown(make(before.kind, before.network).state_dict(), network))
    assert {plan.corpus for plan in found} == {str(tmp_path / 'corpus')}
    assert [plan.steps for plan in found] == [22, 9, 20, 15, 20, 24, 24, 48, 70, 58, 61, 69]


def test_the_last_stage_has_the_styles_that_the_bundle_names(tmp_path):
    about = json.loads((stages.CONFIGS / 'live.about.json').read_text())
    *_, last = stages.plans(tmp_path)
    assert last.live.styles == len(about['styles'])


def test_a_corpus_that_is_there_is_taken(tmp_path):
    (tmp_path / 'corpus').mkdir()
    (tmp_path / 'corpus' / 'clips.json').write_text('[]')
    stages.prepare(tmp_path, tmp_path / 'none', hours=1.0, workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ['corpus']
