# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Frames for Unreal's Live Link, as an iPhone sends them: no plug-in is needed there."""

from __future__ import annotations

from avatar_bridge.protocols.livelink import PROFILES, LiveLink
from avatar_bridge.sinks.address import Peer, address
from avatar_bridge.sinks.datagrams import DatagramSink

UNREAL = Peer('127.0.0.1', 11111)


def from_argument(argument: str) -> DatagramSink:
    """Understand `livelink=HOST:PORT?name=SUBJECT&profile=arkit|metahuman&...`."""
    where = address('livelink', argument, UNREAL, profiles=PROFILES, options=('name',))
    dialect = LiveLink(where.options.get('name', ''), where.fitting.profile)
    return DatagramSink(where.peer, dialect, where.fitting)
