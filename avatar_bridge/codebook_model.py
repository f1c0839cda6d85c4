# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
A network that speaks in codes, frame after frame, as a FaceModel.

Graph `listen` hears once per hop, `query` says a frame's codes from the codes before it and the
sound around it, `decode` makes poses of codes. What was said lately is remembered as keys and
values of a bounded past, so a frame costs as much after an hour as at the start.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
import math
from typing import Any, Final, NamedTuple

import numpy as np

from avatar_bridge import rig
from avatar_bridge.audio import mel
from avatar_bridge.audio.hearing import TOKEN, Hearing, token_delays
from avatar_bridge.frames import AudioWindow, FrameWindow, State, Weights
from avatar_bridge.ports import Backend
from avatar_bridge.timeline import StreamSpec

LEAD: Final = Fraction(1, 100)  # seconds that poses are ahead; the shaper takes it back
NEVER: Final = -10**6           # frame index of what was not said yet


class Memory(NamedTuple):
    """What a network of codes starts with and how long it remembers."""

    rest: tuple[int, ...]       # codes of a face at rest
    motion_past: float          # seconds of its own frames
    audio_past: float           # seconds of sound before a frame

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> Memory:
        """Return what a bundle's manifest says."""
        about = manifest['codes']
        return cls(tuple(about['rest']), float(about['motion_past']), float(about['audio_past']))


class CodebookFaceModel:
    """
    Commit the hop's frames, then guess the look-ahead's from a copy of what is known.

    The state that is returned ends with the last committed frame; the next window begins there
    and says the guessed frames again, knowing more.
    """

    def __init__(self, backend: Backend, spec: StreamSpec, *, style: Weights, memory: Memory,
                 ) -> None:
        """Open the graphs; `style` is (style width,), the way of speaking."""
        self.spec = spec
        self.steps = 1
        self._style = np.asarray(style, np.float32)[None]
        self._memory = memory
        self._interval = np.full((1, 1), 1 / spec.fps, np.float32)
        self._past = math.floor(memory.motion_past * spec.fps)
        span = Fraction(spec.hop + spec.lookahead) / spec.fps + Fraction(memory.audio_past)
        self._tokens = math.ceil(span * mel.SAMPLE_RATE / TOKEN) + 1
        self._hearing = Hearing(backend('listen'), self._tokens)
        self._query = backend('query', {'tokens': self._tokens, 'past': self._past})
        self._decode = backend('decode')
        self._caches = {name: tuple(shape) for name, shape in self._decode.inputs.items()
                        if name.startswith('cache_')}

    def nearest_steps(self, wanted: int) -> int:        # noqa: ARG002
        """Return 1: codes are said once."""
        return 1

    def initial_state(self) -> State:
        """Return the state of a face that has been at rest in silence."""
        codes = np.array([[self._memory.rest]], np.int64)
        empty = {name: np.zeros(shape, np.float32) for name, shape in self._caches.items()}
        settling = sum(shape[2] + 1 for shape in self._caches.values())
        _, caches = self._decoded([codes] * settling, empty)
        layers, width = (int(self._query.inputs['remembered'][axis]) for axis in (1, 3))
        return {
            'hearing': self._hearing.initial_state(),
            'codes': codes,
            'remembered': np.zeros((1, layers, self._past, width), np.float32),
            'frames': np.full(self._past, NEVER),       # index of each that is remembered
            'caches': caches,
        }

    def predict(
        self, audio: AudioWindow, known: Weights, state: State,
    ) -> tuple[FrameWindow, State]:
        """Return the window's (frames, 52) coefficients and the state after its hop."""
        state = {**state, 'hearing': self._hearing.hear(audio.samples, state['hearing'])}
        # Frames that were bridged are not said later: there was no time for them.
        first = audio.first_frame + audio.frames - self.spec.hop - self.spec.lookahead
        final, state = self._continued(first, self.spec.hop, state)
        guess, _ = self._continued(first + self.spec.hop, self.spec.lookahead, state)
        # Only now are numbers asked for: a backend may do the whole hop at once.
        coefficients = np.asarray(np.concatenate([known, final, guess]))
        return FrameWindow(audio.first_frame, coefficients), state

    def _continued(self, first: int, count: int, state: State) -> tuple[Weights, State]:
        """Return `count` frames from `first` on, and the state after them."""
        said = []
        for frame in range(first, first + count):
            state = self._said(frame, state)
            said.append(state['codes'])
        if not said:
            return np.zeros((0, len(rig.NAMES)), np.float32), state
        motion, caches = self._decoded(said, state['caches'])
        return motion, {**state, 'caches': caches}

    def _said(self, frame: int, state: State) -> State:
        """Return the state with the codes of one more frame."""
        hearing = state['hearing']
        delays = token_delays(hearing['tokens'], self._tokens, frame / self.spec.fps + LEAD)
        ages = (frame - state['frames']) / float(self.spec.fps)
        answer = self._query({
            'codes': state['codes'], 'heard': hearing['heard'], 'delays': delays[None],
            'remembered': state['remembered'], 'ages': ages.astype(np.float32)[None],
            'style': self._style, 'interval': self._interval})
        return {**state, 'codes': answer['codes_after'], 'remembered': answer['remembered_after'],
                'frames': np.append(state['frames'][1:], frame)}

    def _decoded(self, said: list[Any], caches: Mapping[str, Weights],
                 ) -> tuple[Weights, dict[str, Weights]]:
        """Return the (frames, 52) coefficients of codes, and the caches after them."""
        outputs = self._decode({'codes': np.concatenate(said, axis=1), 'interval': self._interval,
                                **caches})
        motion = outputs.pop('motion')[0]
        return motion, dict(zip(self._caches, outputs.values(), strict=True))
