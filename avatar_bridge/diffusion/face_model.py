# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""A denoiser, a schedule and noise that belongs to the frame: a FaceModel."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np

from avatar_bridge import rig
from avatar_bridge.diffusion.sampler import (
    SCHEDULES,
    Denoise,
    Level,
    evenly,
    guided,
    sample,
)
from avatar_bridge.frames import AudioWindow, FrameWindow, State, Weights
from avatar_bridge.ports import Denoiser
from avatar_bridge.timeline import StreamSpec

#: Noise time that final frames are announced with: a little doubt keeps errors from feeding
#: themselves (in training the past was this noisy and less).
KNOWN_TIMESTEP: Final = 0.1


class Sampling(NamedTuple):
    """How a network was trained to be sampled."""

    schedule: str = 'cosine'                # name in `SCHEDULES`
    least_steps: int = 1
    most_steps: int = 8
    usual_steps: int = 1
    past_from_steps: int | None = 2         # final frames are given from so many on; None: never

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> Sampling:
        """Return what a bundle's manifest says."""
        least, most = manifest['steps']
        return cls(manifest['schedule'], least, most, manifest['usual_steps'],
                   manifest['past_from_steps'])


class DiffusionFaceModel:
    """Predict a window of frames by denoising what is not final yet."""

    def __init__(self, denoiser: Denoiser, spec: StreamSpec, *, steps: int = 0, seed: int = 0,
                 guidance_scale: float = 1.0, sampling: Sampling | None = None) -> None:
        """Sample from `denoiser` in windows cut as `spec` says."""
        self.spec = spec
        self._sampling = sampling or Sampling()
        self._level = SCHEDULES[self._sampling.schedule]
        self._seed = seed
        self._guidance_scale = guidance_scale
        self._denoiser = denoiser
        self.steps = self.nearest_steps(steps)

    def nearest_steps(self, wanted: int) -> int:
        """Return the sampler steps nearest to `wanted` that the network can; 0 is the usual."""
        sampling = self._sampling
        return min(max(wanted or sampling.usual_steps, sampling.least_steps), sampling.most_steps)

    def initial_state(self) -> State:
        """Return the denoiser's state before the first sample."""
        return self._denoiser.initial_state()

    def predict(
        self, audio: AudioWindow, known: Weights, state: State,
    ) -> tuple[FrameWindow, State]:
        """
        Return the window's (frames, 52) coefficients and the new state.

        One step estimates the mean of what the sound allows, and for that the past is no help:
        who is told his last pose leans on it, mistakes included (decision 16). A sampler of
        several steps makes one choice among many and has to go on with it.
        """
        past_from = self._sampling.past_from_steps
        if past_from is None or self.steps < past_from:
            known = known[:0]
        condition, state = self._denoiser.listen(audio, state)

        def hearing(what: Any) -> Denoise:
            return lambda noisy, level: self._denoiser.denoise(
                noisy, timesteps(level, len(known), audio.frames), what)

        denoise = guided(hearing(condition), hearing(self._denoiser.deaf(condition)),
                         self._guidance_scale)
        noise = frame_noise(self._seed, audio.first_frame, audio.frames)
        levels = evenly(self.steps, self._level)
        return FrameWindow(audio.first_frame,
                           sample(denoise, noise, levels=levels, known=known)), state


def timesteps(level: Level, known: int, frames: int) -> Weights:
    """Return (frames,) noise times: the first `known` are final, the rest at `level`."""
    times = np.full(frames, level.timestep, np.float32)
    times[:known] = KNOWN_TIMESTEP
    return times


def frame_noise(seed: int, first_frame: int, frames: int) -> Weights:
    """Return (frames, 52) unit noise that depends on the seed and each frame's index alone."""
    return np.stack([_noise(seed, frame) for frame in range(first_frame, first_frame + frames)])


@lru_cache(maxsize=512)
def _noise(seed: int, frame: int) -> Weights:
    bits = np.random.Philox(key=seed, counter=frame % 2**64 << 64)
    return np.random.Generator(bits).standard_normal(len(rig.NAMES), dtype=np.float32)
