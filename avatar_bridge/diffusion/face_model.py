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
    guidance: str = 'two_pass'              # or 'baked': the network is told how strong it is
    rungs: int = 1                          # hops in which noise becomes final; 1: in chunks
    mouth_noise: float = 1.0                # deviation of the noise that the mouth starts from

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> Sampling:
        """Return what a bundle's manifest says."""
        least, most = manifest['steps']
        return cls(manifest['schedule'], least, most, manifest['usual_steps'],
                   manifest['past_from_steps'], manifest['guidance'], manifest['rungs'],
                   manifest['mouth_noise'])


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

        Who is told his last pose leans on it, mistakes included (decisions 16 and 28): `known`
        reaches only networks whose manifest asks for it.
        """
        known = self._past(known, self.steps)
        estimate, state = self._hear(audio, 1.0 / self.steps, state)

        def denoise(noisy: Weights, level: Level) -> Any:
            return estimate(noisy, timesteps(level, len(known), audio.frames))

        noise = self._noise(audio.first_frame, audio.frames)
        levels = evenly(self.steps, self._level)
        clean = sample(denoise, noise, levels=levels, known=known)
        return FrameWindow(audio.first_frame, np.asarray(clean),
                           self._denoiser.spoken(state)), state

    def _noise(self, first_frame: int, frames: int) -> Weights:
        """
        Return what (frames, 52) coefficients start from.

        Sound says what the mouth does and little of what brows do: the mouth may start from less
        noise, for a likely motion, while the upper face is drawn (decision 31).
        """
        return frame_noise(self._seed, first_frame, frames, self._sampling.mouth_noise)

    def _past(self, known: Weights, evaluations: int) -> Weights:
        """Return the final frames that a frame of so many evaluations is to lean on."""
        past_from = self._sampling.past_from_steps
        return known if past_from is not None and evaluations >= past_from else known[:0]

    def _hear(self, audio: AudioWindow, step_size: float, state: State) -> tuple[Denoise, State]:
        """Return what estimates clean frames, from noisy ones at (frames,) noise times."""
        condition, state = self._denoiser.listen(audio, state)
        condition = self._denoiser.told(condition, step_size=step_size,
                                        guidance=self._guidance_scale)

        def hearing(what: Any) -> Denoise:
            return lambda noisy, times: self._denoiser.denoise(noisy, times, what)

        if self._sampling.guidance == 'baked':
            return hearing(condition), state
        return guided(hearing(condition), hearing(self._denoiser.deaf(condition)),
                      self._guidance_scale), state


def timesteps(level: Level, known: int, frames: int) -> Weights:
    """Return (frames,) noise times: the first `known` are final, the rest at `level`."""
    times = np.full(frames, level.timestep, np.float32)
    times[:known] = KNOWN_TIMESTEP
    return times


def frame_noise(seed: int, first_frame: int, frames: int, mouth: float = 1.0) -> Weights:
    """
    Return (frames, 52) noise that depends on the seed and each frame's index alone.

    :param mouth: deviation of the noise of the mouth; that of the upper face is 1
    """
    drawn = [_noise(seed, frame) for frame in range(first_frame, first_frame + frames)]
    noise = np.array(drawn, np.float32).reshape(frames, len(rig.NAMES))
    noise[:, rig.MOUTH] *= mouth
    return noise


@lru_cache(maxsize=512)
def _noise(seed: int, frame: int) -> Weights:
    bits = np.random.Philox(key=seed, counter=frame % 2**64 << 64)
    return np.random.Generator(bits).standard_normal(len(rig.NAMES), dtype=np.float32)
