# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Unified Expressions, by which VRChat's avatars know a tracked face.

Avatars use single shapes or combined ones, whichever their makers had room for, and ignore the
rest; so all of those that ARKit's shapes can move are given. X is + to the subject's right and Y
is + up.
"""

from __future__ import annotations

from typing import Final

from avatar_bridge.mappings.layouts import Layout, Pose, Shapes, pascal
from avatar_bridge.mappings.vrm import both

SIDES: Final = ('Left', 'Right')
GAZE: Final = 30 / 45               # an eyeLook weight of 1 is 30 degrees; 1 is 45 degrees there

#: Shapes that only have another name there.
MOUTH_NAMES: Final = {
    'jawOpen': 'JawOpen', 'jawForward': 'JawForward', 'jawLeft': 'JawLeft',
    'jawRight': 'JawRight', 'mouthClose': 'MouthClosed', 'mouthFunnel': 'LipFunnel',
    'mouthPucker': 'LipPucker', 'mouthRollUpper': 'LipSuckUpper',
    'mouthRollLower': 'LipSuckLower', 'mouthShrugUpper': 'MouthRaiserUpper',
    'mouthShrugLower': 'MouthRaiserLower', 'tongueOut': 'TongueOut',
}
PAIRS: Final = ('mouthSmile', 'mouthFrown', 'mouthDimple', 'mouthStretch', 'mouthPress',
                'mouthLowerDown', 'mouthUpperUp')


def mouth(pose: Pose) -> Shapes:
    """Return jaw, lips and tongue."""
    shapes = {theirs: pose[ours] for ours, theirs in MOUTH_NAMES.items()}
    shapes |= {pascal(name + side): pose[name + side] for name in PAIRS for side in SIDES}
    shapes |= {pascal(name): both(pose, name) for name in PAIRS[2:]}
    shapes |= {
        'JawX': pose['jawRight'] - pose['jawLeft'],
        'JawZ': pose['jawForward'],
        'MouthX': pose['mouthRight'] - pose['mouthLeft'],
        'MouthUpperX': pose['mouthRight'] - pose['mouthLeft'],
        'MouthLowerX': pose['mouthRight'] - pose['mouthLeft'],
        'MouthOpen': (both(pose, 'mouthUpperUp') + both(pose, 'mouthLowerDown')) / 2,
        'LipSuck': (pose['mouthRollUpper'] + pose['mouthRollLower']) / 2,
        'LipSuckFunnelUpper': pose['mouthRollUpper'] - pose['mouthFunnel'],
        'LipSuckFunnelLower': pose['mouthRollLower'] - pose['mouthFunnel'],
    }
    corners = {side: _corner(pose, side) for side in SIDES}
    for side, corner in corners.items():
        shapes |= {name + side: value for name, value in corner.items()}
    return shapes | {name: (value + corners['Right'][name]) / 2
                     for name, value in corners['Left'].items()}


def upper(pose: Pose) -> Shapes:
    """Return brows, cheeks and nose, and what the lids do beside closing."""
    shapes = {
        'BrowInnerUp': pose['browInnerUp'], 'BrowOuterUp': both(pose, 'browOuterUp'),
        'CheekPuffSuck': pose['cheekPuff'], 'CheekSquint': both(pose, 'cheekSquint'),
        'NoseSneer': both(pose, 'noseSneer'),
        'EyeSquint': max(pose['eyeSquintLeft'], pose['eyeSquintRight']),
        'EyeWide': max(pose['eyeWideLeft'], pose['eyeWideRight']),
    }
    brows = {side: _brow(pose, side) for side in SIDES}
    for side, brow in brows.items():
        shapes |= {name + side: value for name, value in brow.items()}
        shapes |= {f'CheekPuff{side}': pose['cheekPuff'],
                   f'CheekPuffSuck{side}': pose['cheekPuff'],
                   **{pascal(name + side): pose[name + side] for name in (
                       'cheekSquint', 'noseSneer', 'eyeSquint', 'eyeWide', 'browOuterUp')}}
    for name in ('BrowUp', 'BrowDown', 'BrowExpression'):
        shapes[name] = (brows['Left'][name] + brows['Right'][name]) / 2
    return shapes


def eyes(pose: Pose) -> Shapes:
    """Return where the eyes look and how far they are open: VRChat may be told otherwise."""
    left = GAZE * (pose['eyeLookInLeft'] - pose['eyeLookOutLeft'])
    right = GAZE * (pose['eyeLookOutRight'] - pose['eyeLookInRight'])
    shapes = {'EyeLeftX': left, 'EyeRightX': right, 'EyeX': (left + right) / 2}
    heights = {side: GAZE * (pose[f'eyeLookUp{side}'] - pose[f'eyeLookDown{side}'])
               for side in SIDES}
    shapes |= {f'Eye{side}Y': height for side, height in heights.items()}
    shapes['EyeY'] = sum(heights.values()) / 2
    lids = {side: _lid(pose, side) for side in SIDES}
    for side, lid in lids.items():
        shapes |= {name + side: value for name, value in lid.items()}
    return shapes | {name: (value + lids['Right'][name]) / 2
                     for name, value in lids['Left'].items()}


def _corner(pose: Pose, side: str) -> Shapes:
    """Return one corner of the mouth: up, down, or as both together."""
    smile, frown = pose[f'mouthSmile{side}'], pose[f'mouthFrown{side}']
    sad = max(frown, pose[f'mouthStretch{side}'])
    return {'MouthCornerPull': smile, 'MouthCornerSlant': smile, 'MouthSad': sad,
            'SmileFrown': smile - frown, 'SmileSad': smile - sad,
            'MouthTightenerStretch': -pose[f'mouthStretch{side}']}


def _brow(pose: Pose, side: str) -> Shapes:
    outer, inner = pose[f'browOuterUp{side}'], pose['browInnerUp']
    down = pose[f'browDown{side}']
    return {'BrowInnerUp': inner, 'BrowLowerer': down, 'BrowPinch': down, 'BrowDown': down,
            'BrowUp': 0.6 * outer + 0.4 * inner, 'BrowExpression': (inner + outer) / 2 - down}


def _lid(pose: Pose, side: str) -> Shapes:
    """Return one lid; three quarters of its way open it and the rest widens the eye."""
    closed = pose[f'eyeBlink{side}']
    return {'EyeClosed': closed, 'EyeOpen': 1 - closed,
            'EyeLid': 0.75 * (1 - closed) + 0.25 * pose[f'eyeWide{side}']}


UNIFIED: Final = Layout({'mouth': mouth, 'upper': upper, 'eyes': eyes})
