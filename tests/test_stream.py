# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""Windower, blender, shaper and speech detector, each alone."""

from fractions import Fraction

import numpy as np
import pytest

from avatar_bridge import rig
from avatar_bridge.frames import FrameWindow
from avatar_bridge.stream.blender import SPREAD, StreamBlender, neighbours_share, settled
from avatar_bridge.stream.shaper import Shaper
from avatar_bridge.stream.speech import SpeechDetector, SpokenTime
from avatar_bridge.stream.windower import Windower
from avatar_bridge.timeline import StreamSpec, Timeline
from model.augment import coloured
from model.clip_sets import bundled_speech

SPEC = StreamSpec()
REST = np.zeros(52, np.float32)
JAW, CLOSE = rig.INDEX['jawOpen'], rig.INDEX['mouthClose']


@pytest.mark.parametrize('fps', [24, 30, 60])
@pytest.mark.parametrize('block', [1, 77, 160, 4096])
def test_windows_carry_every_sample_once(fps, block):
    spec = StreamSpec.from_seconds(Timeline(fps=Fraction(fps)), window=0.5, hop=0.05,
                                   lookahead=0.05)
    samples = np.arange(5000, dtype=np.float32)
    windower = Windower(spec)
    windows = [window for start in range(0, 5000, block)
               for window in windower.push(samples[start:start + block])]
    windows += windower.flush()
    carried = np.concatenate([window.samples for window in windows])
    assert np.array_equal(carried[:5000], samples)
    assert not carried[5000:].any()
    assert windower.next_frame >= spec.timeline.frames_in(5000)


def test_a_window_comes_with_its_last_sample():
    windower = Windower(SPEC)
    end = SPEC.timeline.first_sample(SPEC.hop + SPEC.lookahead)
    assert not list(windower.push(np.zeros(end - 1, np.float32)))
    window, = windower.push(np.zeros(1, np.float32))
    assert window.first_frame + window.frames == SPEC.hop + SPEC.lookahead


def test_no_audio_means_no_windows():
    assert not list(Windower(SPEC).flush())


def windows(values):
    """Make windows whose active frames all hold one value."""
    for hop, value in enumerate(values):
        yield FrameWindow(hop * SPEC.hop - SPEC.context,
                          np.full((SPEC.window, 52), value, np.float32))


def test_the_blender_fades_from_the_guess_and_settles_between_neighbours():
    blender = StreamBlender(SPEC, REST)
    first, second, third, last = (blender.push(window) for window in windows([0., 1., 1., 1.]))
    assert not first.any()
    share = neighbours_share(60.0)
    rise = np.array([0, 0.3, 0.5, 0.7, 1])              # the hop before, the fade, the new guess
    assert np.allclose(second[:, 0], share * (rise[:-2] + rise[2:]) + (1 - 2 * share) * rise[1:-1])
    assert third[0, 0] == pytest.approx(1 - 0.3 * share)
    assert np.allclose(third[1:], 1)
    assert np.allclose(last, 1)
    assert (blender.known[-SPEC.hop:] == 1).all()


@pytest.mark.parametrize('fps', [24, 30, 50, 60])
def test_frames_are_settled_over_the_same_time_at_any_rate(fps):
    impulse = np.eye(9, dtype=np.float32)[:, 4:5]
    around = settled(impulse, neighbours_share(fps))[:, 0]
    times = (np.arange(7) - 3) / fps
    assert around.sum() == pytest.approx(1)
    assert np.sqrt(around @ times**2) == pytest.approx(SPREAD, rel=1e-3)


def test_without_look_ahead_frames_stay_as_they_are_predicted():
    blender = StreamBlender(StreamSpec(lookahead=0, fade=0), REST)
    steps = np.random.default_rng(0).random((30, 52)).astype(np.float32)
    assert np.array_equal(blender.push(FrameWindow(0, steps)), steps[-3:])


def test_a_bridge_gives_the_guess_and_then_holds():
    blender = StreamBlender(SPEC, REST)
    for window in windows([0.5]):
        blender.push(window)
    for _ in range(3):
        assert np.allclose(blender.bridge(), 0.5)


def shaper(fps=60.0):
    return Shaper(np.zeros(52, np.float32), np.ones(52, np.float32), fps)


def frames(**shapes):
    rows = np.zeros((len(next(iter(shapes.values()))), 52), np.float32)
    for name, values in shapes.items():
        rows[:, rig.INDEX[name]] = values
    return rows


def test_a_closing_mouth_is_never_softened():
    out = shaper().push(frames(jawOpen=[0.6, 0.6, 0.6, 0.6, 0.0],
                               mouthPressLeft=[0, 0, 0, 0, 0.8]), [True] * 5)
    assert out[4, JAW] == 0.0
    assert out[4, rig.INDEX['mouthPressLeft']] == pytest.approx(0.8)


def test_an_opening_mouth_is_smoothed_within_three_frames():
    out = shaper().push(frames(jawOpen=[0.0, 0.6, 0.6, 0.6]), [True] * 4)[:, JAW]
    assert 0.3 < out[1] < 0.6
    assert out[3] == pytest.approx(0.6, abs=0.02)


