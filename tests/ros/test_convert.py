# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Frames and stream facts as ROS messages."""

from fractions import Fraction

import numpy as np
import pytest

from avatar_bridge.frames import FaceFrame, Flags, StreamInfo, TimedFrame
from avatar_bridge.rig import NAMES

pytestmark = pytest.mark.ros
WEIGHTS = np.random.default_rng(3).random(52, np.float32)
INFO = StreamInfo('run', 'bob', NAMES, Fraction(60), Fraction(1, 10), 'live', 16000)


def test_a_frame_keeps_its_head_and_eyes():
    from avatar_bridge.ros.convert import frame_message

    head, eyes = np.float32([0.1, -0.2, 0.3]), np.float32([0.4, 0.5, 0.6, 0.7])
    message = frame_message(
        TimedFrame(FaceFrame(7, WEIGHTS, Flags.IDLE, head, eyes), 1, 1_500_000_000), 'bob')
    assert np.array_equal(message.head, head)
    assert np.array_equal(message.eyes, eyes)
    assert np.array_equal(message.weights, WEIGHTS)
    assert (message.index, message.flags, message.header.stamp.sec) == (7, message.IDLE, 1)


def test_a_frame_that_turns_nothing_has_zeros():
    from avatar_bridge.ros.convert import frame_message

    message = frame_message(TimedFrame(FaceFrame(0, WEIGHTS), 0, 0), 'bob')
    assert not message.head.any()
    assert not message.eyes.any()


@pytest.mark.parametrize('turns', [False, True])
def test_the_layout_says_whether_head_and_eyes_mean_anything(turns):
    from avatar_bridge.ros.convert import layout_message

    message = layout_message(INFO, turns=turns)
    assert (message.has_head, message.has_eyes, list(message.names)) == (turns, turns, list(NAMES))
