# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Emotions that a client asks for, as what they do to brows, eyes, cheeks and corners."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
import heapq
from typing import Final

import numpy as np

from avatar_bridge import rig
from avatar_bridge.errors import AudioError
from avatar_bridge.frames import Weights

MOST_KEYS: Final = 100_000      # emotions that may wait for their time
STEP: Final = 30.0              # 1/s: how often the service counts with `live_blend_coef`

#: A name without a side is both sides. Nothing here parts the lips: p, b and m stay closed.
POSES: Final[dict[str, dict[str, float]]] = {
    'amazement': {'browInnerUp': 0.8, 'browOuterUp': 0.8, 'eyeWide': 0.8},
    'anger': {'browDown': 1.0, 'eyeSquint': 0.4, 'noseSneer': 0.5, 'mouthPress': 0.3},
    'cheekiness': {'mouthSmileLeft': 0.6, 'mouthDimpleLeft': 0.5, 'eyeSquintLeft': 0.4,
                   'browOuterUpRight': 0.6},
    'disgust': {'noseSneer': 1.0, 'browDown': 0.5, 'mouthFrown': 0.4, 'eyeSquint': 0.4},
    'fear': {'browInnerUp': 0.9, 'browOuterUp': 0.5, 'eyeWide': 0.8, 'mouthStretch': 0.5},
    'grief': {'browInnerUp': 1.0, 'mouthFrown': 0.9, 'eyeSquint': 0.5, 'cheekSquint': 0.3},
    'joy': {'mouthSmile': 0.8, 'cheekSquint': 0.7, 'eyeSquint': 0.3, 'browOuterUp': 0.2},
    'outofbreath': {'browInnerUp': 0.4, 'browOuterUp': 0.2, 'noseSneer': 0.2},
    'pain': {'browDown': 0.8, 'eyeSquint': 0.9, 'cheekSquint': 0.6, 'noseSneer': 0.5,
             'mouthStretch': 0.4},
    'sadness': {'browInnerUp': 0.9, 'mouthFrown': 0.7, 'mouthShrugLower': 0.2},
}
EMOTIONS: Final = tuple(POSES)


def _matrix() -> Weights:
    rows = np.zeros((len(POSES), len(rig.NAMES)), np.float32)
    for row, pose in zip(rows, POSES.values(), strict=True):
        for shape, weight in pose.items():
            names = [shape] if shape in rig.INDEX else [f'{shape}Left', f'{shape}Right']
            row[[rig.INDEX[name] for name in names]] = weight
    return rows


_POSES: Final = _matrix()       # (10, 52)


def expression(emotion: Weights) -> Weights:
    """Return the (52,) weights that (10,) emotions add."""
    return emotion @ _POSES


def vector(emotion: Mapping[str, float]) -> Weights:
    """Return (10,) emotions in [0, 1] in the order of `EMOTIONS`; others are left out."""
    values = np.array([emotion.get(name, 0.0) for name in EMOTIONS], np.float32)
    return np.clip(np.nan_to_num(values, posinf=0.0, neginf=0.0), 0.0, 1.0)


class EmotionTrack:
    """
    Emotions by time: `add` says what holds from when on, `next` gives the next frame's.

    A change takes `transition` seconds from nothing to all; `blend` is how much of its value an
    emotion keeps in a thirtieth of a second. `share` is the whole's strength, `most` how many may
    show at once.
    """

    def __init__(self, fps: Fraction, *, share: float, blend: float, transition: float,
                 most: int) -> None:
        """Begin neutral."""
        self._fps = fps
        self._share, self._most = np.float32(share), most
        self._keep = np.float32(blend ** (STEP / float(fps)))
        self._reach = np.float32(1.0 if transition <= 0 else min(1.0, 1 / (transition * fps)))
        self._keys: list[tuple[float, int, Weights]] = []
        self._added = 0
        self._frame = 0
        self._target = self._moved = self._shown = np.zeros(len(EMOTIONS), np.float32)

    def add(self, time: float, emotion: Mapping[str, float]) -> None:
        """Let `emotion` hold from `time`, seconds, on."""
        if len(self._keys) >= MOST_KEYS:
            raise AudioError(f'expected at most {MOST_KEYS} emotions ahead of the audio, got more')
        if time == time:
            heapq.heappush(self._keys, (time, self._added, self._strongest(vector(emotion))))
            self._added += 1

    def begin(self, emotion: Mapping[str, float]) -> None:
        """Start with `emotion`, without a transition."""
        self._target = self._moved = self._strongest(vector(emotion))
        self._shown = self._share * self._target

    def next(self) -> Weights:
        """Return the (10,) emotions of the next frame."""
        now = self._frame / float(self._fps)
        while self._keys and self._keys[0][0] <= now:
            self._target = heapq.heappop(self._keys)[2]
        self._frame += 1
        self._moved = self._moved + np.clip(self._target - self._moved, -self._reach, self._reach)
        goal = self._share * self._moved
        self._shown = goal + self._keep * (self._shown - goal)
        return self._shown

    def _strongest(self, emotion: Weights) -> Weights:
        weakest = np.argsort(-emotion, kind='stable')[self._most:]
        emotion[weakest] = 0.0
        return emotion
