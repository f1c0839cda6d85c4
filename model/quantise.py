# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Make an int8 variant of a bundle for the CPU: `python -m model.quantise BUNDLE OUT`.

Parameters of large matrix products are rounded to 8 bits, one scale for each column; what goes in
is rounded while running. Convolutions, norms and attention stay as they are. docs/backends.md says
what it costs and what it gains.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
import json
from pathlib import Path
import shutil
import tempfile
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from avatar_bridge.bundle import Bundle, file_hash, load_bundle
from model.graph_writer import store_halves

QUANTISED = ('MatMul', 'Gemm')
LEAST = 2**14                   # numbers in a matrix; rounding smaller ones gains nothing


def widen(path: Path, out: Path) -> None:
    """Write a graph whose 16-bit constants are 32-bit ones, as before `store_halves`."""
    graph = onnx.load(path)
    halves = {constant.name: constant for constant in graph.graph.initializer
              if constant.data_type == onnx.TensorProto.FLOAT16}
    casts = [node for node in graph.graph.node
             if node.op_type == 'Cast' and node.input[0] in halves]
    for cast in casts:
        half = halves[cast.input[0]]
        wide = numpy_helper.to_array(half).astype(np.float32)
        graph.graph.initializer.append(numpy_helper.from_array(wide, cast.output[0]))
        graph.graph.initializer.remove(half)
        graph.graph.node.remove(cast)
    onnx.save(graph, out)


def large_products(path: Path) -> list[str]:
    """Return the names of the matrix products by a large constant."""
    graph = onnx.load(path).graph
    large = {constant.name for constant in graph.initializer
             if np.prod(constant.dims) >= LEAST}
    return [node.name for node in graph.node
            if node.op_type in QUANTISED and not large.isdisjoint(node.input)]


def quantise_graph(path: Path, out: Path) -> None:
    """Write the int8 variant of one ONNX graph; one without large products stays as it is."""
    with tempfile.TemporaryDirectory() as folder:
        wide = Path(folder) / path.name
        widen(path, wide)
        chosen = large_products(wide)
        if not chosen:
            shutil.copyfile(path, out)
            return
        quantize_dynamic(wide, out, nodes_to_quantize=chosen, per_channel=True,
                         weight_type=QuantType.QInt8)
    store_halves(out)


def quantise(bundle: Bundle, out: Path) -> None:
    """Write the int8 variant of a bundle; it has graphs for the backend onnx alone."""
    out.mkdir(parents=True, exist_ok=True)
    graphs = [name for name in bundle.manifest['files'] if name.endswith('.onnx')]
    for name in graphs:
        quantise_graph(bundle.path / name, out / name)
    (out / 'manifest.json').write_text(json.dumps(described(bundle, out, graphs), indent=1) + '\n')


def described(bundle: Bundle, out: Path, graphs: list[str]) -> Mapping[str, Any]:
    """Return the manifest of the variant: it says what was rounded."""
    return {**bundle.manifest, 'name': f'{bundle.name}-int8',
            'numbers': 'int8 parameters and inputs of MatMul and Gemm, one scale a column; '
                       'float32 else',
            'files': {name: file_hash(out / name) for name in graphs}}


def main() -> None:
    """Read the command line and write the variant."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('bundle', help='name of a shipped bundle, or a folder')
    parser.add_argument('out', type=Path, help='folder of the int8 bundle')
    arguments = parser.parse_args()
    bundle = load_bundle(arguments.bundle)
    quantise(bundle, arguments.out)
    before, after = (sum((folder / name).stat().st_size for name in bundle.manifest['files']
                         if name.endswith('.onnx')) / 2**20
                     for folder in (bundle.path, arguments.out))
    print(f'{arguments.out}: {after:.1f} MB of graphs, {before:.1f} MB before')


if __name__ == '__main__':
    main()
