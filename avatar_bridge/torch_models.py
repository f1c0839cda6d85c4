# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Programs of `torch.export` through torch, on the CPU or a CUDA card.

On a card a whole hop is recorded as one CUDA graph for each set of shapes: one copy in, one
replay, one copy out, and nothing between them waits for the host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
import operator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, fx

from avatar_bridge.errors import BundleError, UsageError
from avatar_bridge.frames import Weights
from avatar_bridge.ports import Hop
from avatar_bridge.programs import Call, Constant, Given, Program, Ref, read_program

#: Arithmetic of sizes, which are numbers of the host.
SIZES: Final[dict[str, Callable[..., Any]]] = {
    f'_operator.{name}': getattr(operator, name)
    for name in ('add', 'sub', 'mul', 'floordiv', 'mod', 'neg')}
#: Beside torch's own core and pointwise operators, those that it makes of them.
COMPOSED: Final = frozenset((
    '__and__', '__or__', 'broadcast_tensors', 'chunk', 'contiguous', 'conv1d', 'dropout', 'einsum',
    'expand_as', 'flatten', 'layer_norm', 'linear', 'log_softmax', 'masked_fill', 'matmul',
    'movedim', 'narrow', 'one_hot', 'ones_like', 'pad', 'reshape', 'repeat_interleave',
    'scaled_dot_product_attention', 'softmax', 'split', 'square', 'stack', 'swapaxes', 'tile',
    'to', 'transpose', 'type_as', 'unbind', 'unflatten', 'view_as', 'where', 'zeros_like'))
OPERATOR: Final = type(torch.ops.aten.add.Tensor)
RECORDINGS: Final = 32          # sets of shapes kept recorded; each takes a few MB of the card


def choose_device(name: str) -> torch.device:
    """Return the device called `auto`, `cpu` or `cuda[:N]`; raises `UsageError`."""
    if name == 'cpu' or (name == 'auto' and not torch.cuda.is_available()):
        return torch.device('cpu')
    if not torch.cuda.is_available():
        why = ('this torch is built without CUDA' if torch.version.cuda is None
               else 'torch finds no usable card')
        raise UsageError(f'device {name}: {why} (torch {torch.__version__}); choose --device cpu, '
                         'or install a torch built for CUDA from pytorch.org and the driver')
    index = int(name.partition(':')[2] or 0)
    if index >= torch.cuda.device_count():
        raise UsageError(f'device {name}: expected cuda:0 to cuda:'
                         f'{torch.cuda.device_count() - 1}')
    return torch.device('cuda', index)


