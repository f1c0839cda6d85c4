# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
What VTube Studio on a phone sends to other programs: frames as JSON, for a while after a request.

Angles are degrees of a left-handed face: of the head x is + to its right, y + down and z + to its
left shoulder; of the eyes x is + down and y + to the right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import json
from typing import Any, Final

import numpy as np

from avatar_bridge.frames import StreamInfo, TimedFrame, Weights, angles
from avatar_bridge.protocols.phone import Wish

PORT: Final = 21412
TIMES: Final = (0.5, 10.0)      # seconds that one request lasts
MOST_PORTS: Final = 32
NOWHERE: Final = {'x': 0.0, 'y': 0.0, 'z': 0.0}


class VtsPhone:
    """The phone; its names and regions are those of `shapes`."""

    def __init__(self, shapes: Callable[[Weights], Mapping[str, float]]) -> None:
        """Name (52,) weights by `shapes`."""
        self._shapes = shapes

    def begin(self, info: StreamInfo) -> None:
        """Begin a stream."""

    def wish(self, datagram: bytes) -> Wish | None:
        """Return what an iOSTrackingDataRequest asks for."""
        try:
            asked: Any = json.loads(datagram)
            if asked['messageType'] != 'iOSTrackingDataRequest':
                return None
            seconds = float(asked.get('time', asked.get('sendForSeconds', TIMES[0])))
            ports = tuple(dict.fromkeys(int(port) for port in asked['ports']))
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError,
                RecursionError):
            return None
        if not 0 < len(ports) <= MOST_PORTS or not all(0 < port < 65536 for port in ports):
            return None
        return Wish(ports, min(TIMES[1], max(TIMES[0], seconds)))   # NaN is the shortest

    def frame(self, frame: TimedFrame, wish: Wish) -> bytes:    # noqa: ARG002 - all want the same
        """Return a frame; its time is when it is to be seen."""
        pose = frame.frame
        turned = (np.rad2deg(-angles(pose)).round(4) + 0.0).tolist()    # + 0 turns -0 into 0
        yaw, pitch, roll, left_yaw, left_pitch, right_yaw, right_pitch = turned
        shapes = [{'k': name, 'v': round(value, 5)}
                  for name, value in self._shapes(pose.weights).items()]
        return json.dumps({
            'Timestamp': frame.present_ns // 1_000_000, 'Hotkey': -1, 'FaceFound': True,
            'Rotation': {'x': yaw, 'y': pitch, 'z': 0.0 - roll}, 'Position': NOWHERE,
            'BlendShapes': shapes,
            'EyeLeft': {'x': left_pitch, 'y': left_yaw, 'z': 0.0},
            'EyeRight': {'x': right_pitch, 'y': right_yaw, 'z': 0.0},
        }, separators=(',', ':'), allow_nan=False).encode()
