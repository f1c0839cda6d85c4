# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Who speaks, as far as it was heard: a way of speaking that gets surer. State in, state out."""

from __future__ import annotations

from typing import Final

import numpy as np

from avatar_bridge.audio import mel
from avatar_bridge.audio.hearing import FeatureGraph
from avatar_bridge.frames import AudioWindow, Samples, State, Weights
from avatar_bridge.ports import Graph
from avatar_bridge.stream.denoiser import Heard, StreamDenoiser

LEAST: Final = 1.0              # seconds of somebody that a recording of him has at least
QUIET: Final = 1e-3             # amplitude below which nobody speaks, -60 dBFS


class VoiceEstimate:
    """An exported `enrol`: features and running totals in, a style and new totals out."""

    def __init__(self, graph: Graph) -> None:
        """Use `graph`."""
        self._enrol = FeatureGraph(graph)

    def initial_state(self) -> State:
        """Return the state before anything was heard; its style is nobody's yet."""
        return {**self._enrol.initial_state(), 'style': None}

    def hear(self, samples: Samples, state: State) -> State:
        """Return the state with samples heard; its `style` is (1, width) as soon as it is one."""
        outputs, state = self._enrol.hear(samples, state)
        return {**state, **outputs}

    def enrol(self, samples: Samples) -> Weights:
        """
        Return the style (width,) of who speaks in (n,) samples at 16 kHz.

        Raises `ValueError` where they are too few or too quiet to tell.
        """
        if len(samples) < LEAST * mel.SAMPLE_RATE:
            raise ValueError(f'{len(samples) / mel.SAMPLE_RATE:.1f} s of sound, expected '
                             f'{LEAST:g} s or more of somebody who speaks')
        if not (np.abs(samples) > QUIET).any():
            raise ValueError('nothing but silence, expected somebody who speaks')
        style: Weights = self.hear(samples, self.initial_state())['style'][0]
        return style


class PersonalDenoiser:
    """A denoiser that speaks like whoever it hears, the more of him it has heard."""

    def __init__(self, denoiser: StreamDenoiser, voice: VoiceEstimate) -> None:
        """Tell `denoiser` what `voice` makes of the sound."""
        self._denoiser = denoiser
        self._voice = voice

    def initial_state(self) -> State:
        """Return the state before the first sample."""
        return {'denoiser': self._denoiser.initial_state(), 'voice': self._voice.initial_state()}

    def listen(self, audio: AudioWindow, state: State) -> tuple[Heard, State]:
        """Return the condition for this window, its style as far as it is known, and the state."""
        condition, inner = self._denoiser.listen(audio, state['denoiser'])
        voice = self._voice.hear(audio.samples, state['voice'])
        if voice['style'] is not None:
            condition = condition._replace(style=voice['style'])
        return condition, {'denoiser': inner, 'voice': voice}

    def spoken(self, state: State) -> Weights | None:
        """Return log odds of speech in what was newly heard, where the network tells."""
        return self._denoiser.spoken(state['denoiser'])

    def deaf(self, condition: Heard) -> Heard:
        """Return the condition with every token beyond hearing; who speaks stays known."""
        return self._denoiser.deaf(condition)

    def told(self, condition: Heard, *, step_size: float, guidance: float) -> Heard:
        """Return the condition of somebody who knows how he is sampled."""
        return self._denoiser.told(condition, step_size=step_size, guidance=guidance)

    def denoise(self, noisy: Weights, timesteps: Weights, condition: Heard) -> Weights:
        """Estimate the clean (frames, 52) coefficients."""
        return self._denoiser.denoise(noisy, timesteps, condition)
