# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Where training begins: what a run left, or a bundle that somebody has and no run of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from avatar_bridge.bundle import Bundle, load_bundle
from avatar_bridge.programs import read_program

INSIDE: Final = '_module_network_'      # before a parameter's name, in a program


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
    found = {name.partition(INSIDE)[2]: value for path in sorted(bundle.path.glob('*.pt2'))
             for name, value in read_program(path).parameters.items()}
    if not found:
        raise ValueError(f'{bundle.path} has no programs (*.pt2) to begin with')
    parameters = {name: torch.from_numpy(found[inside].astype(np.float32))
                  for name in network.state_dict()
                  if (inside := name.replace('.', '_')) in found}
    parameters['style.weight'] = torch.tensor(list(bundle.manifest['styles'].values()))
    return Origin(parameters, torch.from_numpy(bundle.mean), torch.from_numpy(bundle.deviation))
