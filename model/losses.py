# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Training losses: pure functions on tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from avatar_bridge import rig
from model.metrics import LIP_GAP


def channel_weights() -> Tensor:
    """Return (52,) weights: the mouth counts twice, the rest half."""
    weights = torch.full((len(rig.NAMES),), 0.5)
    weights[list(rig.MOUTH)] = 2.0
    return weights


def coefficient_loss(predicted: Tensor, clean: Tensor) -> Tensor:
    """Return the mean squared error of standardised (batch, frames, 52) coefficients."""
    return (channel_weights().to(clean.device) * (predicted - clean) ** 2).mean()


def velocity_loss(predicted: Tensor, clean: Tensor, fps: float) -> Tensor:
    """Return the error of the motion between neighbours, per 1/30 s."""
    error = (predicted - clean).diff(dim=1) * (fps / 30.0)
    return (channel_weights().to(clean.device) * error**2).mean()


def lip_gap_loss(predicted: Tensor, clean: Tensor, deviation: Tensor) -> Tensor:
    """
    Return the error of the inner-lip gap, in units of 5 mm.

    :param predicted: (batch, frames, 52) standardised
    :param clean: likewise
    :param deviation: (52,) standard deviation of the weights
    """
    gap = torch.as_tensor(LIP_GAP, device=deviation.device) * deviation
    error = ((predicted - clean) * gap).sum(dim=-1) / 0.05
    return error.square().mean()


def seal_loss(predicted: Tensor, clean: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """
    Return the error of the square root of the lip gap: a millimetre counts most near closed.

    :param predicted: (batch, frames, 52) standardised
    :param clean: likewise
    :param mean: (52,) mean of the weights
    :param deviation: (52,) their standard deviation
    """
    row = torch.as_tensor(LIP_GAP, device=mean.device)

    def root(coefficients: Tensor) -> Tensor:
        gap = ((coefficients * deviation + mean) * row).sum(dim=-1)
        return (gap.clamp(min=0.0) + 0.003).sqrt()

    return (root(predicted) - root(clean)).square().mean() / 0.02
