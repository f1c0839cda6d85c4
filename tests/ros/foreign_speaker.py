# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
A program beside the node: speaks in the messages of a package called audio_common_msgs.

foreign_speaker.py data_stamped|stamped|mp3 FILE SECONDS
"""

from array import array
import sys
import time

from audio_common_msgs import msg
import rclpy
from rclpy.qos import qos_profile_sensor_data
import soundfile

BLOCK = 512


def data_stamped(samples, _rate):
    """Return a message of ros-drivers."""
    message = msg.AudioDataStamped()
    message.audio.data = array('B', samples.tobytes())
    return message


def stamped(samples, rate):
    """Return a message of mgonzs13."""
    message = msg.AudioStamped()
    message.audio.audio_data.int16_data = array('h', samples.tobytes())
    message.audio.info.format = 8
    message.audio.info.channels = 1
    message.audio.info.rate = rate
    message.audio.info.chunk = len(samples)
    return message


def info(rate, coding):
    """Return what ros-drivers says about its bytes, once."""
    return msg.AudioInfo(channels=1, sample_rate=rate, sample_format='S16LE',
                         coding_format=coding)


def main(kind, file, seconds):
    """Wait for a listener and speak in real time."""
    samples, rate = soundfile.read(file, dtype='int16')
    samples = samples[:int(float(seconds) * rate)]
    rclpy.init()
    node = rclpy.create_node('foreign_speaker')
    make = stamped if kind == 'stamped' else data_stamped
    publisher = node.create_publisher(type(make(samples[:1], rate)), 'audio',
                                      qos_profile_sensor_data)
    if make is data_stamped:
        about = node.create_publisher(msg.AudioInfo, 'audio_info', 1)
        while not about.get_subscription_count():
            time.sleep(0.02)
        time.sleep(1)       # the node must have found us, too: it is said once
        about.publish(info(rate, 'MP3' if kind == 'mp3' else 'WAVE'))
    while not publisher.get_subscription_count():
        time.sleep(0.02)
    time.sleep(1)       # the node must have found us, too: best effort repeats nothing
    for start in range(0, len(samples), BLOCK):
        message = make(samples[start:start + BLOCK], rate)
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)
        time.sleep(BLOCK / rate)
    time.sleep(0.5)
    rclpy.try_shutdown()


if __name__ == '__main__':
    main(*sys.argv[1:])
