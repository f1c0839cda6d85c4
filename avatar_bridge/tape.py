# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Computing noted down first and done later, all at once, by whoever does it best.

A `Noted` value behaves like a numpy array. As long as it only goes into further networks and plain
arithmetic, nothing is computed; when its numbers are asked for, everything noted so far is handed
over as one `Job`. So a card can do a whole hop without the host waiting in between, and nobody who
writes `noisy - alpha * clean` has to know of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import operator
from typing import Any, Final, NamedTuple
import weakref

import numpy as np
from numpy.typing import NDArray

#: What is noted of numpy's arithmetic; anything else asks for the numbers.
ARITHMETIC: Final[dict[Any, Callable[..., Any]]] = {
    np.add: operator.add, np.subtract: operator.sub, np.multiply: operator.mul,
    np.true_divide: operator.truediv}


class Slot(NamedTuple):
    """The place of a value among those of a job."""

    place: int


class Step(NamedTuple):
    """One thing to do; a Slot among the arguments stands for its value."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


class Job(NamedTuple):
    """Values that are there, steps that make one more each, and the values wanted."""

    values: Sequence[Any]           # arrays of the host (numpy), or of the device
    steps: Sequence[Step]
    wanted: Sequence[Slot]

    def done(self, values: Sequence[Any]) -> list[Any]:
        """Return what is wanted, made of `values` in place of the job's own."""
        found = list(values)
        for step in self.steps:
            found.append(step.function(*(
                found[argument.place] if isinstance(argument, Slot) else argument
                for argument in step.arguments)))
        return [found[slot.place] for slot in self.wanted]


class Library(NamedTuple):
    """What does jobs, and how it does what numpy does."""

    run: Callable[[Job], list[Any]]
    fetch: Callable[[Any], NDArray[Any]]        # to the host
    join: Callable[..., Any]                    # (axis, *arrays)
    assign: Callable[..., Any]                  # (array, index, value): a changed copy


class Tape:
    """What was noted since somebody asked for numbers."""

    def __init__(self, library: Library) -> None:
        """Note down for `library`."""
        self.library = library
        self._entries: list[Any] = []           # a Step, or an array that was given
        self._noted: weakref.WeakValueDictionary[int, Noted] = weakref.WeakValueDictionary()

    def note(self, function: Callable[..., Any], *arguments: Any) -> Noted:
        """Return what `function` will return; arrays among the arguments are as they are now."""
        self._entries.append(Step(function, tuple(map(self._place, arguments))))
        noted = Noted(self, Slot(len(self._entries) - 1))
        self._noted[id(noted)] = noted
        return noted

    def rewrite(self, noted: Noted, function: Callable[..., Any], *arguments: Any) -> None:
        """Let `noted` stand for what `function` will return."""
        noted.slot, noted.value = self.note(function, *arguments).slot, None
        self._noted[id(noted)] = noted

    def run(self) -> None:
        """Do what somebody still has a use for; forget the rest."""
        alive = sorted(self._noted.values(), key=lambda noted: noted.slot)
        results = self.library.run(self._job([noted.slot for noted in alive]))
        for noted, result in zip(alive, results, strict=True):
            noted.value = result
        self._entries = []
        self._noted.clear()

    def _place(self, argument: Any) -> Any:
        if isinstance(argument, Noted):
            if argument.value is None:
                return argument.slot
            self._entries.append(argument.value)
        elif isinstance(argument, np.ndarray):
            self._entries.append(argument.copy())
        else:
            return argument
        return Slot(len(self._entries) - 1)

    def _job(self, wanted: Sequence[Slot]) -> Job:
        """Return the entries that `wanted` depend on, given values first."""
        needed = {slot.place for slot in wanted}
        for index in reversed(range(len(self._entries))):
            if index in needed and isinstance(self._entries[index], Step):
                needed |= {argument.place for argument in self._entries[index].arguments
                           if isinstance(argument, Slot)}
        order = sorted(needed, key=lambda index: (isinstance(self._entries[index], Step), index))
        places = {index: Slot(place) for place, index in enumerate(order)}
        entries = [self._entries[index] for index in order]
        return Job([entry for entry in entries if not isinstance(entry, Step)],
                   [Step(entry.function, tuple(
                       places[argument.place] if isinstance(argument, Slot) else argument
                       for argument in entry.arguments))
                    for entry in entries if isinstance(entry, Step)],
                   [places[slot.place] for slot in wanted])


class Noted(np.lib.mixins.NDArrayOperatorsMixin):
    """An array that is computed when its numbers are asked for."""

    def __init__(self, tape: Tape, slot: Slot) -> None:
        """Stand for the value that `slot` of `tape` will have."""
        self.slot = slot
        self.value: Any = None                  # of the device, once it is computed
        self._tape = tape

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the numbers."""
        if self.value is None:
            self._tape.run()
        return np.asarray(self._tape.library.fetch(self.value), dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """Note plain arithmetic down; do anything else."""
        if ufunc in ARITHMETIC and method == '__call__' and not options:
            return self._tape.note(ARITHMETIC[ufunc], *map(plain, inputs))
        return getattr(ufunc, method)(*map(known, inputs), **options)

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        """Note joining down; do anything else."""
        if function is np.concatenate and not options.keys() - {'axis'} and len(arguments) == 1:
            return self._tape.note(self._tape.library.join, options.get('axis', 0), *arguments[0])
        return function(*map(known, arguments),
                        **{name: known(value) for name, value in options.items()})

    def __getitem__(self, index: Any) -> Any:
        """Return a part."""
        if not simple(index):
            return np.asarray(self)[index]
        if self.value is not None:
            part = Noted(self._tape, self.slot)
            part.value = self.value[index]
            return part
        return self._tape.note(operator.getitem, self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        """Change a part of this array; copies made before stay as they are."""
        self._tape.rewrite(self, self._tape.library.assign, self, index, value)

    def copy(self) -> Noted:
        """Return an array of its own."""
        return self._tape.note(same, self)

    def __len__(self) -> int:
        """Return the length of the first axis."""
        return len(np.asarray(self))

    def __getattr__(self, name: str) -> Any:
        """Return what an array has beside all this."""
        if name.startswith('__') or not hasattr(np.ndarray, name):
            raise AttributeError(name)
        return getattr(np.asarray(self), name)


def same(value: Any) -> Any:
    """Return the value itself."""
    return value


def simple(index: Any) -> bool:
    """Return whether an index names a part whose shape does not depend on numbers."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(part is None or part is Ellipsis or isinstance(part, (int, slice))
               for part in parts)


def plain(value: Any) -> Any:
    """Return a number of numpy as one of Python's: the one becomes part of the job."""
    return value.item() if isinstance(value, np.generic) else value


def known(value: Any) -> Any:
    """Return a value with its numbers; in lists, too."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(known, value))
    return np.asarray(value) if isinstance(value, Noted) else value
