# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The parameters that every Live2D model in VTube Studio is moved by."""

from __future__ import annotations

from typing import Final

from avatar_bridge.mappings.layouts import Layout, Pose, Shapes


def _mouth(pose: Pose) -> Shapes:
    smile = (pose['mouthSmileLeft'] + pose['mouthSmileRight']
             + (pose['mouthDimpleLeft'] + pose['mouthDimpleRight']) / 2)
    narrow = pose['mouthFrownLeft'] + pose['mouthFrownRight'] + pose['mouthPucker']
    rolled = pose['mouthRollUpper'] + pose['mouthRollLower']
    return {
        'MouthOpen': _unit(pose['jawOpen'] - pose['mouthClose']
                           + 0.2 * (pose['mouthFunnel'] - rolled)),
        'MouthSmile': _unit((2 + smile - narrow) / 4),      # 0.5 is a mouth at rest
        'MouthX': _side(pose['mouthLeft'] - pose['mouthRight']
                        + pose['mouthSmileLeft'] - pose['mouthSmileRight']),
        'TongueOut': pose['tongueOut'],
    }


def _upper(pose: Pose) -> Shapes:
    left, right = (_unit(0.5 + (pose[f'browOuterUp{side}'] + pose['browInnerUp']) / 2
                         - pose[f'browDown{side}'] / 2) for side in ('Left', 'Right'))
    return {
        'EyeOpenLeft': 1 - pose['eyeBlinkLeft'], 'EyeOpenRight': 1 - pose['eyeBlinkRight'],
        'BrowLeftY': left, 'BrowRightY': right, 'Brows': (left + right) / 2,
        'CheekPuff': pose['cheekPuff'],
    }


def _eyes(pose: Pose) -> Shapes:
    """Look as in a mirror: + is the subject's right, and up."""
    return {
        'EyeLeftX': _side(pose['eyeLookInLeft'] - pose['eyeLookOutLeft']),
        'EyeLeftY': _side(pose['eyeLookUpLeft'] - pose['eyeLookDownLeft']),
        'EyeRightX': _side(pose['eyeLookOutRight'] - pose['eyeLookInRight']),
        'EyeRightY': _side(pose['eyeLookUpRight'] - pose['eyeLookDownRight']),
    }


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _side(value: float) -> float:
    return min(max(value, -1.0), 1.0)


LIVE2D: Final = Layout({'mouth': _mouth, 'upper': _upper, 'eyes': _eyes})
