# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The table of frames that clients of Audio2Face-3D write: `animation_frames.csv`."""

from __future__ import annotations

from typing import Final

from avatar_bridge.formats.motion import Motion
from avatar_bridge.mappings.layouts import pascal
from avatar_bridge.rig import NAMES

COLUMNS: Final = ('timeCode', *(f'blendShapes.{pascal(name)}' for name in NAMES))


def table(motion: Motion) -> bytes:
    """Return the file: a row a frame, seconds first."""
    rows = [','.join(COLUMNS)]
    for time, weights in zip(motion.times.tolist(), motion.weights.tolist(), strict=True):
        rows.append(f'{time:.6f},' + ','.join(f'{weight:.7g}' for weight in weights))
    return '\n'.join(rows).encode() + b'\n'
