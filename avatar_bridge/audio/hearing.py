# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What a network heard lately: samples through graph `listen` into tokens. State in and out."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import numpy as np

from avatar_bridge.audio import mel
from avatar_bridge.frames import Samples, State, Weights
from avatar_bridge.ports import Graph

TOKEN: Final = 2 * mel.STRIDE   # samples between tokens


class Hearing:
    """Keep the newest `kept` tokens of a stream, whatever pieces it comes in."""

    def __init__(self, listen: Graph, kept: int) -> None:
        """Hear through `listen`: features and caches in, tokens `heard` and caches out."""
        self._listen = listen
        self._kept = kept
        self._caches = {name: tuple(shape) for name, shape in listen.inputs.items()
                        if name != 'features'}

    def initial_state(self) -> State:
        """Return the state after a while of silence: an empty room, not an unknown one."""
        silence = float(mel.log_compress(np.zeros(1, np.float32))[0])
        state: State = {
            'caches': {name: np.full(shape, silence if name == 'cache_0' else 0.0, np.float32)
                       for name, shape in self._caches.items()},
            'tail': np.zeros(mel.HISTORY, np.float32),
            'features': np.zeros((0, mel.BANDS), np.float32),
            'heard': None,
            'tokens': -self._kept,          # index of the next token; token 0 ends at TOKEN
        }
        return self.hear(np.zeros(self._kept * TOKEN, np.float32), state)

    def hear(self, samples: Samples, state: State) -> State:
        """Return the state with (n,) samples heard."""
        features, tail = mel.log_mel(samples, state['tail'])
        features = np.concatenate([state['features'], features])
        tokens = len(features) // 2
        if not tokens:
            return {**state, 'tail': tail, 'features': features}
        outputs = self._listen({'features': features[None, :2 * tokens], **state['caches']})
        heard = outputs.pop('heard')
        if state['heard'] is not None:
            heard = np.concatenate([state['heard'], heard], axis=2)
        return {'caches': dict(zip(self._caches, outputs.values(), strict=True)), 'tail': tail,
                'features': features[2 * tokens:], 'heard': heard[:, :, -self._kept:],
                'tokens': state['tokens'] + tokens}


def token_delays(next_token: int, tokens: int, time: Fraction) -> Weights:
    """Return (tokens,) seconds from `time` on to the completion of each of the last tokens."""
    # Exact in integers, so that the thousandth second is heard like the first.
    oldest = Fraction((next_token - tokens + 1) * TOKEN, mel.SAMPLE_RATE) - time
    delays = float(oldest) + np.arange(tokens) * (TOKEN / mel.SAMPLE_RATE)
    return delays.astype(np.float32)
