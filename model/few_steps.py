# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
What a student of few steps is to say: the targets of three ways to distil, pure functions.

On a variance-preserving path, noisy = alpha clean + sigma noise, write alpha = cos(a) and
sigma = sin(a). A DDIM step from angle a to b with the estimate x of the clean data is

    z_b = cos(b) x + sin(b) (z_a - cos(a) x) / sin(a) = (sin(a - b) x + sin(b) z_a) / sin(a).

Two steps in a row, a to b with x1 and b to c with x2, end in some z_c. One step from a to c ends
there too if its estimate is the x that solves the same equation (Salimans and Ho 2022),

    x = (sin(a) z_c - sin(c) z_a) / sin(a - c)
      = (sin(a) sin(b - c) x2 + sin(c) sin(a - b) x1) / (sin(b) sin(a - c)):

a mean of both estimates: z_a is gone, the weights are positive and, by an identity of sines, their
sum is 1. On the last step, c = 0, it is x2. So the target of an x0 network has no singular place,
and a network whose estimate is constant along its way to c is a fixed point.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from avatar_bridge.diffusion.sampler import Level, ddim

Path = Callable[[Tensor], Level]        # noise times (batch, frames) -> parts (batch, frames, 1)


class Place(NamedTuple):
    """Where frames are on their way from noise to clean data."""

    noisy: Tensor           # (batch, frames, 52)
    timesteps: Tensor       # (batch, frames)
    active: Tensor          # (batch, frames) 1 for frames that steps move, 0 for the past


Estimate = Callable[[Place, Tensor], Tensor]        # (place, step sizes (batch,)) -> clean


def moved(place: Place, clean: Tensor, step_size: Tensor, path: Path) -> Place:
    """Return the place after a DDIM step of `step_size` (batch,) in noise time."""
    then = (place.timesteps - place.active * step_size[:, None]).clamp(min=0.0)
    arrived = ddim(place.noisy, clean, path(place.timesteps), path(then))
    noisy = torch.where(place.active[..., None] > 0, arrived, place.noisy)
    return place._replace(noisy=noisy, timesteps=then)


def two_as_one(estimate: Estimate, place: Place, step_size: Tensor, path: Path) -> Tensor:
    """Return the estimate whose one step ends where two of half `step_size` do."""
    half = 0.5 * step_size
    middle = moved(place, estimate(place, half), half, path)
    end = moved(middle, estimate(middle, half), half, path)
    now, then = path(place.timesteps), path(end.timesteps)
    return (now.sigma * end.noisy - then.sigma * place.noisy) / (
        now.sigma * then.alpha - then.sigma * now.alpha)


def consistency(teacher: Estimate, average: Estimate, place: Place, step_size: Tensor, path: Path,
                ) -> Tensor:
    """
    Return what the averaged student says one step of the teacher farther on.

    All places of a teacher's way are to name its end (Song et al. 2023). At the end itself that is
    the place, so the student needs no skip connection to be right there.
    """
    after = moved(place, teacher(place, step_size), step_size, path)
    arrived = after.timesteps[..., None] <= 0
    return torch.where(arrived, after.noisy, average(after, step_size))


def unhurried(estimate: Estimate, finest: float) -> Estimate:
    """
    Return the estimate that takes a step no longer than `finest` for none at all.

    So the shortest shortcuts are made of what was learnt from data alone (Frans et al. 2024).
    """
    def slow(place: Place, step_size: Tensor) -> Tensor:
        return estimate(place, torch.where(step_size > finest, step_size, 0.0))

    return slow
