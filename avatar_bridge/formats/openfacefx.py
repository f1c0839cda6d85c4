# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
OpenFaceFX tracks (`.track.json`): named curves of sparse keys, which its tools turn into others.

The shapes keep their ARKit names, which is what its retargeting calls the space `arkit`.
"""

from __future__ import annotations

import json
from typing import Final

import numpy as np

from avatar_bridge.formats.motion import Motion, knots
from avatar_bridge.rig import NAMES

TOLERANCE: Final = 0.002        # of a weight, between two keys


def track(motion: Motion) -> bytes:
    """Return the file."""
    times, weights = motion.times, motion.weights.astype(float)
    channels = [
        {'name': name, 'keys': np.stack([times[kept], curve[kept]], 1).round(6).tolist()}
        for name, curve, kept in zip(NAMES, weights.T, knots(times, weights, TOLERANCE),
                                     strict=True)]
    return json.dumps({
        'format': 'openfacefx.track', 'version': 1, 'fps': float(motion.fps),
        'duration': round(float(times[-1]), 6) if len(times) else 0.0,
        'viseme_set': NAMES, 'channels': channels,
    }, separators=(',', ':')).encode() + b'\n'
