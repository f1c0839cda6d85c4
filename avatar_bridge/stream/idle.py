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
import math
from typing import Final, NamedTuple

import numpy as np

from avatar_bridge import rig
from avatar_bridge.errors import UsageError
from avatar_bridge.frames import FaceFrame, Flags, Weights
from avatar_bridge.stream.blinks import LIDS, Blinks, close_lids
from avatar_bridge.stream.gaze import INWARD, Gaze, turn_eyes
from avatar_bridge.stream.moment import Moment, Spring
from avatar_bridge.stream.sway import Nod, raise_brows, sway

MOST: Final = 1.5               # accepted amount; 1 is natural
SETTLING: Final = 0.4           # seconds from no life at all to all of it
CLOSING: Final = 0.5            # amount from which on blinks close the eyes altogether
VOICE_RATE: Final = 4.0         # 1/s
REMEMBERED: Final = 128         # frames: what a session may have made and not shown yet
REST: Final = np.zeros(len(rig.NAMES), np.float32)
JAW: Final = rig.INDEX['jawOpen']


class State(NamedTuple):
    """Where idle life stands after a frame."""

    asleep: bool = True         # no life yet
    frame: int = 0              # frames so far: the clock of idle life
    amount: float = 0.0
    pose: Weights = REST        # the last frame's weights before life was added
    speech: bool = False
    voice: Spring = Spring()
    nod: Nod = Nod()
    gaze: Gaze = Gaze()
    blinks: Blinks = Blinks()


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
        self.set_amount(amount)
        self._seed = seed
        self._dt = float(1 / fps)
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.state = State(amount=self.amount)
        self._past = deque([self.state], maxlen=REMEMBERED)

    def set_amount(self, amount: float) -> None:
        """Live as much as `amount` says, 0 (not at all) to 1.5; from any thread."""
        if not 0.0 <= amount <= MOST:
            raise UsageError(f'idle: expected a number from 0 to {MOST:g}, got {amount:g}')
        self.amount = float(amount)

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
        before, dt = self.state, self._dt
        step = dt / SETTLING
        amount = before.amount + min(step, max(-step, self.amount - before.amount))
        speech = Flags.SPEECH in frame.flags
        state = before._replace(frame=before.frame + 1, amount=amount, pose=frame.weights,
                                speech=speech, asleep=before.asleep or not amount)
        if amount or before.amount:
            voice = before.voice.step(float(speech), rate=VOICE_RATE, dt=dt)
            moment = Moment(
                before.frame * self.fps.denominator / self.fps.numerator, dt,
                speech=speech, began=speech and not before.speech,
                ended=before.speech and not speech, voice=voice.x, jaw=float(frame.weights[JAW]))
            state = self._step(state._replace(voice=voice), moment)
            frame = self._alive(frame, moment, state)
        self.state = state
        self._past.append(state)
        return frame

    def _step(self, state: State, moment: Moment) -> State:
        """Return the state with everything that moves one frame later."""
        if state.asleep:
            state = state._replace(asleep=False, gaze=Gaze.begin(self._seed, moment.t),
                                   blinks=Blinks.begin(self._seed, moment.t))
        gaze = state.gaze.step(self._seed, moment)
        new = gaze.number > state.gaze.number
        glance = gaze.start if new and gaze.with_blink else math.inf
        own = float(min(state.pose[lid] for lid in LIDS))
        return state._replace(
            nod=state.nod.step(moment), gaze=gaze,
            blinks=state.blinks.step(self._seed, moment, own=own, glance=glance))

    def _alive(self, frame: FaceFrame, moment: Moment, state: State) -> FaceFrame:
        amount, weights = state.amount, frame.weights.tolist()
        head, brows = sway(self._seed, moment, state.nod)
        turn = (*map(math.radians, state.gaze.turn(moment.t)), 0.0)
        head = [amount * sum(angles) for angles in zip(head, turn, strict=True)]
        # Eyes on a target stay on it while the head moves.
        gaze = state.gaze.direction(moment.t)
        eyes = turn_eyes(weights, (amount * gaze[0] - math.degrees(head[0]),
                                   amount * gaze[1] - math.degrees(head[1])), amount * INWARD)
        raise_brows(weights, amount * brows[0], amount * brows[1])
        left, right = state.blinks.blink.closure(moment.t)
        whole = min(1.0, amount / CLOSING)
        close_lids(weights, (whole * left, whole * right))
        idle = Flags.NONE if moment.speech else Flags.IDLE
        return FaceFrame(
            frame.index, np.array(weights, np.float32).clip(0.0, 1.0), frame.flags | idle,
            np.array(head, np.float32), np.array(eyes, np.float32))
