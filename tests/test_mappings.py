# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Our weights in the words of other rigs: known poses, and what must hold for every pose."""

from __future__ import annotations

from fractions import Fraction
import math

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy.optimize import nnls

from avatar_bridge.frames import FaceFrame, Flags
from avatar_bridge.mappings import facs, layouts, unified, visemes, vrm
from avatar_bridge.rig import INDEX, MOUTH, NAMES
from avatar_bridge.sinks.vmc import PROFILES

AT_REST = np.zeros(52, np.float32)
POSES = st.lists(st.floats(0, 1, width=32), min_size=52, max_size=52).map(
    lambda values: np.array(values, np.float32))


def pose(**weights: float) -> np.ndarray:
    """Return (52,) weights; a name without its side means both."""
    made = AT_REST.copy()
    for name, weight in weights.items():
        for place in (name, f'{name}Left', f'{name}Right'):
            if place in INDEX:
                made[INDEX[place]] = weight
    return made


def strongest(shapes):
    return max(shapes, key=shapes.get)


# layouts

def test_the_52_keep_their_values_under_every_spelling():
    weights = np.linspace(0, 1, 52, dtype=np.float32)
    for spell in (str, layouts.pascal, layouts.sided):
        shapes = layouts.ARKIT.renamed(spell).shapes(weights)
        assert len(shapes) == 52
        assert all(shapes[spell(name)] == weights[INDEX[name]] for name in NAMES)


def test_names_are_spelled_as_their_users_do():
    assert layouts.pascal('mouthSmileLeft') == 'MouthSmileLeft'
    assert [layouts.sided(name) for name in (
        'mouthSmile_', 'mouthSmileRight', 'eyeBlinkLeft', 'jawLeft', 'mouthRight', 'browInnerUp',
    )] == ['mouthSmile_', 'mouthSmile_R', 'eyeBlink_L', 'jawLeft', 'mouthRight', 'browInnerUp']


def test_orders_put_each_shape_into_its_column():
    frames = np.tile(np.arange(52, dtype=np.float32), (3, 1))
    alphabetical = layouts.arranged(frames, layouts.ORDERS['alphabetical'])
    assert layouts.ORDERS['alphabetical'][:2] == ('browDownLeft', 'browDownRight')
    assert alphabetical[2, 0] == INDEX['browDownLeft']
    neutral, *others = layouts.arranged(frames[0], layouts.ORDERS['mediapipe']).tolist()
    assert neutral == 0
    assert others[24] == INDEX['jawOpen']           # MediaPipe's index 25
    assert len(others) == 51
    assert np.array_equal(layouts.arranged(frames, layouts.ORDERS['apple']), frames)


@pytest.mark.parametrize('layout', [*PROFILES.values(), unified.UNIFIED],
                         ids=[*PROFILES, 'unified'])
def test_regions_share_no_name_and_follow_their_own_shapes_alone(layout):
    parts = [layout.only([region]).names for region in layout.parts]
    assert sum(map(len, parts)) == len({name for names in parts for name in names})
    voice, rest = AT_REST.copy(), AT_REST.copy()
    voice[list(MOUTH)] = 0.5
    rest[[index for index in range(52) if index not in MOUTH]] = 0.5
    for region, others in (('mouth', rest), ('upper', voice), ('eyes', voice)):
        part = layout.only([region])
        assert part.shapes(others) == part.shapes(AT_REST)


# VRM

@pytest.mark.parametrize(('vowel', 'weights'), [
    ('aa', pose(jawOpen=0.7)),
    ('ih', pose(jawOpen=0.05, mouthStretch=0.6, mouthSmile=0.5)),
    ('ou', pose(mouthPucker=0.8, jawOpen=0.05)),
    ('ee', pose(jawOpen=0.4, mouthStretch=0.7, mouthSmile=0.5, mouthDimple=0.3)),
    ('oh', pose(jawOpen=0.6, mouthFunnel=0.7)),
])
def test_each_vowel_has_its_mouth(vowel, weights):
    assert strongest(vrm.vowels(layouts.pose_of(weights))) == vowel


