# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Who speaks, as far as it was heard: a way of speaking that gets surer. State in, state out."""

from __future__ import annotations

from typing import Final

import numpy as np

from avatar_bridge.audio import mel
from avatar_bridge.frames import Samples, State, Weights
from avatar_bridge.ports import Graph

LEAST: Final = 1.0              # seconds of somebody that a recording of him has at least
QUIET: Final = 1e-3             # amplitude below which nobody speaks, -60 dBFS


class VoiceEstimate:
    """An exported `enrol`: features and running totals in, a style and new totals out."""

    def __init__(self, graph: Graph) -> None:
        """Use `graph`."""
        self._graph = graph
        self._caches = {name: tuple(shape) for name, shape in graph.inputs.items()
                        if name != 'features'}

    def initial_state(self) -> State:
        """Return the state before anything was heard: a voice like any other."""
        silence = float(mel.log_compress(np.zeros(1, np.float32))[0])
        return {name: np.full(shape, silence if name == 'cache_0' else 0.0, np.float32)
                for name, shape in self._caches.items()}

    def hear(self, features: Weights, state: State) -> tuple[Weights, State]:
        """Return the style (1, width) after features (2 n, 80), and the new state."""
        outputs = self._graph({'features': features[None], **state})
        style: Weights = outputs.pop('style')
        return style, dict(zip(self._caches, outputs.values(), strict=True))

    def enrol(self, samples: Samples) -> Weights:
        """
        Return the style (width,) of who speaks in (n,) samples at 16 kHz.

        Raises `ValueError` where that is too short or too quiet to tell.
        """
        loud = np.abs(samples) > QUIET
        if len(samples) < LEAST * mel.SAMPLE_RATE:
            raise ValueError(f'{len(samples) / mel.SAMPLE_RATE:.1f} s, expected {LEAST:g} or more')
        if not loud.any():
            raise ValueError('nothing but silence, expected somebody who speaks')
        features, _ = mel.log_mel(samples, np.zeros(mel.HISTORY, np.float32))
        style, _ = self.hear(features[:len(features) // 2 * 2], self.initial_state())
        return style[0]
