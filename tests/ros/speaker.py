# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
A program beside the node: publishes a sound file on `audio` in real time, then ends.

speaker.py FILE [BLOCK] [SECONDS]    BLOCK in samples; the last chunk says `last`
"""

from array import array
import sys
import time

from avatar_bridge_msgs.msg import AudioChunk
import rclpy
from rclpy.qos import qos_profile_sensor_data
import soundfile

from avatar_bridge.ros.convert import to_time


def main(file, block=320, seconds=1e9):
    """Wait for a listener, speak, wait until all of it is on its way."""
    samples, rate = soundfile.read(file, dtype='int16')
    samples = samples[:int(float(seconds) * rate)]
    rclpy.init()
    node = rclpy.create_node('speaker')
    publisher = node.create_publisher(AudioChunk, 'audio', qos_profile_sensor_data)
    while not publisher.get_subscription_count():
        time.sleep(0.02)
    began = time.monotonic()
    for start in range(0, len(samples), int(block)):
        piece = samples[start:start + int(block)]
        captured = node.get_clock().now().nanoseconds
        end = start + len(piece)
        time.sleep(max(0.0, began + end / rate - time.monotonic()))
        message = AudioChunk(start=start, sample_rate=rate, channels=1, encoding='S16LE',
                             last=end == len(samples), data=array('B', piece.tobytes()))
        message.header.stamp = to_time(captured)
        publisher.publish(message)
    time.sleep(0.5)
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == '__main__':
    main(*sys.argv[1:])