def test_lips_that_meet_over_an_open_jaw_say_less():
    opened, sealed = (vrm.VRM0.shapes(pose(jawOpen=0.5, mouthClose=close))['A']
                      for close in (0.0, 0.5))
    assert opened == pytest.approx(0.5 / 0.6)
    assert sealed == pytest.approx(0.2 / 0.6)


@given(POSES)
@settings(max_examples=100, deadline=None)
def test_vrm_stays_in_range_and_vowels_share_one_mouth(weights):
    shapes = vrm.VRM1.shapes(weights)
    assert all(-1e-6 <= value <= 1 + 1e-6 for value in shapes.values())
    assert sum(shapes[name] for name in ('aa', 'ih', 'ou', 'ee', 'oh')) <= 1 + 1e-6


def test_a_wink_is_one_lid_and_a_blink_is_said_once():
    assert vrm.blinks(layouts.pose_of(pose(eyeBlinkLeft=0.9))) == pytest.approx(
        {'blink': 0, 'blinkLeft': 0.9, 'blinkRight': 0})
    assert vrm.blinks(layouts.pose_of(pose(eyeBlink=0.9))) == pytest.approx(
        {'blink': 0.9, 'blinkLeft': 0, 'blinkRight': 0})


def test_eyes_look_to_the_models_left():
    shapes = vrm.VRM0.shapes(pose(eyeLookOutLeft=0.4, eyeLookInRight=0.6))
    assert shapes['LookLeft'] == pytest.approx(0.5)
    assert shapes['LookRight'] == 0


@pytest.mark.parametrize(('emotion', 'weights'), [
    ('happy', pose(mouthSmile=0.8, cheekSquint=0.7)),
    ('relaxed', pose(mouthSmile=0.6)),
    ('angry', pose(browDown=0.8, noseSneer=0.6)),
    ('sad', pose(browInnerUp=0.8, mouthFrown=0.6)),
    ('surprised', pose(browOuterUp=0.8, eyeWide=0.7)),
])
def test_each_emotion_has_its_face(emotion, weights):
    assert strongest(vrm.emotions(layouts.pose_of(weights))) == emotion


def test_both_versions_of_vrm_have_their_names():
    assert set(vrm.VRM0.names) == {
        'A', 'I', 'U', 'E', 'O', 'Blink', 'Blink_L', 'Blink_R', 'LookUp', 'LookDown', 'LookLeft',
        'LookRight', 'Joy', 'Angry', 'Sorrow', 'Fun', 'Surprised'}
    assert set(vrm.VRM1.names) == {
        'aa', 'ih', 'ou', 'ee', 'oh', 'blink', 'blinkLeft', 'blinkRight', 'lookUp', 'lookDown',
        'lookLeft', 'lookRight', 'happy', 'angry', 'sad', 'relaxed', 'surprised'}


# visemes

@pytest.mark.parametrize('viseme', visemes.MOUTHS)
@pytest.mark.parametrize('strength', [1.0, 0.5])
def test_the_mouth_of_a_viseme_is_that_viseme(viseme, strength):
    mouth = pose(**{name: strength * weight for name, weight in visemes.MOUTHS[viseme].items()})
    found = dict(zip(visemes.VISEMES, visemes.visemes(mouth).tolist(), strict=True))
    assert strongest({**found, 'sil': 0}) == viseme
    assert found[viseme] > 0.6 * strength


def test_a_mouth_at_rest_is_silent_and_the_eyes_say_nothing():
    assert visemes.visemes(pose(eyeBlink=1, browInnerUp=1)).tolist() == [1] + 14 * [0]


