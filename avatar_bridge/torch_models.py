# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Programs of `torch.export` through torch, on the CPU or a CUDA card.

On a card a whole hop is recorded as one CUDA graph for each set of shapes: one copy in, one
replay, one copy out; nothing between them waits for the host, and what is kept for the next hop
stays on the card.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
import operator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor, fx

from avatar_bridge.errors import BundleError, UsageError
from avatar_bridge.programs import Call, Constant, Given, Program, Ref, read_program
from avatar_bridge.tape import Job, Library, Tape

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
RECORDINGS: Final = 32          # jobs kept recorded; each takes a few MB of the card
ALIGNED: Final = 16             # bytes; where each value of a row begins


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


def described(device: torch.device) -> str:
    """Return a device in words."""
    if device.type == 'cpu':
        return 'the CPU (torch sees no CUDA card)'
    return f'{torch.cuda.get_device_name(device)} ({device})'


class TorchGraph:
    """One program, noted down when called."""

    def __init__(self, path: Path, tape: Tape, device: torch.device) -> None:
        """Read the file; raises `BundleError` where it cannot be run."""
        program = read_program(path)
        self.inputs = program.inputs
        self._outputs = program.outputs
        self._tape = tape
        try:
            self._module = Builder(device).build(program)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise BundleError(f'{path} cannot be run: {error}') from error

    def __call__(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs by name."""
        results = self._tape.note(self._module, *(inputs[name] for name in self.inputs))
        return {name: self._tape.note(operator.getitem, results, index)
                for index, name in enumerate(self._outputs)}


class Eager:
    """Does jobs step by step: on the CPU, and to compare with on a card."""

    def __init__(self, device: torch.device) -> None:
        """Compute on `device`."""
        self._device = device

    def __call__(self, job: Job) -> list[Tensor]:
        """Return what is wanted, on the device."""
        with exactly(self._device):
            return job.done([torch.as_tensor(value, device=self._device)
                             for value in job.values])

    def fetch(self, tensor: Tensor) -> NDArray[Any]:
        """Return numbers on the host, which waits for them."""
        return tensor.cpu().numpy()


class Recorded:
    """Does jobs on a card as CUDA graphs: recorded when a job comes first, then replayed."""

    def __init__(self, device: torch.device) -> None:
        """Record on `device`."""
        self._device = device
        self._stream = torch.cuda.Stream(device)    # type: ignore[no-untyped-call]
        self._recordings: dict[Any, Recording] = {}

    def __call__(self, job: Job) -> list[Tensor]:
        """Return what is wanted, on the card; the host does not wait for it."""
        key = likeness(job)
        with exactly(self._device), torch.cuda.stream(self._stream):
            if key not in self._recordings:
                if len(self._recordings) >= RECORDINGS:
                    del self._recordings[next(iter(self._recordings))]
                self._recordings[key] = Recording(job, self._stream)
            return self._recordings[key](job.values)

    def fetch(self, tensor: Tensor) -> NDArray[Any]:
        """Return numbers on the host, which waits for them: the only time in a hop."""
        with torch.cuda.stream(self._stream):
            return tensor.cpu().numpy()


class Recording:
    """A job whose values may change, not their shapes. Its buffers are its own."""

    def __init__(self, job: Job, stream: torch.cuda.Stream) -> None:
        """Do the job once, so that kernels are loaded, then record it on `stream`."""
        places = []                             # of the host's values in one row of bytes
        end = 0
        for value in job.values:
            if isinstance(value, np.ndarray):
                places.append((end, value.nbytes))
                end += -(-value.nbytes // ALIGNED) * ALIGNED
        self._places = places
        self._sent = torch.zeros(end, dtype=torch.uint8, pin_memory=True)
        self._given = torch.zeros(end, dtype=torch.uint8, device=stream.device)
        rows = iter(places)
        static = [part(self._given, next(rows), value) if isinstance(value, np.ndarray)
                  else torch.clone(value) for value in job.values]
        self._kept = [tensor for tensor, value in zip(static, job.values, strict=True)
                      if isinstance(value, Tensor)]
        job.done(static)
        self._graph = torch.cuda.CUDAGraph()
        # Other threads of the process may use the card meanwhile: the mode leaves them alone.
        with torch.cuda.graph(self._graph, stream=stream, capture_error_mode='thread_local'):
            self._results = [result.contiguous() for result in job.done(static)]

    def __call__(self, values: Sequence[Any]) -> list[Tensor]:
        """Replay with other values; return copies, because the next replay overwrites its own."""
        arrays = [value for value in values if isinstance(value, np.ndarray)]
        # The buffer is free: whoever asked for numbers of the replay before has waited for them.
        sent = self._sent.numpy()
        for (start, size), array in zip(self._places, arrays, strict=True):
            sent[start:start + size] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        self._given.copy_(self._sent, non_blocking=True)
        if self._kept:
            torch._foreach_copy_(self._kept, [value for value in values
                                              if isinstance(value, Tensor)])
        self._graph.replay()
        return [result.clone() for result in self._results]


def part(row: Tensor, place: tuple[int, int], like: NDArray[Any]) -> Tensor:
    """Return bytes of a row as a tensor shaped like an array."""
    start, size = place
    dtype = torch.from_numpy(np.empty(0, like.dtype)).dtype
    return row[start:start + size].view(dtype).view(like.shape)


def likeness(job: Job) -> Any:
    """Return what two jobs have in common that one recording serves."""
    values = tuple((type(value) is np.ndarray, str(value.dtype), tuple(value.shape))
                   for value in job.values)
    steps = tuple((step.function, repr(step.arguments)) for step in job.steps)
    return values, steps, tuple(job.wanted)


class TorchBackend:
    """The programs `<name>.pt2` of a folder."""

    def __init__(self, folder: Path, device: str = 'auto', *,
                 worker: type[Eager] | type[Recorded] | None = None) -> None:
        """
        Open nothing yet; raises `UsageError` where the device is not to be had.

        `worker` is who does the computing; None is who suits the device best.
        """
        self._folder = folder
        self.device = choose_device(device)
        kind = worker or (Recorded if self.device.type == 'cuda' else Eager)
        chosen = kind(self.device)
        self._tape = Tape(Library(chosen, chosen.fetch, joined, assigned))

    def __call__(self, name: str, sizes: Mapping[str, int] | None = None,  # noqa: ARG002
                 ) -> TorchGraph:
        """Open a program; it takes any sizes, as fast as fixed ones."""
        return TorchGraph(self._folder / f'{name}.pt2', self._tape, self.device)


def joined(axis: int, *tensors: Tensor) -> Tensor:
    """Return tensors as one."""
    return torch.cat(tensors, dim=axis)


def assigned(tensor: Tensor, index: Any, value: Any) -> Tensor:
    """Return a tensor of which a part is changed."""
    after = tensor.clone()
    changed = after[index]
    _ = changed.copy_(value) if isinstance(value, Tensor) else changed.fill_(value)
    return after


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
