# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The engine: samples in, final frames out; no thread, no clock, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Final

import numpy as np

from avatar_bridge.audio.hearing import TOKEN
from avatar_bridge.config import PROFILES, EngineConfig
from avatar_bridge.frames import AudioWindow, FaceFrame, Flags, Samples, Weights
from avatar_bridge.ports import ModelBundle
from avatar_bridge.stream.blender import StreamBlender
from avatar_bridge.stream.idle import IdleLife
from avatar_bridge.stream.shaper import Shaper
from avatar_bridge.stream.speech import PIECE, SpeechDetector, SpokenTime
from avatar_bridge.stream.windower import Windower
from avatar_bridge.timeline import StreamSpec, Timeline

WINDOW: Final = 0.25            # seconds of motion that one prediction covers
AHEAD: Final = 1600             # samples, 0.1 s: lips part so long before a word, not sooner


class Engine:
    """
    Windower -> model -> blender -> shaper -> idle life.

    `push` returns the frames whose values are final, `flush` the rest (in all as many as the
    audio reaches, the last one perhaps in part), after which the engine hears afresh while `life`
    goes on; `reset` makes it new altogether. What comes out does not depend on how the samples
    were cut into blocks.
    """

    def __init__(self, bundle: ModelBundle, config: EngineConfig | None = None, *,
                 spec: StreamSpec | None = None) -> None:
        """
        Animate with `bundle`; raises `BundleError` where it does not fit `config`.

        `spec` cuts the stream otherwise than the profile does.
        """
        self.config = config or EngineConfig()
        hop, lookahead = PROFILES[self.config.profile]
        timeline = Timeline(bundle.sample_rate, self.config.fps)
        self.spec = spec or StreamSpec.from_seconds(timeline, window=WINDOW, hop=hop,
                                                    lookahead=lookahead)
        self._model = bundle.face_model(self.spec, self.config)
        rest = -bundle.mean / bundle.deviation
        self._windower = Windower(self.spec)
        self._blender = StreamBlender(self.spec, rest.astype(np.float32))
        self._shaper = Shaper(bundle.mean, bundle.deviation, float(self.spec.fps))
        self._shaper.set_gains(self.config.gains)
        self._detector = SpeechDetector()
        self._spoken = SpokenTime()
        self.life = IdleLife(self.config.fps, seed=self.config.seed,
                             amount=float(self.config.idle == 'on'))
        self.reset()

    @property
    def latency(self) -> Fraction:
        """Algorithmic latency in seconds."""
        return self.spec.latency

    @property
    def sample_rate(self) -> int:
        """Samples a second that `push` wants."""
        return self.spec.timeline.sample_rate

    @property
    def steps(self) -> int:
        """Sampler steps a hop; may be changed while running."""
        return self._model.steps

    @steps.setter
    def steps(self, steps: int) -> None:
        self._model.steps = self.nearest_steps(steps)

    def nearest_steps(self, wanted: int) -> int:
        """Return the steps nearest to `wanted` that the network can; 0 is what it does best."""
        return self._model.nearest_steps(wanted)

    def set_gains(self, gains: Mapping[str, float]) -> None:
        """Multiply shapes from the next frame on; `all` counts for every unnamed one."""
        self._shaper.set_gains(gains)

    def set_idle(self, amount: float) -> None:
        """Blink, look about and breathe: 0 (not at all) to 1.5; 1 is natural."""
        self.life.set_amount(amount)

    def reset(self) -> None:
        """Forget everything; the next frame has index 0."""
        self._hear_afresh()
        self.life.reset()

    def _hear_afresh(self) -> None:
        self._windower.reset()
        self._blender.reset()
        self._shaper.reset()
        self._detector.reset()
        self._spoken.reset()
        self._state = self._model.initial_state()
        self._held: list[Samples] = []          # heard while bridging, not by the model yet
        self._given = 0

    def push(self, samples: Samples) -> list[FaceFrame]:
        """Hear (n,) mono samples in [-1, 1]; return the frames that are final now."""
        return self.life.push(self._frames(self._windower.push(clean_samples(samples))))

    def bridge(self, samples: Samples) -> list[FaceFrame]:
        """Like `push`, without predicting: frames come from the guess. For when time is short."""
        frames: list[FaceFrame] = []
        for window in self._windower.push(clean_samples(samples)):
            self._held.append(window.samples)
            frames += self._shaped(window, self._blender.bridge())
        return self.life.push(frames)

    def flush(self) -> list[FaceFrame]:
        """Return the frames still owed, as if silence followed, and hear afresh."""
        owed = self.spec.timeline.frames_in(self._windower.heard) - self._given
        frames = self._frames(self._windower.flush())[:owed]
        self._hear_afresh()
        return self.life.push(frames)

    def _frames(self, windows: Iterable[AudioWindow]) -> list[FaceFrame]:
        frames: list[FaceFrame] = []
        for window in windows:
            missed = np.concatenate([*self._held, window.samples])
            self._held = []
            heard = window._replace(start=window.start + len(window.samples) - len(missed),
                                    samples=missed)
            prediction, self._state = self._model.predict(heard, self._blender.known, self._state)
            told = prediction.speech
            self._spoken.push(self._detector.push(
                missed, None if told is None else np.repeat(told, TOKEN // PIECE)))
            frames += self._shaped(window, self._blender.push(prediction))
        return frames

    def _shaped(self, window: AudioWindow, coefficients: Weights) -> list[FaceFrame]:
        """Return the hop's frames; somebody speaks if speech was heard around a frame."""
        first, self._given = self._given, self._given + len(coefficients)
        end = window.start + len(window.samples)
        starts = [self.spec.timeline.first_sample(first + index)
                  for index in range(len(coefficients))]
        speech = [self._spoken.heard_between(start, min(end, start + AHEAD)) for start in starts]
        weights = self._shaper.push(coefficients, speech)
        return [FaceFrame(first + index, pose, Flags.SPEECH if heard else Flags.NONE)
                for index, (pose, heard) in enumerate(zip(weights, speech, strict=True))]


def clean_samples(samples: Samples) -> Samples:
    """Return (n,) float32 in which nothing is NaN or infinite."""
    samples = np.asarray(samples, np.float32)
    if samples.ndim != 1:
        raise ValueError(f'expected (n,) mono samples, got shape {samples.shape}')
    return np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
