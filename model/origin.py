# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Where training begins: what a run left, or a bundle that somebody has and no run of it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from avatar_bridge.bundle import Bundle, load_bundle
from avatar_bridge.programs import read_program

INSIDE = 'p_module_network_', 'b_module_network_'       # a program's names of our parameters


class Origin(NamedTuple):
    """Averaged parameters by their names, and what the coefficients mean."""

    parameters: dict[str, Tensor]
    mean: Tensor                # (52,)
    deviation: Tensor           # (52,)


def origin(place: str | Path, network: torch.nn.Module) -> Origin:
    """
    Return what lies in the folder of a run or of a bundle, or is the bundle of that name.

    :param network: whose parameters are looked for; a bundle has 16 bits of each, and none of
        what serves in training only
    """
    checkpoint = Path(place) / 'checkpoint.pt'
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location='cpu', weights_only=True)
        return Origin(saved['average'], saved['mean'], saved['deviation'])
    return of_bundle(load_bundle(str(place)), network)


def of_bundle(bundle: Bundle, network: torch.nn.Module) -> Origin:
    """Return the parameters in a bundle's programs."""
    found = {}
    for path in sorted(bundle.path.glob('*.pt2')):
        found.update(read_program(path).parameters)
    if not found:
        raise ValueError(f'{bundle.path} has no programs (*.pt2) to begin with')
    parameters = {'style.weight': torch.tensor(list(bundle.manifest['styles'].values()))}
    for name in network.state_dict():
        inside = name.replace('.', '_')
        for value in (found[prefix + inside] for prefix in INSIDE if prefix + inside in found):
            parameters[name] = torch.from_numpy(value.astype(np.float32))
    return Origin(parameters, torch.from_numpy(bundle.mean), torch.from_numpy(bundle.deviation))
