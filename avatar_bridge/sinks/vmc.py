# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Frames for VRM models, in the protocol that VSeeFace, Warudo, VMC and engines understand."""

from __future__ import annotations

from functools import partial
from typing import Final

from avatar_bridge.mappings.layouts import ARKIT, REGIONS, Layout, pascal
from avatar_bridge.mappings.visemes import OCULUS, VSEEFACE_NAMES
from avatar_bridge.mappings.vrm import VRM0, VRM1
from avatar_bridge.protocols.vmc import Assistant, Performer, bones, still, target
from avatar_bridge.sinks.address import Peer, address, choice
from avatar_bridge.sinks.datagrams import DatagramSink

PROFILES: Final = {
    'vrm0': VRM0,
    'vrm1': VRM1,
    'perfect_sync': ARKIT.renamed(pascal),
    'arkit': ARKIT,                 # Perfect Sync as VRM 1 models often spell it
    'visemes': Layout({**VRM0.parts, **OCULUS.renamed(VSEEFACE_NAMES.__getitem__).parts}),
}
#: Who we are to the peer, and where such a peer listens.
ROLES: Final = {
    'performer': (Performer, Peer('127.0.0.1', 39539)),
    'assistant': (Assistant, Peer('127.0.0.1', 39540)),
}
#: What turns the eyes: expressions, their bones (then the head turns, too), or a point to look at.
TURNS: Final = {'shapes': still, 'bones': bones, 'target': target}
EMOTIONS: Final = {'off': frozenset[str](), 'on': frozenset({'emotions'})}


def from_argument(argument: str) -> DatagramSink:
    """Understand `vmc=HOST:PORT?profile=NAME&role=NAME&turn=NAME&emotions=on&...`."""
    read = partial(address, 'vmc', argument, profiles=PROFILES,
                   options=('role', 'turn', 'emotions'))
    options = read(ROLES['performer'][1]).options
    role, peer = ROLES[choice('vmc', 'role', options, ROLES)]
    turn = choice('vmc', 'turn', options, TURNS)
    where = read(peer)
    regions = set(REGIONS[where.fitting.channels])
    if turn != 'shapes':
        regions.discard('eyes')     # said once: a receiver would add the two
    if where.fitting.channels == 'all':
        regions |= EMOTIONS[choice('vmc', 'emotions', options, EMOTIONS)]
    layout = PROFILES[where.fitting.profile].only(regions)
    return DatagramSink(where.peer, role(layout.shapes, TURNS[turn]), where.fitting)
