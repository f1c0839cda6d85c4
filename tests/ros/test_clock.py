# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The session's clock across jumps of simulated time."""

from threading import Thread

import pytest

pytestmark = pytest.mark.ros
SECOND = 1_000_000_000


@pytest.fixture
def ros():
    """Return a simulated ROS clock at 1000 s."""
    from rclpy.clock import ROSClock

    clock = ROSClock()
    clock._set_ros_time_is_active(True)
    set_time(clock, 1000)
    return clock


def set_time(clock, seconds):
    from rclpy.time import Time

    clock.set_ros_time_override(Time(nanoseconds=int(seconds * SECOND),
                                     clock_type=clock.clock_type))


@pytest.fixture
def clock(ros):
    from avatar_bridge.ros.clock import RosClock

    clock = RosClock(ros)
    yield clock
    clock.release()


def test_it_follows_simulated_time(ros, clock):
    set_time(ros, 1001)
    assert clock.now() == 1001 * SECOND
    assert clock.take_jump() == 0


@pytest.mark.parametrize('there', [5, 990, 5000])
def test_it_goes_on_where_simulated_time_jumps(ros, clock, there):
    before = clock.now()
    set_time(ros, there)
    assert clock.now() == before
    set_time(ros, there + 1)
    assert clock.now() == before + SECOND
    assert clock.take_jump() == (there - 1000) * SECOND
    assert clock.take_jump() == 0


def test_stamps_are_carried_across_a_jump(ros, clock):
    set_time(ros, 5)
    assert clock.to_ros(clock.now()) == 5 * SECOND
    assert clock.from_ros(5 * SECOND) == clock.now()


def test_who_sleeps_wakes_when_simulated_time_comes(ros, clock):
    sleeper = Thread(target=clock.sleep_until, args=(1001 * SECOND,))
    sleeper.start()
    set_time(ros, 1000.5)
    sleeper.join(0.1)
    assert sleeper.is_alive()
    set_time(ros, 1001)
    sleeper.join(5)
    assert not sleeper.is_alive()


def test_once_released_it_runs_by_itself_from_where_it_was(clock):
    sleeper = Thread(target=clock.sleep_until, args=(clock.now() + SECOND // 10,))
    sleeper.start()
    clock.release()
    sleeper.join(5)
    assert not sleeper.is_alive()
    assert 1000 < clock.to_ros(clock.now()) / SECOND < 1006


def test_switching_to_simulated_time_is_a_jump():
    from rclpy.clock import ROSClock

    from avatar_bridge.ros.clock import RosClock

    ros = ROSClock()
    clock = RosClock(ros)
    before = clock.now()
    ros._set_ros_time_is_active(True)
    set_time(ros, 7)
    assert clock.now() >= before
    assert clock.take_jump() != 0
    assert clock.to_ros(clock.now()) == 7 * SECOND
    clock.release()
