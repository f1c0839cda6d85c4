# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""One clip of a client: bytes of audio in, poses with their sound out; no socket."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from avatar_bridge.a2f.emotions import EmotionTrack, expression
from avatar_bridge.a2f.manner import Format, Manner
from avatar_bridge.audio.intake import Intake
from avatar_bridge.audio.pcm import decode_pcm
from avatar_bridge.frames import AudioBlock, FaceFrame, Samples, Weights
from avatar_bridge.stream.engine import Engine
from avatar_bridge.timeline import Timeline


class Pose(NamedTuple):
    """A frame as it travels: weights, and the sound that is heard while they are seen."""

    time: float                 # seconds since the clip began
    weights: Weights            # (52,)
    emotion: Weights            # (10,)
    sound: bytes                # as it came, from `time` up to the next pose


class Clip:
    """
    `push` hears bytes and yields the poses that are final, `flush` the rest with all the sound.

    The sound is cut by the same map of samples to frames by which the engine hears; together the
    pieces are what was pushed, byte for byte.
    """

    def __init__(self, engine: Engine, audio: Format, manner: Manner) -> None:
        """Animate with an engine that is new."""
        self.samples = 0            # heard, at the client's rate
        self.torn = 0               # bytes at the end that are not a whole sample
        self.emotions = EmotionTrack(engine.spec.fps, share=manner.share, blend=manner.blend,
                                     transition=manner.transition, most=manner.most)
        self.emotions.begin(manner.beginning)
        self._engine, self._audio, self._manner = engine, audio, manner
        self._intake = Intake(engine.sample_rate)
        self._timeline = Timeline(audio.sample_rate, engine.spec.fps)
        self._sound = bytearray()   # not sent back yet
        self._sent = 0              # samples sent back
        self._rest = b''            # the beginning of a sample

    def push(self, data: bytes) -> Iterator[Pose]:
        """Hear bytes, a second at a time so that frames come while there is more to hear."""
        data = self._rest + data
        whole = len(data) - len(data) % self._audio.width
        self._rest = data[whole:]
        size = self._audio.sample_rate * self._audio.width
        for start in range(0, whole, size):
            piece = data[start:min(start + size, whole)]
            samples = decode_pcm(piece, self._audio.encoding, self._audio.channels)
            block = AudioBlock(self.samples, samples, self._audio.sample_rate)
            self.samples += len(samples)
            self._sound += piece
            yield from self._hear(self._intake.push(block))

    def flush(self) -> Iterator[Pose]:
        """Yield what is owed; the last pose has all the sound that is left."""
        self.torn = len(self._rest)
        owed = [*self._frames(self._intake.flush()), *self._engine.flush()]
        for frame in owed[:-1]:
            yield self._pose(frame, self._timeline.first_sample(frame.index + 1))
        for frame in owed[-1:]:
            yield self._pose(frame, self.samples)

    def _hear(self, samples: Samples) -> Iterable[Pose]:
        for frame in self._frames(samples):
            yield self._pose(frame, self._timeline.first_sample(frame.index + 1))

    def _frames(self, samples: Samples) -> list[FaceFrame]:
        return self._engine.push(samples) if len(samples) else []

    def _pose(self, frame: FaceFrame, until: int) -> Pose:
        emotion = self.emotions.next()
        until = max(self._sent, min(until, self.samples))
        size = (until - self._sent) * self._audio.width
        sound, self._sent = bytes(self._sound[:size]), until
        del self._sound[:size]
        return Pose(float(frame.index / self._timeline.fps),
                    self._manner.dress(frame.weights, expression(emotion)), emotion, sound)
