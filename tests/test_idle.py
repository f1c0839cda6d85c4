# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""Idle life: natural figures, never a lip, the same at every fps, block size and seam."""

from fractions import Fraction
from itertools import pairwise
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

import avatar_bridge
from avatar_bridge import rig
from avatar_bridge.audio.resample import Resampler
from avatar_bridge.config import EngineConfig
from avatar_bridge.errors import UsageError
from avatar_bridge.frames import FaceFrame, Flags
from avatar_bridge.head import load_head
from avatar_bridge.stream.engine import Engine
from avatar_bridge.stream.gaze import EYE_DEGREES
from avatar_bridge.stream.idle import IdleLife

SPEECH = Path(avatar_bridge.__file__).parent / 'assets' / 'speech.flac'
REST = np.zeros(52, np.float32)
MINUTES = 7
LIPS = [*rig.MOUTH, *(rig.INDEX[name] for name in (
    'cheekPuff', 'noseSneerLeft', 'noseSneerRight'))]


def frames_of(speech, pose=REST):
    return [FaceFrame(index, pose, Flags.SPEECH if spoken else Flags.NONE)
            for index, spoken in enumerate(speech)]


def live(count, fps=60, *, seed=0, amount=1.0, speech=None):
    """Return (states, frames) of a face at rest."""
    life = IdleLife(Fraction(fps), seed=seed, amount=amount)
    states, frames = [], []
    for frame in frames_of([False] * count if speech is None else speech):
        frames += life.push([frame])
        states.append(life.state)
    return states, frames


def weights(frames):
    return np.stack([frame.weights for frame in frames])


def heads(frames):
    return np.degrees(np.stack([frame.head for frame in frames]))


def same(one, other):
    return len(one) == len(other) and all(
        a.index == b.index and a.flags == b.flags and a.weights.tobytes() == b.weights.tobytes()
        and a.head.tobytes() == b.head.tobytes() and a.eyes.tobytes() == b.eyes.tobytes()
        for a, b in zip(one, other, strict=True))


def talk(count, fps=60, seed=5):
    """Return speech flags: phrases of 1 to 4 s with pauses of 0.3 to 1.5 s."""
    rng, speech = np.random.default_rng(seed), []
    while len(speech) < count:
        speech += [True] * int(fps * rng.uniform(1, 4)) + [False] * int(fps * rng.uniform(.3, 1.5))
    return speech[:count]


@pytest.fixture(scope='module')
def silent():
    return live(MINUTES * 60 * 30, 30)


@pytest.fixture(scope='module')
def talking():
    return live(MINUTES * 60 * 30, 30, speech=talk(MINUTES * 60 * 30, 30))


