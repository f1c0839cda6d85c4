# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Diffusion sampling as plain functions: levels, a denoiser that is a callable, one loop.

Only `+ - * /` touch the data, so numpy at run time and torch in training share this file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
import math
from typing import Any, NamedTuple

Denoise = Callable[[Any, 'Level'], Any]     # (noisy, level) -> estimate of the clean data


class Level(NamedTuple):
    """noisy = alpha * clean + sigma * noise, at a noise time in [0, 1] (1 = noise)."""

    timestep: float
    alpha: float
    sigma: float


def cosine_level(timestep: float) -> Level:
    """Return the level of the variance-preserving cosine path (Nichol and Dhariwal 2021)."""
    angle = 0.5 * math.pi * timestep
    return Level(timestep, math.cos(angle), math.sin(angle))


def cosine_levels(steps: int) -> list[Level]:
    """Return `steps + 1` levels from pure noise to clean, evenly spaced in noise time."""
    if steps < 1:
        raise ValueError(f'steps must be at least 1, got {steps}')
    return [cosine_level(1.0 - step / steps) for step in range(steps + 1)]


def sample(denoise: Denoise, noise: Any, *, levels: Sequence[Level], known: Any = None) -> Any:
    """
    Walk from noise to clean data with deterministic DDIM steps (Song et al. 2020, eta = 0).

    `known`: final frames that open the window; they are handed to the denoiser as they are and
    come back untouched.
    """
    noisy = _pin(noise, known)
    for level, following in pairwise(levels):
        clean = denoise(noisy, level)
        if following.sigma <= 0.0:
            noisy = clean
        else:
            residual = (noisy - level.alpha * clean) / level.sigma
            noisy = following.alpha * clean + following.sigma * residual
        noisy = _pin(noisy, known)
    return noisy


def guided(conditional: Denoise, unconditional: Denoise, guidance_scale: float) -> Denoise:
    """Return a denoiser: unconditional + scale * (conditional - unconditional); 1 is off."""
    if guidance_scale == 1.0:
        return conditional

    def denoise(noisy: Any, level: Level) -> Any:
        away = unconditional(noisy, level)
        return away + guidance_scale * (conditional(noisy, level) - away)

    return denoise


def _pin(noisy: Any, known: Any) -> Any:
    if known is None or len(known) == 0:
        return noisy
    pinned = noisy.clone() if hasattr(noisy, 'clone') else noisy.copy()
    pinned[:len(known)] = known
    return pinned
