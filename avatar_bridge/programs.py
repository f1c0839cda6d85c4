# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Programs of `torch.export` (`.pt2`) read as plain data: calls of operators, one after the other.

torch's own reader unpickles and evaluates what such a file says. This one only looks things up,
so that a foreign file can compute numbers and nothing else (decision 25); and it neither needs the
torch that wrote the file nor the seconds that torch's takes to start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from itertools import chain
import json
from pathlib import Path
from typing import Any, Final, NamedTuple
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.errors import BundleError

SCHEMA: Final = 8               # major version of the format's schema
NAMES: Final = 'names.json'     # our extra file: what inputs and outputs are called outside
POSITIONAL: Final = (None, 0, 1)    # kinds of argument; 2 is given by its keyword
DTYPES: Final = {1: 'uint8', 2: 'int8', 3: 'int16', 4: 'int32', 5: 'int64', 6: 'float16',
                 7: 'float32', 8: 'float64', 12: 'bool'}
FORMATS: Final = {1: 'contiguous_format', 4: 'preserve_format'}


class Ref(NamedTuple):
    """A value that was given or computed before, by its name."""

    name: str


class Constant(NamedTuple):
    """A constant of torch's own: a type of numbers or a layout in memory."""

    name: str


class Given(Enum):
    """What the reader's caller decides."""

    DEVICE = 'device'


class Call(NamedTuple):
    """One operator and what it is called with; several results come as a sequence."""

    target: str
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    result: Ref | tuple[Ref | None, ...]


class Program(NamedTuple):
    """An exported function."""

    inputs: Mapping[str, Sequence[Any]]     # shapes by name; what may vary is no integer
    outputs: Sequence[str]
    parameters: Mapping[str, NDArray[Any]]  # by the name of the value that holds each
    given: Sequence[Ref]                    # the value of each input
    calls: Sequence[Call]
    returned: Sequence[Ref]                 # the value of each output


def read_program(path: Path) -> Program:
    """Return the program in a `.pt2` file; raises `BundleError` where it is none that we run."""
    try:
        with ZipFile(path) as archive:
            return _program(_members(archive))
    except (OSError, BadZipFile, KeyError, ValueError, TypeError, AttributeError,
            IndexError) as error:
        raise BundleError(f'{path} is no program that can be run here: {error!r}') from error


def _members(archive: ZipFile) -> dict[str, bytes]:
    """Return the files of an archive by their names below its only folder."""
    return {name.partition('/')[2]: archive.read(name) for name in archive.namelist()}


def _program(files: Mapping[str, bytes]) -> Program:
    model = json.loads(files['models/model.json'])
    if model['schema_version']['major'] != SCHEMA:
        raise ValueError(f'schema {model["schema_version"]}, expected {SCHEMA}')
    signature, graph = model['graph_module']['signature'], model['graph_module']['graph']
    names = json.loads(files[f'extra/{NAMES}'])
    stored = dict(chain(_tensors(files, 'weights'), _tensors(files, 'constants')))
    parameters, given = {}, []
    for entry in signature['input_specs']:
        (kind, spec), = entry.items()
        if kind == 'user_input':
            given.append(Ref(spec['arg']['as_tensor']['name']))
        else:               # parameter, buffer or tensor_constant; each says its name as such
            parameters[str(spec['arg']['name'])] = stored[spec[f'{kind}_name']]
    returned = [Ref(spec['user_output']['arg']['as_tensor']['name'])
                for spec in signature['output_specs']]
    shapes = {name: _shape(graph['tensor_values'][ref.name])
              for name, ref in zip(names['inputs'], given, strict=True)}
    if len(names['outputs']) != len(returned):
        raise ValueError(f'{len(returned)} outputs for the names {names["outputs"]}')
    return Program(shapes, [str(name) for name in names['outputs']], parameters, given,
                   list(_calls(graph['nodes'])), returned)


def _shape(meta: Mapping[str, Any]) -> list[Any]:
    return [size.get('as_int', 'any') for size in meta['sizes']]


def _tensors(files: Mapping[str, bytes], kind: str) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield stored tensors by name; each must be raw numbers, in order."""
    config = json.loads(files[f'data/{kind}/model_{kind}_config.json'])['config']
    for name, entry in config.items():
        if entry['use_pickle']:
            raise ValueError(f'{name} is pickled')
        meta = entry['tensor_meta']
        numbers = np.frombuffer(files[f'data/{kind}/{entry["path_name"]}'], DTYPES[meta['dtype']])
        shape, strides = (tuple(size['as_int'] for size in meta[key])
                          for key in ('sizes', 'strides'))
        tensor = numbers.reshape(shape)
        expected = tuple(stride // tensor.itemsize for stride in tensor.strides)
        if tensor.size > 1 and expected != strides:
            raise ValueError(f'{name} is stored with strides {strides}, expected {expected}')
        yield name, tensor


def _calls(nodes: Sequence[Mapping[str, Any]]) -> Iterator[Call]:
    for node in nodes:
        if not node['outputs']:
            continue            # it asserts something about shapes, and the operators do so too
        arguments = [(_value(entry['arg']), entry) for entry in node['inputs']]
        yield Call(
            node['target'],
            tuple(value for value, entry in arguments if entry['kind'] in POSITIONAL),
            {str(entry['name']): value for value, entry in arguments
             if entry['kind'] not in POSITIONAL},
            _result(node['outputs']))


def _result(outputs: Sequence[Mapping[str, Any]]) -> Ref | tuple[Ref | None, ...]:
    if len(outputs) > 1:
        return tuple(_value(output) for output in outputs)
    found = _value(outputs[0])
    return tuple(found) if isinstance(found, list) else found


def _value(argument: Mapping[str, Any]) -> Any:
    """Return an argument as a plain value, a Ref, a Constant or Given, or a list of such."""
    (kind, value), = argument.items()
    if kind not in _READERS:
        raise ValueError(f'an argument of kind {kind}')
    return _READERS[kind](value)


def _symbol(value: Mapping[str, Any]) -> Any:
    return Ref(str(value['as_name'])) if 'as_name' in value else value['as_int']


_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    'as_none': lambda _: None,
    'as_bool': bool,
    'as_int': int,
    'as_float': float,
    'as_string': str,
    'as_ints': lambda values: [int(value) for value in values],
    'as_floats': lambda values: [float(value) for value in values],
    'as_bools': lambda values: [bool(value) for value in values],
    'as_tensor': lambda value: Ref(str(value['name'])),
    'as_tensors': lambda values: [Ref(str(value['name'])) for value in values],
    'as_optional_tensors': lambda values: [_value(value) for value in values],
    'as_sym_int': _symbol,
    'as_sym_ints': lambda values: [_symbol(value) for value in values],
    'as_scalar_type': lambda value: Constant(DTYPES[value]),
    'as_device': lambda _: Given.DEVICE,
    'as_layout': lambda _: None,            # only strided tensors are stored or made
    'as_memory_format': lambda value: Constant(FORMATS[value]),
}
