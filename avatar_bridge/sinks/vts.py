# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Frames for VTube Studio, or for programs that expect VTube Studio on an iPhone."""

from __future__ import annotations

from functools import partial
from typing import Final

from avatar_bridge.mappings.layouts import ARKIT, REGIONS, pascal
from avatar_bridge.mappings.live2d import LIVE2D
from avatar_bridge.ports import FrameSink
from avatar_bridge.protocols import vts, vts_phone
from avatar_bridge.protocols.vts_phone import VtsPhone
from avatar_bridge.sinks.address import Peer, address, choice
from avatar_bridge.sinks.phone import PhoneSink

PLACES: Final = {'plugin': Peer('localhost', vts.PORT),
                 'phone': Peer('127.0.0.1', vts_phone.PORT)}
ARKIT_NAMES: Final = ARKIT.renamed(pascal)
#: Parameters that every model has, or one of our own for each shape.
PROFILES: Final = {'live2d': LIVE2D, 'arkit': ARKIT_NAMES}


def from_argument(argument: str) -> FrameSink:
    """Understand `vts=HOST:PORT?mode=plugin|phone&profile=live2d|arkit&...`."""
    read = partial(address, 'vts', argument, profiles=PROFILES, options=('mode',))
    mode = choice('vts', 'mode', read(PLACES['plugin']).options, PLACES)
    where = read(PLACES[mode])
    regions = REGIONS[where.fitting.channels]
    if mode == 'phone':
        return PhoneSink(where.peer, VtsPhone(ARKIT_NAMES.only(regions).shapes), where.fitting)
    from avatar_bridge.sinks.vts_plugin import Parameters, VTubeStudio

    layout = PROFILES[where.fitting.profile].only(regions)
    own = layout.names if where.fitting.profile == 'arkit' else ()
    return VTubeStudio(where.peer, Parameters(layout.shapes, own), where.fitting)