@given(POSES)
@settings(max_examples=100, deadline=None)
def test_visemes_are_the_best_mixture_and_sum_to_one(weights):
    found = visemes.visemes(weights)
    assert found.min() >= -1e-6
    assert found.sum() == pytest.approx(1, abs=1e-5)
    target = visemes._MOUTHS @ weights[list(MOUTH)].astype(float) - visemes.PRICE
    ours = visemes.nonnegative(visemes._GRAM, target)
    root = np.linalg.cholesky(visemes._GRAM)        # another's solver of the same problem
    theirs = nnls(root.T, np.linalg.solve(root, target))[0]
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_vseeface_gets_its_fifteen_names():
    assert set(PROFILES['visemes'].only(['mouth']).names) == {
        'SIL', 'PP', 'FF', 'TH', 'DD', 'KK', 'CH', 'SS', 'NN', 'RR', 'A', 'I', 'U', 'E', 'O'}


# FACS

def units(weights, **more):
    return facs.ActionUnits(Fraction(60)).push(FaceFrame(0, weights, **more))


@pytest.mark.parametrize(('code', 'expected', 'weights'), [
    (1, 0.4, pose(browInnerUp=0.4)), (2, 0.3, pose(browOuterUpLeft=0.3)),
    (4, 0.5, pose(browDown=0.5)), (5, 0.5, pose(eyeWideRight=0.5)),
    (6, 0.2, pose(cheekSquint=0.2)), (7, 0.2, pose(eyeSquint=0.2)),
    (8, 0.3, pose(mouthClose=0.3)), (9, 0.6, pose(noseSneerLeft=0.6)),
    (10, 0.6, pose(mouthUpperUp=0.6)), (12, 0.8, pose(mouthSmileRight=0.8)),
    (14, 0.1, pose(mouthDimple=0.1)), (15, 0.7, pose(mouthFrown=0.7)),
    (16, 0.7, pose(mouthLowerDown=0.7)), (17, 0.5, pose(mouthShrugUpper=1)),
    (18, 0.9, pose(mouthPucker=0.9)), (19, 1, pose(tongueOut=1)), (20, 1, pose(mouthStretch=1)),
    (22, 1, pose(mouthFunnel=1)), (24, 0.6, pose(mouthPress=0.6)), (25, 0.5, pose(jawOpen=0.5)),
    (26, 0.5, pose(jawOpen=0.3)), (27, 0, pose(jawOpen=0.6)), (27, 0.5, pose(jawOpen=0.8)),
    (28, 0.4, pose(mouthRollUpper=0.4)), (29, 0.4, pose(jawForward=0.4)),
    (30, 0.4, pose(jawLeft=0.4)), (34, 0.4, pose(cheekPuff=0.4)), (45, 0.9, pose(eyeBlink=0.9)),
    (46, 0.8, pose(eyeBlinkLeft=0.8)), (46, 0, pose(eyeBlinkLeft=0.4)),
    (61, 0.5, pose(eyeLookOutLeft=0.4, eyeLookInRight=0.6)),
    (62, 0.5, pose(eyeLookInLeft=0.4, eyeLookOutRight=0.6)), (63, 0.5, pose(eyeLookUp=0.5)),
    (64, 0.5, pose(eyeLookDown=0.5)), (65, 0.2, pose(eyeLookOutLeft=0.2, eyeLookOutRight=0.3)),
    (66, 0.2, pose(eyeLookInLeft=0.2, eyeLookInRight=0.3)),
])
def test_each_action_unit_has_its_shape(code, expected, weights):
    assert units(weights)[code] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(('code', 'turn'), [
    (51, (1, 0, 0)), (52, (-1, 0, 0)), (53, (0, 1, 0)), (54, (0, -1, 0)), (55, (0, 0, 1)),
    (56, (0, 0, -1)),
])
def test_the_head_turns_by_the_unit_of_its_side_alone(code, turn):
    head = np.array(turn, np.float32) * math.radians(22.5)
    found = units(AT_REST, head=head)
    assert found[code] == pytest.approx(0.5)
    assert np.count_nonzero(found) == 1


