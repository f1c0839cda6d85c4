# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
What takes a training step: AdamW for every parameter, or Muon for the matrices between layers.

Muon (Jordan et al. 2024) makes the step of a matrix nearly orthogonal, so that no direction is
left behind; scaled to AdamW's size of step (Liu et al. 2025), one learning rate serves both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import torch
from torch import Tensor, nn

from model.ranks import ALONE, Ranks

BETAS: Final = (0.9, 0.98)
HIDDEN: Final = ('encoder.blocks.', 'layers.', 'modulate')      # whose matrices are Muon's
NAMES: Final = ('muon', 'adamw')                                # in its state, too


class Muon:
    """
    Muon for the hidden matrices of a network, AdamW for the rest of it.

    Of several ranks each makes some of the matrices' steps, which cost the most, for all of them.
    """

    def __init__(self, network: nn.Module, rate: float, weight_decay: float,
                 ranks: Ranks = ALONE) -> None:
        """Begin with no momentum."""
        self._ranks, self._hidden = ranks, list(hidden_matrices(network))
        theirs = {id(matrix) for matrix in self._hidden}
        others = [parameter for parameter in network.parameters() if id(parameter) not in theirs]
        self._muon = torch.optim.Muon(self._hidden, lr=rate, weight_decay=weight_decay,
                                      adjust_lr_fn='match_rms_adamw')
        self._both = (self._muon, adamw(others, rate, weight_decay))

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Groups of both, whose learning rate may be set."""
        return [group for one in self._both for group in one.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for one in self._both:
            one.zero_grad(set_to_none)

    def step(self) -> None:
        """Take a step; the gradients are the same on every rank."""
        for matrix in self._ranks.others(self._hidden):
            self._feel(matrix)
            matrix.grad = None          # whose step another rank makes
        for one in self._both:
            one.step()
        self._ranks.spread(self._hidden)

    @torch.no_grad()
    def _feel(self, matrix: Tensor) -> None:
        """Add a gradient to the momentum, as Muon does, and make no step."""
        if matrix.grad is not None:
            momentum = self._muon.state[matrix].setdefault('momentum_buffer',
                                                           torch.zeros_like(matrix.grad))
            momentum.lerp_(matrix.grad, 1 - self._muon.defaults['momentum'])

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next step depends on."""
        return {name: one.state_dict() for name, one in zip(NAMES, self._both, strict=True)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from such a state."""
        for name, one in zip(NAMES, self._both, strict=True):
            one.load_state_dict(state[name])


Optimiser = torch.optim.Optimizer | Muon


def make(kind: str, network: nn.Module, rate: float, weight_decay: float,
         ranks: Ranks = ALONE) -> Optimiser:
    """Return a fresh optimiser; raises `ValueError` for a name that is not known."""
    if kind == 'muon':
        return Muon(network, rate, weight_decay, ranks)
    if kind == 'adamw':
        return adamw(network.parameters(), rate, weight_decay)
    raise ValueError(f'optimiser {kind!r}, expected one of {", ".join(sorted(NAMES))}')


def adamw(parameters: Iterable[nn.Parameter], rate: float, weight_decay: float,
          ) -> torch.optim.AdamW:
    """Return a fresh AdamW, as the networks of faces and codes are trained by."""
    return torch.optim.AdamW(parameters, rate, betas=BETAS, weight_decay=weight_decay)


def hidden_matrices(network: nn.Module) -> Iterator[nn.Parameter]:
    """Yield the weights of the linear maps between what goes in and what comes out."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear) and name.startswith(HIDDEN):
            yield module.weight
