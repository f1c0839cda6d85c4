# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Write a function of a network as a program of `torch.export`, for the backend torch.

Nothing is pickled, no path of this machine is left in it, parameters lie in 16 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
import json
from pathlib import Path
import warnings

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.export.graph_signature import InputKind

from avatar_bridge.programs import NAMES


class Flat(nn.Module):
    """A function of which every input is one of a row."""

    def __init__(self, module: nn.Module) -> None:
        """Wrap `module`."""
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return what the module does."""
        return self.module(*inputs)


def write_program(module: nn.Module, path: Path, inputs: Mapping[str, Tensor],
                  axes: Mapping[str, Mapping[int, str]]) -> None:
    """
    Write one program; `inputs` are examples.

    `axes` names the dimensions that may vary; its keys that are no inputs are the outputs.
    """
    names = {'inputs': list(inputs), 'outputs': [name for name in axes if name not in inputs]}
    dynamic = [{axis: Dim.DYNAMIC for axis in axes.get(name, {})} for name in inputs]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')         # torch's, about its own use of pytrees
        program = torch.export.export(Flat(module), tuple(inputs.values()),
                                      dynamic_shapes={'inputs': tuple(dynamic)})
        strip(program)
        torch.export.save(program, path, extra_files={NAMES: json.dumps(names)})


def strip(program: ExportedProgram) -> None:
    """Take out what running does not need: examples, traces, unused and half of the numbers."""
    program.example_inputs = None               # would be pickled
    for node in program.graph.nodes:
        node.meta = {key: value for key, value in node.meta.items() if key == 'val'}
    unused = {node.name: node for node in program.graph.nodes
              if node.op == 'placeholder' and not node.users}
    specs = program.graph_signature.input_specs
    for spec in [spec for spec in specs if spec.kind is not InputKind.USER_INPUT]:
        if spec.arg.name in unused:
            specs.remove(spec)
            program.state_dict.pop(spec.target, None)
            program.graph.erase_node(unused[spec.arg.name])
    for name, tensor in program.state_dict.items():
        if tensor.is_floating_point():
            half = tensor.half()
            program.state_dict[name] = nn.Parameter(half, requires_grad=False) if isinstance(
                tensor, nn.Parameter) else half
