# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Speak a file on the topic `audio`, in real time.

`python -m avatar_bridge.ros.speaker FILE [BLOCK]`, a block is so many samples in a message.

It waits for a listener, and the last chunk says that it is the last.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
import sys

from avatar_bridge_msgs.msg import AudioChunk
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data

from avatar_bridge.clock import MonotonicClock
from avatar_bridge.frames import AudioBlock
from avatar_bridge.ros.convert import SECOND, to_time
from avatar_bridge.sources.file import FileSource


def chunks(source: FileSource) -> Iterator[AudioChunk]:
    """Yield a message for each block of the file."""
    total = round(source.duration * source.sample_rate)
    for block in source.blocks():
        if isinstance(block, AudioBlock):
            scaled = np.clip(np.rint(block.samples * 32768.0), -32768, 32767).astype('<i2')
            chunk = AudioChunk(start=block.start, sample_rate=block.sample_rate,
                               channels=source.channels, encoding=AudioChunk.S16LE,
                               last=block.start + len(scaled) >= total,
                               data=array('B', scaled.tobytes()))
            chunk.header.stamp = to_time(block.capture_ns or 0)
            yield chunk


def main(path: str, block: str = '320') -> int:
    """Speak in blocks of so many samples and leave once everything is on its way."""
    clock = MonotonicClock()
    rclpy.init()
    node = rclpy.create_node('speaker')
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    publisher = node.create_publisher(AudioChunk, 'audio', qos_profile_sensor_data)
    while not publisher.get_subscription_count():
        executor.spin_once(timeout_sec=0.05)
    for chunk in chunks(FileSource(path, block=int(block), clock=clock)):
        publisher.publish(chunk)
    clock.sleep_until(clock.now() + SECOND // 2)
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
