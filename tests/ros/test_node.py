# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The lifecycle node in a process of its own: states, parameters, services, diagnostics."""

from pathlib import Path
import time

from conftest import stop, wait_until
from controller import Controller
import numpy as np
import pytest

pytestmark = [pytest.mark.ros, pytest.mark.slow]
CONFIG = Path(__file__).resolve().parents[2] / 'config' / 'avatar_bridge.yaml'
SECOND = 1_000_000_000


@pytest.fixture
def controller(node):
    return Controller(node)


@pytest.fixture
def launch(start):
    """Return a function that starts the node with parameters."""
    def run(*arguments, **parameters):
        pairs = [('-p', f'{name}:={value}') for name, value in parameters.items()]
        return start('-m', 'avatar_bridge.ros.node', '--ros-args', *arguments,
                     *[word for pair in pairs for word in pair], name='node')
    return run


def test_it_goes_through_its_life_and_ends_cleanly(launch, controller):
    program = launch()
    states = [controller.state()]
    for transition in ('configure', 'activate', 'deactivate', 'activate', 'deactivate', 'cleanup',
                       'unconfigured_shutdown'):
        assert controller.change(transition), program.log()
        states.append(controller.state())
    assert states == ['unconfigured', 'inactive', 'active', 'inactive', 'active', 'inactive',
                      'unconfigured', 'finalized']
    assert stop(program) == 0


def test_ctrl_c_while_active_ends_it_with_status_0(launch, controller):
    program = launch(autostart='true')
    controller.until(lambda: controller.state() == 'active')
    assert stop(program) == 0
    assert 'Traceback' not in program.log()


def test_a_bundle_that_does_not_exist_is_refused_with_the_reason(launch, controller):
    program = launch(bundle='nobody')
    assert not controller.change('configure')
    assert controller.state() == 'unconfigured'
    wait_until(lambda: "no bundle 'nobody'" in program.log())
    assert controller.set('bundle', 'live') == (True, '')
    assert controller.change('configure')


@pytest.mark.parametrize(('parameters', 'expected'), [
    ({'fsp': 30}, "unknown parameter 'fsp'; did you mean fps?"),
    ({'fps': 100.0}, 'fps: expected'),
    ({'profile': 'liv'}, 'did you mean live?'),
    ({'steps': 'many'}, 'steps: expected a whole number from 0 to 50'),
    ({'gain': '[jawOpn=2]'}, 'did you mean jawOpen?'),
])
def test_what_a_parameter_file_says_wrongly_is_refused_in_one_line(launch, parameters, expected):
    program = launch(**parameters)
    assert program.wait(15) == 2
    wait_until(lambda: expected in program.log())
    assert len(program.log().strip().splitlines()) == 1


def test_the_default_parameter_file_is_accepted(launch, controller):
    program = launch('--params-file', str(CONFIG))
    assert controller.state() == 'unconfigured', program.log()


def test_every_option_is_a_described_parameter(launch, controller):
    from avatar_bridge.config import OPTIONS

    launch()
    names = set(controller.names())
    ours = set(OPTIONS) - {'quiet', 'verbose'}
    assert ours <= names
    for described in controller.describe(*ours):
        assert described.description
        assert described.additional_constraints
    [fps, steps] = controller.describe('fps', 'steps')
    assert fps.floating_point_range[0].to_value == 60.0
    assert steps.integer_range[0].from_value == 0


def test_parameters_change_live_or_say_why_not(launch, controller):
    launch(autostart='true', fps=30)
    controller.until(lambda: controller.state() == 'active')
    assert controller.set('steps', 4) == (True, '')
    assert controller.set('gain', ['jawOpen=1.5']) == (True, '')
    assert controller.set('muted', True) == (True, '')
    assert 'out of range' in controller.set('steps', 51)[1]
    assert 'from 0 to 4' in controller.set('gain', ['jawOpen=5'])[1]
    assert 'active' in controller.set('fps', 25.0)[1]
    assert controller.set('steep', 1)[0] is False
    assert controller.change('deactivate')
    assert controller.change('cleanup')
    assert controller.set('fps', 25.0) == (True, '')


def test_a_robot_that_lives_does_so_without_any_audio(launch, controller, start, tmp_path):
    launch(autostart='true', idle='on')
    listener = start('-m', 'avatar_bridge.ros.listener', tmp_path / 'heard.npz', name='listener')
    controller.until(lambda: 'listening' in listener.log())
    controller.until(lambda: controller.state() == 'active')
    time.sleep(2.0)
    assert controller.set('idle', 'off') == (True, '')      # it ends after a second of rest
    assert listener.wait(15) == 0
    frames = np.load(tmp_path / 'heard.npz')
    assert len(frames['index']) > 60
    assert np.ptp(frames['weights'], axis=0).max() > 0.01
    assert np.mean(frames['flags'] & 4 > 0) > 0.9


def test_flush_and_mute_answer(launch, controller):
    from std_srvs.srv import SetBool, Trigger

    launch()
    assert not controller.call(Trigger, 'flush').success
    assert controller.change('configure')
    assert controller.change('activate')
    assert controller.call(Trigger, 'flush').success
    response = controller.call(SetBool, 'set_mute', data=True)
    assert (response.success, response.message) == (True, 'muted: true')


def test_diagnostics_tell_the_state_and_the_counters(launch, controller):
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

    launch(autostart='true')
    received = controller.collect(DiagnosticArray, '/diagnostics')

    def active():
        return received and received[-1].status[0].message == 'active' and received[-1].status[0]

    status = controller.until(active)
    assert status.level == DiagnosticStatus.OK
    assert status.name == 'avatar_bridge: session'
    assert {'frames', 'late', 'rtf', 'latency_p99', 'messages'} <= {
        value.key for value in status.values}


def test_a_type_that_is_not_installed_is_refused(launch, controller):
    from avatar_bridge.ros.hearing import installed

    if 'stamped' in installed():
        pytest.skip('audio_common_msgs with AudioStamped is installed')
    program = launch(audio_type='stamped')
    assert controller.change('configure')
    assert not controller.change('activate')
    assert controller.state() == 'inactive'
    wait_until(lambda: 'audio_common_msgs' in program.log())


def test_a_file_as_source_is_animated_to_its_end_and_the_node_rests(
    launch, controller, speech, tmp_path,
):
    program = launch(source=speech, pace='max', sink=f'[csv={tmp_path / "out.csv"}]',
                     autostart='true')
    controller.until(lambda: 'the source has ended' in program.log())
    assert controller.state() == 'inactive'
    lines = (tmp_path / 'out.csv').read_text().splitlines()
    assert len(lines) == 1 + 859                # a header, and ceil(14.3 s x 60)


def test_a_source_that_cannot_be_read_is_told_in_one_line_and_ends_an_autostarted_node(
    launch, tmp_path,
):
    (tmp_path / 'empty.wav').touch()
    program = launch(source=tmp_path / 'empty.wav', autostart='true')
    assert program.wait(20) == 1
    [line] = program.log().strip().splitlines()
    assert 'empty.wav' in line
