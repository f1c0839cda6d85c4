# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
ROS message definitions as text, for recordings that are written or read without ROS.

The fields are those of `ros_ws/src/avatar_bridge_msgs/msg`; a test compares them.
"""

from __future__ import annotations

from typing import Final

DEFINITIONS: Final = {
    'builtin_interfaces/msg/Time': 'int32 sec\nuint32 nanosec\n',
    'std_msgs/msg/Header': 'builtin_interfaces/Time stamp\nstring frame_id\n',
    'avatar_bridge_msgs/msg/AudioChunk': """\
string S16LE="S16LE"
string F32LE="F32LE"
std_msgs/Header header
uint64 start
uint32 sample_rate
uint8 channels
string<=16 encoding
bool last
uint8[] data
""",
    'avatar_bridge_msgs/msg/BlendshapeFrame': """\
uint8 SPEECH=1
uint8 MUTED=2
uint8 IDLE=4
uint8 DISCONTINUITY=8
std_msgs/Header header
uint64 index
builtin_interfaces/Time capture_stamp
float32[52] weights
float32[3] head
float32[4] eyes
uint8 flags
""",
    'avatar_bridge_msgs/msg/BlendshapeLayout': """\
uint8 VERSION=1
uint8 version
string stream
string avatar
string[] names
uint32 fps_numerator
uint32 fps_denominator
float64 latency
string bundle
uint32 sample_rate
bool has_head
bool has_eyes
""",
}

#: What the two packages called `audio_common_msgs` put into a recording.
ROS_DRIVERS: Final = {
    'audio_common_msgs/msg/AudioData': 'uint8[] data\n',
    'audio_common_msgs/msg/AudioDataStamped':
        'std_msgs/Header header\naudio_common_msgs/AudioData audio\n',
    'audio_common_msgs/msg/AudioInfo':
        'uint8 channels\nuint32 sample_rate\nstring sample_format\nuint32 bitrate\n'
        'string coding_format\n',
}
MGONZS13: Final = {
    'audio_common_msgs/msg/AudioData':
        'float32[] float32_data\nint32[] int32_data\nint16[] int16_data\nint8[] int8_data\n'
        'uint8[] uint8_data\n',
    'audio_common_msgs/msg/AudioInfo': 'int32 format\nint32 channels\nint32 rate\nint32 chunk\n',
    'audio_common_msgs/msg/Audio':
        'audio_common_msgs/AudioData audio_data\naudio_common_msgs/AudioInfo info\n',
    'audio_common_msgs/msg/AudioStamped':
        'std_msgs/Header header\naudio_common_msgs/Audio audio\n',
}


def with_dependencies(name: str) -> str:
    """Return a definition followed by those of the messages it is made of."""
    parts, wanted, known = [DEFINITIONS[name]], [DEFINITIONS[name]], {name}
    while wanted:
        text = wanted.pop()
        for other, definition in DEFINITIONS.items():
            short = other.replace('/msg/', '/')
            if other not in known and any(line.startswith(short + ' ')
                                          for line in text.splitlines()):
                known.add(other)
                wanted.append(definition)
                parts.append(f'{"=" * 80}\nMSG: {short}\n{definition}')
    return ''.join(parts)