def test_silence_puts_the_mouth_to_rest_within_300_ms():
    pose = shaper()
    pose.push(frames(jawOpen=[0.5] * 5), [True] * 5)
    out = pose.push(frames(jawOpen=[0.5] * 18, browInnerUp=[0.4] * 18), [False] * 18)
    assert out[-1, JAW] < 0.01
    assert out[-1, rig.INDEX['browInnerUp']] > 0.35


def test_weights_stay_in_range_and_lips_close_no_further_than_the_jaw_is_open():
    rng = np.random.default_rng(0)
    pose = shaper()
    pose.set_gains({'jawOpen': 0.5, 'all': 2.0})
    out = pose.push(3 * rng.standard_normal((200, 52)).astype(np.float32), [True] * 200)
    assert out.min() >= 0
    assert out.max() <= 1
    assert (out[:, CLOSE] <= out[:, JAW] + 1e-6).all()


def test_gains_multiply_before_the_clamp():
    pose = shaper()
    pose.set_gains({'jawOpen': 0.5})
    out = pose.push(frames(jawOpen=[0.8] * 10, cheekPuff=[0.8] * 10), [True] * 10)[-1]
    assert out[JAW] == pytest.approx(0.4, abs=1e-3)
    assert out[rig.INDEX['cheekPuff']] == pytest.approx(0.8, abs=1e-3)


def told(samples):
    """Return for each piece of 10 ms whether speech was heard in it, hangover and all."""
    detector, spoken = SpeechDetector(), SpokenTime()
    heard = []
    for start in range(0, len(samples) - 159, 160):
        spoken.push(detector.push(samples[start:start + 160]))
        heard.append(spoken.heard_between(start, start + 160))
    return np.array(heard)


@pytest.mark.parametrize('peak', [0.01, 0.1, 1.0])
def test_speech_is_heard_at_any_level_and_silence_after_it_is_not(peak):
    speech = bundled_speech()
    scale = np.float32(peak / np.abs(speech.samples).max())
    heard = told(np.concatenate([speech.samples[:80000] * scale, np.zeros(16000, np.float32)]))
    times = np.arange(len(heard)) / 100
    spoken = np.zeros(len(heard), bool)
    for start, end in speech.speech:
        spoken[(times >= start) & (times < min(end, 5.0))] = True
    assert heard[spoken].mean() > 0.85
    assert not heard[500 + 60:].any()


@pytest.mark.parametrize('sound', ['hiss', 'hum', 'typing'])
def test_what_is_no_speech_is_not_heard_for_long(sound):
    rng = np.random.default_rng(0)
    times = np.arange(64000) / 16000
    samples = {'hiss': 0.05 * rng.standard_normal(64000),
               'hum': 0.1 * np.sin(2 * np.pi * 100 * times),
               'typing': 0.2 * (np.sin(2 * np.pi * 3.1 * times) > 0.99)
               * rng.standard_normal(64000)}[sound]
    assert told(samples.astype(np.float32))[100:].mean() < 0.15


def test_only_what_lasts_has_a_hangover():
    speech = bundled_speech().samples[9600:41600]           # ends amid a word
    heard = told(np.concatenate([speech, np.zeros(16000, np.float32)]))
    assert heard[200:210].all()
    assert not heard[260:].any()


@pytest.mark.parametrize('seed', range(4))
def test_a_room_that_is_there_from_the_first_sample_is_no_speech(seed):
    noise = coloured(32000, 0.5, np.random.default_rng(seed))
    assert not told((0.005 * noise / noise.std()).astype(np.float32)).any()


def test_speech_does_not_depend_on_block_size():
    samples = (0.05 * np.random.default_rng(0).standard_normal(8000)).astype(np.float32)
    pieces = SpeechDetector()
    odds = [pieces.push(samples[start:start + 77]) for start in range(0, 8000, 77)]
    assert np.allclose(SpeechDetector().push(samples), np.concatenate(odds))


def test_two_are_asked_together_whoever_is_quicker():
    samples = (0.05 * np.random.default_rng(0).standard_normal(8000)).astype(np.float32)
    alone = SpeechDetector().push(samples)
    told = np.linspace(-5, 5, len(alone))
    detector, found, given = SpeechDetector(), [], 0
    for start in range(0, 8000, 400):               # the network tells by twos, less is known
        known = min(len(told), max(0, (start + 400) // 320 * 2 - 2))
        found.append(detector.push(samples[start:start + 400], told[given:known]))
        given = known
    assert len(np.concatenate(found)) == given >= len(alone) - 2
    whole = SpeechDetector().push(samples, told)
    assert np.allclose(np.concatenate(found), whole[:given])
    speech = bundled_speech().samples[9600:41600]
    sure, doubting = (SpeechDetector().push(speech, np.full(198, odds)).mean()
                      for odds in (6.0, -6.0))
    assert sure > doubting + 1


def test_what_is_not_known_yet_is_as_the_last_piece_is():
    spoken = SpokenTime()
    assert not spoken.heard_between(0, 1600)
    spoken.push(np.array([-1.0, 1.0]))
    assert spoken.heard_between(1600, 3200)
    spoken.push(np.array([-1.0]))
    assert not spoken.heard_between(1600, 3200)
    assert spoken.heard_between(160, 3200)
