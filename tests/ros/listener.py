# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
A program beside the node: stores the frames that it receives.

listener.py OUT.npz    stops at SIGINT, or after a second without a frame once some came
"""

import signal
import sys
import time

from avatar_bridge_msgs.msg import BlendshapeFrame, BlendshapeLayout
import numpy as np
import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile

from avatar_bridge.ros.convert import from_time


def main(out):
    """Receive and store."""
    rclpy.init()
    node = rclpy.create_node('listener')
    frames, layouts, stopped = [], [], []
    signal.signal(signal.SIGINT, lambda *_: stopped.append(True))
    node.create_subscription(BlendshapeFrame, '/avatar_bridge/blendshapes',
                             lambda frame: frames.append((time.time_ns(), frame)), 100)
    node.create_subscription(
        BlendshapeLayout, '/avatar_bridge/layout', layouts.append,
        QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    print('listening', flush=True)
    while not stopped and not (frames and time.time_ns() - frames[-1][0] > 1_500_000_000):
        rclpy.spin_once(node, timeout_sec=0.05)
    np.savez(
        out, index=[frame.index for _, frame in frames],
        weights=np.array([frame.weights for _, frame in frames], np.float32).reshape(-1, 52),
        flags=[frame.flags for _, frame in frames], arrival=[arrival for arrival, _ in frames],
        present=[from_time(frame.header.stamp) for _, frame in frames],
        capture=[from_time(frame.capture_stamp) for _, frame in frames],
        avatar=[frame.header.frame_id for _, frame in frames],
        names=layouts[-1].names if layouts else [])
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == '__main__':
    main(*sys.argv[1:])
