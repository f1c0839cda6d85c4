# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The subscription to `audio`, whatever its type."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from avatar_bridge_msgs.msg import AudioChunk
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy

from avatar_bridge.audio.messages import Format, MessageReader
from avatar_bridge.errors import AudioError, MissingPackageError
from avatar_bridge.frames import AudioBlock, EndOfSpeech

#: Value of the parameter audio_type: name of the message in audio_common_msgs.
FOREIGN: Final = {'data': 'AudioData', 'data_stamped': 'AudioDataStamped', 'audio': 'Audio',
                  'stamped': 'AudioStamped'}

Take = Callable[[AudioBlock | EndOfSpeech], None]


class Hearing:
    """
    Subscribes to `audio` and gives what comes to `take`.

    Where the type is `auto` it begins with `AudioChunk`; `look` changes to the type of the
    publishers. (One node cannot subscribe to one topic with several types at once.)
    """

    def __init__(self, node: Node, take: Take, *, audio_type: str, depth: int,
                 format: Format) -> None:
        """Subscribe; raises `MissingPackageError` for a type that is not installed."""
        self._node = node
        self._take = take
        self._qos = QoSProfile(depth=depth, history=HistoryPolicy.KEEP_LAST,
                               reliability=ReliabilityPolicy.BEST_EFFORT)
        self._auto = audio_type == 'auto'
        self._reader = MessageReader(format)
        self.messages = 0           # received
        self.refused = 0            # of these, not understood
        self.problem = ''           # why the newest was refused, or nobody can be heard
        self._kind = 'chunk' if self._auto else audio_type
        self._subscription = self._subscribe(message_type(self._kind))
        info = None if self._auto and not installed() else _foreign('AudioInfo')
        self._info = None
        if info is not None and hasattr(info, 'coding_format'):
            self._info = node.create_subscription(info, 'audio_info', self._inform, self._qos)

    def look(self) -> None:
        """Follow the type of the publishers, if that is known and the type is `auto`."""
        if not self._auto or self._subscription is None:
            return
        topic = self._subscription.topic_name
        types = {info.topic_type for info in self._node.get_publishers_info_by_topic(topic)}
        if not types or type_name(self._kind) in types:
            return
        known = [kind for kind in ('chunk', *installed()) if type_name(kind) in types]
        if not known:
            self.problem = (f'{topic} has the type {", ".join(sorted(types))}; expected '
                            f'{", ".join(map(type_name, ("chunk", *installed())))}')
            return
        self._kind = known[0]
        self._node.destroy_subscription(self._subscription)
        self._subscription = self._subscribe(message_type(self._kind))

    def close(self) -> None:
        """Unsubscribe."""
        for subscription in (self._subscription, self._info):
            if subscription is not None:
                self._node.destroy_subscription(subscription)
        self._subscription = self._info = None

    def _subscribe(self, message: type) -> Any:
        return self._node.create_subscription(message, 'audio', self._hear, self._qos)

    def _hear(self, message: Any) -> None:
        self.messages += 1
        try:
            said = self._reader.push(message, self._node.get_clock().now().nanoseconds)
        except AudioError as error:
            self._refuse(error)
            return
        self.problem = ''
        for item in said:
            self._take(item)

    def _inform(self, info: Any) -> None:
        try:
            self._reader.inform(info)
        except AudioError as error:
            self._refuse(error)

    def _refuse(self, error: AudioError) -> None:
        self.refused += 1
        self.problem = str(error)
        self._node.get_logger().error(self.problem, throttle_duration_sec=5.0)


def message_type(kind: str) -> Any:
    """Return the message class of a value of audio_type."""
    if kind == 'chunk':
        return AudioChunk
    found = _foreign(FOREIGN[kind])
    if found is None:
        raise MissingPackageError(
            f'audio_type {kind}: expected audio_common_msgs with {FOREIGN[kind]}, which is not '
            f'installed here; found {", ".join(installed()) or "no audio_common_msgs"}')
    return found


def installed() -> list[str]:
    """Return the values of audio_type that audio_common_msgs offers here."""
    return [kind for kind, name in FOREIGN.items() if _foreign(name) is not None]


def type_name(kind: str) -> str:
    """Return the type's name as the graph has it."""
    if kind == 'chunk':
        return 'avatar_bridge_msgs/msg/AudioChunk'
    return f'audio_common_msgs/msg/{FOREIGN[kind]}'


def _foreign(name: str) -> Any:
    try:
        return getattr(import_module('audio_common_msgs.msg'), name, None)
    except ImportError:
        return None
