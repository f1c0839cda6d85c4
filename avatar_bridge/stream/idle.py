# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Idle life: blinks, glances and a head that is never quite still.

It touches eyes, brows and head alone: no shape that moves the lips, ever.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np

from avatar_bridge import rig
from avatar_bridge.errors import UsageError
from avatar_bridge.frames import FaceFrame, Flags, Weights
from avatar_bridge.stream.moment import Moment, Spring
from avatar_bridge.stream.sway import Nod, sway

MOST: Final = 1.5               # accepted amount; 1 is natural
SETTLING: Final = 0.4           # seconds from no life at all to all of it
VOICE_RATE: Final = 4.0         # 1/s
REMEMBERED: Final = 128         # frames: what a session may have made and not shown yet
REST: Final = np.zeros(len(rig.NAMES), np.float32)
JAW: Final = rig.INDEX['jawOpen']
INNER: Final = rig.INDEX['browInnerUp']
OUTER: Final = [rig.INDEX[name] for name in ('browOuterUpLeft', 'browOuterUpRight')]


def checked_amount(amount: float) -> float:
    """Return an amount of life that is accepted; raises `UsageError`."""
    if not 0.0 <= amount <= MOST:
        raise UsageError(f'idle: expected a number from 0 to {MOST:g}, got {amount:g}')
    return float(amount)


class State(NamedTuple):
    """Where idle life stands after a frame."""

    frame: int = 0              # frames so far: the clock of idle life
    amount: float = 0.0
    pose: Weights = REST        # the last frame's weights before life was added
    speech: bool = False
    voice: Spring = Spring()
    nod: Nod = Nod()


class IdleLife:
    """
    Add life to frames, one to one, as much as `amount` says; with 0 they pass untouched.

    Its clock counts the frames that pass, from 0, whatever their index says: speech comes and
    goes in segments, life goes on. `push` takes any number of frames; `reset` makes it new;
    `remembered` and `resume` go back to an earlier frame.
    """

    def __init__(self, fps: Fraction, *, seed: int = 0, amount: float = 0.0) -> None:
        """Live at `fps`, the same for the same `seed`."""
        self.fps = fps
        self.amount = amount        # may change while running, from any thread
        self._seed = seed
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.state = State(amount=self.amount)
        self._past = deque([self.state], maxlen=REMEMBERED)

    def remembered(self, frame: int) -> State:
        """Return how it stood before `frame`, or as near to it as it remembers."""
        return min(self._past, key=lambda state: abs(state.frame - frame))

    def resume(self, state: State) -> None:
        """Go on from `state`."""
        self.state = state
        self._past.append(state)

    def push(self, frames: Iterable[FaceFrame]) -> list[FaceFrame]:
        """Return the frames, alive."""
        return [self._live(frame) for frame in frames]

    def _live(self, frame: FaceFrame) -> FaceFrame:
        before, dt = self.state, float(1 / self.fps)
        step = dt / SETTLING
        amount = before.amount + min(step, max(-step, self.amount - before.amount))
        speech = bool(frame.flags & Flags.SPEECH)
        state = State(before.frame + 1, amount, frame.weights, speech)
        if amount or before.amount:
            voice = before.voice.step(float(speech), rate=VOICE_RATE, dt=dt)
            moment = Moment(
                float(before.frame / self.fps), dt, speech, speech and not before.speech,
                before.speech and not speech, voice.x, float(frame.weights[JAW]))
            state = state._replace(voice=voice, nod=before.nod.step(moment))
            frame = self._alive(frame, moment, state)
        self.state = state
        self._past.append(state)
        return frame

    def _alive(self, frame: FaceFrame, moment: Moment, state: State) -> FaceFrame:
        head, (inner, outer) = sway(self._seed, moment, state.nod)
        weights = frame.weights.copy()
        weights[INNER] += state.amount * inner
        weights[OUTER] += state.amount * outer
        idle = Flags.NONE if moment.speech else Flags.IDLE
        return FaceFrame(
            frame.index, np.clip(weights, 0.0, 1.0), frame.flags | idle,
            (state.amount * head).astype(np.float32), np.zeros(4, np.float32))
