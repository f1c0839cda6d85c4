# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Pickles of strangers, opened without running what they say.

A pickle may name any function of the machine and have it called. Here the names of numpy's arrays
are the only ones that mean anything; containers, numbers and text need none.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
import pickle
from typing import Any, Final

import numpy as np

from model.datasets.recording import DatasetError

#: What rebuilds arrays and numbers, under the names of numpy before and since version 2.
_REBUILD: Final = {
    '_reconstruct': np.zeros(1).__reduce__()[0],            # type: ignore[index]
    'scalar': np.float64(1).__reduce__()[0],                # type: ignore[index]
    '_frombuffer': np.zeros(1).__reduce_ex__(5)[0],         # type: ignore[index]
}
ALLOWED: Final[dict[tuple[str, str], Any]] = {
    ('numpy', 'ndarray'): np.ndarray, ('numpy', 'dtype'): np.dtype,
    ('collections', 'OrderedDict'): OrderedDict,
    **{(module, kind.__name__): kind for module in ('builtins', '__builtin__')
       for kind in (set, frozenset)},
    ('_codecs', 'encode'): lambda text, coding: text.encode({'latin1': 'latin-1'}[coding]),
    **{(f'numpy.{core}.{module}', name): rebuild for core in ('core', '_core')
       for module in ('multiarray', 'numeric') for name, rebuild in _REBUILD.items()},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f'the name {module}.{name}') from None


def read_plain_pickle(path: Path) -> Any:
    """Return the containers and arrays of a pickle, Python 2's too; another name is an error."""
    try:
        with path.open('rb') as file:
            return _Unpickler(file, encoding='latin1').load()
    except FileNotFoundError as error:
        raise DatasetError(path, expected='a pickle', found='no such file') from error
    # A broken pickle can raise nearly anything.
    except Exception as error:
        raise DatasetError(path, expected='a pickle of containers and arrays alone',
                           found=str(error) or type(error).__name__) from error
