# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Blocks of audio in, cues for the sinks out: everything of a session that needs no thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
import math
from typing import Final, NamedTuple, Protocol

import numpy as np

from avatar_bridge import rig
from avatar_bridge.audio.intake import Intake
from avatar_bridge.frames import (
    AudioBlock,
    Event,
    FaceFrame,
    Flags,
    Samples,
    TimedAudio,
    TimedFrame,
    Weights,
)
from avatar_bridge.ports import Clock
from avatar_bridge.schedule import BLOCK, SECOND, Schedule, Sound
from avatar_bridge.stream.idle import IdleLife
from avatar_bridge.timeline import StreamSpec

REST: Final = np.zeros(len(rig.NAMES), np.float32)
SETTLING: Final = 0.05          # seconds in which a face without audio covers half the way to rest
SETTLED: Final = 0.001          # weight that counts as rest
REMEMBERED: Final = 512         # pieces of audio whose compute time is averaged: 25 s of `live`


class AnimatedBy(Protocol):
    """What a session needs of an engine."""

    spec: StreamSpec
    steps: int

    @property
    def latency(self) -> Fraction:
        """Algorithmic latency in seconds."""
        ...

    @property
    def sample_rate(self) -> int:
        """Samples a second that `push` wants."""
        ...

    def nearest_steps(self, wanted: int) -> int:
        """Return the steps nearest to `wanted` that the network can; 0 is what it does best."""
        ...

    def push(self, samples: Samples) -> list[FaceFrame]:
        """Hear samples; return the frames that are final now."""
        ...

    def bridge(self, samples: Samples) -> list[FaceFrame]:
        """Like `push`, without predicting."""
        ...

    def flush(self) -> list[FaceFrame]:
        """Return the frames still owed and be new."""
        ...

    def reset(self) -> None:
        """Forget everything."""
        ...

    def set_gains(self, gains: Mapping[str, float]) -> None:
        """Multiply shapes from the next frame on."""
        ...

    @property
    def life(self) -> IdleLife:
        """What every frame passes last."""
        ...


class Policy(Protocol):
    """Who chooses the steps: a Governor, or Steady."""

    @property
    def steps(self) -> int:
        """Steps in use."""
        ...

    def want(self, steps: int) -> None:
        """Use `steps` from now on."""
        ...

    def choose(self, slack: int) -> int:
        """Return the steps for the next hop, 0 for none."""
        ...

    def measured(self, spent: int) -> None:
        """Learn how long a hop took, nanoseconds."""
        ...


class Cue(NamedTuple):
    """Something for the sinks, and when it is due; 0 is at once."""

    due: int
    what: TimedFrame | TimedAudio | Event


