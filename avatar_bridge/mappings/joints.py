# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Joints of a robot's face that follow the shapes: jaw, lids, lips, eyes, neck.

A joint rests somewhere within its limits. Its shapes, each weight times its share, add up to how
far it leaves its rest: 1 is its upper limit, -1 its lower one. Angles of head and eyes are added
in radians.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from fractions import Fraction
import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.errors import UsageError
from avatar_bridge.frames import FaceFrame
from avatar_bridge.frames import angles as angles_of
from avatar_bridge.rig import INDEX, NAMES

Positions = NDArray[np.float64]     # (joints,) rad where they turn, m where they slide

#: In the order of `frames.angles`; + is to the robot's own left, up, and to its left shoulder.
ANGLES: Final = ('headYaw', 'headPitch', 'headRoll', 'leftEyeYaw', 'leftEyePitch',
                 'rightEyeYaw', 'rightEyePitch')
RATES: Final = (1.0, 240.0)


@dataclass(frozen=True)
class Joint:
    """What one joint can do and which shapes move it; raises `UsageError` where that is absurd."""

    limits: tuple[float, float]     # rad or m
    velocity: float                 # rad/s or m/s at most
    rest: float = 0.0
    shapes: Mapping[str, float] = field(default_factory=dict)      # share of each
    angles: Mapping[str, float] = field(default_factory=dict)      # rad (or m) for each rad

    def __post_init__(self) -> None:
        """Check that it can rest and moves."""
        low, high = self.limits
        if not low < high:
            raise UsageError(f'expected limits: [LOW, HIGH], got [{low:g}, {high:g}]')
        if not low <= self.rest <= high:
            raise UsageError(f'expected rest within the limits {low:g} to {high:g}, '
                             f'got {self.rest:g}')
        if not self.velocity > 0:
            raise UsageError(f'expected a velocity above 0, got {self.velocity:g}')
        if not (self.shapes or self.angles):
            raise UsageError('expected shapes or angles that move it, got none')

    @classmethod
    def from_mapping(cls, values: Any) -> Joint:
        """Read what a file says of a joint; raises `UsageError`."""
        given = _entries(values, ('limits', 'velocity', 'rest', 'shapes', 'angles'))
        for name in ('limits', 'velocity'):
            if name not in given:
                raise UsageError(f'expected {name}: the robot must not be hurt')
        limits = given['limits']
        if not isinstance(limits, (list, tuple)) or len(limits) != 2:
            raise UsageError(f'expected limits: [LOW, HIGH], got {limits!r}')
        return cls((_number('limits', limits[0]), _number('limits', limits[1])),
                   _number('velocity', given['velocity']), _number('rest', given.get('rest', 0)),
                   _shares(given.get('shapes', {}), NAMES),
                   _shares(given.get('angles', {}), ANGLES))


class JointMap:
    """All joints of a robot: where a pose wants them, and how far they get in time."""

    def __init__(self, joints: Mapping[str, Joint], rate: Fraction | None = None) -> None:
        """Map to `joints` by name; `rate`: commands a second at most, None for every frame."""
        self.names = tuple(joints)
        self.rate = rate
        self.rest: Positions = np.array([joint.rest for joint in joints.values()])
        self._limits = np.array([joint.limits for joint in joints.values()])
        self._velocity = np.array([joint.velocity for joint in joints.values()])
        self._shapes = np.zeros((len(joints), len(NAMES)))
        self._angles = np.zeros((len(joints), len(ANGLES)))
        for row, joint in enumerate(joints.values()):
            for name, share in joint.shapes.items():
                self._shapes[row, INDEX[name]] = share
            for name, share in joint.angles.items():
                self._angles[row, ANGLES.index(name)] = share

    @classmethod
    def from_mapping(cls, values: Any) -> JointMap:
        """Read `{joints: {NAME: {...}}, rate: N}`; raises `UsageError`."""
        given = _entries(values, ('joints', 'rate'))
        rate = given.get('rate')
        if rate is not None and not RATES[0] <= _number('rate', rate) <= RATES[1]:
            raise UsageError(f'expected a rate from {RATES[0]:g} to {RATES[1]:g}, got {rate}')
        joints = {}
        for name, entry in _entries(given.get('joints', {})).items():
            try:
                joints[name] = Joint.from_mapping(entry)
            except UsageError as error:
                raise UsageError(f'{name}: {error}') from error
        if not joints:
            raise UsageError('expected joints: {NAME: {...}}, got none')
        return cls(joints, None if rate is None else Fraction(str(rate)))

    def target(self, frame: FaceFrame) -> Positions:
        """Return (joints,) where a pose wants them, within their limits."""
        moved = np.clip(self._shapes @ frame.weights, -1, 1)
        low, high = self._limits.T
        span = np.where(moved < 0, self.rest - low, high - self.rest)
        wanted = self.rest + moved * span + self._angles @ angles_of(frame)
        return np.clip(wanted, low, high)

    def approach(self, positions: Positions, target: Positions, seconds: float) -> Positions:
        """Return how far joints get from `positions` towards `target`, as fast as they may."""
        furthest = self._velocity * seconds
        return np.clip(target, positions - furthest, positions + furthest)


def _entries(values: Any, known: Collection[str] = ()) -> dict[str, Any]:
    """Return a mapping with text keys, which are out of `known` if that is given."""
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
        raise UsageError(f'expected NAME: VALUE, got {values!r}')
    for name in values:
        if known and name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f'did you mean {near[0]}?' if near else f'known are {", ".join(known)}'
            raise UsageError(f'unknown name {name!r}; {hint}')
    return dict(values)


def _shares(values: Any, known: Collection[str]) -> dict[str, float]:
    return {name: _number(name, share) for name, share in _entries(values, known).items()}


def _number(name: str, value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f'expected a number for {name}, got {value!r}')
    return number
