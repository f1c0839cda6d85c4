# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
A program beside the node: stores action units and the frames that they were made of.

unit_listener.py OUT.npz FRAMES
"""

import sys

from avatar_bridge_msgs.msg import BlendshapeFrame
from hri_msgs.msg import FacialActionUnits
import numpy as np
import rclpy


def nanoseconds(message):
    """Return a message's stamp as a number."""
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec


def main(out, count):
    """Listen until frame `count` - 1 and its action units are there."""
    rclpy.init()
    node = rclpy.create_node('unit_listener')
    frames, units = [], []
    heard = [node.create_subscription(BlendshapeFrame, '/avatar_bridge/blendshapes',
                                      frames.append, 1000),
             node.create_subscription(FacialActionUnits, '/avatar_bridge/facs',
                                      units.append, 1000)]
    while not all(node.count_publishers(topic.topic_name) for topic in heard):
        rclpy.spin_once(node, timeout_sec=0.05)
    print('listening', flush=True)
    while not (frames and units and frames[-1].index == int(count) - 1
               and nanoseconds(units[-1]) == nanoseconds(frames[-1])):
        rclpy.spin_once(node, timeout_sec=0.05)
    count = min(len(frames), len(units))    # a topic that was found late lacks its first ones
    frames, units = frames[-count:], units[-count:]
    np.savez(out, weights=[frame.weights for frame in frames],
             flags=[frame.flags for frame in frames],
             frame_stamps=list(map(nanoseconds, frames)), stamps=list(map(nanoseconds, units)),
             intensity=[unit.intensity for unit in units],
             confidence=[unit.confidence for unit in units])
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == '__main__':
    main(*sys.argv[1:])