class TorchGraph:
    """One program; arrays in, arrays out, and tensors in, tensors out."""

    def __init__(self, path: Path, device: torch.device) -> None:
        """Read the file; raises `BundleError` where it cannot be run."""
        program = read_program(path)
        self.inputs = program.inputs
        self._outputs = program.outputs
        self._device = device
        try:
            self._module = Builder(device).build(program)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise BundleError(f'{path} cannot be run: {error}') from error

    def __call__(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs by name."""
        given = [inputs[name] for name in self.inputs]
        if all(isinstance(value, Tensor) for value in given):
            return dict(zip(self._outputs, self._module(*given), strict=True))
        with exactly(self._device):
            results = self._module(*(torch.as_tensor(value, device=self._device)
                                     for value in given))
        return {name: result.cpu().numpy()
                for name, result in zip(self._outputs, results, strict=True)}


class EagerHop:
    """A hop call by call: on the CPU, and to compare with on a card."""

    def __init__(self, hop: Hop, device: torch.device) -> None:
        """Run `hop` on `device`."""
        self._hop = hop
        self._device = device

    def __call__(self, inputs: Mapping[str, Any], kept: Mapping[str, Any], steps: int,
                 ) -> tuple[Weights, Mapping[str, Any]]:
        """Return clean frames and what is kept, which stays on the device."""
        with exactly(self._device):
            clean, after = self._hop(self._tensors(inputs), self._tensors(kept), steps)
            return clean.cpu().numpy(), after

    def _tensors(self, arrays: Mapping[str, Any]) -> dict[str, Tensor]:
        return {name: torch.as_tensor(array, device=self._device)
                for name, array in arrays.items()}


Shapes = tuple[tuple[str, tuple[int, ...]], ...]


class Packed(NamedTuple):
    """Tensors in one row of numbers, so that all move with one copy."""

    shapes: Shapes
    row: Tensor

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Packed:
        """Pack float32 tensors of one device."""
        return cls(shapes_of(tensors), torch.cat([value.reshape(-1)
                                                  for value in tensors.values()]))

    def tensors(self) -> dict[str, Tensor]:
        """Return views of the row by name."""
        pieces = torch.split(self.row, [prod(shape) for _, shape in self.shapes])
        return {name: piece.view(shape)
                for (name, shape), piece in zip(self.shapes, pieces, strict=True)}


class RecordedHop:
    """A hop as CUDA graphs: recorded when a set of shapes comes first, then replayed."""

    def __init__(self, hop: Hop, device: torch.device) -> None:
        """Record `hop` on `device`, a CUDA card."""
        self._hop = hop
        self._device = device
        self._stream = torch.cuda.Stream(device)    # type: ignore[no-untyped-call]
        self._recordings: dict[Any, Recording] = {}

    def __call__(self, inputs: Mapping[str, Any], kept: Any, steps: int) -> tuple[Weights, Packed]:
        """Return clean frames and what is kept, which stays on the card."""
        with exactly(self._device), torch.cuda.stream(self._stream):
            if not isinstance(kept, Packed):
                kept = Packed.of({name: torch.as_tensor(array, device=self._device)
                                  for name, array in kept.items()})
            key = steps, kept.shapes, shapes_of(inputs)
            if key not in self._recordings:
                if len(self._recordings) >= RECORDINGS:
                    del self._recordings[next(iter(self._recordings))]
                self._recordings[key] = Recording(self._hop, self._stream, key)
            return self._recordings[key](inputs, kept)


class Recording:
    """A hop for one set of shapes. Its buffers are its own; what it returns is the caller's."""

    def __init__(self, hop: Hop, stream: torch.cuda.Stream, key: tuple[int, Shapes, Shapes],
                 ) -> None:
        """Run the hop once on zeros, so that kernels are loaded, then record it on `stream`."""
        steps, kept, given = key
        self._stream = stream
        self._kept, self._given = (Packed(shapes, torch.zeros(
            sum(prod(shape) for _, shape in shapes), device=stream.device))
            for shapes in (kept, given))
        self._sent = torch.empty(self._given.row.shape, pin_memory=True)

        def run() -> tuple[Tensor, Packed]:
            clean, after = hop(self._given.tensors(), self._kept.tensors(), steps)
            return clean.contiguous(), Packed.of(after)

        run()
        self._graph = torch.cuda.CUDAGraph()
        # Other threads of the process may use the card meanwhile: the mode leaves them alone.
        with torch.cuda.graph(self._graph, stream=stream, capture_error_mode='thread_local'):
            self._clean, self._after = run()
        self._received = torch.empty(self._clean.shape, pin_memory=True)

    def __call__(self, inputs: Mapping[str, Any], kept: Packed) -> tuple[Weights, Packed]:
        """Replay; the host waits once, for the frames."""
        np.concatenate([np.ravel(array) for array in inputs.values()], out=self._sent.numpy())
        self._given.row.copy_(self._sent, non_blocking=True)
        self._kept.row.copy_(kept.row)
        self._graph.replay()
        after = Packed(self._after.shapes, self._after.row.clone())
        self._received.copy_(self._clean, non_blocking=True)
        self._stream.synchronize()
        return self._received.numpy().copy(), after


class TorchBackend:
    """The programs `<name>.pt2` of a folder."""

    def __init__(self, folder: Path, device: str = 'auto', *,
                 runner: type[EagerHop] | type[RecordedHop] | None = None) -> None:
        """
        Open nothing yet; raises `UsageError` where the device is not to be had.

        `runner` is how hops are run; None is what suits the device best.
        """
        self._folder = folder
        self.device = choose_device(device)
        self._runner = runner or (RecordedHop if self.device.type == 'cuda' else EagerHop)

    def __call__(self, name: str, sizes: Mapping[str, int] | None = None,  # noqa: ARG002
                 ) -> TorchGraph:
        """Open a program; it takes any sizes, as fast as fixed ones."""
        return TorchGraph(self._folder / f'{name}.pt2', self.device)

    def compiled(self, hop: Hop) -> Hop:
        """Return `hop` as it is run best here: arrays in, arrays out."""
        return self._runner(hop, self.device)

    def joined(self, first: Any, second: Any, axis: int) -> Any:
        """Return two tensors as one."""
        return torch.cat((first, second), dim=axis)


def shapes_of(arrays: Mapping[str, Any]) -> Shapes:
    """Return names and shapes, in order."""
    return tuple((name, tuple(array.shape)) for name, array in arrays.items())


@contextmanager
def exactly(device: torch.device) -> Iterator[None]:
    """Compute without gradients and, on a card, without rounding to TF32 in convolutions."""
    with torch.inference_mode():
        if device.type == 'cpu':
            yield
            return
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield


class Builder:
    """Makes a module of a program."""

    def __init__(self, device: torch.device) -> None:
        """Make modules for `device`."""
        self._device = device
        self._graph = fx.Graph()
        self._stored: dict[str, Tensor] = {}
        self._nodes: dict[str, fx.Node] = {}

    def build(self, program: Program) -> fx.GraphModule:
        """Return the program as a module; numbers stored in 16 bits are widened."""
        for name, numbers in program.parameters.items():
            tensor = torch.from_numpy(np.array(numbers)).to(self._device)
            place = f'parameter_{len(self._stored)}'
            self._stored[place] = tensor.float() if tensor.dtype is torch.float16 else tensor
            self._nodes[name] = self._graph.get_attr(place)
        for index, ref in enumerate(program.given):
            self._nodes[ref.name] = self._graph.placeholder(f'input_{index}')
        for call in program.calls:
            self._add(call)
        self._graph.output(tuple(self._nodes[ref.name] for ref in program.returned))
        self._graph.eliminate_dead_code()
        return fx.GraphModule(self._stored, self._graph)

    def _add(self, call: Call) -> None:
        node = self._graph.call_function(
            operator_of(call), tuple(map(self._found, call.arguments)),
            {name: self._found(value) for name, value in call.keywords.items()})
        if isinstance(call.result, Ref):
            self._nodes[call.result.name] = node
            return
        for index, result in enumerate(call.result):
            if result is not None:
                self._nodes[result.name] = self._graph.call_function(operator.getitem,
                                                                     (node, index))

    def _found(self, value: Any) -> Any:
        if isinstance(value, Ref):
            return self._nodes[value.name]
        if isinstance(value, Constant):
            return getattr(torch, value.name)
        if value is Given.DEVICE:
            return self._device
        return [self._found(each) for each in value] if isinstance(value, list) else value


def operator_of(call: Call) -> Callable[..., Any]:
    """Return what a call calls; raises `ValueError` for anything but arithmetic on tensors."""
    if call.target in SIZES:
        return SIZES[call.target]
    path = call.target.split('.')
    if path[:3] == ['torch', 'ops', 'aten'] and len(path) == 5:
        found = getattr(getattr(torch.ops.aten, path[3], None), path[4], None)
        if isinstance(found, OPERATOR) and (path[3] in COMPOSED or not {
                torch.Tag.core, torch.Tag.pointwise}.isdisjoint(found.tags)):
            return found
    raise ValueError(f'operator {call.target!r} is not one that a bundle may call')
