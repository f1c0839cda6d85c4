# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

from fractions import Fraction
import json
import shutil

import numpy as np
import pytest

from avatar_bridge.bundle import SHIPPED, load_bundle
from avatar_bridge.diffusion.face_model import Sampling, frame_noise
from avatar_bridge.diffusion.rolling import RollingFaceModel, ladder_spec
from avatar_bridge.frames import AudioWindow
from avatar_bridge.stream.engine import Engine
from avatar_bridge.stream.windower import Windower
from avatar_bridge.timeline import StreamSpec, Timeline

SPEC = StreamSpec(Timeline(fps=Fraction(60)), window=15, hop=3, lookahead=3, fade=2)
KNOWN = np.full((SPEC.context, 52), 0.25, np.float32)


class Oracle:
    """Knows the truth of every frame, and writes down at which noise times it was asked."""

    def __init__(self, truth=lambda frame: 0.5 + 0 * frame):
        self.truth = truth
        self.asked = []
        self.given = []
        self.told_sizes = set()

    def initial_state(self):
        return {'hops': 0}

    def listen(self, audio, state):
        return audio, {'hops': state['hops'] + 1}

    def spoken(self, state):
        return np.full(3, state['hops'])

    def deaf(self, condition):
        return condition

    def told(self, condition, *, step_size, guidance):
        assert guidance == 1.0
        self.told_sizes.add(step_size)
        return condition

    def denoise(self, noisy, timesteps, condition):
        assert noisy.shape == (condition.frames, 52)
        assert timesteps.shape == (condition.frames,)
        self.asked.append(timesteps[SPEC.context:])
        self.given.append(noisy)
        frames = condition.first_frame + np.arange(condition.frames)
        return np.repeat(self.truth(frames)[:, None], 52, axis=1).astype(np.float32)


def model(oracle, *, rungs=4, **changes):
    sampling = Sampling(rungs=rungs, past_from_steps=1)._replace(
        **{name: changes.pop(name) for name in list(changes) if name in Sampling._fields})
    return RollingFaceModel(oracle, SPEC, sampling=sampling, **changes)


def windows(hops, start=0):
    newest = range(start, start + hops * SPEC.hop, SPEC.hop)
    return [AudioWindow(0, np.zeros(0, np.float32), frame - SPEC.context, SPEC.window)
            for frame in newest]


def predictions(rolling, audio):
    state, out = rolling.initial_state(), []
    for window in audio:
        frames, state = rolling.predict(window, KNOWN, state)
        out.append(frames)
    return out


@pytest.mark.parametrize('rungs', [2, 4, 8])
@pytest.mark.parametrize('steps', [1, 3])
def test_what_an_oracle_knows_comes_out_exactly_from_the_first_frame_on(rungs, steps):
    def truth(frame):
        return np.sin(0.1 * frame).astype(np.float32)

    for window in predictions(model(Oracle(truth), rungs=rungs, steps=steps), windows(5)):
        assert window.coefficients.shape == (SPEC.window, 52)
        active = window.first_frame + np.arange(SPEC.context, SPEC.window)
        assert np.array_equal(window.coefficients[:SPEC.context], KNOWN)
        assert np.array_equal(window.coefficients[SPEC.context:, 7], truth(active))


def test_each_frame_is_asked_about_once_on_every_rung():
    oracle = Oracle()
    predictions(model(oracle), windows(3))
    steady = np.repeat([0.25, 0.5, 0.75, 1.0], SPEC.hop)
    assert len(oracle.asked) == 3 + 3               # three more to begin with, then one a hop
    assert all(np.allclose(asked, steady) for asked in oracle.asked[3:])
    assert np.allclose(oracle.asked[0], 1.0)
    assert np.allclose(oracle.asked[1], np.repeat([0.75, 0.75, 0.75, 1.0], SPEC.hop))


