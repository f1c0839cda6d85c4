# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Graphs through ONNX Runtime on the CPU: the default backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime

from avatar_bridge.errors import BundleError


class OnnxGraph:
    """One ONNX graph on one thread; small graphs are slower on two."""

    def __init__(self, path: Path, sizes: Mapping[str, int] | None = None) -> None:
        """
        Open the file; raises `BundleError` where it cannot be run.

        `sizes` fixes dynamic axes by name, which lets the runtime fold their arithmetic away (a
        sixth of a denoising step).
        """
        options = onnxruntime.SessionOptions()
        for axis, size in (sizes or {}).items():
            options.add_free_dimension_override_by_name(axis, size)
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=['CPUExecutionProvider'])
        except Exception as error:          # onnxruntime raises types of its own without a base
            raise BundleError(f'{path} cannot be run: {error}') from error
        self._outputs = [node.name for node in self._session.get_outputs()]
        self.inputs: Mapping[str, Sequence[Any]] = {
            node.name: node.shape for node in self._session.get_inputs()}

    def __call__(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs by name."""
        wanted = {name: inputs[name] for name in self.inputs}
        return dict(zip(self._outputs, self._session.run(None, wanted), strict=True))


class OnnxBackend:
    """The graphs `<name>.onnx` of a folder."""

    def __init__(self, folder: Path) -> None:
        """Open nothing yet."""
        self._folder = folder

    def __call__(self, name: str, sizes: Mapping[str, int] | None = None) -> OnnxGraph:
        """Open a graph."""
        return OnnxGraph(self._folder / f'{name}.onnx', sizes)
