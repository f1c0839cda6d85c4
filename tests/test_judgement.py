# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Figures of motions whose faults are known, tables of them, and what a stream costs."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest

from avatar_bridge import Engine, load_bundle, rig
from avatar_bridge.config import EngineConfig
from avatar_bridge.head import load_head
from model import score_plot, score_table
from model.clip_sets import Clip, bundled_speech
from model.costs import difference, diversity, size, streaming
from model.judgement import judge, vertex_errors
from model.metrics import lip_gap
from model.performers import Motion

FPS = 50
CURVES = 0.3 + 0.2 * np.sin(np.arange(200)[:, None] * np.linspace(0.03, 0.09, len(rig.NAMES)))


def truth(weights=CURVES):
    """Return a clip whose face made `weights` at 100 frames a second."""
    return Clip('a', np.zeros(32000), ((0.0, 2.0),), lip_gap(weights), 100, (), weights)


def motion(weights):
    """Return a motion at `FPS` of weights at 100 frames a second."""
    return Motion(lip_gap(weights[::2]), weights[::2].astype(np.float32))


def test_silence_is_judged_after_speech_let_go():
    gap = np.ones(300)
    gap[240:] = 0                           # speech ends at 2 s, 300 ms later the mouth must rest
    clip = Clip('a', np.zeros(48000), ((0.0, 2.0),))
    row = judge([clip], [Motion(gap)], 100)
    assert row['silence'] == pytest.approx(60 / 69, abs=0.01)


def test_the_truth_itself_has_no_error():
    figures = judge([truth()], [motion(CURVES)], FPS)
    assert figures['correlation'] > 0.999
    assert [figures[key] for key in ('lve', 'mve', 'fdd')] == pytest.approx([0] * 3, abs=1e-5)


def test_a_jaw_that_is_off_costs_its_square_in_millimetres():
    jaw = rig.INDEX['jawOpen']
    wrong = CURVES.copy()
    wrong[:, jaw] += 0.1
    head = load_head()
    lips = np.concatenate([head.groups['inner_lips'], head.groups['outer_lips']])
    worst = 100 * np.linalg.norm(head.deltas[jaw, lips], axis=1).max()      # mm of 0.1
    figures = vertex_errors([(truth(), motion(wrong))], FPS)
    assert figures['lve'] == pytest.approx(worst ** 2, rel=1e-3)
    assert 0 < figures['mve'] < worst


def test_brows_that_stand_still_move_too_little_and_twice_as_far_too_much():
    brows = [rig.INDEX[name] for name in rig.NAMES if name.startswith('brow')]
    still, lively = CURVES.copy(), CURVES.copy()
    still[:, brows] = 0
    lively[:, brows] *= 2
    less, more = (vertex_errors([(truth(), motion(wrong))], FPS) for wrong in (still, lively))
    assert less['fdd'] == pytest.approx(less['fdd_size'])
    assert less['fdd'] > 0.01
    assert more['fdd'] == pytest.approx(-more['fdd_size'])
    assert more['fdd'] < -0.01


def row(model, r, steps=2, **figures):
    return {'model': model, 'steps': steps, 'set': 'kokoro', 'clips': 3, 'correlation': r,
            'closure_f1': r, 'lve': 1 - r, 'fdd_size': 1 - r, **figures}


def test_runs_of_one_name_are_one_row_with_their_spread():
    rows = score_table.pooled([row('a@1', 0.7), row('a@2', 0.8), row('a@3', 0.9), row('b', 0.5)])
    assert [(found['model'], found.get('runs')) for found in rows] == [('a', 3), ('b', None)]
    table = score_table.markdown(rows, score_table.QUALITY)
    assert '| a | 3 | 2 | kokoro | 3 | 0.800 ±0.100 |' in table
    assert '| b | - | 2 | kokoro | 3 | 0.500 |' in table
    assert 'seams' not in table                     # a column that nobody fills


def test_a_shipped_bundle_is_no_run_of_its_namesakes():
    assert [found['correlation'] for found in score_table.pooled(
        [row('a', 0.1), row('a@1', 0.5), row('a@2', 0.7)])] == pytest.approx([0.1, 0.6])


def test_a_later_row_stands_for_an_earlier_one():
    rows = score_table.merged([row('a', 0.1), row('a', 0.2, steps=4)], [row('a', 0.3)])
    assert [(found['steps'], found['correlation']) for found in rows] == [(2, 0.3), (4, 0.2)]


def test_the_picture_has_a_line_of_points_for_each_model_and_one_across_for_a_baseline(tmp_path):
    pyplot = pytest.importorskip('matplotlib.pyplot')
    axes = pyplot.figure().add_subplot()
    rows = [row('a', 0.9, steps=8), row('a', 0.8, steps=2), row('loud', 0.4, steps=None)]
    score_plot.against_steps(axes, rows, 'correlation', {'a': 'C0', 'loud': 'C1'})
    model, baseline = axes.lines
    assert list(model.get_xdata()) == [2, 8]
    assert list(model.get_ydata()) == [0.8, 0.9]
    assert set(baseline.get_ydata()) == {0.4}
    pyplot.close('all')
    score_plot.draw(tmp_path / 'a.png', rows, truth(), {'a': lip_gap(CURVES)}, 100)
    assert pyplot.imread(tmp_path / 'a.png').std() > 0.05


class Pose(NamedTuple):
    """A frame, as far as weights go."""

    weights: np.ndarray


class Forgetful:
    """An engine of a frame for each 160 samples that says how many came along with its first."""

    def __init__(self):
        self.left = 0

    def push(self, samples):
        frames, self.left = divmod(self.left + len(samples), 160)
        return [Pose(np.full(52, len(samples) / 4096)) for _ in range(frames)]

    def flush(self):
        self.left = 0
        return []


def test_a_stream_that_depends_on_its_blocks_has_no_parity():
    samples = bundled_speech().samples[:4096 * 5]
    assert streaming(Forgetful(), samples)['parity'] == pytest.approx(5 - 160 / 4096)


def test_a_stream_that_loses_frames_has_no_parity_at_all():
    assert difference(np.zeros((10, 52)), np.zeros((9, 52))) == np.inf


def test_what_ships_streams_alike_and_differs_by_its_seed():
    bundle, samples = load_bundle('live'), bundled_speech().samples[8000:20000]
    config = EngineConfig(fps=Fraction(30), steps=2)
    found = streaming(Engine(bundle, config), samples)
    assert found['parity'] < 1e-5
    assert 0 < found['rtf'] < 5
    spread = diversity(bundle, config, samples)
    assert 0 < spread['mouth_diversity'] < 0.1
    graphs = sum(path.stat().st_size for path in bundle.path.glob('*.onnx'))
    assert size(bundle)['megabytes'] == graphs / 2**20
