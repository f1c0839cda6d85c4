# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Training losses: pure functions on tensors."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from avatar_bridge import rig
from avatar_bridge.stream import blender
from model.metrics import LIP_GAP

CLOSING: Final = 0.25           # likelihood from which on lips are shut rather than not


def channel_weights() -> Tensor:
    """Return (52,) weights: the mouth counts twice, the rest half."""
    weights = torch.full((len(rig.NAMES),), 0.5)
    weights[list(rig.MOUTH)] = 2.0
    return weights


def motion_losses(predicted: Tensor, clean: Tensor, mean: Tensor, deviation: Tensor, fps: float,
                  *, shown: bool = False) -> dict[str, Tensor]:
    """
    Return every loss below by the name of its share in a configuration.

    :param predicted: (batch, frames, 52) standardised
    :param clean: likewise
    :param mean: (52,) mean of the weights
    :param deviation: (52,) their standard deviation
    :param fps: frames a second
    :param shown: the lips are judged as they are shown, after the blender
    """
    lips = settled(predicted, fps) if shown else predicted
    return {'coefficient': coefficient_loss(predicted, clean),
            'velocity': velocity_loss(predicted, clean, fps),
            'lip_gap': lip_gap_loss(lips, clean, deviation),
            'seal': seal_loss(lips, clean, mean, deviation),
            'closing': closing_loss(lips, clean, mean, deviation)}


def settled(predicted: Tensor, fps: float) -> Tensor:
    """Return (batch, frames, 52) frames as the blender settles them between their neighbours."""
    around = torch.cat([predicted[:, :1], predicted, predicted[:, -1:]], dim=1).transpose(0, 1)
    return blender.settled(around, blender.neighbours_share(fps)).transpose(0, 1)


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
    return _seal_error(predicted, clean, mean, deviation).square().mean() / 0.02


def closing_loss(predicted: Tensor, clean: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """
    Return the pinball loss of the square root of the lip gap, at the quantile `CLOSING`.

    What minimises a squared error is a mean, and where lips may be shut or not a mean is half
    shut. What minimises this is a quantile (Koenker and Bassett 1978): lips shut in full as soon
    as that is likelier than `CLOSING`. Arguments are those of `seal_loss`.
    """
    error = _seal_error(predicted, clean, mean, deviation)
    return torch.maximum((1 - CLOSING) * error, -CLOSING * error).mean() / 0.1


def phone_loss(logits: Tensor, shares: Tensor) -> Tensor:
    """
    Return the cross-entropy of what sounds; where that is not known nothing is lost.

    :param logits: (batch, tokens, classes)
    :param shares: likewise, 1 for the class that sounds, all 0 where it is not known
    """
    lost = -(shares * logits.log_softmax(dim=-1)).sum()
    return lost / shares.sum().clamp(min=1.0)


def speech_loss(odds: Tensor, shares: Tensor) -> Tensor:
    """
    Return the cross-entropy of whether somebody speaks; where that is not known nothing is lost.

    :param odds: (batch, tokens) log odds
    :param shares: (batch, tokens, 2) of speech and of silence, both 0 where it is not known
    """
    return phone_loss(torch.stack([odds, torch.zeros_like(odds)], dim=-1), shares)


def _seal_error(predicted: Tensor, clean: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Return by how much the root of the lip gap is too large, (batch, frames), root of dm."""
    row = torch.as_tensor(LIP_GAP, device=mean.device)
    roots = [(((coefficients * deviation + mean) * row).sum(dim=-1).clamp(min=0.0) + 0.003).sqrt()
             for coefficients in (predicted, clean)]
    return roots[0] - roots[1]
