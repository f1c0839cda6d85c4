# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Whom the viewer's server talks to, and what it takes for a command; no socket."""

from __future__ import annotations

import ipaddress
import json
import socket
from typing import Any, Final

from avatar_bridge.errors import UsageError

HEADERS: Final = {
    'Content-Security-Policy': (
        "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
        "connect-src 'self' blob: data:; worker-src 'self' blob:; object-src 'none'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
    'Cache-Control': 'no-cache',
    'Server': 'avatar_bridge',
}

LONGEST_LINE: Final = 400       # letters of a message


def is_this_server(header: str, host: str, port: int) -> bool:
    """
    Return whether a Host header names the server that listens on `host` and `port`.

    A foreign name that was made to resolve to this machine does not; a number cannot be rebound.
    """
    name, colon, written = header.rpartition(':') if not header.endswith(']') else (header, '', '')
    if not colon:
        name, written = header, '80'
    if written != str(port):
        return False
    name, here = name.strip('[]').lower(), socket.gethostname().lower()
    return name in ('localhost', host.lower(), here, f'{here}.local') or _is_number(name)


def is_own_page(origin: str | None, header: str) -> bool:
    """Return whether a request with this Origin comes from no other server's page."""
    return origin is None or origin.partition('://')[2].lower() == header.lower()


def stays_here(host: str) -> bool:
    """Return whether only this machine reaches what listens on `host`."""
    return host == 'localhost' or (_is_number(host) and ipaddress.ip_address(host).is_loopback)


def command_of(text: str) -> dict[str, Any]:
    """Return the JSON object, with a type, that a page sent; raises `UsageError`."""
    try:
        message = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise UsageError(f'expected a JSON object with a type ({str(error)[:80]})') from error
    if not isinstance(message, dict) or not isinstance(message.get('type'), str):
        raise UsageError('expected a JSON object with a type')
    return message


def line(text: str) -> str:
    """Return a message as one line that is not longer than a user reads."""
    words = ' '.join(text.split())
    return words if len(words) <= LONGEST_LINE else words[:LONGEST_LINE - 1] + '…'


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _no_number(name: str) -> Any:
    raise ValueError(f'{name} is no number')
