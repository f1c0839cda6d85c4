# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Where the web sink serves, as the command line says it."""

from __future__ import annotations

from dataclasses import replace
import re
from typing import Final
from urllib.parse import parse_qsl

from avatar_bridge.config import SessionConfig
from avatar_bridge.errors import UsageError

DEFAULT_HOST: Final = '127.0.0.1'
DEFAULT_PORT: Final = 5570

_ORIGIN = re.compile(r'https?://[^/?#\s]+')


def is_web(sink: str) -> bool:
    """Return whether a sink's text, NAME or NAME=ARGUMENT, means the web."""
    return sink.partition('=')[0] == 'web'


def host_and_port(argument: str) -> tuple[str, int]:
    """Return what `PORT`, `HOST:PORT` or nothing, and then perhaps `?`, mean; or `UsageError`."""
    place = argument.partition('?')[0]
    host, _, port = place.rpartition(':') if place else ('', '', str(DEFAULT_PORT))
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise UsageError(f'sink web: expected web, web=PORT or web=HOST:PORT, got {argument!r}')
    return host.strip('[]') or DEFAULT_HOST, int(port)


def origins(argument: str) -> tuple[str, ...]:
    """Return whose pages may use the server: those after `?origin=`; raises `UsageError`."""
    options = parse_qsl(argument.partition('?')[2], keep_blank_values=True)
    for name, value in options:
        if name != 'origin' or not _ORIGIN.fullmatch(value):
            raise UsageError('sink web: expected origin=http://HOST:PORT after the ?, got '
                             f'{f"{name}={value}"!r}')
    return tuple(value.lower() for _, value in options)


def for_viewer(config: SessionConfig, address: str) -> SessionConfig:
    """Return the configuration of `view`: with a web sink, and alive unless told otherwise."""
    sinks = config.sinks if any(map(is_web, config.sinks)) else (*config.sinks, f'web={address}')
    idle = 'on' if config.engine.idle == 'auto' else config.engine.idle
    return replace(config, sinks=sinks, engine=replace(config.engine, idle=idle))
