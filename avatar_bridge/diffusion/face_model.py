# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""A denoiser, a schedule and noise that belongs to the frame: a FaceModel."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np

from avatar_bridge import rig
from avatar_bridge.diffusion.sampler import Denoise, Level, cosine_levels, guided, sample
from avatar_bridge.frames import AudioWindow, FrameWindow, State, Weights
from avatar_bridge.ports import Denoiser
from avatar_bridge.timeline import StreamSpec

#: Noise time that final frames are announced with: a little doubt keeps errors from feeding
#: themselves (in training the past was this noisy and less).
KNOWN_TIMESTEP: Final = 0.1


class DiffusionFaceModel:
    """Predict a window of frames by denoising what is not final yet."""

    def __init__(self, denoiser: Denoiser, spec: StreamSpec, *, steps: int = 2, seed: int = 0,
                 guidance_scale: float = 1.0) -> None:
        """Sample from `denoiser` in windows cut as `spec` says."""
        self.spec = spec
        self.steps = steps
        self._seed = seed
        self._guidance_scale = guidance_scale
        self._denoiser = denoiser

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
        if self.steps == 1:
            known = known[:0]
        condition, state = self._denoiser.listen(audio, state)

        def hearing(what: Any) -> Denoise:
            return lambda noisy, level: self._denoiser.denoise(
                noisy, timesteps(level, len(known), audio.frames), what)

        denoise = guided(hearing(condition), hearing(self._denoiser.deaf(condition)),
                         self._guidance_scale)
        noise = frame_noise(self._seed, audio.first_frame, audio.frames)
        levels = cosine_levels(self.steps)
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
