# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What a page may see of a running session, and what it may do to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final, NamedTuple

from avatar_bridge import rig
from avatar_bridge.config import OPTIONS, SessionConfig, nearest
from avatar_bridge.errors import UsageError
from avatar_bridge.session import Session
from avatar_bridge.sources.recorded import read_recording
from avatar_bridge.wire import Take, encode_take

REGIONS: Final = {'eyes': 'eye', 'jaw': 'jaw', 'mouth': 'mouth', 'brows': 'brow',
                  'cheeks': 'cheek', 'nose': 'nose', 'tongue': 'tongue'}


class Choices(NamedTuple):
    """What there is to choose from."""

    sources: Mapping[str, str]          # id -> name
    styles: Sequence[str]
    version: str


class Desk:
    """
    The controls of one session.

    `offline` animates the bytes of an audio file; `change` begins a new session with another
    configuration, where somebody can do that.
    """

    def __init__(self, session: Session, config: SessionConfig, choices: Choices, *,
                 offline: Callable[[bytes, float], Take],
                 change: Callable[[SessionConfig], None] | None = None) -> None:
        """Steer `session`, which was made from `config`."""
        self._session = session
        self._config = config
        self._choices = choices
        self._offline = offline
        self._change = change
        self._gains = dict(config.engine.gains)

    def about(self) -> Mapping[str, Any]:
        """Return what never changes."""
        regions = {region: [name for name in rig.NAMES if name.startswith(prefix)]
                   for region, prefix in REGIONS.items()}
        return {'version': self._choices.version, 'names': rig.NAMES, 'regions': regions}

    def status(self) -> Mapping[str, Any]:
        """Return where the session stands."""
        session, config, stats = self._session, self._config, self._session.stats
        facts = {name: value for name, value in asdict(stats).items() if name != 'dropped'}
        return facts | {
            'stream': session.info.stream, 'running': not session.wait(0),
            'dropped': sum(stats.dropped.values()), 'fps': float(session.info.fps),
            'latency_ms': 1000 * float(session.info.latency), 'source': config.source,
            'sources': [{'id': source, 'name': name}
                        for source, name in self._choices.sources.items()],
            'style': config.engine.style or self._choices.styles[0],
            'styles': list(self._choices.styles),
            'seed': config.engine.seed, 'idle': session.idle, 'gains': self._gains,
            'bundle': session.info.bundle, 'version': self._choices.version,
        }

    def obey(self, command: Mapping[str, Any]) -> None:
        """Do what `command` says; raises `UsageError`."""
        kind = command['type']
        actions: dict[str, Callable[[Mapping[str, Any]], None]] = {
            'gain': self._gain, 'mute': self._mute, 'flush': lambda _: self._session.flush(),
            'idle': lambda told: self._session.set_idle(number(told, 'value', 0.0, 1.5)),
            'seed': lambda told: self._begin('seed', told.get('value')),
            'style': lambda told: self._begin('style', told.get('name')),
            'source': self._source,
        }
        if kind not in actions:
            raise UsageError(f'unknown command {str(kind)[:40]!r}{nearest(str(kind), actions)}')
        actions[kind](command)

    def animate(self, audio: bytes) -> bytes:
        """Return the frames of an audio file's bytes; raises `AudioError`."""
        return encode_take(self._offline(audio, self._session.idle))

    def recording(self, name: str, content: bytes) -> bytes:
        """Return the frames of a recording's bytes; raises `AudioError`."""
        return encode_take(read_recording(name[-80:], content))

    def _gain(self, command: Mapping[str, Any]) -> None:
        name, gain = command.get('name'), number(command, 'value', 0.0, 4.0)
        gains = OPTIONS['gain'].read({**self._gains, str(name): gain})
        self._gains = dict(gains)
        self._session.set_gains(gains)

    def _mute(self, command: Mapping[str, Any]) -> None:
        if not isinstance(command.get('on'), bool):
            raise UsageError(f'mute: expected on: true or false, got {command.get("on")!r:.40}')
        self._session.mute(command['on'])

    def _source(self, command: Mapping[str, Any]) -> None:
        source = command.get('id')
        if not isinstance(source, str) or source not in self._choices.sources:
            raise UsageError(f'source: expected one of {", ".join(self._choices.sources)}, '
                             f'got {source!r:.40}')
        self._begin('source', source)

    def _begin(self, name: str, value: Any) -> None:
        """Go on as a new session, with everything that was set meanwhile."""
        if self._change is None:
            raise UsageError(f'{name}: the program that runs this session does not let pages '
                             'choose it; avatar-bridge view does')
        option = OPTIONS[name]
        if name == 'style' and value not in self._choices.styles:
            raise UsageError(f'style: expected one of {", ".join(self._choices.styles)}, '
                             f'got {value!r:.40}')
        engine = replace(self._config.engine, gains=self._gains)
        if option.engine:
            engine = replace(engine, **{option.field: option.read(value)})
            self._config = replace(self._config, engine=engine)
        else:
            self._config = replace(self._config, engine=engine, **{option.field: value})
        self._change(self._config)      # kept, too: the next choice may come before the session


def number(command: Mapping[str, Any], key: str, lowest: float, highest: float) -> float:
    """Return a number of a command; raises `UsageError`."""
    value = command.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) \
            or not lowest <= value <= highest:          # so no NaN, and no number of 400 digits
        raise UsageError(f'{command["type"]}: expected {key} from {lowest:g} to {highest:g}, '
                         f'got {value!r:.40}')
    return float(value)
