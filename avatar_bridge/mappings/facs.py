# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
FACS action units of our weights; an index is an action unit's code, as in hri_msgs.

Sides are lost, because a code has none, and the mouth's shifts to the side have no code at all.
"""

from __future__ import annotations

from fractions import Fraction
import math
from typing import Final

import numpy as np

from avatar_bridge.frames import FaceFrame, Flags, Weights, angles
from avatar_bridge.mappings.layouts import Pose, pose_of

COUNT: Final = 99                   # of hri_msgs/FacialActionUnits
HELD: Final = Fraction(1, 2)        # seconds after which closed eyes are no blink any more
CLOSED: Final = 0.5                 # of both lids: the eyes are closed
TURNED: Final = math.radians(45)    # of the head: intensity 1

EYES_CLOSED, BLINK, WINK = 43, 45, 46
#: Codes that our weights can move; of the others we know nothing.
DRIVEN: Final = (1, 2, 4, 5, 6, 7, 8, 9, 10, 12, 14, 15, 16, 17, 18, 19, 20, 22, 23, 24, 25, 26,
                 27, 28, 29, 30, 34, 43, 45, 46, 50, 51, 52, 53, 54, 55, 56, 61, 62, 63, 64, 65,
                 66)


class ActionUnits:
    """Action units of one frame after the other: only time tells a blink from closed eyes."""

    def __init__(self, fps: Fraction) -> None:
        """Take frames that follow each other `fps` times a second."""
        self._patience = HELD * fps
        self._closed = 0            # frames since the eyes closed

    def push(self, frame: FaceFrame) -> Weights:
        """Return (99,) intensities in [0, 1]."""
        pose = pose_of(frame.weights)
        left, right = pose['eyeBlinkLeft'], pose['eyeBlinkRight']
        self._closed = self._closed + 1 if min(left, right) > CLOSED else 0
        lids = EYES_CLOSED if self._closed > self._patience else BLINK
        units = {**lower_face(pose), **upper_face(pose), **turns(frame), lids: min(left, right),
                 50: float(Flags.SPEECH in frame.flags)}
        if abs(left - right) > CLOSED:
            units[WINK] = abs(left - right)
        intensities = np.zeros(COUNT, np.float32)
        intensities[list(units)] = list(units.values())
        return np.clip(intensities, 0, 1)

    def reset(self) -> None:
        """Begin afresh."""
        self._closed = 0


def lower_face(pose: Pose) -> dict[int, float]:
    """Return the units of mouth, jaw, tongue and cheeks; not clamped."""
    jaw, press = pose['jawOpen'], either(pose, 'mouthPress')
    return {
        8: pose['mouthClose'],
        10: either(pose, 'mouthUpperUp'),
        12: either(pose, 'mouthSmile'),
        14: either(pose, 'mouthDimple'),
        15: either(pose, 'mouthFrown'),
        16: either(pose, 'mouthLowerDown'),
        17: max(pose['mouthShrugLower'], 0.5 * pose['mouthShrugUpper']),
        18: pose['mouthPucker'],
        19: pose['tongueOut'],
        20: either(pose, 'mouthStretch'),
        22: pose['mouthFunnel'],
        23: 0.5 * press,            # tightened lips are pressed ones, mostly
        24: press,
        25: max(jaw - pose['mouthClose'], either(pose, 'mouthLowerDown'),
                either(pose, 'mouthUpperUp')),
        26: jaw / 0.6,              # the jaw drops first, only then the mouth is stretched
        27: (jaw - 0.6) / 0.4,
        28: max(pose['mouthRollLower'], pose['mouthRollUpper']),
        29: pose['jawForward'],
        30: either(pose, 'jaw'),
        34: pose['cheekPuff'],
    }


def upper_face(pose: Pose) -> dict[int, float]:
    """Return the units of brows, lids and nose, and where the eyes look."""
    return {
        1: pose['browInnerUp'],
        2: either(pose, 'browOuterUp'),
        4: either(pose, 'browDown'),
        5: either(pose, 'eyeWide'),
        6: either(pose, 'cheekSquint'),
        7: either(pose, 'eyeSquint'),
        9: either(pose, 'noseSneer'),
        61: (pose['eyeLookOutLeft'] + pose['eyeLookInRight']) / 2,
        62: (pose['eyeLookInLeft'] + pose['eyeLookOutRight']) / 2,
        63: (pose['eyeLookUpLeft'] + pose['eyeLookUpRight']) / 2,
        64: (pose['eyeLookDownLeft'] + pose['eyeLookDownRight']) / 2,
        65: min(pose['eyeLookOutLeft'], pose['eyeLookOutRight']),
        66: min(pose['eyeLookInLeft'], pose['eyeLookInRight']),
    }


def turns(frame: FaceFrame) -> dict[int, float]:
    """Return the units of the head: left, right, up, down, tilted left and right."""
    yaw, pitch, roll = (angles(frame)[:3] / TURNED).tolist()
    return {51: yaw, 52: -yaw, 53: pitch, 54: -pitch, 55: roll, 56: -roll}


def either(pose: Pose, name: str) -> float:
    """Return the stronger one of left and right."""
    return max(pose[f'{name}Left'], pose[f'{name}Right'])
