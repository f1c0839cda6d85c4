# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Play a bag with audio and animate it in the bag's own time; ends with the bag."""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    IncludeLaunchDescription,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import SetParameter, SetRemap

NODE = Path(__file__).resolve().parent / 'avatar_bridge.launch.py'


def generate_launch_description():
    """Return the player and the node; arguments of avatar_bridge.launch.py count here too."""
    player = ExecuteProcess(
        cmd=['ros2', 'bag', 'play', LaunchConfiguration('bag'), '--clock', '100',
             '--rate', LaunchConfiguration('rate'), '--delay', LaunchConfiguration('delay')],
        output='screen')
    return LaunchDescription([
        DeclareLaunchArgument('bag', description='rosbag2 with audio, sqlite3 or mcap'),
        DeclareLaunchArgument('topic', default_value='audio',
                              description='topic of the audio in the bag'),
        DeclareLaunchArgument('rate', default_value='1.0',
                              description='how many times faster than recorded'),
        DeclareLaunchArgument('delay', default_value='3.0',
                              description='seconds that the node has to get ready'),
        SetParameter('use_sim_time', True),
        SetRemap('audio', LaunchConfiguration('topic')),
        IncludeLaunchDescription(PythonLaunchDescriptionSource(str(NODE)),
                                 launch_arguments={'source': 'topic'}.items()),
        player,
        RegisterEventHandler(OnProcessExit(
            target_action=player, on_exit=[EmitEvent(event=Shutdown(reason='the bag ended'))])),
    ])
