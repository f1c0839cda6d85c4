# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""How a client wants its face: what the header of its stream says, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
import math
from typing import Any, Final

import numpy as np

from avatar_bridge.audio.intake import checked_rate
from avatar_bridge.audio.pcm import MOST_CHANNELS
from avatar_bridge.errors import AudioError
from avatar_bridge.frames import Weights
from avatar_bridge.rig import INDEX, MOUTH, NAMES

ENCODINGS: Final = {16: 'S16LE', 24: 'S24LE', 32: 'S32LE'}
UPPER: Final = tuple(index for index in range(len(NAMES)) if index not in MOUTH)

#: Parameters of the face that make shapes stronger, and which.
STRENGTHS: Final[dict[str, tuple[int, ...]]] = {
    'lowerFaceStrength': tuple(index for index in MOUTH if index != INDEX['tongueOut']),
    'upperFaceStrength': UPPER,
    'blinkStrength': (INDEX['eyeBlinkLeft'], INDEX['eyeBlinkRight']),
    'tongueStrength': (INDEX['tongueOut'],),
}


@dataclass(frozen=True)
class Format:
    """What the bytes of audio are."""

    sample_rate: int
    channels: int
    encoding: str

    @property
    def width(self) -> int:
        """Bytes of one sample of all channels."""
        return self.channels * int(self.encoding[1:3]) // 8


@dataclass(frozen=True)
class Manner:
    """What is done to every frame, and what of the wishes cannot be done."""

    strengths: Weights              # (52,)
    multipliers: Weights            # (52,) after emotions
    offsets: Weights                # (52,)
    clamp: bool
    share: float                    # of emotions
    blend: float
    transition: float               # seconds
    most: int
    beginning: Mapping[str, float]
    unheeded: tuple[str, ...]

    def dress(self, weights: Weights, emotion: Weights) -> Weights:
        """Return (52,) weights with what (52,) an emotion adds, as the client wants them."""
        face = np.clip(weights * self.strengths + emotion, 0.0, 1.0)
        face = face * self.multipliers + self.offsets
        return np.clip(face, 0.0, 1.0) if self.clamp else face


def format_of(header: Any) -> Format:
    """Return the format that an `AudioHeader` announces; raises `AudioError`."""
    if header.audio_format != 0:
        raise AudioError(f'audio_format: expected 0 (PCM), got {header.audio_format}')
    if header.bits_per_sample not in ENCODINGS:
        raise AudioError(f'bits_per_sample: expected 16, 24 or 32, got {header.bits_per_sample}')
    if not 1 <= header.channel_count <= MOST_CHANNELS:
        raise AudioError(f'channel_count: expected 1 to {MOST_CHANNELS}, '
                         f'got {header.channel_count}')
    return Format(checked_rate(header.samples_per_second), header.channel_count,
                  ENCODINGS[header.bits_per_sample])


def manner_of(header: Any) -> Manner:
    """Return the wishes in a stream's header; raises `AudioError` where they are no numbers."""
    shapes, after = header.blendshape_params, header.emotion_post_processing_params
    known = {**INDEX, **{name[0].upper() + name[1:]: index for name, index in INDEX.items()}}
    strengths, face = np.ones(len(NAMES), np.float32), header.face_params.float_params
    for name, indices in STRENGTHS.items():
        if name in face:
            strengths[list(indices)] *= ranged(name, face[name], 0.0, 10.0)
    preferred = given(after, 'preferred_emotion_strength', 0.5, 0.0, 1.0)
    if after.HasField('enable_preferred_emotion') and not after.enable_preferred_emotion:
        preferred = 0.0
    asked = (*shapes.bs_weight_multipliers, *shapes.bs_weight_offsets)
    wanted = header.emotion_params.beginning_emotion
    return Manner(
        strengths,
        laid_out(shapes.bs_weight_multipliers, known, 1.0),
        laid_out(shapes.bs_weight_offsets, known, 0.0),
        # Clients from before the switch was there expect weights of 0 to 1.
        not shapes.HasField('enable_clamping_bs_weight') or shapes.enable_clamping_bs_weight,
        share=preferred * given(after, 'emotion_strength', 0.6, 0.0, 1.0),
        blend=given(after, 'live_blend_coef', 0.7, 0.0, 1.0),
        transition=given(header.emotion_params, 'live_transition_time', 0.5, 0.0, 3600.0),
        most=int(given(after, 'max_emotions', 3, 1, 6)),
        beginning=dict(wanted),
        unheeded=tuple(sorted({*(name for name in asked if name not in known),
                               *(name for name in face if name not in STRENGTHS)})))


def laid_out(values: Mapping[str, float], known: Mapping[str, int], rest: float) -> Weights:
    """Return (52,) values by shape; `rest` where nothing is said."""
    row = np.full(len(NAMES), rest, np.float32)
    for name, value in values.items():
        if name in known:
            row[known[name]] = ranged(name, value, -100.0, 100.0)
    return row


def given(message: Any, field: str, default: float, lowest: float, highest: float) -> float:
    """Return what a message says of a field, or its default."""
    value = getattr(message, field) if message.HasField(field) else default
    return ranged(field, value, lowest, highest)


def ranged(name: str, value: float, lowest: float, highest: float) -> float:
    """Return a number that lies where it should; raises `AudioError` for no number."""
    if not math.isfinite(value):
        raise AudioError(f'{name}: expected a number, got {value}')
    return min(highest, max(lowest, value))


def listed(names: Iterable[str], most: int = 20) -> str:
    """Return names for a message, not all of them where they are many."""
    names = list(names)
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return ', '.join(name[:40] for name in names[:most]) + more
