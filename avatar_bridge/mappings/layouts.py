# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Somebody else's shapes: what they are called, and how ours move them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from avatar_bridge.frames import Weights
from avatar_bridge.rig import INDEX, MOUTH, NAMES

Pose = Mapping[str, float]          # our names and their weights
Shapes = dict[str, float]           # somebody else's
Part = Callable[[Pose], Shapes]

#: Shapes that turn the eyeballs.
EYES: Final = tuple(name for name in NAMES if name.startswith('eyeLook'))
#: Which regions of a layout belong to whom; a frame's `eyes` say what the region 'eyes' says.
REGIONS: Final = {
    'all': ('mouth', 'upper', 'eyes'),
    'mouth': ('mouth',),
    'upper': ('upper', 'eyes'),
}


@dataclass(frozen=True)
class Layout:
    """
    Shapes by region: mouth, upper, eyes, and emotions where the rig has them.

    A region can be left to somebody else, since what is not sent does not overwrite a camera.
    """

    parts: Mapping[str, Part]

    @property
    def names(self) -> tuple[str, ...]:
        """What the shapes are called."""
        return tuple(self.shapes(np.zeros(len(NAMES), np.float32)))

    def shapes(self, weights: Weights) -> Shapes:
        """Return (52,) weights as this rig knows them."""
        pose = pose_of(weights)
        return {name: value for part in self.parts.values() for name, value in part(pose).items()}

    def only(self, regions: Collection[str]) -> Layout:
        """Return what lies in these regions."""
        return Layout({region: part for region, part in self.parts.items() if region in regions})

    def renamed(self, spell: Callable[[str], str]) -> Layout:
        """Return the same shapes under other names."""
        def respelled(part: Part) -> Part:
            return lambda pose: {spell(name): value for name, value in part(pose).items()}

        return Layout({region: respelled(part) for region, part in self.parts.items()})


def pose_of(weights: Weights) -> dict[str, float]:
    """Return (52,) weights by our names."""
    return dict(zip(NAMES, weights.tolist(), strict=True))


def pascal(name: str) -> str:
    """Return JawOpen for jawOpen: Live Link, Perfect Sync, VTube Studio."""
    return name[0].upper() + name[1:]


def sided(name: str) -> str:
    """Return mouthSmile_L for mouthSmileLeft, but jawLeft for jawLeft: iFacialMocap."""
    if name in ('jawLeft', 'jawRight', 'mouthLeft', 'mouthRight'):
        return name                 # these two move as a whole and have no sides
    for side in ('Left', 'Right'):
        if name.endswith(side):
            return f'{name.removesuffix(side)}_{side[0]}'
    return name


def _as_they_are(names: Sequence[str]) -> Part:
    return lambda pose: {name: pose[name] for name in names}


#: Our own 52.
ARKIT: Final = Layout({
    'mouth': _as_they_are([NAMES[index] for index in MOUTH]),
    'upper': _as_they_are([name for index, name in enumerate(NAMES)
                           if index not in MOUTH and name not in EYES]),
    'eyes': _as_they_are(EYES),
})

#: Orders in which others list the shapes.
ORDERS: Final[dict[str, tuple[str, ...]]] = {
    'apple': NAMES,                                         # and Live Link's packets
    'alphabetical': tuple(sorted(NAMES)),
    'mediapipe': ('_neutral', *sorted(set(NAMES) - {'tongueOut'})),
}


def arranged(weights: Weights, order: Sequence[str]) -> Weights:
    """Return (..., 52) weights in an order out of `ORDERS`; what we lack is zero."""
    columns = np.zeros((*weights.shape[:-1], len(order)), np.float32)
    for column, name in enumerate(order):
        if name in INDEX:
            columns[..., column] = weights[..., INDEX[name]]
    return columns
