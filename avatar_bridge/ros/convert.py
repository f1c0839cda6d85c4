# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Frames, stream facts and sound to ROS messages; pure but for the message classes."""

from __future__ import annotations

from array import array
from importlib import import_module
from typing import Any

from avatar_bridge_msgs.msg import AudioChunk, AudioLevel, BlendshapeFrame, BlendshapeLayout
from builtin_interfaces.msg import Time
import numpy as np

from avatar_bridge.errors import MissingPackageError
from avatar_bridge.frames import StreamInfo, TimedAudio, TimedFrame, Weights, angles
from avatar_bridge.mappings.facs import COUNT, DRIVEN

SECOND = 1_000_000_000

#: Action units that no shape of ours moves are not zero but unknown.
CONFIDENCE = np.isin(np.arange(COUNT), DRIVEN).astype(np.float32)


def to_time(nanoseconds: int) -> Time:
    """Return a ROS stamp; times before 1970 and after 2038 are cut to what a stamp can hold."""
    seconds, rest = divmod(min(max(nanoseconds, 0), (2**31 - 1) * SECOND), SECOND)
    return Time(sec=seconds, nanosec=rest)


def from_time(stamp: Time) -> int:
    """Return nanoseconds."""
    return int(stamp.sec) * SECOND + int(stamp.nanosec)


def message_class(package: str, name: str) -> Any:
    """Return a class out of a package that may be missing; raises `MissingPackageError`."""
    try:
        return getattr(import_module(f'{package}.msg'), name)
    except (ImportError, AttributeError):
        raise MissingPackageError(
            f'{name}: expected the package {package}, which is not installed here; '
            f'sudo apt install ros-$ROS_DISTRO-{package.replace("_", "-")}') from None


def frame_message(timed: TimedFrame, avatar: str) -> BlendshapeFrame:
    """Return the message of one frame; head and eyes stay zero where it does not turn them."""
    message = BlendshapeFrame()
    message.header.stamp = to_time(timed.present_ns)
    message.header.frame_id = avatar
    message.index = timed.frame.index
    message.capture_stamp = to_time(timed.capture_ns)
    message.weights = np.ascontiguousarray(timed.frame.weights, np.float32)
    turned = angles(timed.frame)
    message.head, message.eyes = turned[:3], turned[3:]
    message.flags = int(timed.frame.flags)
    return message


def layout_message(info: StreamInfo, *, turns: bool = False) -> BlendshapeLayout:
    """Return what a subscriber should know; `turns`: whether frames turn head and eyes."""
    return BlendshapeLayout(
        version=BlendshapeLayout.VERSION, stream=info.stream, avatar=info.avatar,
        names=list(info.names), fps_numerator=info.fps.numerator,
        fps_denominator=info.fps.denominator, latency=float(info.latency), bundle=info.bundle,
        sample_rate=info.sample_rate, has_head=turns, has_eyes=turns,
    )


def action_units_message(units: Weights, stamp: Time, avatar: str) -> Any:
    """Return an hri_msgs/FacialActionUnits of (99,) intensities; raises as `message_class`."""
    message = message_class('hri_msgs', 'FacialActionUnits')()
    message.header.stamp = stamp
    message.header.frame_id = avatar
    message.intensity = units
    message.confidence = CONFIDENCE
    return message


def chunk_message(audio: TimedAudio, avatar: str) -> AudioChunk:
    """Return delayed sound, stamped with the time at which it is to be heard."""
    message = AudioChunk(start=audio.start, sample_rate=audio.sample_rate, channels=1,
                         encoding=AudioChunk.S16LE)
    message.header.stamp = to_time(audio.present_ns)
    message.header.frame_id = avatar
    scaled = np.clip(np.rint(audio.samples * 32768.0), -32768, 32767)
    message.data = array('B', scaled.astype('<i2').tobytes())
    return message


def level_message(level: tuple[float, float], *, clipping: bool, stamp: Time,
                  avatar: str) -> AudioLevel:
    """Return a message of (rms, peak) in dBFS."""
    message = AudioLevel(rms_dbfs=level[0], peak_dbfs=level[1], clipping=clipping)
    message.header.stamp = stamp
    message.header.frame_id = avatar
    return message
