# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Frames, layout, speaking state and delayed sound on ROS topics."""

from __future__ import annotations

from typing import Any, Protocol

from avatar_bridge_msgs.msg import AudioChunk, BlendshapeFrame, BlendshapeLayout
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from std_msgs.msg import Bool

from avatar_bridge.errors import SinkError
from avatar_bridge.frames import Event, Flags, StreamInfo, TimedAudio, TimedFrame
from avatar_bridge.ros.convert import chunk_message, frame_message, layout_message

LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE,
                     durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Publisher(Protocol):
    """The two methods of an rclpy publisher that are used here."""

    def publish(self, message: Any) -> None:
        """Send a message."""
        ...

    def get_subscription_count(self) -> int:
        """Return how many listen."""
        ...


class RosSink:
    """A `FrameSink` that publishes; its publishers live as long as the node."""

    def __init__(self, node: Node, *, depth: int = 5) -> None:
        """Make the publishers of `node`; frames are reliable, the last `depth` are kept."""
        frames = QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE)
        create = getattr(node, 'create_lifecycle_publisher', node.create_publisher)
        self._frames: Publisher = create(BlendshapeFrame, '~/blendshapes', frames)
        self._layout: Publisher = create(BlendshapeLayout, '~/layout', LATCHED)
        self._speaking: Publisher = create(Bool, '~/is_speaking', LATCHED)
        self._audio: Publisher = create(AudioChunk, '~/audio_delayed', qos_profile_sensor_data)
        self._avatar = ''
        self._spoken: bool | None = None

    def open(self, info: StreamInfo) -> None:
        """Publish the layout; who subscribes later gets it too."""
        self._avatar = info.avatar
        self._publish(self._layout, layout_message(info))
        self._say(False)

    def send(self, frame: TimedFrame) -> None:
        """Publish one frame, and whether somebody speaks where that changed."""
        self._publish(self._frames, frame_message(frame, self._avatar))
        self._say(bool(frame.frame.flags & Flags.SPEECH))

    def hear(self, audio: TimedAudio) -> None:
        """Publish the sound of the frames if anybody listens."""
        if self._audio.get_subscription_count():
            self._publish(self._audio, chunk_message(audio, self._avatar))

    def notify(self, event: Event) -> None:
        """After the end nobody speaks."""
        if event.name == 'end':
            self._say(False)

    def close(self) -> None:
        """Do nothing: the publishers are the node's."""

    def publishers(self) -> list[Publisher]:
        """Return the publishers, for whoever destroys them."""
        return [self._frames, self._layout, self._speaking, self._audio]

    def _say(self, spoken: bool) -> None:
        if spoken != self._spoken:
            self._publish(self._speaking, Bool(data=spoken))
            self._spoken = spoken

    @staticmethod
    def _publish(publisher: Publisher, message: Any) -> None:
        try:
            publisher.publish(message)
        except Exception as error:      # rclpy has no common type for a context that went down
            raise SinkError(f'ROS topic: publishing failed: {error}') from error