class Animator:
    """
    Intake and engine, with indices that never repeat, times and the deadline policy.

    A segment is what lies between two ends of speech. The engine hears each afresh; frame indices
    count on, and its first frame says `DISCONTINUITY`. Idle life counts the frames as the indices
    do: it goes on from segment to segment, and while no audio comes at all.
    """

    def __init__(
        self, engine: AnimatedBy, intake: Intake, *, schedule: Schedule, policy: Policy,
        clock: Clock,
    ) -> None:
        """Start with frame 0."""
        self.muted = False
        self.stopped = False            # hear nothing more, not even the rest of a long block
        self.speculative = 0            # frames that were bridged instead of predicted
        self._engine = engine
        self._intake = intake
        self._schedule = schedule
        self._policy = policy
        self._clock = clock
        self._axis = Axis()
        self._base = 0                  # index of the segment's first frame
        self._given = 0                 # frames of the segment so far
        self._heard = 0                 # samples of the segment so far
        self._heard_before = 0
        self._told = 0                  # samples of the segment that a sound cue was made of
        self._sound: list[Samples] = []
        self._fresh = False             # the next frame does not continue the one before
        self._spent: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)

    @property
    def rtf(self) -> float:
        """Compute time for each second of audio, over the last half minute."""
        spent = list(self._spent)
        samples = sum(count for _, count in spent)
        nanoseconds = sum(time for time, _ in spent)
        return nanoseconds * self._engine.sample_rate / SECOND / samples if samples else 0.0

    @property
    def listening(self) -> bool:
        """Whether a segment has begun, so that frames may be owed."""
        return self._heard > 0

    @property
    def started(self) -> bool:
        """Whether there was a frame."""
        return self._base + self._given > 0

    def warm_up(self) -> None:
        """Do everything once, in silence: late imports and first runs take a second or two."""
        spec = self._engine.spec
        size = spec.timeline.first_sample(2 * (spec.hop + spec.lookahead))
        self._intake.push(AudioBlock(0, np.zeros((4800, 8), np.float32), 48000))
        self._intake.reset()
        self._engine.push(np.zeros(size, np.float32))
        self._engine.reset()

    def push(self, block: AudioBlock, arrival: int) -> Iterator[Cue]:
        """Hear a block that came at `arrival`; yield frames as they become final."""
        if self._axis.breaks(block):
            yield from self.end_speech()
        samples = self._intake.push(block)
        position, length = self._axis.place(block)
        self._schedule.heard(Sound(position, length, arrival, block.capture_ns))
        yield from self._hear(samples)

    def end_speech(self) -> Iterator[Cue]:
        """Yield the frames still owed; what comes next is a new segment."""
        yield from self._hear(self._intake.flush())
        if self._sound:
            yield self._sound_cue()
        if self._heard:
            yield from self._cues(self._engine.flush())
            self._begin(self._base + self._given)
            self._schedule.restart(self._base)

    def fade(self, seconds: Fraction) -> Iterator[Cue]:
        """Yield the way from the last pose to rest, as a segment of its own, from now on."""
        if self._schedule.due(self._base) < self._clock.now():
            self._schedule.forget(self._base, self._clock.now())
        count = math.ceil(seconds * self._engine.spec.fps)
        pose = self._engine.life.state.pose
        yield from self._without_audio(
            [pose * np.float32(1 - (step + 1) / count) for step in range(count)])

    def linger(self) -> Iterator[Cue]:
        """
        Yield a face that comes to rest and lives, up to what a silent source would give by now.

        To be called every now and then while no audio comes; audio that comes then is not late.
        """
        now, spec = self._clock.now(), self._engine.spec
        late = not self.started or self._schedule.due(self._base) < now
        if late:
            self._schedule.forget(self._base, now)
        until = now + math.floor(self._engine.latency * SECOND) - BLOCK
        count = math.floor((until - self._schedule.due(self._base)) * spec.fps / SECOND)
        if count > 0:
            self._fresh = self._fresh and late
            yield from self._without_audio(self._settling(count))

    def _settling(self, count: int) -> Iterator[Weights]:
        pose = self._engine.life.state.pose
        keep = np.float32(0.5 ** (1 / (SETTLING * float(self._engine.spec.fps))))
        for _ in range(count):
            pose = np.where(pose < SETTLED, np.float32(0.0), pose * keep)
            yield pose

    def _without_audio(self, poses: Iterable[Weights]) -> Iterator[Cue]:
        yield from self._cues(self._engine.life.push(
            [FaceFrame(index, pose, Flags.IDLE) for index, pose in enumerate(poses)]))
        self._begin(self._base + self._given)
        self._schedule.restart(self._base)

    def cut(self, index: int) -> None:
        """Forget the segment: frame `index` is the next one, due now; life goes on from there."""
        life = self._engine.life
        then = life.remembered(index)
        self._engine.reset()
        life.resume(then)
        self._schedule.forget(index, self._clock.now())
        self._begin(index)

    def _begin(self, index: int) -> None:
        self._intake.reset()
        self._axis = Axis()
        self._heard_before += self._heard
        self._base, self._given, self._heard, self._told = index, 0, 0, 0
        self._sound, self._fresh = [], True

    def _hear(self, samples: Samples) -> Iterator[Cue]:
        """Give the engine at most a hop at a time, so that nothing waits for what comes after."""
        spec = self._engine.spec
        size = spec.timeline.first_sample(spec.hop)
        if self.muted:
            samples = np.zeros_like(samples)
        for start in range(0, len(samples), size):
            if self.stopped:
                return
            piece = samples[start:start + size]
            frames = self._animate(piece)
            self._heard += len(piece)
            self._sound.append(piece)
            if self._heard - self._told >= size:
                yield self._sound_cue()
            yield from self._cues(frames)

    def _animate(self, piece: Samples) -> list[FaceFrame]:
        before = self._clock.now()
        slack = self._schedule.times(self._base + self._given)[1] - before
        if steps := self._policy.choose(slack):
            self._engine.steps = steps
            frames = self._engine.push(piece)
        else:
            frames = self._engine.bridge(piece)
            self.speculative += len(frames)
        spent = self._clock.now() - before
        if steps and frames:
            self._policy.measured(spent)
        self._spent.append((spent, len(piece)))
        return frames

    def _cues(self, frames: Iterable[FaceFrame]) -> Iterator[Cue]:
        for frame in frames:
            index = self._base + frame.index
            flags = frame.flags | (Flags.MUTED if self.muted else Flags.NONE)
            if self._fresh:
                flags |= Flags.DISCONTINUITY
                self._fresh = False
            self._given += 1
            captured, seen = self._schedule.times(index)
            yield Cue(self._schedule.due(index),
                      TimedFrame(frame._replace(index=index, flags=flags), captured, seen))

    def _sound_cue(self) -> Cue:
        """Return what was heard since the cue before; a hop at least, blocks may be tiny."""
        rate = self._engine.sample_rate
        captured, due, again = self._schedule.sound_times(self._told * SECOND // rate)
        start, self._told = self._heard_before + self._told, self._heard
        sound, self._sound = np.concatenate(self._sound), []
        return Cue(due, TimedAudio(start, sound, rate, captured, again))


class Axis:
    """Where blocks lie in their segment, by the source's own counting of samples."""

    def __init__(self) -> None:
        """Expect the first block."""
        self._rate = 0
        self._next = 0                  # index of the sample that should follow
        self._count = 0                 # samples at this rate
        self._before = 0                # ns at other rates

    def breaks(self, block: AudioBlock) -> bool:
        """Return whether a block is of another recording: its index jumps by over a second."""
        return block.sample_rate == self._rate and abs(block.start - self._next) > self._rate

    def place(self, block: AudioBlock) -> tuple[int, int]:
        """Return position and length of a block in nanoseconds; missing samples count."""
        if block.sample_rate != self._rate:
            self._before += self._nanoseconds(self._count)
            self._rate, self._count, self._next = block.sample_rate, 0, block.start
        self._count += max(0, block.start - self._next)
        position = self._before + self._nanoseconds(self._count)
        self._count += len(block.samples)
        self._next = block.start + len(block.samples)
        return position, self._before + self._nanoseconds(self._count) - position

    def _nanoseconds(self, samples: int) -> int:
        return samples * SECOND // self._rate if self._rate else 0
