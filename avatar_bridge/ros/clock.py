# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The node's time for a session: steady, whatever ROS time does."""

from __future__ import annotations

from threading import Condition
from typing import Final

from rclpy.clock import JumpThreshold, ROSClock, TimeJump
from rclpy.duration import Duration

from avatar_bridge.clock import MonotonicClock

STRIDE: Final = 2_000_000_000       # ns; simulated time that moves on by more has jumped
ADJUSTMENT: Final = 500_000_000     # ns; a system clock that is set by more has jumped


class RosClock:
    """
    A `Clock` that follows ROS time, simulated or not, and never jumps.

    Where ROS time jumps (a bag starts again, somebody sets the system clock) this clock goes on
    and only the distance between the two changes; stamps are carried across it.
    """

    def __init__(self, ros: ROSClock) -> None:
        """Follow `ros`; where it is simulated, some thread must spin the node."""
        self._ros = ros
        self._steady = MonotonicClock()
        self._moved = Condition()
        self._last = 0
        self._ahead = 0             # this clock minus its base
        self._jumped = 0
        self._simulated = bool(ros.ros_time_is_active)
        self._set = self._steady.now() - ros.now().nanoseconds
        self._handle = ros.create_jump_callback(
            JumpThreshold(min_forward=Duration(nanoseconds=1),
                          min_backward=Duration(nanoseconds=-1), on_clock_change=True),
            post_callback=self._on_update)

    def now(self) -> int:
        """Return nanoseconds; never jumps back."""
        with self._moved:
            return self._now()

    def sleep_until(self, deadline: int) -> None:
        """Return at `deadline` or soon after."""
        with self._moved:
            while (left := deadline - self._now()) > 0:
                # simulated time wakes it with every step
                self._moved.wait(0.5 if self._simulated else left / 1e9)

    def release(self) -> None:
        """Let go of ROS time and run by itself: nobody waits for a bag that stands still."""
        self._handle.unregister()
        with self._moved:
            distance = self._ahead + (0 if self._simulated else self._set)
            self._simulated = False
            self._ahead = (self._last or self._steady.now()) - self._steady.now()
            self._set = distance - self._ahead
            self._moved.notify_all()

    def to_ros(self, nanoseconds: int) -> int:
        """Return the ROS time of a moment of this clock."""
        return nanoseconds - self._distance()

    def from_ros(self, nanoseconds: int) -> int:
        """Return the moment of this clock at a ROS time."""
        return nanoseconds + self._distance()

    def take_jump(self) -> int:
        """Return by how many nanoseconds ROS time jumped since the last call, 0 if it did not."""
        with self._moved:
            if not self._simulated:
                moved = self._steady.now() - self._ros.now().nanoseconds
                if abs(moved - self._set) > ADJUSTMENT:
                    self._jumped += self._set - moved
                self._set = moved
            jumped, self._jumped = self._jumped, 0
            return jumped

    def _now(self) -> int:
        base = self._ros.now().nanoseconds if self._simulated else self._steady.now()
        self._last = max(self._last, base + self._ahead)
        return self._last

    def _distance(self) -> int:
        with self._moved:
            return self._ahead + (0 if self._simulated else self._set)

    def _on_update(self, update: TimeJump) -> None:
        delta = update.delta.nanoseconds
        with self._moved:
            if self._simulated != bool(self._ros.ros_time_is_active):
                self._simulated = not self._simulated
                self._set = self._steady.now() - self._ros.now().nanoseconds
                self._jump(delta)
            elif self._simulated and not 0 <= delta <= STRIDE:
                self._jump(delta)
            self._moved.notify_all()

    def _jump(self, delta: int) -> None:
        """Go on from where this clock was."""
        base = self._ros.now().nanoseconds if self._simulated else self._steady.now()
        self._ahead = (self._last or base) - base
        self._jumped += delta or 1
