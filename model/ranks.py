# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Processes that train one network together, each on its part of a batch.

`torchrun --nproc_per_node N -m model.train CONFIG.toml` starts them; a plain python is rank 0 of
1. Every rank begins with the same parameters and takes the same step, so they stay the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
import os

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this is."""

    index: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes logs and checkpoints."""
        return self.index == 0

    def share(self, size: int) -> int:
        """Return this rank's part of a batch of `size`."""
        if size % self.count:
            raise ValueError(f'a batch of {size} for {self.count} processes: expected a multiple')
        return size // self.count

    def agree(self, network: nn.Module) -> None:
        """Give every rank the mean of all ranks' gradients; one message for all parameters."""
        if self.count == 1:
            return
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        for parameter in trained:
            if parameter.grad is None:          # unused here, perhaps not on another rank
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in trained]
        message = packed(gradients)
        distributed.all_reduce(message)
        unpack(message / self.count, gradients)

    def others(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return those of some tensors that are another rank's to change: every rank has a few."""
        return [tensor for index, tensor in enumerate(tensors) if index % self.count != self.index]

    @torch.no_grad()
    def spread(self, tensors: Sequence[Tensor]) -> None:
        """Give every rank the tensors as the rank has them whose they are (see `others`)."""
        if self.count == 1:
            return
        for owner in range(self.count):
            theirs = tensors[owner::self.count]
            message = packed(theirs)
            distributed.broadcast(message, owner)
            unpack(message, theirs)


def packed(tensors: Sequence[Tensor]) -> Tensor:
    """Return (n,) all numbers of some tensors: one message."""
    return torch.cat([tensor.flatten() for tensor in tensors])


def unpack(message: Tensor, tensors: Sequence[Tensor]) -> None:
    """Put the numbers of a message where `packed` took them from."""
    parts = message.split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view_as(tensor))


ALONE = Ranks()


@contextmanager
def joined(device: str, environment: Mapping[str, str] = os.environ,
           ) -> Iterator[tuple[Ranks, str]]:
    """
    Yield this process's place among those that `torchrun` started, and its device.

    On GPUs each has the one of its number and they speak NCCL, on CPUs Gloo.
    """
    if 'WORLD_SIZE' not in environment:
        yield ALONE, device
        return
    if device == 'cuda':
        device = f'cuda:{environment["LOCAL_RANK"]}'
        torch.cuda.set_device(device)
    distributed.init_process_group('nccl' if device.startswith('cuda') else 'gloo')
    try:
        yield Ranks(distributed.get_rank(), distributed.get_world_size()), device
    finally:
        distributed.destroy_process_group()
