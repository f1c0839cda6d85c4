# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What a network heard lately: samples through graph `listen` into tokens. State in and out."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import numpy as np

from avatar_bridge.audio import mel
from avatar_bridge.frames import Samples, State, Weights
from avatar_bridge.ports import Graph

TOKEN: Final = 2 * mel.STRIDE   # samples between tokens


class FeatureGraph:
    """A graph over features, whatever pieces the samples come in: a token is made of two."""

    def __init__(self, graph: Graph) -> None:
        """Run `graph`: features and caches in; what it makes of them and `<cache>_after` out."""
        self._graph = graph
        self._caches = {name: tuple(shape) for name, shape in graph.inputs.items()
                        if name != 'features'}

    def initial_state(self) -> State:
        """Return the state before the first sample: silence for ever."""
        silence = float(mel.log_compress(np.zeros(1, np.float32))[0])
        return {
            'caches': {name: np.full(shape, silence if name == 'cache_0' else 0.0, np.float32)
                       for name, shape in self._caches.items()},
            'tail': np.zeros(mel.HISTORY, np.float32),
            'features': np.zeros((0, mel.BANDS), np.float32),
            'tokens': 0,                    # index of the next one
        }

    def hear(self, samples: Samples, state: State) -> tuple[dict[str, Any], State]:
        """Return the graph's outputs by name, none as long as no token is whole, and the state."""
        features, tail = mel.log_mel(samples, state['tail'])
        features = np.concatenate([state['features'], features])
        whole = len(features) // 2 * 2
        state = {**state, 'tail': tail, 'features': features[whole:]}
        if not whole:
            return {}, state
        outputs = self._graph({'features': features[None, :whole], **state['caches']})
        caches = {name: outputs.pop(f'{name}_after') for name in self._caches}
        return outputs, {**state, 'caches': caches, 'tokens': state['tokens'] + whole // 2}


class Hearing:
    """Keep the newest `kept` tokens of a stream, whatever pieces it comes in."""

    def __init__(self, listen: Graph, kept: int) -> None:
        """
        Hear through `listen`: tokens are its output `heard`, (1, layers, tokens, width).

        Where it has an output `speech`, (1, tokens), so has the state: (n,), what is newly heard.
        """
        self._listen = FeatureGraph(listen)
        self._kept = kept

    def initial_state(self) -> State:
        """Return the state after a while of silence: an empty room, not an unknown one."""
        state: State = {
            **self._listen.initial_state(),
            'heard': None,
            'speech': None,
            'tokens': -self._kept,          # so that token 0 ends at TOKEN of what follows
        }
        return self.hear(np.zeros(self._kept * TOKEN, np.float32), state)

    def hear(self, samples: Samples, state: State) -> State:
        """Return the state with (n,) samples heard."""
        first = state['tokens']
        outputs, state = self._listen.hear(samples, state)
        if not outputs:
            nothing = None if state['speech'] is None else np.zeros(0, np.float32)
            return {**state, 'speech': nothing}
        heard = outputs['heard']
        if state['heard'] is not None:
            heard = np.concatenate([state['heard'], heard], axis=2)
        told = since_start(outputs['speech'][0], first) if 'speech' in outputs else None
        return {**state, 'heard': heard[:, :, -self._kept:], 'speech': told}


def since_start(odds: Weights, first: int) -> Weights:
    """Return what tokens from `first` on tell of the stream: each of the one before it."""
    return odds[max(0, 1 - first):]


def token_delays(next_token: int, tokens: int, time: Fraction) -> Weights:
    """Return (tokens,) seconds from `time` on to the completion of each of the last tokens."""
    # Exact in integers, so that the thousandth second is heard like the first.
    oldest = Fraction((next_token - tokens + 1) * TOKEN, mel.SAMPLE_RATE) - time
    delays = float(oldest) + np.arange(tokens) * (TOKEN / mel.SAMPLE_RATE)
    return delays.astype(np.float32)