def test_more_steps_are_finer_rungs_and_the_network_is_told():
    oracle = Oracle()
    predictions(model(oracle, rungs=2, steps=2), windows(4))
    assert oracle.told_sizes == {0.25}
    assert [asked[0] for asked in oracle.asked[-2:]] == [0.5, 0.25]
    assert np.allclose(oracle.asked[-1], np.repeat([0.25, 0.75], SPEC.hop))


def test_a_frame_keeps_its_noise_while_it_comes_down():
    # Who always says zero leaves sigma times the frame's own noise.
    oracle = Oracle(lambda frame: 0.0 * frame)
    predictions(model(oracle, seed=3), windows(6))
    first = 5 * SPEC.hop
    expected = np.sin(0.5 * np.pi * oracle.asked[-1])[:, None] * frame_noise(3, first, 12)
    assert np.allclose(oracle.given[-1][SPEC.context:], expected, atol=1e-5)


def test_hops_that_were_missed_are_caught_up():
    oracle = Oracle()
    rolling = model(oracle)
    state = rolling.initial_state()
    _, state = rolling.predict(windows(1)[0], KNOWN, state)
    oracle.asked.clear()
    rolling.predict(windows(1, start=3 * SPEC.hop)[0], KNOWN, state)    # two hops were bridged
    assert np.allclose(oracle.asked[-1], np.repeat([0.25, 0.5, 0.75, 1.0], SPEC.hop))
    assert np.allclose(oracle.asked[0], np.repeat([0.75, 1.0, 1.0, 1.0], SPEC.hop))
    assert len(oracle.asked) == 4


def test_without_a_past_the_context_is_noise():
    oracle = Oracle()
    predictions(model(oracle, past_from_steps=None, seed=1), windows(1))
    first = windows(1)[0].first_frame
    assert np.array_equal(oracle.given[-1][:SPEC.context], frame_noise(1, first, SPEC.context))


def test_the_window_reaches_the_top_of_the_ladder_and_as_far_as_the_blender_looks():
    assert ladder_spec(SPEC, 4).window == SPEC.context + 12
    assert ladder_spec(SPEC, 4).context == SPEC.context
    assert ladder_spec(SPEC, 1) == SPEC
    assert ladder_spec(SPEC, 2) == SPEC
    wide = StreamSpec(SPEC.timeline, window=15, hop=1, lookahead=6, fade=2)
    assert ladder_spec(wide, 4) == wide


def test_frames_beyond_the_ladder_wait_as_noise():
    wide = StreamSpec(SPEC.timeline, window=SPEC.context + 7, hop=1, lookahead=6, fade=2)
    oracle = Oracle()
    rolling = RollingFaceModel(oracle, wide, sampling=Sampling(rungs=2))
    audio = Windower(wide).push(np.zeros(16000, np.float32))
    state = rolling.initial_state()
    for window, _ in zip(audio, range(3), strict=False):
        frames, state = rolling.predict(window, KNOWN, state)
        assert np.allclose(frames.coefficients[wide.context:], 0.5)
    assert np.allclose(oracle.asked[-1], [0.5, *[1.0] * 6])


def test_a_bundle_that_rolls_gives_every_frame_whatever_the_blocks(tmp_path):
    folder = tmp_path / 'rolling'
    shutil.copytree(SHIPPED / 'live', folder)
    manifest = json.loads((folder / 'manifest.json').read_text())
    (folder / 'manifest.json').write_text(json.dumps({**manifest, 'rungs': 4}))
    engine = Engine(load_bundle(folder))
    samples = (0.1 * np.random.default_rng(0).standard_normal(12345)).astype(np.float32)
    whole = engine.push(samples) + engine.flush()
    engine.reset()
    parts = [frame for block in np.split(samples, [7, 800, 5001]) for frame in engine.push(block)]
    parts += engine.flush()
    assert [frame.index for frame in whole] == list(range(47))       # 12345 / 16000 * 60 = 46.3
    assert all(np.array_equal(one.weights, two.weights)
               for one, two in zip(whole, parts, strict=True))
