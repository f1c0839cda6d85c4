# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Joints follow known poses, never leave their limits and never move faster than they may."""

import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from avatar_bridge.errors import UsageError
from avatar_bridge.frames import FaceFrame
from avatar_bridge.mappings.joints import JointMap
from avatar_bridge.rig import INDEX, NAMES

ROBOT = {
    'rate': 50,
    'joints': {
        'jaw': {'limits': [0.0, 0.4], 'velocity': 2.0,
                'shapes': {'jawOpen': 1.0, 'mouthClose': -1.0}},
        'corner': {'limits': [-0.2, 0.6], 'velocity': 3,
                   'shapes': {'mouthSmileLeft': 1, 'mouthFrownLeft': -1}},
        'lids': {'limits': [0.0, 0.9], 'rest': 0.6, 'velocity': 10.0,
                 'shapes': {'eyeBlinkLeft': -0.5, 'eyeBlinkRight': -0.5, 'eyeWideLeft': 1.0}},
        'neck': {'limits': [-0.5, 0.5], 'velocity': 1.0, 'angles': {'headYaw': -1.0}},
    },
}
LOW, HIGH = np.array([joint['limits'] for joint in ROBOT['joints'].values()]).T
VELOCITY = np.array([joint['velocity'] for joint in ROBOT['joints'].values()])


def pose(head=None, **weights):
    """Return a frame."""
    values = np.zeros(len(NAMES), np.float32)
    for name, weight in weights.items():
        values[INDEX[name]] = weight
    return FaceFrame(0, values, head=None if head is None else np.array(head, np.float32))


@pytest.mark.parametrize(('frame', 'expected'), [
    (pose(), [0.0, 0.0, 0.6, 0.0]),
    (pose(jawOpen=0.5), [0.2, 0.0, 0.6, 0.0]),
    (pose(jawOpen=0.5, mouthClose=0.5), [0.0, 0.0, 0.6, 0.0]),
    (pose(mouthSmileLeft=1), [0.0, 0.6, 0.6, 0.0]),
    (pose(mouthFrownLeft=0.5), [0.0, -0.1, 0.6, 0.0]),
    (pose(eyeBlinkLeft=1, eyeBlinkRight=1), [0.0, 0.0, 0.0, 0.0]),
    (pose(eyeBlinkLeft=1), [0.0, 0.0, 0.3, 0.0]),
    (pose(eyeWideLeft=0.5), [0.0, 0.0, 0.75, 0.0]),
    (pose(head=(0.3, 0.1, 0.1)), [0.0, 0.0, 0.6, -0.3]),
    (pose(head=(-2.0, 0, 0)), [0.0, 0.0, 0.6, 0.5]),
])
def test_a_known_pose_moves_the_joints_where_the_file_says(frame, expected):
    joints = JointMap.from_mapping(ROBOT)
    assert joints.names == ('jaw', 'corner', 'lids', 'neck')
    assert joints.target(frame) == pytest.approx(expected, abs=1e-6)


@given(st.integers(0, 2**32 - 1), st.lists(st.floats(0, 0.1), max_size=8))
def test_no_pose_moves_a_joint_out_of_its_limits_or_too_fast(seed, steps):
    rng = np.random.default_rng(seed)
    joints = JointMap.from_mapping(ROBOT)
    positions = joints.rest
    for seconds in steps:
        weights = rng.uniform(0, 1, len(NAMES)).astype(np.float32) ** 0.3
        target = joints.target(FaceFrame(0, weights, head=rng.normal(size=3).astype(np.float32)))
        moved = joints.approach(positions, target, seconds)
        assert (np.abs(moved - positions) <= VELOCITY * seconds + 1e-12).all()
        assert (moved >= LOW).all()
        assert (moved <= HIGH).all()
        positions = moved


def test_a_joint_arrives_exactly_and_as_soon_as_it_may():
    joints = JointMap.from_mapping(ROBOT)
    target = joints.target(pose(jawOpen=0.95))
    positions, steps = joints.rest, 0
    while (positions != target).any():
        positions, steps = joints.approach(positions, target, 1 / 60), steps + 1
    assert steps == math.ceil(0.38 / 2.0 * 60)


def changed(name, **entry):
    """Return ROBOT with another entry for one joint."""
    joints = {**ROBOT['joints'], name: {**ROBOT['joints'].get(name, {}), **entry}}
    return {**ROBOT, 'joints': joints}


@pytest.mark.parametrize(('values', 'expected'), [
    (None, 'expected NAME: VALUE, got None'),
    ([], 'expected NAME: VALUE, got []'),
    ({'joints': {}}, 'expected joints'),
    ({**ROBOT, 'speed': 3}, "unknown name 'speed'; known are joints, rate"),
    ({**ROBOT, 'rate': 0}, 'expected a rate from 1 to 240, got 0'),
    (changed('jaw', limit=[0, 1]), "jaw: unknown name 'limit'; did you mean limits?"),
    (changed('jaw', limits=[1, 0]), 'jaw: expected limits: [LOW, HIGH], got [1, 0]'),
    (changed('jaw', limits=[0, math.inf]), 'jaw: expected a number for limits, got inf'),
    (changed('jaw', limits=0.4), 'jaw: expected limits: [LOW, HIGH], got 0.4'),
    (changed('jaw', rest=0.5), 'jaw: expected rest within the limits 0 to 0.4, got 0.5'),
    (changed('jaw', velocity=0), 'jaw: expected a velocity above 0, got 0'),
    (changed('jaw', velocity=True), 'jaw: expected a number for velocity, got True'),
    (changed('jaw', shapes={'jawOpn': 1}), "jaw: unknown name 'jawOpn'; did you mean jawOpen?"),
    (changed('neck', angles={'headyaw': 1}), 'did you mean headYaw?'),
    (changed('tail', limits=[0, 1]), 'tail: expected velocity'),
    (changed('tail', limits=[0, 1], velocity=1), 'tail: expected shapes or angles'),
    (changed('jaw', shapes={'jawOpen': 'a lot'}), "expected a number for jawOpen, got 'a lot'"),
])
def test_what_a_file_says_wrongly_is_refused_with_the_way_out(values, expected):
    with pytest.raises(UsageError) as refused:
        JointMap.from_mapping(values)
    assert expected in str(refused.value)