def test_eyes_that_stay_closed_are_no_blink_any_more():
    stream = facs.ActionUnits(Fraction(60))
    shut = [stream.push(FaceFrame(index, pose(eyeBlink=1)))[[45, 43]].tolist()
            for index in range(40)]
    assert shut == 30 * [[1, 0]] + 10 * [[0, 1]]
    assert stream.push(FaceFrame(40, AT_REST))[[45, 43]].tolist() == [0, 0]
    stream.push(FaceFrame(41, pose(eyeBlink=1)))
    stream.reset()
    assert stream.push(FaceFrame(42, pose(eyeBlink=1)))[45] == 1


def test_speech_is_a_unit():
    assert units(AT_REST, flags=Flags.SPEECH | Flags.IDLE)[50] == 1
    assert units(AT_REST, flags=Flags.IDLE)[50] == 0


@given(POSES)
@settings(max_examples=100, deadline=None)
def test_action_units_stay_in_range_and_only_known_ones_move(weights):
    found = units(weights, head=np.array([3, -3, 3], np.float32))
    assert found.shape == (99,)
    assert found.dtype == np.float32
    assert (found.min(), found.max()) >= (0, 0)
    assert found.max() <= 1
    assert set(np.flatnonzero(found)) <= set(facs.DRIVEN)


# Unified Expressions

@pytest.mark.parametrize(('name', 'expected', 'weights'), [
    ('JawOpen', 0.6, pose(jawOpen=0.6)), ('JawX', 0.3, pose(jawRight=0.3)),
    ('JawX', -0.3, pose(jawLeft=0.3)), ('MouthClosed', 0.2, pose(mouthClose=0.2)),
    ('LipSuckUpper', 0.2, pose(mouthRollUpper=0.2)), ('LipFunnel', 0.2, pose(mouthFunnel=0.2)),
    ('LipSuckLower', 0.2, pose(mouthRollLower=0.2)), ('LipPucker', 0.2, pose(mouthPucker=0.2)),
    ('MouthRaiserUpper', 0.2, pose(mouthShrugUpper=0.2)),
    ('MouthRaiserLower', 0.2, pose(mouthShrugLower=0.2)),
    ('MouthSmileLeft', 0.5, pose(mouthSmileLeft=0.5)),
    ('SmileFrownRight', -0.5, pose(mouthFrownRight=0.5)),
    ('SmileSad', 0.3, pose(mouthSmile=0.5, mouthStretch=0.2)),
    ('MouthLowerDown', 0.25, pose(mouthLowerDownLeft=0.5)), ('MouthX', -0.4, pose(mouthLeft=0.4)),
    ('TongueOut', 0.7, pose(tongueOut=0.7)), ('EyeClosedLeft', 0.8, pose(eyeBlinkLeft=0.8)),
    ('EyeLidLeft', 0.75, AT_REST), ('EyeLidLeft', 0, pose(eyeBlink=1)),
    ('EyeLidRight', 1, pose(eyeWide=1)), ('EyeLeftX', 2 / 3, pose(eyeLookInLeft=1)),
    ('EyeLeftX', -2 / 3, pose(eyeLookOutLeft=1)), ('EyeRightX', 2 / 3, pose(eyeLookOutRight=1)),
    ('EyeY', -1 / 3, pose(eyeLookDown=0.5)), ('BrowExpressionLeft', -0.5, pose(browDown=0.5)),
    ('BrowInnerUpRight', 0.5, pose(browInnerUp=0.5)), ('CheekPuffSuck', 1, pose(cheekPuff=1)),
    ('NoseSneer', 0.5, pose(noseSneer=0.5)),
])
def test_each_parameter_of_vrchat_has_its_shape(name, expected, weights):
    assert unified.UNIFIED.shapes(weights)[name] == pytest.approx(expected, abs=1e-6)


@given(POSES)
@settings(max_examples=50, deadline=None)
def test_unified_expressions_stay_in_range(weights):
    assert all(-1 <= value <= 1 for value in unified.UNIFIED.shapes(weights).values())
