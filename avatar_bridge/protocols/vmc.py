# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
VMC, the protocol of virtual motion capture: OSC messages about a VRM model.

A performer says everything about a model to the program that shows it; an assistant adds a face to
what a performer does. Unity's axes: x to the model's right, y up, z ahead, left-handed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
import math

from avatar_bridge.frames import FaceFrame, StreamInfo, TimedFrame, Weights
from avatar_bridge.protocols.osc import bundles, message

Turn = Callable[[FaceFrame], list[bytes]]

APPLY = message('/VMC/Ext/Blend/Apply')
LOADED = message('/VMC/Ext/OK', 1)
GAZED_AT = 1.0                      # metres from the head to what the eyes look at
ORIGIN = (0.0, 0.0, 0.0)            # positions of bones are the model's business


class Performer:
    """Say a frame as expressions of the model, and how head and eyes turn."""

    def __init__(self, shapes: Callable[[Weights], Mapping[str, float]], turn: Turn) -> None:
        """Name the expressions of (52,) weights by `shapes`; `turn` says the rest of a pose."""
        self._shapes = shapes
        self._turn = turn
        self._fps = Fraction(60)

    def begin(self, info: StreamInfo) -> None:
        """Begin a stream."""
        self._fps = info.fps

    def encode(self, frame: TimedFrame) -> list[bytes]:
        """Return bundles; receivers show what they heard at the last message, `Apply`."""
        pose = frame.frame
        values = [message('/VMC/Ext/Blend/Val', name, float(value))
                  for name, value in self._shapes(pose.weights).items()]
        return bundles([*self.preamble(pose), *self._turn(pose), *values, APPLY])

    def preamble(self, pose: FaceFrame) -> list[bytes]:
        """Return that there is a model, and the time of the frame in seconds."""
        return [LOADED, message('/VMC/Ext/T', float(pose.index / self._fps))]


class Assistant(Performer):
    """Say a frame to a performer, who knows about model and time himself."""

    def preamble(self, pose: FaceFrame) -> list[bytes]:     # noqa: ARG002 - says nothing
        """Return nothing."""
        return []


def still(pose: FaceFrame) -> list[bytes]:      # noqa: ARG001 - whatever it is
    """Leave head and eyes alone, or to expressions."""
    return []


def bones(pose: FaceFrame) -> list[bytes]:
    """Turn the bones of head and eyes."""
    turned = []
    if pose.head is not None:
        turned.append(bone('Head', *pose.head.tolist()))
    if pose.eyes is not None:
        left, right = pose.eyes.tolist()[:2], pose.eyes.tolist()[2:]
        turned += [bone('LeftEye', *left), bone('RightEye', *right)]
    return turned


def target(pose: FaceFrame) -> list[bytes]:
    """Look at a point, relative to the head: what an assistant may say about the eyes."""
    if pose.eyes is None:
        return []
    yaw, pitch = ((pose.eyes[:2] + pose.eyes[2:]) / 2).tolist()
    ahead = GAZED_AT * math.cos(pitch)
    return [message('/VMC/Ext/Set/Eye', 1, -ahead * math.sin(yaw), GAZED_AT * math.sin(pitch),
                    ahead * math.cos(yaw))]


def bone(name: str, yaw: float, pitch: float, roll: float = 0.0) -> bytes:
    """Return a bone, turned by radians: + is to the model's left, up, and to its left shoulder."""
    return message('/VMC/Ext/Bone/Pos', name, *ORIGIN, *quaternion(-yaw, -pitch, roll))


def quaternion(y: float, x: float, z: float) -> tuple[float, float, float, float]:
    """Return x, y, z, w of radians about each axis: about z first, then x, then y, as Unity."""
    (sy, cy), (sx, cx), (sz, cz) = ((math.sin(turn / 2), math.cos(turn / 2))
                                    for turn in (y, x, z))
    return (cy * sx * cz + sy * cx * sz, sy * cx * cz - cy * sx * sz,
            cy * cx * sz - sy * sx * cz, cy * cx * cz + sy * sx * sz)
