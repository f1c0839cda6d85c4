# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""
What each of the processes does that `tests/test_loop.py` starts: train with the others.

`torchrun --nproc_per_node 2 tests/two_ranks.py CORPUS OUT`
"""

from dataclasses import replace
from pathlib import Path
import sys

from tiny_corpus import plan, tiny, train_until
import torch

from model import networks, optimisers
from model.ranks import ALONE, joined
from model.train import train


def agreed(ranks):
    """Return gradients on which ranks agreed that had 1 and 2, and none and 4."""
    layer = torch.nn.Linear(2, 2)
    layer.weight.grad = torch.full((2, 2), 1.0 + ranks.index)
    if ranks.index:
        layer.bias.grad = torch.full((2,), 4.0)
    ranks.agree(layer)
    return {'weight': layer.weight.grad, 'bias': layer.bias.grad}


def stepped(ranks=ALONE):
    """Return the parameters of a network after two steps of Muon, each rank making its part."""
    torch.manual_seed(0)
    network = networks.make('live', tiny('live'))
    optimiser = optimisers.make('muon', network, 0.01, 0.1, ranks)
    for _ in range(2):
        for parameter in network.parameters():
            parameter.grad = torch.randn_like(parameter)
        optimiser.step()
    return network.state_dict()


def main(corpus, out):
    """Leave in `rank-N.pt` the parameters of a run that was broken off and of one that was not."""
    config = plan(corpus, out / 'straight', steps=4, checkpoint_every=2, optimiser='muon')
    cut = replace(config, out=str(out / 'cut'))
    with joined('cpu') as (ranks, device):
        straight = train(config, device=device, ranks=ranks)
        train_until(3, cut, ranks)
        resumed = train(cut, device=device, ranks=ranks)
        torch.save({'straight': straight.network.state_dict(),
                    'resumed': resumed.network.state_dict(),
                    'agreed': agreed(ranks), 'stepped': stepped(ranks)},
                   out / f'rank-{ranks.index}.pt')


if __name__ == '__main__':
    main(Path(sys.argv[1]), Path(sys.argv[2]))
