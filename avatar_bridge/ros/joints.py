# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Frames as positions of a robot's joints, in the message that its controller wants."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from builtin_interfaces.msg import Duration
from rclpy.lifecycle import LifecycleNode
import yaml  # type: ignore[import-untyped]  # comes with rclpy

from avatar_bridge.clock import MonotonicClock
from avatar_bridge.errors import SinkError, UsageError
from avatar_bridge.frames import Event, StreamInfo, TimedAudio, TimedFrame
from avatar_bridge.mappings.joints import JointMap, Positions
from avatar_bridge.ports import Clock
from avatar_bridge.protocols.fitting import Fitting
from avatar_bridge.ros.convert import SECOND, message_class, to_time

#: Value of the parameter joint_messages: (package, message, topic).
KINDS: Final = {
    'state': ('sensor_msgs', 'JointState', '~/joint_states'),
    'trajectory': ('trajectory_msgs', 'JointTrajectory', '~/joint_trajectory'),
    'commands': ('std_msgs', 'Float64MultiArray', '~/joint_commands'),
}
CATCH_UP: Final = SECOND // 5       # ns that joints go on at a time after the frames have ended
GO_HOME: Final = SECOND             # ns that they get to come to rest; a pump closes in 2 s


class JointSink:
    """
    A `FrameSink` that commands joints; its publisher lives until `destroy`, over many sessions.

    No command is further from the one before than the joint gets in that time. Where the frames
    end the joints still arrive, and at the close they go to rest.
    """

    def __init__(self, node: LifecycleNode, to_ros: Callable[[int], int], joints: JointMap, *,
                 kind: str = 'state', depth: int = 5, clock: Clock | None = None) -> None:
        """Publish as `node`; raises `MissingPackageError` where the message is not installed."""
        package, name, topic = KINDS[kind]
        self._message = message_class(package, name)
        self._make = {'state': self._state, 'trajectory': self._trajectory,
                      'commands': self._commands}[kind]
        self._node = node
        self._to_ros = to_ros
        self._joints = joints
        self._clock = clock or MonotonicClock()     # simulated time may stand still at the close
        self._publisher = node.create_lifecycle_publisher(self._message, topic, depth)
        self._positions = self._target = joints.rest
        self._info: StreamInfo | None = None
        self._due = Fitting(rate=joints.rate).is_due
        self._period = self._present = 0            # ns
        self._ahead = 0                             # of our clock, ns: when a frame is due

    def open(self, info: StreamInfo) -> None:
        """Begin where the joints are."""
        rate = min(self._joints.rate or info.fps, info.fps)
        self._period = int(SECOND / Fraction(rate))
        self._present = 0
        self._info = info

    def send(self, frame: TimedFrame) -> None:
        """Command what the pose wants, or as much of it as time allows."""
        if self._info is None:
            raise SinkError('the joints are not open')
        if self._due(frame.frame.index, self._info.fps):
            self._target = self._joints.target(frame.frame)
            # after a pause they still stand where the last command left them
            passed = min(max(frame.present_ns - self._present, 0), self._period)
            self._present = frame.present_ns
            self._ahead = frame.present_ns - self._clock.now()
            self._command(passed)

    def hear(self, audio: TimedAudio) -> None:
        """Ignore sound."""

    def notify(self, event: Event) -> None:
        """Ignore events."""

    def tick(self) -> None:
        """Let slow joints arrive where the last frame wants them."""
        self._settle(CATCH_UP)

    def close(self) -> None:
        """Bring the joints to rest, and stop."""
        if self._info is not None:
            self._target = self._joints.rest
            try:
                self._settle(GO_HOME)
            finally:
                self._info = None

    def destroy(self) -> None:
        """Take the topic away."""
        self._node.destroy_lifecycle_publisher(self._publisher)

    def _settle(self, longest: int) -> None:
        """Go on towards the target in real time, for `longest` nanoseconds at most."""
        end = self._clock.now() + longest
        while (self._positions != self._target).any() and self._clock.now() < end:
            self._clock.sleep_until(self._clock.now() + self._period)
            self._present = self._clock.now() + self._ahead
            self._command(self._period)

    def _command(self, passed: int) -> None:
        """Publish how far the joints get in `passed` nanoseconds."""
        before = self._positions
        self._positions = self._joints.approach(before, self._target, passed / SECOND)
        velocities = (self._positions - before) * (SECOND / max(passed, 1))
        try:
            self._publisher.publish(self._make(self._positions, velocities))
        except Exception as error:      # rclpy has no common type for a context that went down
            raise SinkError(f'joints: publishing failed: {error}') from error

    def _state(self, positions: Positions, velocities: Positions) -> Any:
        message = self._message(name=list(self._joints.names), position=_doubles(positions),
                                velocity=_doubles(velocities))
        message.header.stamp = to_time(self._to_ros(self._present))
        return message

    def _trajectory(self, positions: Positions, _: Positions) -> Any:
        # No stamp: from now on. No velocities: controllers refuse trajectories that end moving.
        point = message_class('trajectory_msgs', 'JointTrajectoryPoint')(
            positions=_doubles(positions),
            time_from_start=Duration(sec=self._period // SECOND, nanosec=self._period % SECOND))
        return self._message(joint_names=list(self._joints.names), points=[point])

    def _commands(self, positions: Positions, _: Positions) -> Any:
        return self._message(data=_doubles(positions))


def load_joints(path: Path) -> JointMap:
    """Read a robot's joints from YAML; raises `UsageError`."""
    try:
        values = yaml.load(path.read_bytes(), _Loader)
    except OSError as error:
        raise UsageError(f'joints: cannot read {path}: {error.strerror}') from error
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(f'joints: {path} is no YAML: {" ".join(str(error).split())}') from error
    try:
        return JointMap.from_mapping(values)
    except UsageError as error:
        raise UsageError(f'joints: {path}: {error}') from error


class _Loader(yaml.SafeLoader):     # type: ignore[misc]
    """YAML that says nothing twice: of two joints with one name only the last would move."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        said: list[Any] = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if said.count(key.value) > 1:
                raise yaml.MarkedYAMLError(problem=f'{key.value!r} is there twice',
                                           problem_mark=key.start_mark)
        return super().construct_mapping(node, deep)


def _doubles(values: Positions) -> array[float]:
    return array('d', values.tobytes())
