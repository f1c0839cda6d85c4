# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Recordings of ROS (rosbag2 as sqlite3 or MCAP, ROS 1 bags), whole or cut short, without ROS."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
import re
from typing import Any, NamedTuple, Protocol

from avatar_bridge.errors import AudioError, MissingPackageError
from avatar_bridge.message_definitions import DEFINITIONS, MGONZS13, ROS_DRIVERS
from avatar_bridge.sources.salvage import CutMcap, CutSqlite, Definition, has_journal

try:
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import (
        Stores,
        get_types_from_idl,
        get_types_from_msg,
        get_typestore,
    )
    from rosbags.typesys.store import Typestore
except ImportError as missing:      # pragma: no cover
    raise MissingPackageError('recordings need rosbags; pip install rosbags') from missing

SUFFIXES: dict[str, type[CutMcap] | type[CutSqlite]] = {'.mcap': CutMcap, '.db3': CutSqlite}
EXPECTED = 'expected a rosbag2 folder or a file .mcap, .db3 or .bag'


class Message(NamedTuple):
    """A message and where it came from."""

    topic: str
    time: int                   # when it was recorded, ns
    content: Any                # its fields are attributes


class Part(Protocol):
    """A recording, or one file of it."""

    topics: dict[str, str]      # name: type

    @property
    def is_cut(self) -> bool:
        """Whether something is missing; known for sure only after all messages."""
        ...

    def messages(self, topics: Collection[str]) -> Iterator[Message]:
        """Yield the messages of some topics in the order in which they were recorded."""
        ...


class WholePart:
    """What rosbags can open."""

    def __init__(self, path: Path) -> None:
        """Open and look at the topics; raises whatever rosbags raises."""
        self._path = path
        self.is_cut = False
        self.topics: dict[str, str] = {}
        with self._reader() as reader:
            self.topics = {item.topic: item.msgtype for item in reader.connections}

    def messages(self, topics: Collection[str]) -> Iterator[Message]:
        """Yield messages; stops where the file turns out to be damaged."""
        with self._reader() as reader:
            wanted = [item for item in reader.connections if item.topic in topics]
            rows = reader.messages(connections=wanted) if wanted else iter(())
            while True:
                try:
                    connection, time, data = next(rows)
                    content = reader.deserialize(data, connection.msgtype)
                except StopIteration:
                    return
                except Exception:       # foreign bytes: rosbags raises errors of every kind
                    self.is_cut = True
                    return
                yield Message(connection.topic, time, content)

    def _reader(self) -> AnyReader:
        store = default_store(self.topics.values())
        return AnyReader([self._path], default_typestore=store)


class CutPart:
    """What rosbags refuses."""

    def __init__(self, path: Path) -> None:
        """Look at the topics that can be read."""
        self._file = SUFFIXES[path.suffix](path)
        self._damaged = False
        self.topics = self._file.topics

    @property
    def is_cut(self) -> bool:
        """Whether something is missing."""
        return self._file.is_cut or self._damaged

    def messages(self, topics: Collection[str]) -> Iterator[Message]:
        """Yield messages as far as they are there."""
        wanted = {name: kind for name, kind in self.topics.items() if name in topics}
        store = store_of(self._file.definitions, wanted.values())
        for topic, time, data in self._file.messages():
            if topic not in wanted:
                continue
            try:
                content = store.deserialize_cdr(data, wanted[topic])
            except Exception:           # as above
                self._damaged = True
                return
            yield Message(topic, time, content)


def read_parts(path: Path) -> list[Part]:
    """Open a recording; raises `AudioError` where nothing can be read."""
    if not path.exists():
        raise AudioError(f'{path}: there is no such recording; {EXPECTED}')
    if not path.is_dir() and path.suffix not in (*SUFFIXES, '.bag'):
        raise AudioError(f'{path} is no recording; {EXPECTED}')
    files = sorted((file for file in path.iterdir() if file.suffix in SUFFIXES),
                   key=natural) if path.is_dir() else [path]
    # rosbags does not look at sqlite's journal, where the newest rows are after a crash.
    if not any(has_journal(file) for file in files):
        with suppress(Exception):   # metadata missing, a file cut short, ...: file by file then
            return [WholePart(path)]
    parts = [part for part in map(read_part, files) if part.topics]
    if not parts:
        raise AudioError(f'{path} holds nothing that can be read; {EXPECTED}')
    return parts


def read_part(path: Path) -> Part:
    """Open one file of a recording."""
    if path.suffix == '.bag':
        raise AudioError(f'{path} cannot be read; repair it with rosbag reindex')
    if not has_journal(path):
        with suppress(Exception):   # the reason does not matter: take what is there
            return WholePart(path)
    return CutPart(path)


def natural(path: Path) -> list[tuple[int, str]]:
    """Sort names so that bag_10 comes after bag_9."""
    return [(int(piece) if piece.isdigit() else 0, piece)
            for piece in re.split(r'(\d+)', path.name)]


def default_store(types: Collection[str]) -> Typestore:
    """Return definitions for recordings that carry none."""
    return _default_store(any(kind in MGONZS13 and kind not in ROS_DRIVERS for kind in types))


@cache
def _default_store(mgonzs13: bool) -> Typestore:
    store = get_typestore(Stores.EMPTY)
    for name, text in {**DEFINITIONS, **(MGONZS13 if mgonzs13 else ROS_DRIVERS)}.items():
        store.register(get_types_from_msg(text, name))
    return store


def store_of(definitions: Mapping[str, Definition], types: Collection[str]) -> Typestore:
    """Return the definitions of `types`, from the recording where it has them."""
    known = dict(default_store(types).fielddefs)
    for kind in types:
        if kind in definitions:
            encoding, text = definitions[kind]
            known.update(get_types_from_msg(text, kind) if encoding == 'ros2msg'
                         else get_types_from_idl(text))
    store = get_typestore(Stores.EMPTY)
    store.register(known)
    return store
