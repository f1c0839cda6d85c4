# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Start the lifecycle node `avatar_bridge`."""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode

PARAMETERS = Path(__file__).resolve().parent.parent / 'config' / 'avatar_bridge.yaml'

#: (name, default, description, choices); an empty default leaves it to the parameter file
ARGUMENTS = [
    ('params_file', str(PARAMETERS), 'YAML file with parameters of the node', None),
    ('namespace', '', 'namespace of the node and its topics', None),
    ('avatar', '', 'name of the avatar: header.frame_id and ZeroMQ topics', None),
    ('source', '', 'where the audio comes from: topic, mic[:DEVICE] or a file', None),
    ('bundle', '', 'name or folder of the network', None),
    ('profile', '', 'hop and look-ahead: 67, 100 or 200 ms of latency',
     ['', 'fast', 'live', 'smooth']),
    ('fps', '', 'frames per second, 24 to 60', None),
    ('sinks', '', 'sinks besides the ROS topics, with commas: zmq,csv=out.csv', None),
    ('autostart', 'true', 'configure and activate without being told', ['true', 'false']),
    ('log_level', 'info', 'least severity that is logged',
     ['debug', 'info', 'warn', 'error', 'fatal']),
]

#: Parameters of the node that are arguments too: (argument, how its text becomes a value).
CONVERSIONS = {
    'avatar': ('avatar', str), 'source': ('source', str), 'bundle': ('bundle', str),
    'profile': ('profile', str), 'fps': ('fps', float),
    'sink': ('sinks', lambda text: text.split(',')),
    'autostart': ('autostart', lambda text: text == 'true'),
}


def node(context):
    """Return the node; only arguments that were given overrule the parameter file."""
    given = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
    values = {name: convert(given[argument])
              for name, (argument, convert) in CONVERSIONS.items() if given[argument]}
    return [LifecycleNode(
        package='avatar_bridge', executable='avatar_node', name='avatar_bridge',
        namespace=given['namespace'], output='screen',
        parameters=[given['params_file'], values],
        arguments=['--ros-args', '--log-level', given['log_level']],
    )]


def generate_launch_description():
    """Return the arguments and the node."""
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=description,
                                choices=choices)
          for name, default, description, choices in ARGUMENTS),
        OpaqueFunction(function=node),
    ])
