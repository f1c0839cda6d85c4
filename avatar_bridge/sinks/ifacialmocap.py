# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Frames for programs that expect an iPhone with iFacialMocap."""

from __future__ import annotations

from functools import partial
from typing import Final

from avatar_bridge.mappings.layouts import ARKIT, REGIONS, sided
from avatar_bridge.ports import FrameSink
from avatar_bridge.protocols.ifacialmocap import PORT, SEPARATORS, IFacialMocap, IFacialMocapPhone
from avatar_bridge.sinks.address import Peer, address, choice
from avatar_bridge.sinks.datagrams import DatagramSink
from avatar_bridge.sinks.phone import PhoneSink

#: Where frames are pushed to, or where the phone listens: both sides of this protocol have the
#: same port, so that on one machine the phone needs an address of its own.
PLACES: Final = {'push': Peer('127.0.0.1', PORT), 'phone': Peer('127.0.0.2', PORT)}


def from_argument(argument: str) -> FrameSink:
    """Understand `ifacialmocap=HOST:PORT?mode=push|phone&profile=v1|v2&...`."""
    read = partial(address, 'ifacialmocap', argument, profiles=SEPARATORS, options=('mode',))
    mode = choice('ifacialmocap', 'mode', read(PLACES['push']).options, PLACES)
    where = read(PLACES[mode])
    fitting = where.fitting
    shapes = ARKIT.only(REGIONS[fitting.channels]).renamed(sided).shapes
    if mode == 'phone':                 # there the receiver says which version it wants
        return PhoneSink(where.peer, IFacialMocapPhone(shapes, where.peer.port), fitting)
    return DatagramSink(where.peer, IFacialMocap(shapes, fitting.profile), fitting)
