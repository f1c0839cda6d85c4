# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Rolling sampling: every hop brings each frame that is not final one rung nearer to it.

The frames ahead stand on a ladder of noise levels (Ruhe et al. 2024; RDLA; FloodDiffusion): those
of this hop one rung above clean, those of the next hop two, and so on up to pure noise. So one
evaluation of the network a hop gives each frame as many as the ladder has rungs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.diffusion.face_model import (
    KNOWN_TIMESTEP,
    DiffusionFaceModel,
    Sampling,
)
from avatar_bridge.diffusion.sampler import SCHEDULES, Level, ddim
from avatar_bridge.frames import AudioWindow, FrameWindow, State, Weights
from avatar_bridge.ports import Denoiser
from avatar_bridge.timeline import StreamSpec

Estimate = Callable[[Weights, Weights], Weights]    # (noisy, noise times) -> clean, (frames, 52)


class Ladder(NamedTuple):
    """The frames that are not final."""

    first_frame: int
    noisy: Weights                      # (frames, 52)
    rungs: NDArray[np.int64]            # (frames,) above clean; the highest is pure noise


class RollingFaceModel(DiffusionFaceModel):
    """Predict a window of frames from what the hop before left of their noise."""

    def __init__(self, denoiser: Denoiser, spec: StreamSpec, *, sampling: Sampling,
                 **options: Any) -> None:
        """
        Sample from `denoiser`, which has to be cut as `ladder_spec` says.

        :param options: see `DiffusionFaceModel`; `steps` are evaluations a hop
        """
        super().__init__(denoiser, spec, sampling=sampling, **options)
        self._height = sampling.rungs
        self._ahead = ladder_spec(spec, sampling.rungs).window - spec.context
        self._wanted = np.minimum(np.arange(self._ahead) // spec.hop + 1, self._height)

    def initial_state(self) -> State:
        """Return the state before the first sample; every frame is pure noise."""
        return {'network': super().initial_state(), 'ladder': None}

    def predict(
        self, audio: AudioWindow, known: Weights, state: State,
    ) -> tuple[FrameWindow, State]:
        """Return the window's (frames, 52) coefficients and the new state."""
        first = audio.first_frame + self.spec.context
        whole = audio._replace(frames=self.spec.context + self._ahead)
        hear, network = self._hear(whole, 1.0 / (self._height * self.steps), state['network'])
        past = self._past(known, self._height * self.steps)
        rest = len(known) - len(past)       # of the context, not handed over: noise, as ahead
        before = np.concatenate([past, self._noise(audio.first_frame, rest)])
        before_times = np.repeat([KNOWN_TIMESTEP, 1.0], [len(past), rest]).astype(np.float32)

        def estimate(noisy: Weights, times: Weights) -> Weights:
            return hear(np.concatenate([before, noisy]),
                        np.concatenate([before_times, times]))[len(known):]

        ladder = self._caught_up(self._moved(state['ladder'], first), estimate)
        clean, ladder = self._descended(ladder, estimate)
        committed = clean[:self.spec.hop + self.spec.lookahead]
        window = FrameWindow(audio.first_frame, np.concatenate([known, np.asarray(committed)]),
                             self._denoiser.spoken(network))
        return window, {'network': network, 'ladder': ladder}

    def _moved(self, ladder: Ladder | None, first: int) -> Ladder:
        """Return the ladder from frame `first` on: what it had of these frames, else noise."""
        noisy = self._noise(first, self._ahead)
        rungs = np.full(self._ahead, self._height)
        if ladder is not None:
            kept = max(0, ladder.first_frame + self._ahead - first)
            noisy[:kept] = ladder.noisy[self._ahead - kept:]
            rungs[:kept] = ladder.rungs[self._ahead - kept:]
        return Ladder(first, noisy, rungs)

    def _caught_up(self, ladder: Ladder, estimate: Estimate) -> Ladder:
        """Return the ladder with its frames as low as a hop needs: at the start, after a gap."""
        for rung in range(self._height, 1, -1):
            high = (ladder.rungs == rung) & (self._wanted < rung)
            if high.any():
                clean = estimate(ladder.noisy, self._times(ladder.rungs))
                rungs = ladder.rungs - high
                noisy = self._stepped(ladder.noisy, clean, ladder.rungs, rungs)
                ladder = ladder._replace(noisy=noisy, rungs=rungs)
        return ladder

    def _descended(self, ladder: Ladder, estimate: Estimate) -> tuple[Weights, Ladder]:
        """Return the clean frames as last estimated, and the ladder one rung lower."""
        # Frames farther away than the ladder is high wait as pure noise.
        distance = np.arange(self._ahead) // self.spec.hop + 1
        noisy, clean = ladder.noisy, ladder.noisy
        for step in range(self.steps):
            now, then = distance - step / self.steps, distance - (step + 1) / self.steps
            clean = estimate(noisy, self._times(now))
            noisy = self._stepped(noisy, clean, now, then)
        return clean, ladder._replace(noisy=noisy, rungs=np.minimum(distance - 1, self._height))

    def _times(self, rungs: NDArray[Any]) -> Weights:
        return np.minimum(rungs / self._height, 1.0).astype(np.float32)

    def _stepped(self, noisy: Weights, clean: Weights, now: NDArray[Any], then: NDArray[Any],
                 ) -> Weights:
        schedule = self._sampling.schedule
        stepped: Weights = ddim(noisy, clean, levels(self._times(now), schedule),
                                levels(self._times(then), schedule))
        return stepped


def ladder_spec(spec: StreamSpec, rungs: int) -> StreamSpec:
    """Return how the network's window is cut: to the top of the ladder, heard or not."""
    farther = max(0, spec.hop * rungs - spec.hop - spec.lookahead)
    return replace(spec, window=spec.window + farther, lookahead=spec.lookahead + farther)


def levels(timesteps: Weights, schedule: str) -> Level:
    """Return the levels of (frames,) noise times, each part (frames, 1)."""
    path = SCHEDULES[schedule]
    parts = np.array([path(float(timestep)) for timestep in timesteps], np.float32)
    return Level(*parts.T[..., None])
