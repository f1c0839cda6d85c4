# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""VRChat over OSC: the parameters of a tracked face, and VRChat's own eyes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count, takewhile
import json
from typing import Final

import numpy as np

from avatar_bridge.errors import UsageError
from avatar_bridge.frames import FaceFrame, StreamInfo, TimedFrame, Weights
from avatar_bridge.protocols.osc import bundles, message
from avatar_bridge.rig import INDEX

PARAMETERS: Final = '/avatar/parameters'
LIPS: Final = f'{PARAMETERS}/LipTrackingActive'
EYES: Final = f'{PARAMETERS}/EyeTrackingActive'

_LIDS = [INDEX['eyeBlinkLeft'], INDEX['eyeBlinkRight']]


class VrChat:
    """Say a frame as parameters of the avatar."""

    def __init__(
        self, shapes: Callable[[Weights], Mapping[str, float]],
        others: Sequence[Callable[[FaceFrame], list[bytes]]], *,
        say: Callable[[str, float], list[bytes]],
    ) -> None:
        """Name (52,) weights by `shapes` and `say` each of them; `others` say the rest."""
        self._shapes = shapes
        self._others = others
        self._say = say

    def begin(self, info: StreamInfo) -> None:
        """Begin a stream."""

    def encode(self, frame: TimedFrame) -> list[bytes]:
        """Return bundles."""
        pose = frame.frame
        return bundles([
            *(said for other in self._others for said in other(pose)),
            *(said for name, value in self._shapes(pose.weights).items()
              for said in self._say(name, float(value)))])

    def end(self) -> list[bytes]:
        """Return bundles that give mouth and eyes back to VRChat, if we took them."""
        ends = {lips_active: LIPS, eyes_active: EYES}
        return bundles(message(ends[other], False) for other in self._others if other in ends)


def under(prefix: str) -> Callable[[str, float], list[bytes]]:
    """Say every parameter as a float below `prefix`; VRChat ignores what an avatar lacks."""
    root = '/'.join(part for part in (PARAMETERS, prefix.strip('/')) if part)
    return lambda name, value: [message(f'{root}/{name}', value)]


class Avatar:
    """
    The parameters that one avatar has, wherever they lie in it.

    To save room an avatar may have the bits of a shape, JawOpen1, JawOpen2 and JawOpen4, instead
    of the shape, and JawXNegative for the sign of one that has two sides.
    """

    def __init__(self, floats: Mapping[str, str], bools: Mapping[str, str]) -> None:
        """Know the addresses of parameters by the last part of their names."""
        self._floats = floats
        self._bools = bools

    @classmethod
    def from_json(cls, text: str) -> Avatar:
        """Read the file that VRChat writes about each avatar; raises `UsageError`."""
        found: dict[str, dict[str, str]] = {'Float': {}, 'Bool': {}, 'Int': {}}
        try:
            inputs = [entry['input'] for entry in json.loads(text)['parameters']
                      if 'input' in entry]
            for put in inputs:
                found[put['type']][put['address'].rpartition('/')[2]] = put['address']
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise UsageError(f'expected the JSON that VRChat writes about an avatar ({error})'
                             ) from error
        return cls(found['Float'], found['Bool'])

    def say(self, name: str, value: float) -> list[bytes]:
        """Return messages that set a shape; none where this avatar does not have it."""
        said = [message(self._floats[name], value)] if name in self._floats else []
        if sign := self._bools.get(f'{name}Negative'):
            said.append(message(sign, value < 0))
            value = abs(value)
        bits = [self._bools[bit] for bit in takewhile(
            self._bools.__contains__, (f'{name}{1 << place}' for place in count()))]
        levels = 1 << len(bits)
        level = min(int(max(value, 0.0) * levels), levels - 1)
        return said + [message(bit, bool(level >> place & 1)) for place, bit in enumerate(bits)]


def lips_active(pose: FaceFrame) -> list[bytes]:    # noqa: ARG001 - lips always are
    """Switch the avatar's mouth from visemes to tracking."""
    return [message(LIPS, True)]


def eyes_active(pose: FaceFrame) -> list[bytes]:
    """Switch the avatar's eyes to tracking where the frame moves them."""
    return [message(EYES, pose.eyes is not None)]


def own_eyes(pose: FaceFrame) -> list[bytes]:
    """Turn the eyes of an avatar without parameters for them; degrees, + is right and down."""
    if pose.eyes is None:           # after ten seconds VRChat blinks and looks about by itself
        return []
    left_yaw, left_pitch, right_yaw, right_pitch = np.rad2deg(-pose.eyes).tolist()
    return [
        message('/tracking/eye/LeftRightPitchYaw', left_pitch, left_yaw, right_pitch, right_yaw),
        message('/tracking/eye/EyesClosedAmount', float(pose.weights[_LIDS].mean())),
    ]
