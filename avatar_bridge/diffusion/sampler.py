# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Diffusion sampling as plain functions: levels, a denoiser that is a callable, one loop.

Only `+ - * /` touch the data, so numpy at run time and torch in training share this file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import accumulate, pairwise
import math
from operator import mul
from typing import Any, Final, NamedTuple

TRAINED_STEPS: Final = 1000     # integer noise steps of a schedule that has such

Denoise = Callable[[Any, Any], Any]     # (noisy, level or noise times) -> estimate of the clean


class Level(NamedTuple):
    """noisy = alpha * clean + sigma * noise, at a noise time in [0, 1] (1 = noise)."""

    timestep: float
    alpha: float
    sigma: float


def cosine_level(timestep: float) -> Level:
    """Return the level of the variance-preserving cosine path (Nichol and Dhariwal 2021)."""
    angle = 0.5 * math.pi * timestep
    return Level(timestep, math.cos(angle), math.sin(angle))


def scaled_linear_level(timestep: float) -> Level:
    """
    Return the level of DiffSpeaker's path: 1000 integer steps, scaled-linear beta.

    The roots of beta rise evenly from 0.00085 to 0.012 (Rombach et al. 2022); even at the end a
    little of the signal is left (alpha 0.07).
    """
    kept = _signal_kept()[round(timestep * TRAINED_STEPS)]
    return Level(timestep, math.sqrt(kept), math.sqrt(1.0 - kept))


@cache
def _signal_kept() -> list[float]:
    """Return the share of the signal's power left after 0 to 1000 steps of noise."""
    first, last = math.sqrt(0.00085), math.sqrt(0.012)
    rise = (last - first) / (TRAINED_STEPS - 1)
    return list(accumulate(((1.0 - (first + rise * step) ** 2) for step in range(TRAINED_STEPS)),
                           mul, initial=1.0))


SCHEDULES: Final[dict[str, Callable[[float], Level]]] = {
    'cosine': cosine_level, 'scaled_linear': scaled_linear_level,
}


def evenly(steps: int, level: Callable[[float], Level] = cosine_level) -> list[Level]:
    """Return `steps + 1` levels from pure noise to clean, evenly spaced in noise time."""
    if steps < 1:
        raise ValueError(f'steps must be at least 1, got {steps}')
    return [level(1.0 - step / steps) for step in range(steps + 1)]


def sample(denoise: Denoise, noise: Any, *, levels: Sequence[Level], known: Any = None) -> Any:
    """
    Walk from noise to clean data with deterministic DDIM steps (Song et al. 2020, eta = 0).

    `known`: final frames that open the window; they are handed to the denoiser as they are and
    come back untouched.
    """
    noisy = _pin(noise, known)
    for level, following in pairwise(levels):
        noisy = _pin(ddim(noisy, denoise(noisy, level), level, following), known)
    return noisy


def ddim(noisy: Any, clean: Any, level: Level, following: Level) -> Any:
    """Return what is `noisy` at `level` as it is at `following`, if `clean` is right."""
    noise = (noisy - level.alpha * clean) / level.sigma
    return following.alpha * clean + following.sigma * noise


def guided(conditional: Denoise, unconditional: Denoise, guidance_scale: float) -> Denoise:
    """Return a denoiser: unconditional + scale * (conditional - unconditional); 1 is off."""
    if guidance_scale == 1.0:
        return conditional

    def denoise(noisy: Any, place: Any) -> Any:
        away = unconditional(noisy, place)
        return away + guidance_scale * (conditional(noisy, place) - away)

    return denoise


def _pin(noisy: Any, known: Any) -> Any:
    if known is None or len(known) == 0:
        return noisy
    pinned = noisy.clone() if hasattr(noisy, 'clone') else noisy.copy()
    pinned[:len(known)] = known
    return pinned