@pytest.fixture(params=['silent', 'talking'])
def long(request):
    """Return (states, frames) of many minutes at 30 fps."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope='module')
def samples():
    samples, rate = soundfile.read(SPEECH, dtype='float32')
    resampler = Resampler(rate, 16000)
    return np.concatenate([resampler.push(samples), resampler.flush()])


@pytest.fixture(scope='module')
def bundle():
    return avatar_bridge.load_bundle('live')


def spoken(bundle, samples):
    engine = Engine(bundle)
    return [bool(frame.flags & Flags.SPEECH) for frame in engine.push(samples) + engine.flush()]


def blinks_of(states):
    return sorted({state.blinks.blink for state in states if state.blinks.number})


def saccades_of(states):
    found = {state.gaze.number: state.gaze for state in states if state.gaze.number}
    return list(found.values())


def test_blinks_come_about_as_often_as_people_blink(long):
    starts = [blink.start for blink in blinks_of(long[0])]
    intervals = np.diff(starts)
    assert 14 <= len(starts) / MINUTES <= 26        # a minute; people: 17 at rest, 26 in talk
    assert 2.4 <= intervals.mean() <= 4.5
    assert intervals.max() <= 12.9
    twice = intervals[intervals < 0.9]
    assert 0.02 < len(twice) / len(intervals) < 0.15
    assert np.std(intervals[intervals >= 0.9]) > 0.8


def test_lids_close_fast_and_open_slowly(long):
    blinks = blinks_of(long[0])
    assert all(0.075 <= blink.closing <= 0.1 and 0.15 <= blink.opening <= 0.22 for blink in blinks)
    assert all(blink.opening > 1.5 * blink.closing for blink in blinks)
    assert max(abs(blink.apart) for blink in blinks) < 0.01
    assert len({blink.closing for blink in blinks}) > 100
    for blink in blinks[:50]:
        times = blink.start + np.arange(0, 0.4, 0.001)
        left, right = np.transpose([blink.closure(t) for t in times])
        assert 0.95 < left.max() <= 1.0
        assert 0.95 < right.max() <= 1.0
        peak = left.argmax()
        assert (np.diff(left[:peak]) >= 0).all()
        assert (np.diff(left[peak:]) <= 1e-12).all()
        assert left[-1] == right[-1] == 0.0


def test_two_blinks_never_overlap(long):
    blinks = blinks_of(long[0])
    assert all(one.end < after.start for one, after in pairwise(blinks))


def test_blinks_shut_the_eyes_in_the_frames_of_every_fps():
    for fps in (24, 30, 60):
        states, frames = live(60 * fps, fps)
        closed = weights(frames)[:, rig.INDEX['eyeBlinkLeft']]
        for blink in blinks_of(states):
            if blink.end < 60:
                first, last = math.ceil(blink.start * fps), math.floor(blink.end * fps)
                assert closed[first:last + 1].max() > 0.8


def test_blinks_snap_to_the_ends_of_phrases(bundle, samples):
    flags = spoken(bundle, samples) * 6
    near = [not all(flags[max(0, frame - 6):frame + 6]) for frame in range(len(flags))]
    snapped = [near[min(len(flags) - 1, round(blink.start * 60))]
               for seed in (0, 1) for blink in blinks_of(live(len(flags), seed=seed,
                                                              speech=flags)[0])]
    assert len(snapped) > 40
    assert np.mean(snapped) > 2.0 * np.mean(near)       # within 0.1 s of a pause


def test_a_due_blink_waits_for_the_end_of_the_phrase_but_not_long(talking):
    waits = [after.blinks.blink.start - before.blinks.due for before, after in pairwise(talking[0])
             if after.blinks.number > before.blinks.number and before.speech]
    assert np.mean(np.array(waits) > 1 / 30) > 0.2
    assert max(waits) <= 0.8 + 1 / 30


def test_the_models_own_blink_counts():
    own = REST.copy()
    own[[rig.INDEX['eyeBlinkLeft'], rig.INDEX['eyeBlinkRight']]] = 0.9
    life = IdleLife(Fraction(60), amount=1.0)
    frames = life.push(frames_of([False] * 1200, own))
    assert life.state.blinks.number == 0
    assert weights(frames).max() <= 1.0
    frames = life.push(frames_of([False] * 600))
    closed = weights(frames)[:, rig.INDEX['eyeBlinkLeft']]
    assert closed[:50].max() < 0.3
    assert closed.max() > 0.9


def test_saccades_keep_to_the_main_sequence_and_are_mostly_small(long):
    saccades = saccades_of(long[0])
    sizes = np.array([math.dist(gaze.origin, gaze.target) for gaze in saccades])
    durations = np.array([gaze.duration for gaze in saccades])
    assert np.allclose(durations, 0.021 + 0.0022 * sizes)
    assert np.mean(sizes < 8) > 0.85
    assert sizes.max() < 30
    assert np.mean(sizes < 2) > 0.3                 # on the viewer's face
    stays = np.array([gaze.until - gaze.start for gaze in saccades[:-1]])
    assert (stays.min(), stays.max()) >= (0.15, 0.3)
    assert stays.max() <= 3.0


def test_eyes_are_on_the_viewer_most_of_the_time_and_less_while_speaking(silent, talking):
    quiet, spoken = (np.mean([state.gaze.elsewhere for state in states])
                     for states, _ in (silent, talking))
    assert 0.03 < quiet < 0.2 < spoken < 0.5


def test_eyes_leave_as_phrases_begin_and_come_back_as_they_end(talking):
    states, later = talking[0], 15              # half a second
    elsewhere = {True: [], False: []}
    for number, (before, after) in enumerate(pairwise(states[:-later])):
        if after.speech != before.speech:
            elsewhere[after.speech].append(states[number + later].gaze.elsewhere)
    assert np.mean(elsewhere[True]) > 0.35 > 0.25 > np.mean(elsewhere[False])


def test_no_eye_looks_two_ways_at_once_and_angles_say_what_the_shapes_say():
    rng, life = np.random.default_rng(1), IdleLife(Fraction(60), amount=1.0)
    poses = rng.uniform(0, 0.3, (1200, 52)).astype(np.float32)      # a model that turns eyes, too
    for index, frame in enumerate(life.push(FaceFrame(index, pose)
                                            for index, pose in enumerate(poses))):
        look = {name: frame.weights[rig.INDEX[f'eyeLook{name}']] for name in (
            'InLeft', 'OutLeft', 'UpLeft', 'DownLeft', 'InRight', 'OutRight', 'UpRight',
            'DownRight')}
        for side in ('Left', 'Right'):
            assert min(look[f'In{side}'], look[f'Out{side}']) == 0.0, index
            assert min(look[f'Up{side}'], look[f'Down{side}']) == 0.0, index
        said = np.degrees(frame.eyes) / EYE_DEGREES
        assert said == pytest.approx([
            look['OutLeft'] - look['InLeft'], look['UpLeft'] - look['DownLeft'],
            look['InRight'] - look['OutRight'], look['UpRight'] - look['DownRight']], abs=1e-6)


def test_eyes_stay_on_their_target_while_the_head_moves():
    states, frames = live(1200)
    for state, frame in zip(states, frames, strict=True):
        target = state.gaze.direction((state.frame - 1) / 60)
        both = np.degrees(frame.eyes.reshape(2, 2))
        assert both.mean(axis=0) + np.degrees(frame.head[:2]) == pytest.approx(target, abs=1e-3)
        assert both[1, 0] - both[0, 0] == pytest.approx(3.0, abs=1e-3)     # they converge


def test_the_head_moves_a_degree_or_two_slowly(long):
    angles = heads(long[1])
    assert (angles.std(axis=0) > 0.4).all()
    assert (angles.std(axis=0) < 2.5).all()
    assert np.abs(angles).max() < 12
    assert np.abs(np.diff(angles, axis=0)).max() * 30 < 15      # degrees a second


def test_it_breathes(silent):
    pitch = heads(silent[1])[:, 1]
    power = np.abs(np.fft.rfft(pitch * np.hanning(len(pitch)))) ** 2
    hertz = np.fft.rfftfreq(len(pitch), 1 / 30)
    below, breath, above = (power[(low <= hertz) & (hertz < low + 0.06)].mean()
                            for low in (0.14, 0.22, 0.32))
    assert breath > 1.5 * math.sqrt(below * above)


def test_nothing_jumps():
    _, frames = live(3600, speech=talk(3600))       # 60 fps
    assert np.abs(np.diff(heads(frames), 2, axis=0)).max() < 0.15       # degrees
    still = [rig.INDEX[name] for name in ('browInnerUp', 'browOuterUpLeft', 'browOuterUpRight')]
    assert np.abs(np.diff(weights(frames)[:, still], 2, axis=0)).max() < 0.002
    lids = weights(frames)[:, [rig.INDEX['eyeBlinkLeft'], rig.INDEX['eyeBlinkRight']]]
    assert np.abs(np.diff(lids, axis=0)).max() < 0.4


def test_lips_are_never_touched():
    poses = np.random.default_rng(2).random((3600, 52), np.float32)
    frames = IdleLife(Fraction(60), amount=1.5).push(
        FaceFrame(index, pose, Flags(index // 90 % 2)) for index, pose in enumerate(poses))
    assert weights(frames)[:, LIPS].tobytes() == poses[:, LIPS].tobytes()
    assert weights(frames).max() <= 1.0
    assert weights(frames).min() >= 0.0


def test_what_it_moves_leaves_the_lips_of_our_head_alone():
    head = load_head()
    moved = np.flatnonzero(weights(live(3600, speech=talk(3600))[1]).max(axis=0))
    assert len(moved) >= 14
    lips = head.deltas[moved][:, head.groups['inner_lips']]
    assert np.abs(lips).max() < 5e-5        # metres


@pytest.mark.parametrize('fps', [25, 30, 50, 60])
def test_every_fps_samples_the_same_motion(fps):
    one, other = live(60 * 24, 24)[1][::24], live(60 * fps, fps)[1][::fps]      # once a second
    assert np.allclose(weights(one), weights(other), atol=1e-5)
    assert np.allclose(heads(one), heads(other), atol=1e-4)
    assert np.allclose([frame.eyes for frame in one], [frame.eyes for frame in other], atol=1e-5)


def test_half_the_fps_is_every_second_frame():
    fine, coarse = live(7200, 60), live(3600, 30)
    assert np.allclose(weights(fine[1][::2]), weights(coarse[1]), atol=1e-5)
    assert np.allclose(heads(fine[1][::2]), heads(coarse[1]), atol=1e-4)


def test_speech_is_answered_alike_at_every_fps():
    fine = talk(7200)
    one, other = (blinks_of(live(len(speech), fps, speech=speech)[0])
                  for fps, speech in ((60, fine), (30, fine[::2])))
    pairs = zip(one, other, strict=False)
    assert np.mean([abs(a.start - b.start) < 0.1 for a, b in pairs]) > 0.9


def test_same_seed_same_life_and_another_seed_another():
    assert same(live(600)[1], live(600)[1])
    assert not np.allclose(heads(live(600)[1]), heads(live(600, seed=1)[1]), atol=0.1)


def test_frames_may_come_one_by_one_or_all_at_once():
    life = IdleLife(Fraction(60), amount=1.0)
    assert same(life.push(frames_of(talk(600))), live(600, speech=talk(600))[1])


def test_reset_equals_new():
    life = IdleLife(Fraction(60), amount=1.0)
    first = life.push(frames_of(talk(700)))
    life.reset()
    assert same(life.push(frames_of(talk(700))), first)


def test_off_is_nothing_at_all():
    given = frames_of(talk(100))
    assert all(a is b for a, b in zip(IdleLife(Fraction(60)).push(given), given, strict=True))


def test_it_can_be_switched_while_running_without_a_jump():
    life = IdleLife(Fraction(60))
    frames = []
    for amount in (0.0, 1.0, 0.0, 1.5):
        life.set_amount(amount)
        frames += life.push(frames_of([False] * 120))
    assert all(frame.head is None for frame in (*frames[:120], *frames[270:360]))
    assert all(frame.head is not None for frame in (*frames[130:240], *frames[370:]))
    turned = np.degrees([REST[:3] if frame.head is None else frame.head for frame in frames])
    assert np.abs(np.diff(turned, axis=0)).max() < 0.5


def test_after_a_long_time_off_the_eyes_do_not_blink_at_once():
    life = IdleLife(Fraction(60), amount=1.0)
    life.push(frames_of([False] * 300))
    life.set_amount(0.0)
    life.push(frames_of([False] * 6000))
    life.set_amount(1.0)
    frames = life.push(frames_of([False] * 15))
    assert weights(frames)[:, rig.INDEX['eyeBlinkLeft']].max() < 0.2


@pytest.mark.parametrize('amount', [-0.1, 1.6, float('nan'), float('inf')])
def test_an_amount_that_makes_no_sense_is_refused(amount):
    with pytest.raises(UsageError, match=r'from 0 to 1\.5'):
        IdleLife(Fraction(60)).set_amount(amount)


def test_flags_say_what_moves():
    flags = [frame.flags for frame in live(60, speech=[True] * 30 + [False] * 30)[1]]
    assert flags == [Flags.SPEECH] * 30 + [Flags.IDLE] * 30


def test_it_remembers_where_it_was():
    life = IdleLife(Fraction(60), amount=1.0)
    frames = life.push(frames_of([False] * 600))
    life.resume(life.remembered(540))
    again = life.push(frames_of([False] * 60))
    assert np.array_equal(weights(again), weights(frames[540:]))
    assert np.array_equal(heads(again), heads(frames[540:]))


@pytest.mark.parametrize('block', [77, 320, 48000])
def test_an_engine_lives_the_same_for_every_block_size(bundle, samples, block):
    def run(size):
        engine = Engine(bundle, EngineConfig(idle='on', seed=3))
        frames = [frame for start in range(0, 32000, size)
                  for frame in engine.push(samples[start:min(32000, start + size)])]
        return frames + engine.flush()
    assert same(run(block), run(32000))


def test_an_engine_that_does_not_live_gives_the_same_bytes(bundle, samples):
    piece = samples[:32000]
    plain, alive = (Engine(bundle, EngineConfig(idle=idle)) for idle in ('auto', 'on'))
    off, on = (engine.push(piece) + engine.flush() for engine in (plain, alive))
    assert all(frame.head is None and frame.eyes is None for frame in off)
    assert {int(frame.flags) for frame in off} <= {0, 1}
    assert weights(off)[:, LIPS].tobytes() == weights(on)[:, LIPS].tobytes()
    plain.set_idle(1.0)
    plain.set_idle(0.0)
    plain.reset()
    assert weights(plain.push(piece) + plain.flush()).tobytes() == weights(off).tobytes()


def test_life_goes_on_when_speech_ends_and_begins_again(bundle):
    silence = np.zeros(16000, np.float32)
    engine = Engine(bundle, EngineConfig(idle='on'))
    frames = [frame for _ in range(5) for frame in engine.push(silence) + engine.flush()]
    assert np.array_equal(heads(frames), heads(live(300)[1]))
    engine.reset()
    again = engine.push(silence)
    assert np.array_equal(heads(again), heads(frames[:len(again)]))
