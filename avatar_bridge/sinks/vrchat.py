# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Frames for avatars in VRChat that are made for face tracking."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from avatar_bridge.errors import UsageError
from avatar_bridge.mappings.layouts import REGIONS
from avatar_bridge.mappings.unified import UNIFIED
from avatar_bridge.protocols.vrchat import (
    Avatar,
    VrChat,
    eyes_active,
    lips_active,
    own_eyes,
    under,
)
from avatar_bridge.sinks.address import Peer, address, choice
from avatar_bridge.sinks.datagrams import DatagramSink

VRCHAT: Final = Peer('127.0.0.1', 9000)
#: Where the avatars that are made from the usual templates have their parameters.
PREFIX: Final = 'FT/v2'
#: Whose eyes move: those of the avatar's parameters, or those that VRChat moves itself.
EYES: Final = {'parameters': eyes_active, 'native': own_eyes}


def from_argument(argument: str) -> DatagramSink:
    """Understand `vrchat=HOST:PORT?prefix=FT/v2&avatar=FILE&eyes=parameters|native&...`."""
    where = address('vrchat', argument, VRCHAT, options=('prefix', 'avatar', 'eyes'))
    eyes = choice('vrchat', 'eyes', where.options, EYES)
    regions = set(REGIONS[where.fitting.channels])
    others = [lips_active] if 'mouth' in regions else []
    if 'eyes' in regions:
        others.append(EYES[eyes])
    if eyes == 'native':
        regions.discard('eyes')
    dialect = VrChat(UNIFIED.only(regions).shapes, others, say=said_by(where.options))
    return DatagramSink(where.peer, dialect, where.fitting)


def said_by(options: dict[str, str]) -> Callable[[str, float], list[bytes]]:
    """Return how parameters are said: as this avatar has them, or all of them below a prefix."""
    if 'avatar' not in options:
        return under(options.get('prefix', PREFIX))
    try:
        return Avatar.from_json(Path(options['avatar']).read_text('utf-8-sig')).say
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f'sink vrchat: cannot read {options["avatar"]}: {error}') from error
