# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What travels through the house: blocks of audio, windows, frames of a face."""

from __future__ import annotations

from enum import IntFlag
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Weights = NDArray[np.float32]


class Flags(IntFlag):
    """What else is true of a frame (wire version 1)."""

    NONE = 0
    SPEECH = 1
    MUTED = 2
    IDLE = 4
    DISCONTINUITY = 8


class AudioBlock(NamedTuple):
    """What a source hands over: any number of samples on the source's own axis."""

    start: int                      # index of the first sample, at `sample_rate`
    samples: Samples                # (n,) mono or (n, channels), [-1, 1]
    sample_rate: int                # Hz
    capture_ns: int | None = None   # when the first sample was heard, ns of the session's clock


class EndOfSpeech(NamedTuple):
    """In the stream of blocks: what was heard so far is complete (flush, then start afresh)."""


class Event(NamedTuple):
    """Something that happened to the stream: start, flush, mute, end, error, device, ..."""

    name: str
    detail: str = ''


class AudioWindow(NamedTuple):
    """The audio that became known since the window before, and the frames asked for."""

    start: int                      # index of the first new sample, 16 kHz
    samples: Samples                # (n,) new samples; the model keeps what it needs of the past
    first_frame: int                # absolute index of the first frame of the window
    frames: int                     # frames in the window


class FrameWindow(NamedTuple):
    """One prediction: consecutive frames from `first_frame` on."""

    first_frame: int
    coefficients: Weights           # (frames, 52), standardised
    #: (n,) log odds of speech in the next n pieces of 20 ms, where the network tells
    speech: Weights | None = None


class FaceFrame(NamedTuple):
    """
    One final pose of the face; its time is `index / fps`.

    Head and eyes come with idle life, radians; + is to the subject's left and up, and roll + leans
    the head to its left shoulder. Eyes are relative to the head and say what the eyeLook weights
    say: whoever turns the eyeballs by one of them leaves the other alone.
    """

    index: int                      # type: ignore[assignment]  # shadows tuple.index
    weights: Weights                # (52,) float32 in [0, 1], order of rig.NAMES
    flags: Flags = Flags.NONE
    head: Weights | None = None     # (3,) float32 yaw, pitch, roll
    eyes: Weights | None = None     # (4,) float32 left yaw, left pitch, right yaw, right pitch


def angles(frame: FaceFrame) -> Weights:
    """Return (7,) head and eyes, zero where the frame does not turn them."""
    return np.concatenate([np.zeros(3, np.float32) if frame.head is None else frame.head,
                           np.zeros(4, np.float32) if frame.eyes is None else frame.eyes])


class TimedFrame(NamedTuple):
    """A frame and its times, nanoseconds of the session's clock."""

    frame: FaceFrame
    capture_ns: int                 # when the sound of this frame was heard
    present_ns: int                 # when the frame is to be seen


class TimedAudio(NamedTuple):
    """Sound delayed so that it fits the frames."""

    start: int
    samples: Samples                # (n,) mono
    sample_rate: int
    capture_ns: int
    present_ns: int


class StreamInfo(NamedTuple):
    """What a sink should know about the stream before the first frame."""

    stream: str                     # id of this run
    avatar: str
    names: tuple[str, ...]
    fps: Fraction
    latency: Fraction               # algorithmic, seconds
    bundle: str
    sample_rate: int


State = dict[str, Any]              # what a network carries between hops; the caller keeps it
