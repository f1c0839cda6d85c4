# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
How somebody speaks: jaw and lips apart, as in JALI (Edwards et al. 2016).

GRID's talker is the neutral one. The other styles are set beside him: mumbling moves the lips
less than half as far and later, articulate speech opens farther and hastens from phone to phone,
shouting lowers the jaw and strains the upper face (sources: `docs/teacher.md`).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple


class Style(NamedTuple):
    """Factors of the neutral talker, but for `strain`, which he has none of."""

    jaw: float = 1.0            # how far the mouth opens
    lips: float = 1.0           # how far lips round, spread and part
    press: float = 1.0          # how hard closed lips press
    reach: float = 1.0          # time constants: more of them, more coarticulation
    reduction: float = 1.0      # how much less an unstressed vowel opens
    brows: float = 1.0          # how much the upper face says
    strain: float = 0.0         # of brows, lids, nose and bared teeth, in [0, 1]


#: By name; the first is what a corpus and a network have if they have one.
STYLES = MappingProxyType({
    'neutral': Style(),
    'mumbling': Style(0.5, 0.55, 0.6, 1.25, 1.3, 0.4),
    'articulate': Style(1.25, 1.3, 1.2, 0.8, 0.5, 1.3),
    'shouting': Style(1.75, 1.15, 1.2, 0.95, 0.7, 1.6, 1.0),
})
NEUTRAL = STYLES['neutral']
