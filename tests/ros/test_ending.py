# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""However the node ends, the last frames are not lost and the exit status is 0."""

from array import array
from functools import partial
import signal
import subprocess
import sys

from conftest import wait_until
from controller import Controller
import numpy as np
import pytest

pytestmark = [pytest.mark.ros, pytest.mark.slow]


def chunk(seconds):
    """Return sound that does not say that it was the last."""
    from avatar_bridge_msgs.msg import AudioChunk

    sound = (np.sin(np.arange(int(16000 * seconds))) * 9000).astype('<i2')
    return AudioChunk(sample_rate=16000, channels=1, encoding='S16LE',
                      data=array('B', sound.tobytes()))


def counted(diagnostics, key):
    """Return what the node last said of one of its counters."""
    values = {pair.key: pair.value for pair in diagnostics[-1].status[0].values}
    return int(values[key])


def known_to_the_node(diagnostics):
    """Return whether the node says that somebody receives its frames."""
    return diagnostics and counted(diagnostics, 'subscribers') == 1


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_the_last_frames_are_published_after_the_signal(node, start, number):
    from avatar_bridge_msgs.msg import AudioChunk, BlendshapeFrame
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.qos import qos_profile_sensor_data

    publisher = node.create_publisher(AudioChunk, 'audio', qos_profile_sensor_data)
    program = start('-m', 'avatar_bridge.ros.node', '--ros-args', '-p', 'autostart:=true',
                    '-p', 'pace:=max', name='node')
    controller = Controller(node)
    controller.until(lambda: controller.state() == 'active')
    frames = controller.collect(BlendshapeFrame, '/avatar_bridge/blendshapes')
    diagnostics = controller.collect(DiagnosticArray, '/diagnostics')
    controller.until(lambda: known_to_the_node(diagnostics))
    publisher.publish(chunk(0.5))
    controller.until(lambda: len(frames) >= 24)         # the look-ahead still holds 100 ms
    program.send_signal(number)
    controller.until(lambda: program.poll() is not None)
    controller.until(lambda: len(frames) == 30)
    assert program.returncode == 0, program.log()
    assert 'Traceback' not in program.log()


#: Subscribes as the node names its topics, says so, and does nothing more.
LISTENER = """
import time
import rclpy
from avatar_bridge_msgs.msg import BlendshapeFrame
rclpy.init()
node = rclpy.create_node('listener')
node.create_subscription(BlendshapeFrame, '/avatar_bridge/blendshapes', print, 100)
while not node.count_publishers('/avatar_bridge/blendshapes'):
    time.sleep(0.02)
print('here', flush=True)
time.sleep(60)
"""


def test_a_subscriber_that_stands_still_does_not_hold_the_end_up(node, start):
    from avatar_bridge_msgs.msg import AudioChunk
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.qos import qos_profile_sensor_data

    publisher = node.create_publisher(AudioChunk, 'audio', qos_profile_sensor_data)
    program = start('-m', 'avatar_bridge.ros.node', '--ros-args', '-p', 'autostart:=true',
                    '-p', 'pace:=max', name='node')
    listener = start('-c', LISTENER, name='listener')
    controller = Controller(node)
    diagnostics = controller.collect(DiagnosticArray, '/diagnostics')
    controller.until(lambda: 'here' in listener.log() and known_to_the_node(diagnostics))
    listener.send_signal(signal.SIGSTOP)
    try:
        publisher.publish(chunk(0.5))
        controller.until(lambda: counted(diagnostics, 'frames') >= 24)
        program.send_signal(signal.SIGINT)
        assert program.wait(4) == 0, program.log()      # `ros2 launch` insists after five
    finally:
        listener.kill()


def test_a_node_started_in_the_background_of_a_script_hears_ctrl_c(node):
    ignoring = partial(signal.signal, signal.SIGINT, signal.SIG_IGN)
    program = subprocess.Popen([sys.executable, '-m', 'avatar_bridge.ros.node'],
                               preexec_fn=ignoring)
    wait_until(lambda: 'avatar_bridge' in node.get_node_names())
    program.send_signal(signal.SIGINT)
    assert program.wait(15) == 0
