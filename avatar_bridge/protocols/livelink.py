# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Live Link Face (Apple ARKit Face) over UDP, version 6: what Unreal's ARKit Live Link source reads.

Fields in the order of Unreal's own reader: version, device id, subject name, frame number and its
fraction, rate, count, then 52 weights in Apple's order and nine angles. Everything is big-endian;
texts are counted by an int32 and end with nothing.
"""

from __future__ import annotations

from fractions import Fraction
import struct
from typing import Final
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from avatar_bridge.errors import UsageError
from avatar_bridge.frames import FaceFrame, StreamInfo, TimedFrame, Weights, angles
from avatar_bridge.protocols.metahuman import sealed
from avatar_bridge.rig import NAMES

VERSION: Final = 6
ANGLES: Final = ('HeadYaw', 'HeadPitch', 'HeadRoll', 'LeftEyeYaw', 'LeftEyePitch', 'LeftEyeRoll',
                 'RightEyeYaw', 'RightEyePitch', 'RightEyeRoll')
COUNT: Final = len(NAMES) + len(ANGLES)
LONGEST: Final = 255            # bytes of a text; Unreal ignores packets of more than 774
FRAME_NUMBERS: Final = 2**31    # the frame number is an int32
PROFILES: Final = ('arkit', 'metahuman')

# The app's angles are radians, too, but of a world with x mirrored: recordings of it have a left
# eye that looks out to the left at a negative yaw, and one that looks down at a positive pitch.
_MIRRORED = np.array((-1, -1, 1, -1, -1, 0, -1, -1, 0), np.float32)
_FROM = np.array((0, 1, 2, 3, 4, 0, 5, 6, 0))       # of head and eyes; eyes do not roll


class LiveLink:
    """Packets of one subject; Unreal knows an avatar by its name and its device."""

    def __init__(self, subject: str = '', profile: str = 'arkit') -> None:
        """Call the subject `subject`, or else like the avatar; `profile` is out of PROFILES."""
        self._subject = checked(subject)
        self._shape = sealed if profile == 'metahuman' else None
        self._device = self._name = ''
        self._fps = Fraction(60)

    def begin(self, info: StreamInfo) -> None:
        """Begin a stream: the same avatar is the same device on every run."""
        self._name = checked(self._subject or info.avatar)
        self._device = str(uuid5(NAMESPACE_URL, f'avatar_bridge/{self._name}')).upper()
        self._fps = info.fps

    def encode(self, frame: TimedFrame) -> list[bytes]:
        """Return the one packet of a frame."""
        pose = frame.frame
        weights = self._shape(pose.weights) if self._shape else pose.weights
        return [packet(self._device, self._name, pose.index, self._fps, weights, turns(pose))]


def packet(device: str, subject: str, number: int, fps: Fraction, weights: Weights,
           turned: Weights) -> bytes:
    """Return a datagram: (52,) weights in Apple's order and (9,) angles, radians."""
    head = struct.pack('>B', VERSION) + _text(device) + _text(subject)
    time = struct.pack('>ifii', number % FRAME_NUMBERS, 0.0, fps.numerator, fps.denominator)
    values = np.concatenate([weights, turned]).astype('>f4')
    return head + time + struct.pack('>B', COUNT) + values.tobytes()


def turns(pose: FaceFrame) -> Weights:
    """Return (9,) angles of head and eyes as the app gives them; zero where nothing turns."""
    return (angles(pose)[_FROM] * _MIRRORED + 0.0).astype(np.float32)   # + 0 turns -0 into 0


def checked(name: str) -> str:
    """Return a subject's name that a packet can carry; raises `UsageError`."""
    if len(name.encode()) > LONGEST:
        raise UsageError(f'expected a name of at most {LONGEST} bytes, got {len(name.encode())}')
    return name


def _text(text: str) -> bytes:
    coded = text.encode()
    return struct.pack('>i', len(coded)) + coded
