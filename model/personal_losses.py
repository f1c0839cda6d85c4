# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""DiffusionTalker's losses: contrastive ones of voices, and those of a student and its teacher."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor
import torch.nn.functional as F

from model.batches import Batch
from model.losses import coefficient_loss

TEMPERATURE: Final = 0.07
NEVER: Final = -1e4


def info_nce(one: Tensor, other: Tensor, same: Tensor, harder: Tensor | None = None, *,
             temperature: float = TEMPERATURE) -> Tensor:
    """
    Return how badly each row of `one` finds its partner among the rows of `other`.

    InfoNCE (van den Oord et al. 2018): the mean of -log softmax of the partner's cosine.

    :param one: (batch, width), rows of length 1
    :param other: (batch, width), likewise; row i belongs to row i
    :param same: (batch, batch) pairs that belong together as well and are no counter-examples
    :param harder: (batch,) cosines with one more counter-example each; -inf: there is none
    """
    cosines = one @ other.T
    apart = same & ~torch.eye(len(one), dtype=torch.bool, device=one.device)
    logits = (cosines / temperature).masked_fill(apart, NEVER)
    if harder is not None:
        logits = torch.cat([logits, (harder / temperature).clamp(min=NEVER)[:, None]], dim=1)
    return F.cross_entropy(logits, torch.arange(len(one), device=one.device))


def manner(network: Any, batch: Batch, clean: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """
    Return the style of each excerpt, (batch, width), and the losses of telling voices apart.

    A network with a table looks its style up, and goes from the first as far towards it as it is
    told; there is nothing to lose. One with a personaliser hears who speaks, and the style is what
    it makes of that.

    :param clean: (batch, frames, 52) standardised coefficients of the excerpts
    """
    numbers = torch.from_numpy(batch.style).to(clean.device)
    if batch.voices is None:
        first, style = network.style.weight[:1], network.style(numbers)
        if batch.amounts is not None:
            amounts = torch.from_numpy(batch.amounts).to(clean.device)
            style = first + amounts[:, None] * (style - first)
        return style, {}
    views = batch.voices.shape[1]
    features = torch.from_numpy(batch.voices).to(clean.device).flatten(0, 1)
    state = [part.to(clean.device) for part in network.strange(len(features))]
    voice, _ = network.enrol(features, state)
    rows = [part.reshape(len(clean), views, -1) for part in voice]
    lone = torch.from_numpy(batch.lone).to(clean.device)
    return rows[2][:, 0], contrasts(*rows, face=network.face(clean), numbers=numbers, lone=lone)


def contrasts(identity: Tensor, emotion: Tensor, personal: Tensor, *, face: Tensor,
              numbers: Tensor, lone: Tensor) -> dict[str, Tensor]:
    """
    Return the contrastive losses of three views of each excerpt's voice.

    The first view and the second are of one voice: identity. The first and the third are of one
    clip: emotion, with the second as the counter-example that the voice alone cannot tell apart.
    The upper face belongs to the personal vector of the first.

    :param identity: (batch, 3, width)
    :param emotion: (batch, 3, width)
    :param personal: (batch, 3, width)
    :param face: (batch, width) embedding of the upper face
    :param numbers: (batch,) of the voices
    :param lone: (batch,) whether the second view may be of the first one's clip
    """
    same = numbers[:, None] == numbers[None, :]
    itself = torch.eye(len(numbers), dtype=torch.bool, device=numbers.device)
    harder = (emotion[:, 0] * emotion[:, 1]).sum(dim=1).masked_fill(lone, -torch.inf)
    return {'identity': info_nce(identity[:, 0], identity[:, 1], same),
            'emotion': info_nce(emotion[:, 0], emotion[:, 2], itself, harder),
            'face': personal_enhancer_loss(personal[:, 0], face, same)}


def motion_distillation_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return L_dis: the error of the student's motion (batch, frames, 52) beside the teacher's."""
    return coefficient_loss(student, teacher)


def audio_feature_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """
    Return L_ae: how differently two encoders see which sounds are alike.

    The cosines between all tokens of an excerpt are compared, so widths may differ.

    :param student: (batch, tokens, width)
    :param teacher: (batch, tokens, another width)
    """
    def likeness(tokens: Tensor) -> Tensor:
        rows = F.normalize(tokens - tokens.mean(dim=1, keepdim=True), dim=2)
        return rows @ rows.transpose(1, 2)

    return (likeness(student) - likeness(teacher)).square().mean()


def personal_enhancer_loss(personal: Tensor, face: Tensor, same: Tensor) -> Tensor:
    """
    Return L_pc: how badly the teacher's voices find the upper faces that the student made.

    :param personal: (batch, width) personal vectors of the teacher
    :param face: (batch, width) the network's `face` of the student's motion
    :param same: (batch, batch) excerpts of one voice
    """
    return info_nce(F.normalize(personal, dim=1), face, same)
