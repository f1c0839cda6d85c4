# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Frames, layout, speaking state and delayed sound on ROS topics."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from typing import Any

from avatar_bridge_msgs.msg import AudioChunk, BlendshapeFrame, BlendshapeLayout
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from std_msgs.msg import Bool, Float32

from avatar_bridge.errors import MissingPackageError, SinkError
from avatar_bridge.frames import Event, Flags, StreamInfo, TimedAudio, TimedFrame
from avatar_bridge.mappings.facs import ActionUnits
from avatar_bridge.rig import INDEX
from avatar_bridge.ros.convert import (
    action_units_message,
    chunk_message,
    frame_message,
    layout_message,
    message_class,
)

LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE,
                     durability=DurabilityPolicy.TRANSIENT_LOCAL)

JAW = INDEX['jawOpen']


class RosSink:
    """A `FrameSink` that publishes; its publishers live until `destroy`, over many sessions."""

    def __init__(self, node: LifecycleNode, to_ros: Callable[[int], int], *,
                 depth: int = 5) -> None:
        """Publish as `node`; `to_ros` turns the session's nanoseconds into those of ROS."""
        self._node = node
        self._to_ros = to_ros
        frames = QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE)
        self._publishers: list[Any] = []
        self._frames = self._create(BlendshapeFrame, '~/blendshapes', frames)
        self._layout = self._create(BlendshapeLayout, '~/layout', LATCHED)
        self._speaking = self._create(Bool, '~/is_speaking', LATCHED)
        self._audio = self._create(AudioChunk, '~/audio_delayed', qos_profile_sensor_data)
        self._jaw = self._create(Float32, '~/jaw', frames)
        self._facs: Any = None
        with suppress(MissingPackageError):
            units = message_class('hri_msgs', 'FacialActionUnits')
            self._facs = self._create(units, '~/facs', frames)
        self._units = ActionUnits(Fraction(60))
        self._info: StreamInfo | None = None
        self._turns = False             # what the newest layout says of head and eyes
        self._spoken: bool | None = None

    def open(self, info: StreamInfo) -> None:
        """Publish the layout; who subscribes later gets it too."""
        self._info = info
        self._units = ActionUnits(info.fps)
        self._spoken = None
        self._describe(turns=False)
        self._say(False)

    def send(self, frame: TimedFrame) -> None:
        """Publish one frame, and whether somebody speaks where that changed."""
        if (turns := frame.frame.head is not None) != self._turns:
            self._describe(turns=turns)
        stamped = frame._replace(capture_ns=self._to_ros(frame.capture_ns),
                                 present_ns=self._to_ros(frame.present_ns))
        message = frame_message(stamped, self._avatar)
        self._publish(self._frames, message)
        if _is_heard(self._jaw):
            self._publish(self._jaw, Float32(data=float(frame.frame.weights[JAW])))
        if _is_heard(self._facs):
            self._publish(self._facs, action_units_message(
                self._units.push(frame.frame), message.header.stamp, self._avatar))
        self._say(bool(frame.frame.flags & Flags.SPEECH))

    def hear(self, audio: TimedAudio) -> None:
        """Publish the sound of the frames if anybody listens."""
        if _is_heard(self._audio):
            heard = audio._replace(present_ns=self._to_ros(audio.present_ns))
            self._publish(self._audio, chunk_message(heard, self._avatar))

    def notify(self, event: Event) -> None:
        """After the end nobody speaks."""
        if event.name == 'end':
            self._say(False)

    def close(self) -> None:
        """Do nothing: the publishers are the node's."""

    @property
    def subscribers(self) -> int:
        """How many the frames reach by now; what was sent before is lost to them."""
        return int(self._frames.get_subscription_count())

    def destroy(self) -> None:
        """Take the topics away."""
        for publisher in self._publishers:
            self._node.destroy_lifecycle_publisher(publisher)

    def _create(self, message: Any, topic: str, qos: QoSProfile) -> Any:
        publisher = self._node.create_lifecycle_publisher(message, topic, qos)
        self._publishers.append(publisher)
        return publisher

    @property
    def _avatar(self) -> str:
        return '' if self._info is None else self._info.avatar

    def _describe(self, *, turns: bool) -> None:
        """Publish the layout: at the start, and when idle life comes or goes."""
        assert self._info is not None
        self._turns = turns
        self._publish(self._layout, layout_message(self._info, turns=turns))

    def _say(self, spoken: bool) -> None:
        if spoken != self._spoken:
            self._publish(self._speaking, Bool(data=spoken))
            self._spoken = spoken

    @staticmethod
    def _publish(publisher: Any, message: Any) -> None:
        try:
            publisher.publish(message)
        except Exception as error:      # rclpy has no common type for a context that went down
            raise SinkError(f'ROS topic: publishing failed: {error}') from error


def _is_heard(publisher: Any) -> bool:
    """Return whether anybody subscribes to a topic that may not be there."""
    return publisher is not None and publisher.get_subscription_count() > 0
