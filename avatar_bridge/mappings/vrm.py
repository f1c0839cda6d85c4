# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
VRM expressions of our weights: five vowels, blinks, looks, and emotions.

There is no standard for this. A vowel of 1 is a mouth that says it clearly, which takes less than
all of a shape. Vowels add up on a model and tear its mesh beyond 1, so together they stay below.
"""

from __future__ import annotations

from typing import Final

from avatar_bridge.mappings.layouts import Layout, Pose, Shapes

#: What VRM 0 calls the expressions of VRM 1.
VRM0_NAMES: Final = {
    'aa': 'A', 'ih': 'I', 'ou': 'U', 'ee': 'E', 'oh': 'O',
    'blink': 'Blink', 'blinkLeft': 'Blink_L', 'blinkRight': 'Blink_R',
    'lookUp': 'LookUp', 'lookDown': 'LookDown', 'lookLeft': 'LookLeft', 'lookRight': 'LookRight',
    'happy': 'Joy', 'angry': 'Angry', 'sad': 'Sorrow', 'relaxed': 'Fun',
    'surprised': 'Surprised',       # not a preset there, but many models have it
}

#: What a clear vowel takes: jaw of aa, spread lips of ih, pucker of ou, funnel of oh.
CLEAR_JAW, CLEAR_SPREAD, CLEAR_PUCKER, CLEAR_FUNNEL = 0.6, 0.45, 0.8, 0.6


def vowels(pose: Pose) -> Shapes:
    """Return how much of each vowel the mouth says; together at most 1."""
    opened = clamped((pose['jawOpen'] - 0.6 * pose['mouthClose']) / CLEAR_JAW)
    pucker = clamped(pose['mouthPucker'] / CLEAR_PUCKER)
    funnel = clamped(pose['mouthFunnel'] / CLEAR_FUNNEL)
    rounded = max(pucker, funnel)
    spread = clamped((0.7 * both(pose, 'mouthStretch') + 0.5 * both(pose, 'mouthSmile')
                      + 0.3 * both(pose, 'mouthDimple')) / CLEAR_SPREAD)
    shapes = {
        'aa': opened * (1 - rounded) * (1 - 0.6 * spread),
        'ih': 0.8 * spread * (1 - opened),
        'ou': pucker * (1 - 0.5 * opened),
        'ee': spread * (0.4 + 0.6 * opened),
        'oh': min(1.0, 1.4 * opened * rounded + 0.3 * funnel),
    }
    excess = max(1.0, sum(shapes.values()))
    return {name: value / excess for name, value in shapes.items()}


def blinks(pose: Pose) -> Shapes:
    """
    Return what both lids do, and what one of them does beyond it.

    So a model that knows only `blink` blinks, and one that knows all three does not do so twice.
    """
    left, right = pose['eyeBlinkLeft'], pose['eyeBlinkRight']
    shut = min(left, right)
    return {'blink': shut, 'blinkLeft': left - shut, 'blinkRight': right - shut}


def looks(pose: Pose) -> Shapes:
    """Return where the eyes look; left is the subject's."""
    return {
        'lookUp': both(pose, 'eyeLookUp'),
        'lookDown': both(pose, 'eyeLookDown'),
        'lookLeft': (pose['eyeLookOutLeft'] + pose['eyeLookInRight']) / 2,
        'lookRight': (pose['eyeLookInLeft'] + pose['eyeLookOutRight']) / 2,
    }


def emotions(pose: Pose) -> Shapes:
    """Return what the face seems to feel; models may stop the mouth while it feels something."""
    smile, cheeks = both(pose, 'mouthSmile'), both(pose, 'cheekSquint')
    frown, brows = both(pose, 'mouthFrown'), both(pose, 'browDown')
    return {
        'happy': smile * cheeks ** 0.5,
        'angry': brows * max(both(pose, 'noseSneer'), frown),
        'sad': pose['browInnerUp'] * frown,
        'relaxed': smile * (1 - cheeks),
        'surprised': both(pose, 'browOuterUp') * max(both(pose, 'eyeWide'),
                                                     0.5 * pose['jawOpen']),
    }


def both(pose: Pose, name: str) -> float:
    """Return the mean of left and right."""
    return (pose[f'{name}Left'] + pose[f'{name}Right']) / 2


def clamped(value: float) -> float:
    """Return the nearest number in [0, 1]."""
    return min(max(value, 0.0), 1.0)


VRM1: Final = Layout({'mouth': vowels, 'upper': blinks, 'eyes': looks, 'emotions': emotions})
VRM0: Final = VRM1.renamed(VRM0_NAMES.__getitem__)
