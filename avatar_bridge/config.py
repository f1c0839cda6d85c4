# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Every option, once: the fields of two frozen dataclasses that check themselves.

Command line flags, TOML keys and ROS parameters are all made from `OPTIONS`; whatever they read
ends in `SessionConfig.from_mapping`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from fractions import Fraction
from importlib import import_module
from pathlib import Path
import re
import sys
from typing import Any, Final, Literal

from avatar_bridge import rig
from avatar_bridge.errors import UsageError

#: Hop and look-ahead of each profile, seconds.
PROFILES: Final[dict[str, tuple[float, float]]] = {
    'fast': (1 / 30, 1 / 30),
    'live': (0.05, 0.05),
    'smooth': (0.1, 0.1),
}

Kind = Literal['text', 'integer', 'number', 'ratio', 'switch', 'list', 'gains']


@dataclass(frozen=True)
class Option:
    """A row of the table: what a flag, a TOML key or a ROS parameter is made from."""

    name: str                                   # with _; `flag` has dashes
    field: str                                  # attribute of EngineConfig or SessionConfig
    kind: Kind
    default: Any
    help: str
    unit: str = ''
    lowest: float | None = None
    highest: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ''                           # what a text has to look like
    metavar: str = ''
    live: bool = False                          # may change while running
    engine: bool = False                        # lies in EngineConfig

    @property
    def flag(self) -> str:
        """Name on the command line."""
        return '--' + self.name.replace('_', '-')

    @property
    def repeatable(self) -> bool:
        """Whether it may be given more than once."""
        return self.kind in ('list', 'gains')

    def read(self, value: Any) -> Any:
        """Return a plain value (text, number, list, mapping) as the field wants it, checked."""
        if isinstance(value, bool) and {'on', 'off'} <= set(self.choices):
            value = 'on' if value else 'off'        # what YAML makes of these two words
        try:
            value = _READERS[self.kind](value)
        except (ValueError, TypeError, KeyError, ArithmeticError):
            raise UsageError(f'{self.name}: expected {self.accepts()}, got {value!r}') from None
        self.check(value)
        return value

    def check(self, value: Any) -> None:
        """Raise `UsageError` where a value of the right type is out of range."""
        if self.kind == 'gains':
            _check_gains(value)
            return
        if self.choices and value not in self.choices:
            near = nearest(str(value), self.choices)
            raise UsageError(f'{self.name}: expected {self.accepts()}, got {value!r}{near}')
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise UsageError(f'{self.name}: expected {self.accepts()}, got {value!r}')
        if self.lowest is not None and not self.lowest <= value:
            raise UsageError(f'{self.name}: expected {self.accepts()}, got {value}')
        if self.highest is not None and not value <= self.highest:
            raise UsageError(f'{self.name}: expected {self.accepts()}, got {value}')

    def accepts(self) -> str:
        """Return what is accepted, for a message."""
        if self.choices:
            return ', '.join(self.choices[:-1]) + f' or {self.choices[-1]}'
        if self.pattern:
            return self.metavar
        what = {'text': 'text', 'integer': 'a whole number', 'number': 'a number',
                'ratio': 'a number or a ratio such as 30000/1001', 'switch': 'true or false',
                'list': 'a list of texts', 'gains': 'NAME=X'}[self.kind]
        unit = f' {self.unit}' if self.unit else ''
        if self.lowest is not None and self.highest is not None:
            return f'{what} from {self.lowest:g} to {self.highest:g}{unit}'
        return f'{what} of at least {self.lowest:g}{unit}' if self.lowest is not None else what


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` or nothing."""
    near = get_close_matches(name, known, n=1)
    return f'; did you mean {near[0]}?' if near else ''


def _option(kind: Kind, default: Any, help: str, **facts: Any) -> Any:
    facts = {'kind': kind, 'help': help, **facts}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=facts)
    return field(default=default, metadata=facts)


FPS: Final = Fraction(60)
GAINS: Final = (0.0, 4.0)                       # accepted range of one gain


@dataclass(frozen=True)
class EngineConfig:
    """How the engine animates."""

    profile: str = _option(
        'text', 'live', 'latency against calm: hop and look-ahead of 33 + 33, 50 + 50 or '
        '100 + 100 ms', choices=tuple(PROFILES))
    fps: Fraction = _option(                    # noqa: RUF009 - it is a field()
        'ratio', FPS, 'face frames a second', unit='1/s', lowest=24, highest=60,
        metavar='N')
    steps: int = _option(
        'integer', 0, 'denoising steps for each hop: more are livelier, not more exact; 0 is what '
        'the bundle does best', lowest=0, highest=50, metavar='N', live=True)
    seed: int = _option(
        'integer', 0, 'same seed, same face', lowest=0, highest=2**31 - 1, metavar='N')
    style: str = _option(
        'text', '', 'way of speaking: a style of the bundle, all of it or X (0 to 1.5) of it, or, '
        'where it learns from voices, a recording of somebody; empty is its first style, or '
        'whoever is heard', metavar='NAME[:X]|WAV')
    guidance: float = _option(
        'number', 1.0, 'how strongly the audio steers; 1 is off', lowest=0, highest=4,
        metavar='X')
    gains: Mapping[str, float] = _option(
        'gains', {}, 'multiply a shape, or `all` of them, by 0 to 4; repeatable', name='gain',
        metavar='NAME=X', live=True)
    idle: str = _option(
        'text', 'auto', 'blinks, glances and small motion of the head; auto: on at a microphone '
        'and in the viewer', choices=('auto', 'on', 'off'), live=True)
    backend: str = _option(
        'text', 'onnx', 'what runs the network: onnx on the CPU, torch on the CPU or a CUDA card',
        choices=('onnx', 'torch'))
    device: str = _option(
        'text', 'auto', 'where the backend torch runs: auto is a CUDA card where there is one',
        pattern=r'auto|cpu|cuda(:\d{1,2})?', metavar='auto|cpu|cuda[:N]')

    def __post_init__(self) -> None:
        """Check every field."""
        _settle(self)


@dataclass(frozen=True)
class SessionConfig:
    """What is connected to what."""

    engine: EngineConfig = field(default_factory=EngineConfig)
    source: str = _option(
        'text', 'mic', 'where audio comes from: `mic`, a microphone by number or part of its '
        'name, an audio file, or - for raw s16le mono on standard input',
        metavar='mic[:DEVICE]|FILE|-')
    bundle: str = _option(
        'text', 'live', 'the network: a shipped bundle or a folder', metavar='NAME|DIR')
    input_rate: int = _option(
        'integer', 16000, 'sample rate of raw audio on standard input', unit='Hz', lowest=8000,
        highest=192000, metavar='N')
    channel: str = _option(
        'text', 'mix', 'channel to listen to, from 0 on, or `mix` of all', metavar='mix|N',
        choices=('mix', *map(str, range(8))))
    pace: str = _option(
        'text', 'real', 'frames at the time they are due, or as fast as they can be made',
        choices=('real', 'max'))
    sinks: tuple[str, ...] = _option(
        'list', (), 'where frames go: zmq[=URL], web[=PORT]; to avatars livelink, vmc, vts, '
        'ifacialmocap or vrchat[=HOST:PORT]; to files csv, npz, jsonl, mcap, mp4 (a film), png (a '
        'sheet of portraits), glb, usda, anim, track or a2f=FILE; repeatable; none at all means '
        'zmq', name='sink', metavar='NAME[=ARG]')
    avatar: str = _option(
        'text', 'default', 'name of the face, part of every topic', metavar='NAME')
    quiet: bool = _option('switch', False, 'no status line')
    verbose: bool = _option('switch', False, 'say more; a failure shows its traceback')

    def __post_init__(self) -> None:
        """Check every field."""
        _settle(self)
        if not self.avatar or not self.avatar.replace('_', 'a').replace('-', 'a').isalnum():
            raise UsageError('avatar: expected letters, digits, - and _, '
                             f'got {self.avatar!r}')

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> SessionConfig:
        """Read options by name; raises `UsageError` for a key or value that is not accepted."""
        engine: dict[str, Any] = {}
        session: dict[str, Any] = {}
        for key, value in values.items():
            option = find_option(key)
            (engine if option.engine else session)[option.field] = option.read(value)
        return cls(engine=EngineConfig(**engine), **session)

    @classmethod
    def from_toml(cls, path: Path) -> SessionConfig:
        """Read a TOML file whose keys are option names."""
        return cls.from_mapping(read_toml(path))

    def to_mapping(self) -> dict[str, Any]:
        """Return every option by name; `from_mapping` of it is this again."""
        values = {**asdict(self), **asdict(self.engine)}
        return {option.name: values[option.field] for option in OPTIONS.values()}


def options() -> tuple[Option, ...]:
    """Return the whole table, in the order of `--help`."""
    return tuple(OPTIONS.values())


def read_toml(path: Path) -> dict[str, Any]:
    """Return the keys and values of a TOML file; raises `UsageError` where it is none."""
    toml = import_module('tomllib' if sys.version_info >= (3, 11) else 'tomli')
    try:
        values = toml.loads(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise UsageError(f'config: cannot read {path}: {error.strerror}') from error
    except ValueError as error:
        raise UsageError(f'config: {path} is no TOML: {error}') from error
    for key in values:
        find_option(key)
    return dict(values)


def find_option(name: str) -> Option:
    """Return the row called `name`; raises `UsageError` that names the nearest one."""
    key = name.replace('-', '_')
    if key not in OPTIONS:
        near = nearest(key, OPTIONS) or '; known are ' + ', '.join(OPTIONS)
        raise UsageError(f'unknown option {name!r}{near}')
    return OPTIONS[key]


def _settle(config: EngineConfig | SessionConfig) -> None:
    """Check every field and give it its own type, as if it had been read."""
    for entry in fields(config):
        if entry.metadata:
            option = OPTIONS[entry.metadata.get('name', entry.name)]
            object.__setattr__(config, entry.name, option.read(getattr(config, entry.name)))


def _check_gains(gains: Mapping[str, float]) -> None:
    lowest, highest = GAINS
    for name, gain in gains.items():
        if name not in rig.INDEX and name != 'all':
            raise UsageError(f'gain: no shape is called {name!r}'
                             f'{nearest(name, (*rig.NAMES, "all"))}')
        if not lowest <= gain <= highest:
            raise UsageError(f'gain: expected a number from {lowest:g} to {highest:g} for '
                             f'{name}, got {gain:g}')


def _whole(value: Any) -> int:
    number = int(value)
    if isinstance(value, bool) or (not isinstance(value, str) and number != value):
        raise ValueError
    return number


def _number(value: Any) -> float:
    number = float(value)
    if isinstance(value, bool) or number != number or abs(number) == float('inf'):
        raise ValueError
    return number


def _text(value: Any) -> str:
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        raise TypeError
    return str(value)


def _switch(value: Any) -> bool:
    return {'true': True, 'false': False}[str(value).lower()]


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(_text, [value] if isinstance(value, str) else value))


def _gains(value: Any) -> dict[str, float]:
    if isinstance(value, Mapping):
        return {str(name): _number(gain) for name, gain in value.items()}
    pairs = (text.partition('=') for text in _texts(value))
    return {name: _number(gain) for name, _, gain in pairs}


_READERS: Final = {
    'text': _text,
    'integer': _whole,
    'number': _number,
    'ratio': lambda value: Fraction(str(value)),
    'switch': _switch,
    'list': _texts,
    'gains': _gains,
}


def _rows() -> dict[str, Option]:
    rows = {}
    for config in (EngineConfig, SessionConfig):
        for entry in fields(config):
            if entry.metadata:
                facts = {'name': entry.name, **entry.metadata}
                default = entry.default if not callable(entry.default_factory) else {}
                rows[facts['name']] = Option(field=entry.name, default=default,
                                             engine=config is EngineConfig, **facts)
    return rows


OPTIONS: Final = _rows()
