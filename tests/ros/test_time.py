# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The node in simulated time: stamps are the bag's, a jump starts it afresh."""

from array import array
import time

from conftest import wait_until
from controller import Controller
import numpy as np
import pytest

from avatar_bridge.frames import Flags

pytestmark = [pytest.mark.ros, pytest.mark.slow]
RATE, BLOCK = 16000, 320


class Bag:
    """Publishes /clock and noise that fits it, as `ros2 bag play --clock` does."""

    def __init__(self, node):
        from avatar_bridge_msgs.msg import AudioChunk
        from rclpy.qos import qos_profile_sensor_data
        from rosgraph_msgs.msg import Clock

        self._node = node
        self._clock = node.create_publisher(Clock, '/clock', 10)
        self._audio = node.create_publisher(AudioChunk, 'audio', qos_profile_sensor_data)
        wait_until(self._audio.get_subscription_count)
        self._noise = np.random.default_rng(0).standard_normal(BLOCK) * 3000

    def play(self, begin, seconds):
        """Play from `begin` (s of the bag) in real time."""
        from avatar_bridge_msgs.msg import AudioChunk
        from rosgraph_msgs.msg import Clock

        from avatar_bridge.ros.convert import to_time

        began = time.monotonic()
        for block in range(int(seconds * RATE / BLOCK)):
            elapsed = block * BLOCK / RATE
            time.sleep(max(0.0, began + elapsed - time.monotonic()))
            stamp = to_time(int((begin + elapsed) * 1e9))
            self._clock.publish(Clock(clock=stamp))
            message = AudioChunk(start=block * BLOCK, sample_rate=RATE, channels=1,
                                 encoding='S16LE',
                                 data=array('B', self._noise.astype('<i2').tobytes()))
            message.header.stamp = stamp
            self._audio.publish(message)
            self._node.spin()


def test_stamps_are_the_bags_and_a_jump_starts_afresh(node, start):
    from avatar_bridge_msgs.msg import BlendshapeFrame

    from avatar_bridge.ros.convert import from_time

    program = start('-m', 'avatar_bridge.ros.node', '--ros-args', '-p', 'autostart:=true',
                    '-p', 'use_sim_time:=true', name='node')
    controller = Controller(node)
    controller.until(lambda: controller.state() == 'active')
    frames = controller.collect(BlendshapeFrame, '/avatar_bridge/blendshapes')
    bag = Bag(node)
    bag.play(1000.0, 1.0)
    before = len(frames)
    bag.play(10.0, 1.0)
    wait_until(lambda: 'ROS time jumped by -99' in program.log())
    assert [frame.index for frame in frames] == list(range(len(frames)))
    seconds = [from_time(frame.header.stamp) / 1e9 for frame in frames]
    assert all(999.9 < second < 1001.5 for second in seconds[:before])
    assert 10.0 < seconds[-1] < 11.5
    assert any(frame.flags & Flags.DISCONTINUITY for frame in frames[before:])
    assert controller.change('deactivate')      # though the bag stands still now
