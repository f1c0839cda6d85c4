# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Functions of a network as graphs of a bundle: ONNX, and programs for the backend torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
import warnings

import numpy as np
import onnx
from onnx import helper, numpy_helper
import torch
from torch import Tensor, nn

from avatar_bridge.ports import Backend
from model.programs import write_program

OPSET = 17


@dataclass(frozen=True)
class GraphWriter:
    """Where the graphs of a bundle are written, and for which backends."""

    folder: Path
    backends: tuple[str, ...] = ('onnx', 'torch')

    def write(self, name: str, module: nn.Module, inputs: dict[str, Tensor],
              axes: dict[str, dict[int, str]]) -> None:
        """
        Write one function for every backend.

        :param inputs: examples, in order
        :param axes: dimensions that may vary; names that are no inputs are the outputs, in order
        """
        if 'onnx' in self.backends:
            write_onnx(module, self.folder / f'{name}.onnx', inputs, axes)
        if 'torch' in self.backends:
            write_program(module, self.folder / f'{name}.pt2', inputs, axes)

    def opened(self) -> Iterator[Backend]:
        """Yield what opens the graphs again, on the CPU."""
        if 'onnx' in self.backends:
            from avatar_bridge.onnx_models import OnnxBackend

            yield OnnxBackend(self.folder)
        if 'torch' in self.backends:
            from avatar_bridge.torch_models import TorchBackend

            yield TorchBackend(self.folder, 'cpu')


def write_onnx(module: nn.Module, path: Path, inputs: dict[str, Tensor],
               axes: dict[str, dict[int, str]]) -> None:
    """Write one ONNX graph."""
    outputs = [name for name in axes if name not in inputs]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')         # the tracer's, about shapes that we fix on purpose
        torch.onnx.export(module, tuple(inputs.values()), str(path), input_names=list(inputs),
                          output_names=outputs, opset_version=OPSET, dynamo=False,
                          dynamic_axes={name: axis for name, axis in axes.items() if axis})
    store_halves(path)


def store_halves(path: Path) -> None:
    """Store the large constants of a graph in 16 bits; the runtime widens them once, at load."""
    graph = onnx.load(path)
    large = [constant for constant in graph.graph.initializer
             if constant.data_type == onnx.TensorProto.FLOAT and len(constant.raw_data) > 4096]
    for constant in large:
        half = numpy_helper.from_array(numpy_helper.to_array(constant).astype(np.float16),
                                       f'{constant.name}_half')
        graph.graph.initializer.append(half)
        graph.graph.initializer.remove(constant)
        graph.graph.node.insert(0, helper.make_node('Cast', [half.name], [constant.name],
                                                    to=onnx.TensorProto.FLOAT))
    onnx.save(graph, path)
