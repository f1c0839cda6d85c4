# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Launch files: what can be checked without ROS's launch, and a real launch where it is installed.

The first half runs the files against STAND-INS for `launch` and `launch_ros` that only record
what they were given. That shows that the files are consistent with this package, not that
launch accepts them; the second half shows that, wherever launch is installed.
"""

from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
import sys
from types import ModuleType, SimpleNamespace
from xml.etree import ElementTree

from conftest import stop, wait_until
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
REAL = find_spec('launch_ros') is not None
PROMISED = {'params_file', 'avatar', 'namespace', 'source', 'bundle', 'profile', 'fps', 'sinks',
            'autostart', 'log_level'}                       # contract 6
stood_in = pytest.mark.usefixtures('stand_ins')


class Recorded:
    """STAND-IN: an action, event or substitution that remembers its arguments."""

    def __init__(self, *args, **kwargs):
        self.args = args
        self.kwargs = kwargs

    def perform(self, context):
        return context[self.args[0]]

    def items(self):
        return self.args


@pytest.fixture
def stand_ins(monkeypatch):
    """Put recording stand-ins in the place of launch and launch_ros."""
    names = ['launch', 'launch.actions', 'launch.events', 'launch.event_handlers',
             'launch.substitutions', 'launch.launch_description_sources', 'launch_ros',
             'launch_ros.actions']
    for name in names:
        module = ModuleType(name)
        module.__getattr__ = lambda attribute: type(attribute, (Recorded,), {})
        monkeypatch.setitem(sys.modules, name, module)


def described(name):
    spec = spec_from_file_location('launched', ROOT / 'launch' / name)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description().args[0]


def arguments(actions):
    return {action.args[0]: action.kwargs for action in actions
            if type(action).__name__ == 'DeclareLaunchArgument'}


def launched_node(**given):
    """Return what LifecycleNode was given when these arguments were."""
    actions = described('avatar_bridge.launch.py')
    defaults = {name: facts['default_value'] for name, facts in arguments(actions).items()}
    [node] = actions[-1].kwargs['function']({**defaults, **given})
    return SimpleNamespace(**node.kwargs)


@stood_in
def test_the_arguments_are_those_of_the_contract_and_described():
    declared = arguments(described('avatar_bridge.launch.py'))
    assert set(declared) == PROMISED
    assert all(facts['description'] for facts in declared.values())
    assert 'fast' in declared['profile']['choices']


@stood_in
def test_the_executable_is_one_that_setup_installs():
    node = launched_node()
    package = ElementTree.parse(ROOT / 'package.xml').findtext('name')
    assert node.package == package
    assert f"'{node.executable} = " in (ROOT / 'setup.py').read_text()


@stood_in
def test_only_arguments_that_were_given_overrule_the_file():
    assert launched_node().parameters[1] == {'autostart': True}
    node = launched_node(fps='30', sinks='zmq,csv=out.csv', profile='fast', autostart='false')
    assert node.parameters[1] == {'fps': 30.0, 'sink': ['zmq', 'csv=out.csv'], 'profile': 'fast',
                                  'autostart': False}


@stood_in
def test_the_parameter_file_is_there_and_installed():
    file = Path(launched_node().parameters[0])
    assert yaml.safe_load(file.read_text())['/**']['ros__parameters']
    assert "glob('config/*.yaml')" in (ROOT / 'setup.py').read_text()


@stood_in
def test_replay_plays_with_the_clock_of_the_bag_and_includes_the_node():
    actions = described('replay.launch.py')
    kinds = [type(action).__name__ for action in actions]
    player = actions[kinds.index('ExecuteProcess')].kwargs['cmd']
    assert player[:3] == ['ros2', 'bag', 'play']
    assert '--clock' in player
    assert actions[kinds.index('SetParameter')].args == ('use_sim_time', True)
    included = actions[kinds.index('IncludeLaunchDescription')].args[0].args[0]
    assert Path(included).is_file()
    assert set(arguments(actions)) == {'bag', 'topic', 'rate', 'delay'}


LAUNCH = f"""
import launch, sys
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
service = launch.LaunchService(noninteractive=True)
service.include_launch_description(IncludeLaunchDescription(
    PythonLaunchDescriptionSource({str(ROOT / 'launch' / 'avatar_bridge.launch.py')!r}),
    launch_arguments=[('namespace', 'stage'), ('avatar', 'bob'), ('autostart', 'false')]))
sys.exit(service.run())
"""


@pytest.mark.ros
@pytest.mark.skipif(not REAL, reason='launch_ros is not installed: it comes with a real ROS 2')
def test_launch_starts_the_node_for_real(node, start):
    program = start('-c', LAUNCH, name='launch')
    wait_until(lambda: ('avatar_bridge', '/stage') in node.get_node_names_and_namespaces(),
               message='the node was not there')
    assert stop(program) == 0
    assert 'process has died' not in program.log()
