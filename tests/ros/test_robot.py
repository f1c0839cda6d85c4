# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""A robot without a screen: joints, jaw and action units, over real DDS."""

from importlib.util import find_spec
import os
from pathlib import Path
import sys
import time

from conftest import stop, wait_until
from controller import Controller
import numpy as np
import pytest
import soundfile
import yaml

from avatar_bridge.rig import INDEX

pytestmark = [pytest.mark.ros, pytest.mark.slow]
HERE = Path(__file__).resolve().parent
EXAMPLE = HERE.parents[1] / 'config' / 'robot_face.yaml'
SECONDS = 1.5
FRAMES = 90


@pytest.fixture
def controller(node):
    return Controller(node)


@pytest.fixture
def speech_start(speech, tmp_path):
    """Return a file with the first seconds of the speech."""
    samples, rate = soundfile.read(speech, dtype='int16')
    soundfile.write(tmp_path / 'start.wav', samples[:int(SECONDS * rate)], rate)
    return tmp_path / 'start.wav'


@pytest.fixture
def launch(start):
    """Return a function that starts the node with parameters."""
    def run(**parameters):
        pairs = [('-p', f'{name}:={value}') for name, value in parameters.items()]
        return start('-m', 'avatar_bridge.ros.node', '--ros-args',
                     *[word for pair in pairs for word in pair], name='node')
    return run


def spin_until(controller, condition, message=''):
    """Spin without a pause: `Controller.until` takes 50 messages a second at most."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, message
        controller.node.spin()


def nanoseconds(stamp):
    """Return a stamp as a number."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def test_every_frame_moves_the_joints_within_their_limits_and_the_jaw_topic(
    launch, controller, start, speech_start,
):
    from avatar_bridge_msgs.msg import BlendshapeFrame
    from sensor_msgs.msg import JointState
    from std_msgs.msg import Float32

    from avatar_bridge.frames import FaceFrame
    from avatar_bridge.mappings.joints import JointMap

    frames = controller.collect(BlendshapeFrame, '/avatar_bridge/blendshapes')
    states = controller.collect(JointState, '/avatar_bridge/joint_states')
    jaws = controller.collect(Float32, '/avatar_bridge/jaw')
    program = launch(autostart='true', joints=EXAMPLE)
    controller.until(lambda: controller.state() == 'active', program.log())
    start('-m', 'avatar_bridge.ros.speaker', speech_start, name='speaker')
    spin_until(controller, lambda: frames and frames[-1].index == FRAMES - 1, program.log())
    end = time.monotonic() + 0.5
    spin_until(controller, lambda: time.monotonic() > end)

    # a topic that was found late lacks its first messages, but none after them
    count = min(map(len, (frames, states, jaws)))
    assert count > FRAMES / 2
    frames, states, jaws = frames[-count:], states[-count:], jaws[-count:]
    assert [jaw.data for jaw in jaws] == [frame.weights[INDEX['jawOpen']] for frame in frames]
    due = [nanoseconds(frame.header.stamp) for frame in frames]
    times = [nanoseconds(state.header.stamp) for state in states]
    assert np.abs(np.subtract(times, due)).max() < 2_000_000        # two readings of one clock
    joints = JointMap.from_mapping(yaml.safe_load(EXAMPLE.read_text()))
    positions = np.array([state.position for state in states])
    for before, after, frame, passed in zip(positions, positions[1:], frames[1:],
                                            np.diff(times) / 1e9, strict=False):
        target = joints.target(FaceFrame(frame.index, frame.weights))
        assert np.abs(joints.approach(before, target, min(passed, 1 / 60)) - after).max() < 1e-3
    assert np.ptp(positions[:, 0]) > 0.02           # somebody speaks
    assert tuple(states[0].name) == joints.names
    velocities = np.array([state.velocity for state in states])
    assert (np.abs(velocities).max(axis=0) <= np.array([4, 3, 3, 12, 8, 1, 1]) + 1e-6).all()


