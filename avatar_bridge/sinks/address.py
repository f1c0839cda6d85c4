# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Where a sink sends and how its rig wants the frames: `HOST:PORT?key=value&key=value`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qsl

from avatar_bridge.config import nearest
from avatar_bridge.errors import UsageError
from avatar_bridge.protocols.fitting import AS_IT_IS, Fitting


class Peer(NamedTuple):
    """A UDP or TCP address."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return it as the command line says it."""
        return f'[{self.host}]:{self.port}' if ':' in self.host else f'{self.host}:{self.port}'


@dataclass(frozen=True)
class Address:
    """What follows the = of a sink."""

    peer: Peer
    fitting: Fitting = AS_IT_IS
    options: dict[str, str] = field(default_factory=dict)       # those of this sink alone


def address(sink: str, argument: str, default: Peer, *,
            profiles: Collection[str] = (), options: Collection[str] = ()) -> Address:
    """
    Understand `HOST:PORT`, `HOST`, `PORT` or nothing, and after a ? the options.

    All sinks know `channels`, `gain` and `rate`; those with `profiles` also `profile`, whose
    first one is the default; `options` are this sink's own. Raises `UsageError`.
    """
    place, _, query = argument.partition('?')
    known = ['channels', 'gain', 'rate', *(['profile'] if profiles else []), *options]
    given = dict(parse_qsl(query, keep_blank_values=True))
    for name in given:
        if name not in known:
            raise UsageError(f'sink {sink}: expected one of {", ".join(known)} after the ?, '
                             f'got {name!r}{nearest(name, known)}')
    profile = given.get('profile', next(iter(profiles), ''))
    if profile not in profiles and profile:
        raise UsageError(f'sink {sink}: expected a profile out of {", ".join(profiles)}, '
                         f'got {profile!r}{nearest(profile, profiles)}')
    own = {name: given[name] for name in options if name in given}
    try:
        fitting = Fitting.from_options(given, profile)
    except ValueError as error:
        raise UsageError(f'sink {sink}: {error}') from error
    return Address(peer(sink, place, default), fitting, own)


def choice(sink: str, name: str, options: Mapping[str, str], choices: Collection[str]) -> str:
    """Return option `name`, one of `choices`, whose first one is the default."""
    value = options.get(name, next(iter(choices)))
    if value not in choices:
        raise UsageError(f'sink {sink}: expected {name} out of {", ".join(choices)}, got '
                         f'{value!r}{nearest(value, choices)}')
    return value


def peer(sink: str, place: str, default: Peer) -> Peer:
    """Return what `HOST:PORT`, `HOST`, `PORT` or nothing mean; raises `UsageError`."""
    host, colon, port = place.rpartition(':')
    if not colon or place.endswith(']'):
        host, port = ('', place) if place.isdigit() else (place, '')
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) <= 65535):
        raise UsageError(f'sink {sink}: expected {sink}=HOST:PORT, got {place!r}; '
                         f'for example {sink}={default}')
    return Peer(host.strip('[]') or default.host, int(port or default.port))
