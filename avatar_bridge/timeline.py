# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The exact map between samples and frames: integers on one axis, seconds only derived."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
import math


@dataclass(frozen=True)
class Timeline:
    """
    Where frames lie on the axis of audio samples.

    Frame `i` starts at `i / fps` seconds. At 16 kHz and 60 fps that is every 266.67 samples,
    so the map is kept as a ratio of integers and never drifts.
    """

    sample_rate: int = 16000
    fps: Fraction = field(default=Fraction(60))

    def first_sample(self, frame: int) -> int:
        """Return the index of the first audio sample that belongs to `frame`."""
        return math.floor(frame * self.sample_rate / self.fps)

    def frames_in(self, samples: int) -> int:
        """Return how many frames `samples` samples fill, the last one perhaps in part."""
        return math.ceil(samples * self.fps / self.sample_rate)

    def complete_frames(self, samples: int) -> int:
        """Return the largest `n` so that the first `n` frames lie within `samples` samples."""
        return math.ceil((samples + 1) * self.fps / self.sample_rate) - 1

    def nanoseconds(self, frame: int) -> int:
        """Return the start of `frame` in nanoseconds after the start of the stream."""
        return math.floor(frame * 1_000_000_000 / self.fps)


@dataclass(frozen=True)
class StreamSpec:
    """
    How a stream is cut: frames a prediction covers, commits and holds back.

    The fade lies inside the look-ahead (the held-back guess is cross-faded into the fresh
    prediction), so it costs no latency: latency = (hop + lookahead) / fps.
    """

    timeline: Timeline = field(default_factory=Timeline)
    window: int = 30
    hop: int = 3
    lookahead: int = 3
    fade: int = 3

    def __post_init__(self) -> None:
        """Check that the cut makes sense."""
        if not 0 < self.hop <= self.window - self.lookahead:
            raise ValueError(f'hop must lie in (0, window - lookahead], got {self.hop}')
        if self.lookahead < 0:
            raise ValueError(f'lookahead must not be negative, got {self.lookahead}')
        if not 0 <= self.fade <= self.lookahead:
            raise ValueError(f'fade must lie in [0, lookahead], got {self.fade}')

    @classmethod
    def from_seconds(
        cls, timeline: Timeline, *, window: float, hop: float, lookahead: float,
    ) -> StreamSpec:
        """
        Cut in whole frames, never with more latency than `hop + lookahead` seconds.

        The fade takes all of a look-ahead about as long as the hop: hardly a frame fades twice.
        """
        total = max(1, math.floor((hop + lookahead) * timeline.fps + Fraction(1, 1000)))
        frames = min(total, max(1, math.floor(hop * timeline.fps + Fraction(1, 1000))))
        rest = total - frames
        context = max(1, math.ceil(window * timeline.fps) - total)
        return cls(timeline, context + total, frames, rest, fade=min(rest, frames + 1))

    @property
    def fps(self) -> Fraction:
        """Face frames per second."""
        return self.timeline.fps

    @property
    def context(self) -> int:
        """Frames of a window that are final already."""
        return self.window - self.hop - self.lookahead

    @property
    def latency(self) -> Fraction:
        """Algorithmic latency in seconds."""
        return (self.hop + self.lookahead) / self.fps
