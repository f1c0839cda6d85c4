# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The audio of a ROS recording; no ROS is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
import threading

from avatar_bridge.audio.messages import MessageReader
from avatar_bridge.errors import AudioError
from avatar_bridge.frames import AudioBlock, EndOfSpeech, Event
from avatar_bridge.sources.recording import Part, read_parts

#: Types with sound in them, the most telling first.
TYPES = (
    'avatar_bridge_msgs/msg/AudioChunk', 'audio_common_msgs/msg/AudioStamped',
    'audio_common_msgs/msg/Audio', 'audio_common_msgs/msg/AudioDataStamped',
    'audio_common_msgs/msg/AudioData',
)
INFO = 'audio_common_msgs/msg/AudioInfo'
BARE = TYPES[3:]                # say nothing of rate and channels: ros-drivers' AudioInfo does


class BagSource:
    """
    Yield the audio of one topic; times are those of the recording.

    A recording that was cut short yields all that can be read and then raises `AudioError`.
    """

    def __init__(self, path: Path | str, topic: str = '') -> None:
        """Open a rosbag2 folder or file; an empty topic means the only one with audio."""
        self.path = Path(path)
        self._parts = read_parts(self.path)
        topics = {name: kind for part in self._parts for name, kind in part.topics.items()}
        self.topic = chosen_topic(topics, topic, self.path)
        self._reader = MessageReader()
        self._closed = threading.Event()
        if topics[self.topic] in BARE:
            self._inform(topics)

    def blocks(self) -> Iterator[AudioBlock | EndOfSpeech | Event]:
        """Yield blocks to the end; raises `AudioError` there if the recording was cut short."""
        seconds = 0.0
        for part in self._parts:
            for message in part.messages([self.topic]):
                if self._closed.is_set():
                    return
                for item in self._reader.push(message.content, message.time):
                    yield item
                    if isinstance(item, AudioBlock):
                        seconds += len(item.samples) / item.sample_rate
        if any(part.is_cut for part in self._parts):
            raise AudioError(f'{self.path} was cut short: {seconds:.2f} s of audio could be read '
                             'and were used; get the whole recording for the rest')
        if not seconds:
            raise AudioError(f'{self.path}: expected audio on {self.topic}, found no samples')

    def close(self) -> None:
        """Make `blocks` end with the next message."""
        self._closed.set()

    def _inform(self, topics: dict[str, str]) -> None:
        """Tell the reader what bare bytes mean, if somebody recorded it."""
        names = [name for name, kind in topics.items() if kind == INFO]
        folder = self.topic.rpartition('/')[0]
        names.sort(key=lambda name: name.rpartition('/')[0] != folder)
        info = first_message(self._parts, names[0]) if names else None
        if info is not None:
            self._reader.inform(info)


def first_message(parts: Sequence[Part], topic: str) -> object | None:
    """Return the first message of a topic."""
    return next((message.content for part in parts for message in part.messages([topic])), None)


def chosen_topic(topics: dict[str, str], wanted: str, path: Path) -> str:
    """Return the topic that has the audio; raises `AudioError` where that is not clear."""
    sounding = {name: kind for name, kind in topics.items() if kind in TYPES}
    if wanted:
        for name in (wanted, f'/{wanted}'):
            if name in sounding:
                return name
        raise AudioError(f'{path}: expected audio on {wanted}, found '
                         f'{_listed(sounding) or "none on any topic"}')
    if not sounding:
        raise AudioError(f'{path}: expected a topic with audio (AudioChunk or '
                         f'audio_common_msgs), found {_listed(topics)}')
    best = min(sounding.values(), key=TYPES.index)
    names = [name for name, kind in sounding.items() if kind == best]
    if len(names) > 1:
        raise AudioError(f'{path} has audio on several topics, choose one: '
                         f'{_listed(dict.fromkeys(names, best))}')
    return names[0]


def _listed(topics: dict[str, str]) -> str:
    listed = [f'{name} ({kind})' for name, kind in sorted(topics.items())]
    return ', '.join(listed[:8]) + ', ...' * (len(listed) > 8)
