# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
The option table as ROS parameters: described, checked, changed while running.

Every option of the command line that makes sense for a node is a parameter of the same name; a
few more are the node's own. What a parameter file says wrongly is refused, not overheard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    ParameterType,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from avatar_bridge.config import OPTIONS, Option, SessionConfig, nearest
from avatar_bridge.errors import UsageError

#: The command line's own; a node has its log level instead.
LEFT_OUT: Final = ('quiet', 'verbose')

#: What a node understands differently. rclpy cannot tell the type of an empty list.
ADAPTED: Final[dict[str, dict[str, Any]]] = {
    'source': {'default': 'topic', 'metavar': '', 'help': 'where audio comes from: `topic` (the '
               'topic audio), mic, mic:DEVICE or an audio file'},
    'sinks': {'default': ('ros',), 'help': 'where frames go besides the ROS '
              'topics: zmq=URL, csv=FILE, npz=FILE, jsonl=FILE, mcap=FILE'},
    'gains': {'default': ('all=1.0',), 'help': 'multiply a shape, or `all` of '
              'them, by 0 to 4, as NAME=X'},
    'input_rate': {'help': 'sample rate of audio_common_msgs/AudioData as long as no AudioInfo '
                   'came'},
}

OWN: Final = (
    Option('autostart', '', 'switch', False, 'configure and activate without being told'),
    Option('muted', '', 'switch', False, 'hear silence; what ~/set_mute sets', live=True),
    Option('audio_type', '', 'text', 'auto', 'type of the topic audio; auto looks at its '
           'publishers', choices=('auto', 'chunk', 'data', 'data_stamped', 'stamped', 'audio')),
    Option('audio_depth', '', 'integer', 100, 'audio messages that may wait', lowest=1,
           highest=10000),
    Option('depth', '', 'integer', 5, 'frames kept for a slow subscriber', lowest=1,
           highest=1000),
    Option('joints', '', 'text', '', 'YAML file with the joints of a robot that follow the face; '
           'empty: none'),
    Option('joint_messages', '', 'text', 'state', 'what the joints are commanded by: JointState, '
           'JointTrajectory or Float64MultiArray', choices=('state', 'trajectory', 'commands')),
)

#: Used by configure, beside the engine's options.
FIXED: Final = ('bundle', 'depth', 'pace', 'joints', 'joint_messages')

TYPES: Final = {
    'text': ParameterType.PARAMETER_STRING,
    'integer': ParameterType.PARAMETER_INTEGER,
    'number': ParameterType.PARAMETER_DOUBLE,
    'ratio': ParameterType.PARAMETER_DOUBLE,
    'switch': ParameterType.PARAMETER_BOOL,
    'list': ParameterType.PARAMETER_STRING_ARRAY,
    'gains': ParameterType.PARAMETER_STRING_ARRAY,
}


def _rows() -> dict[str, Option]:
    """Return parameter name -> option."""
    shared = [replace(option, **ADAPTED.get(option.field, {})) for option in OPTIONS.values()
              if option.name not in LEFT_OUT]
    return {option.name: option for option in (*shared, *OWN)}


ROWS: Final = _rows()


class Parameters:
    """The parameters of a node; `values` are those that were accepted."""

    def __init__(self, node: Node, *, refuse: Callable[[Option], str],
                 changed: Callable[[Mapping[str, Any]], None]) -> None:
        """
        Declare every parameter; raises `UsageError` for what the parameter file says wrongly.

        `refuse` returns why an option cannot change now, or nothing; `changed` gets new values.
        """
        self._refuse = refuse
        self._changed = changed
        # rclpy keeps what a file says of parameters that nobody declares, and never mentions it
        overrides: Mapping[str, Parameter[Any]] = getattr(node, '_parameter_overrides', {})
        check_names(overrides, [*ROWS, *node._parameters])
        for name in ROWS.keys() & overrides.keys():
            ROWS[name].read(overrides[name].value)
        self.values: dict[str, Any] = {}
        for name, option in ROWS.items():
            node.declare_parameter(name, plain(option), descriptor(option))
            self.values[name] = node.get_parameter(name).value
        self.config()
        node.add_on_set_parameters_callback(self._set)

    def __getitem__(self, name: str) -> Any:
        """Return the value of one parameter."""
        return self.values[name]

    def config(self) -> SessionConfig:
        """Return the parameters as a session's config; raises `UsageError`."""
        return config_of(self.values)

    def _set(self, parameters: Iterable[Parameter[Any]]) -> SetParametersResult:
        new = {parameter.name: parameter.value for parameter in parameters
               if parameter.name in ROWS}
        try:
            for name, value in new.items():
                ROWS[name].read(value)
                if value != self.values[name] and (reason := self._refuse(ROWS[name])):
                    raise UsageError(f'{name}: {reason}')
            config_of({**self.values, **new})
        except UsageError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self.values.update(new)
        self._changed(new)
        return SetParametersResult(successful=True)


def config_of(values: Mapping[str, Any]) -> SessionConfig:
    """Return a session's config; raises `UsageError` for what is not accepted."""
    shared = {name: value for name, value in values.items() if name in OPTIONS}
    shared['fps'] = Fraction(shared['fps']).limit_denominator(1001)     # 29.97002997: 30000/1001
    return SessionConfig.from_mapping(shared)


def plain(option: Option) -> Any:
    """Return the default as ROS has it."""
    if option.kind in ('number', 'ratio'):
        return float(option.default)
    return list(option.default) if isinstance(option.default, tuple) else option.default


def descriptor(option: Option) -> ParameterDescriptor:
    """Return what `ros2 param describe` shows."""
    when = 'may change at any time' if option.live else 'may change while inactive'
    if option.engine or option.name in FIXED:
        when = 'may change while unconfigured'
    unit = f' [{option.unit}]' if option.unit else ''
    described = ParameterDescriptor(
        name=option.name, type=TYPES[option.kind], description=option.help + unit,
        additional_constraints=f'{option.accepts()}; {when}',
        read_only=option.name == 'autostart',
        # fps: 60 is as good as fps: 60.0, and YAML takes on and off for true and false
        dynamic_typing=option.kind in ('number', 'ratio') or 'on' in option.choices)
    if option.lowest is not None and option.highest is not None:
        if option.kind == 'integer':
            described.integer_range = [IntegerRange(
                from_value=int(option.lowest), to_value=int(option.highest), step=1)]
        else:
            described.floating_point_range = [FloatingPointRange(
                from_value=float(option.lowest), to_value=float(option.highest), step=0.0)]
    return described


def check_names(names: Iterable[str], known: Iterable[str]) -> None:
    """Raise `UsageError` for a parameter that does not exist."""
    known = list(known)
    for name in names:
        if name not in known and not name.startswith('qos_overrides.'):
            near = nearest(name, known) or f'; known are {", ".join(sorted(known))}'
            raise UsageError(f'unknown parameter {name!r}{near}')
