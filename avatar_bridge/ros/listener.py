# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Store the frames of a node: `python -m avatar_bridge.ros.listener OUT.npz [NODE]`.

It prints `listening` once the node knows that somebody listens, and ends a second after the last
frame.
"""

from __future__ import annotations

from pathlib import Path
import sys

from avatar_bridge_msgs.msg import BlendshapeFrame, BlendshapeLayout
from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile

from avatar_bridge.clock import MonotonicClock
from avatar_bridge.ros.convert import SECOND, from_time


class Listener:
    """Subscriptions to one node's frames and layout, and what came."""

    def __init__(self, name: str) -> None:
        """Subscribe to the node called `name`."""
        self.frames: list[BlendshapeFrame] = []
        self.arrivals: list[int] = []
        self.layout: BlendshapeLayout | None = None
        self.known = False          # the node knows of us: from now on no frame is lost
        self._clock = MonotonicClock()
        self._node = rclpy.create_node('listener')
        self._node.create_subscription(BlendshapeFrame, f'{name}/blendshapes', self._take, 100)
        self._node.create_subscription(DiagnosticArray, '/diagnostics', self._look, 10)
        self._node.create_subscription(
            BlendshapeLayout, f'{name}/layout', self._meet,
            QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)

    def listen(self) -> None:
        """Receive until a second has passed without a frame."""
        announced = False
        while not self.arrivals or self._clock.now() - self.arrivals[-1] < SECOND:
            self._executor.spin_once(timeout_sec=0.05)
            if not announced and self.layout and self.known:
                announced = True
                print('listening', flush=True)
        self._node.destroy_node()

    def store(self, path: Path) -> None:
        """Write indices, times (ns) and weights to an npz file."""
        np.savez(path, latency_ms=1000 * self.layout.latency if self.layout else 0.0,
                 arrival=np.array(self.arrivals, np.int64),
                 index=np.array([frame.index for frame in self.frames], np.int64),
                 capture=np.array([from_time(frame.capture_stamp) for frame in self.frames],
                                  np.int64),
                 present=np.array([from_time(frame.header.stamp) for frame in self.frames],
                                  np.int64),
                 flags=[frame.flags for frame in self.frames],
                 avatar=[frame.header.frame_id for frame in self.frames],
                 names=list(self.layout.names) if self.layout else [],
                 weights=np.array([frame.weights for frame in self.frames], np.float32))

    def _take(self, frame: BlendshapeFrame) -> None:
        self.arrivals.append(self._clock.now())
        self.frames.append(frame)

    def _meet(self, layout: BlendshapeLayout) -> None:
        self.layout = layout

    def _look(self, diagnostics: DiagnosticArray) -> None:
        counters = {pair.key: pair.value for status in diagnostics.status
                    for pair in status.values}
        self.known = self.known or counters.get('subscribers', '0') != '0'


def main(path: str, name: str = '/avatar_bridge') -> int:
    """Listen and store."""
    rclpy.init()
    listener = Listener(name)
    listener.listen()
    listener.store(Path(path))
    rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
