# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
iFacialMocap: frames as text, over UDP or TCP.

`name-percent|...|=head#rx,ry,rz,x,y,z|rightEye#rx,ry,rz|leftEye#rx,ry,rz|` with angles in degrees
of Apple's face: + is down, to the subject's left, and to its right shoulder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from avatar_bridge.frames import FaceFrame, StreamInfo, TimedFrame, Weights, angles
from avatar_bridge.protocols.phone import Transport, Wish

PORT: Final = 49983             # of both sides
CALLED_AT: Final = 3            # beyond it lies the port that a computer is called back at by TCP
#: What stands between a name and its value, by version.
SEPARATORS: Final = {'v1': '-', 'v2': '&'}
END: Final = b'___iFacialMocap'     # of a frame over TCP
SECRET: Final = b'_sahuasouryya9218sauhuiayeta91555dy3719'
START: Final = b'iFacialMocap' + SECRET
CALL: Final = b'iFacialMocap_UDPTCP' + SECRET
STOP: Final = b'iFacialMocap_UDPTCPSTOP' + SECRET
SECOND: Final = b'|sendDataVersion=v2'

_AS_APPLE = np.array((1, -1, -1, 1, -1, 1, -1), np.float32)     # of yaw, pitch, roll, four of eyes

Shapes = Callable[[Weights], Mapping[str, float]]


class IFacialMocap:
    """The frames; their names and regions are those of `shapes`."""

    def __init__(self, shapes: Shapes, version: str = 'v1') -> None:
        """Name (52,) weights by `shapes`; `version` is out of SEPARATORS."""
        self._shapes = shapes
        self._version = version

    def begin(self, info: StreamInfo) -> None:
        """Begin a stream."""

    def encode(self, frame: TimedFrame) -> list[bytes]:
        """Return the one datagram of a frame."""
        return [text(self._shapes(frame.frame.weights), frame.frame, self._version).encode()]


class IFacialMocapPhone:
    """The phone: who asks is answered at the port that the phone listens on itself."""

    def __init__(self, shapes: Shapes, port: int = PORT) -> None:
        """Name (52,) weights by `shapes`; listen on `port`."""
        self._shapes = shapes
        self._port = port

    def begin(self, info: StreamInfo) -> None:
        """Begin a stream."""

    def wish(self, datagram: bytes) -> Wish | None:
        """Return what the words of a receiver mean."""
        if datagram.startswith(STOP):
            return Wish(())
        version = 'v2' if SECOND in datagram else 'v1'
        if datagram.startswith(CALL):
            return Wish((self._port + CALLED_AT,), version=version, transport=Transport.TCP)
        return Wish((self._port,), version=version) if datagram.startswith(START) else None

    def frame(self, frame: TimedFrame, wish: Wish) -> bytes:
        """Return a frame; over TCP it has an end."""
        said = text(self._shapes(frame.frame.weights), frame.frame, wish.version).encode()
        return said + END if wish.transport is Transport.TCP else said


def text(shapes: Mapping[str, float], pose: FaceFrame, version: str) -> str:
    """
    Return a frame.

    Head and eyes are always there, since receivers throw away what lacks them.
    """
    separator = SEPARATORS[version]
    turned = np.rad2deg(angles(pose) * _AS_APPLE).round(4) + 0.0    # + 0 turns -0 into 0
    yaw, pitch, roll, left_yaw, left_pitch, right_yaw, right_pitch = turned.tolist()
    return ''.join([
        *(f'{name}{separator}{round(100 * value)}|' for name, value in shapes.items()),
        f'=head#{pitch:.4f},{yaw:.4f},{roll:.4f},0,0,0|',
        f'rightEye#{right_pitch:.4f},{right_yaw:.4f},0|',
        f'leftEye#{left_pitch:.4f},{left_yaw:.4f},0|',
    ])