def test_a_trajectory_controller_gets_30_commands_a_second_and_a_jaw_that_goes_to_rest(
    launch, controller, speech, tmp_path,
):
    if find_spec('trajectory_msgs') is None:
        pytest.skip('trajectory_msgs is not installed')
    from avatar_bridge_msgs.msg import BlendshapeFrame
    from trajectory_msgs.msg import JointTrajectory

    (tmp_path / 'slow.yaml').write_text(
        'rate: 30\njoints: {jaw: {limits: [0, 1], velocity: 0.5, shapes: {jawOpen: 1}}}\n')
    frames = controller.collect(BlendshapeFrame, '/avatar_bridge/blendshapes')
    got = controller.collect(JointTrajectory, '/avatar_bridge/joint_trajectory')
    program = launch(autostart='true', source=speech, joints=tmp_path / 'slow.yaml',
                     joint_messages='trajectory')
    spin_until(controller, lambda: frames and got, program.log())
    before = len(got), len(frames)
    spin_until(controller, lambda: len(frames) >= before[1] + 60)
    assert abs(len(got) - before[0] - (len(frames) - before[1]) / 2) <= 4
    spin_until(controller, lambda: got[-1].points[0].positions[0] > 0.1)
    assert controller.change('deactivate')
    spin_until(controller, lambda: got[-1].points[0].positions[0] == 0.0)
    positions = np.array([message.points[0].positions[0] for message in got])
    assert np.abs(np.diff(positions)).max() <= 0.5 / 30 + 1e-9
    assert {nanoseconds(message.points[0].time_from_start) for message in got} == {33_333_333}
    assert nanoseconds(got[0].header.stamp) == 0


@pytest.mark.parametrize(('text', 'expected'), [
    ('joints: {jaw: {limits: [0, 1]}}', 'jaw: expected velocity'),
    ('joints: {jaw: {}, jaw: {}}', "'jaw' is there twice"),
    ('joints: {jaw', 'is no YAML'),
    ('[' * 1500, 'is no YAML'),
])
def test_a_file_that_is_wrong_is_refused_in_one_line(tmp_path, text, expected):
    from avatar_bridge.errors import UsageError
    from avatar_bridge.ros.joints import load_joints

    (tmp_path / 'robot.yaml').write_text(text)
    with pytest.raises(UsageError) as refused:
        load_joints(tmp_path / 'robot.yaml')
    assert expected in str(refused.value)
    assert '\n' not in str(refused.value)


def test_joints_that_are_not_there_keep_the_node_unconfigured_and_can_be_mended(
    launch, controller, tmp_path,
):
    program = launch(joints=tmp_path / 'nobody.yaml')
    assert not controller.change('configure')
    wait_until(lambda: 'cannot read' in program.log())
    assert controller.set('joints', str(EXAMPLE)) == (True, '')
    assert 'did you mean' in controller.set('joint_messages', 'trajectry')[1]
    assert controller.set('joint_messages', 'commands') == (True, '')
    assert controller.change('configure')
    assert 'clean it up first' in controller.set('joints', '')[1]
    [joints] = controller.describe('joints')
    assert 'YAML' in joints.description


@pytest.mark.usefixtures('domain')
def test_action_units_are_published_where_hri_msgs_is_installed(
    start, launch, speech_start, tmp_path, monkeypatch,
):
    prefix = Path(sys.prefix) / 'dialects' / 'hri'
    found = list(prefix.glob('l*/**/hri_msgs/__init__.py'))
    if not found:
        pytest.skip(f'{prefix} was not built: make test does it')
    for variable, path in (('PYTHONPATH', found[0].parents[1]),
                           ('LD_LIBRARY_PATH', prefix / 'lib')):
        monkeypatch.setenv(variable, os.pathsep.join([str(path), os.environ.get(variable, '')]))
    program = launch(autostart='true')
    out = tmp_path / 'units.npz'
    listener = start(HERE / 'unit_listener.py', out, FRAMES, name='listener')
    wait_until(lambda: 'listening' in listener.log(), message=program.log())
    start('-m', 'avatar_bridge.ros.speaker', speech_start, name='speaker')
    assert listener.wait(30) == 0, listener.log() + program.log()
    assert stop(program) == 0
    check_units(np.load(out))


def check_units(heard):
    """Compare what was heard with the mapping of the frames that were heard."""
    from fractions import Fraction

    from avatar_bridge.frames import FaceFrame, Flags
    from avatar_bridge.mappings.facs import DRIVEN, ActionUnits

    assert len(heard['stamps']) > FRAMES / 2
    assert (heard['stamps'] == heard['frame_stamps']).all()
    units = ActionUnits(Fraction(60))
    expected = [units.push(FaceFrame(0, weights, Flags(int(flags))))
                for weights, flags in zip(heard['weights'], heard['flags'], strict=True)]
    assert np.abs(heard['intensity'] - expected).max() < 1e-6
    assert heard['intensity'][:, 26].max() > 0.1            # JAW_DROP
    assert np.flatnonzero(heard['confidence'][0]).tolist() == list(DRIVEN)
