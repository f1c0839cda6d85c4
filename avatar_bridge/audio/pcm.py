# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Raw interleaved little-endian samples to floats in [-1, 1]."""

from __future__ import annotations

import numpy as np

from avatar_bridge.errors import AudioError
from avatar_bridge.frames import Samples

MOST_CHANNELS = 64
ENCODINGS = {                   # name: (numpy type of one sample, half of the range, middle)
    'U8': ('u1', 128.0, 128.0),
    'S8': ('i1', 128.0, 0.0),
    'S16LE': ('<i2', 2.0 ** 15, 0.0),
    'S24LE': ('<i4', 2.0 ** 31, 0.0),       # three bytes, widened first
    'S32LE': ('<i4', 2.0 ** 31, 0.0),
    'U32LE': ('<u4', 2.0 ** 31, 2.0 ** 31),
    'F32LE': ('<f4', 1.0, 0.0),
    'F64LE': ('<f8', 1.0, 0.0),
}
_ALIASES = {'INT8': 'S8', 'UINT8': 'U8'}


def decode_pcm(data: bytes, encoding: str, channels: int) -> Samples:
    """Return (n,) samples of one channel or (n, channels) of more; raises `AudioError`."""
    name = _ALIASES.get(encoding.upper(), encoding.upper())
    if name not in ENCODINGS:
        raise AudioError(f'expected samples as {", ".join(ENCODINGS)}, got {encoding!r}')
    if not 1 <= channels <= MOST_CHANNELS:
        raise AudioError(f'expected 1 to {MOST_CHANNELS} channels, got {channels}')
    kind, scale, middle = ENCODINGS[name]
    width = 3 if name == 'S24LE' else np.dtype(kind).itemsize
    if len(data) % (width * channels):
        raise AudioError(f'expected a multiple of {width * channels} bytes ({channels} channels '
                         f'of {name}), got {len(data)}')
    raw = np.frombuffer(_widened(data) if name == 'S24LE' else data, kind)
    samples = ((raw.astype(np.float64) - middle) / scale).astype(np.float32)
    return samples if channels == 1 else samples.reshape(-1, channels)


def _widened(data: bytes) -> bytes:
    """Put each 24 bit sample into the upper bytes of 32 bits."""
    wide = np.zeros((len(data) // 3, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
    return wide.tobytes()
