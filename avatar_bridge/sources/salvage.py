# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
What can still be read of recordings that were cut short: no index, no footer, half a chunk.

A reader of whole files refuses these. Here everything up to the cut is handed out in the order in
which it was written.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from importlib import import_module
from pathlib import Path
import shutil
import sqlite3
import struct
import sys
import tempfile
from typing import Any, BinaryIO, NamedTuple

MAGIC = b'\x89MCAP0\r\n'
FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK = 2, 3, 4, 5, 6


class Definition(NamedTuple):
    """The text that defines a message type."""

    encoding: str               # ros2msg or ros2idl
    text: str


class RawMessage(NamedTuple):
    """A message that nobody has looked into yet."""

    topic: str
    time: int                   # when it was recorded, ns
    data: bytes


class CutMcap:
    """An MCAP file, read from its beginning as far as it goes."""

    def __init__(self, path: Path) -> None:
        """Go through the file once to see what is in it."""
        self._path = path
        self._channels: dict[int, str] = {}
        self.topics: dict[str, str] = {}                    # name: type
        self.definitions: dict[str, Definition] = {}        # by type
        self.is_cut = True
        for _ in self.messages():
            pass

    def messages(self) -> Iterator[RawMessage]:
        """Yield every message that is there in full."""
        schemas: dict[int, str] = {}
        with self._path.open('rb') as file:
            if file.read(8) != MAGIC:
                return
            for opcode, content in _records(file):
                if opcode == FOOTER:
                    self.is_cut = False
                elif opcode == MESSAGE:
                    number, _, time, _ = struct.unpack_from('<HIQQ', content)
                    if number in self._channels:
                        yield RawMessage(self._channels[number], time, content[22:])
                else:
                    self._declare(opcode, content, schemas)

    def _declare(self, opcode: int, content: bytes, schemas: dict[int, str]) -> None:
        if opcode == SCHEMA:
            name, encoding, text = _texts(content[2:], 3)
            schemas[int.from_bytes(content[:2], 'little')] = name
            self.definitions[name] = Definition(encoding, text)
        elif opcode == CHANNEL:
            number, schema = struct.unpack_from('<HH', content)
            self._channels[number] = topic = _texts(content[4:], 1)[0]
            self.topics[topic] = schemas.get(schema, '')


class CutSqlite:
    """A sqlite3 recording, read row by row as far as it goes."""

    def __init__(self, path: Path) -> None:
        """See which topics there are."""
        self._path = path
        self._numbers: dict[int, str] = {}
        self.topics: dict[str, str] = {}
        self.definitions: dict[str, Definition] = {}
        self.is_cut = False
        with self._connected() as database:
            for number, name, kind in _rows(database, 'SELECT id, name, type FROM topics'):
                self._numbers[number] = name
                self.topics[name] = kind
            for kind, *definition in _rows(
                    database, 'SELECT topic_type, encoding, encoded_message_definition '
                              'FROM message_definitions'):
                self.definitions[kind] = Definition(*definition)

    def messages(self) -> Iterator[RawMessage]:
        """Yield every message that is there in full."""
        with self._connected() as database:
            try:
                for number, time, data in database.execute(
                        'SELECT topic_id, timestamp, data FROM messages NOT INDEXED ORDER BY id'):
                    if number in self._numbers:
                        yield RawMessage(self._numbers[number], time, data)
            except sqlite3.DatabaseError:
                self.is_cut = True

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with contextlib.ExitStack() as stack:
            path, mode = self._path, 'mode=ro&immutable=1'
            if has_journal(path) or path.stat().st_size % page_size(path):
                folder = stack.enter_context(tempfile.TemporaryDirectory())
                path, mode = mended(path, Path(folder)), 'mode=rw'
            database = sqlite3.connect(f'{path.absolute().as_uri()}?{mode}', uri=True)
            stack.callback(database.close)
            # Without this a file that is shorter than its header says is not opened at all.
            with contextlib.suppress(sqlite3.DatabaseError):    # no database at all
                database.execute('PRAGMA writable_schema=ON')
            yield database


def mended(path: Path, folder: Path) -> Path:
    """Copy a recording to where sqlite may merge its journal, without a last half page."""
    copy = Path(shutil.copy(path, folder))
    if has_journal(path):
        shutil.copy(journal(path), folder)
    with copy.open('r+b') as file:      # sqlite would take the missing half for zeros
        size = copy.stat().st_size
        file.truncate(size - size % page_size(path))
    return copy


def page_size(path: Path) -> int:
    """Return the bytes of a page of a sqlite file."""
    with path.open('rb') as file:
        size = int.from_bytes(file.read(18)[16:], 'big')
    return 65536 if size < 512 else size        # 65536 does not fit and is written as 1


def journal(path: Path) -> Path:
    """Return where sqlite keeps what it has not yet merged into `path`."""
    return path.with_name(path.name + '-wal')


def has_journal(path: Path) -> bool:
    """Return whether the recorder of `path` was killed with rows not yet merged."""
    return journal(path).is_file() and journal(path).stat().st_size > 0


def _rows(database: sqlite3.Connection, query: str) -> list[Any]:
    try:
        return database.execute(query).fetchall()
    except sqlite3.DatabaseError:       # older recordings lack the table; a cut one may too
        return []


def _records(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the records of a file, those inside chunks included, until one is not whole."""
    while len(head := file.read(9)) == 9:
        opcode, length = struct.unpack('<BQ', head)
        content = _read(file, length)
        if opcode == CHUNK:
            yield from _inner_records(_unpacked(content))
        elif len(content) == length:
            yield opcode, content
        if len(content) < length:
            return


def _read(file: BinaryIO, length: int) -> bytes:
    try:
        return file.read(length)
    except (MemoryError, OverflowError):        # a length that is garbage
        return b''


def _inner_records(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + 9 <= len(data):
        opcode, length = struct.unpack_from('<BQ', data, position)
        position += 9
        if position + length > len(data):
            return
        yield opcode, data[position:position + length]
        position += length


def _unpacked(chunk: bytes) -> bytes:
    """Return the records of a chunk as far as they can be unpacked."""
    if len(chunk) < 32:
        return b''
    size = int.from_bytes(chunk[28:32], 'little')
    compression, data = chunk[32:32 + size], chunk[32 + size + 8:]
    try:
        return _decompressed(compression, data)
    except Exception:       # damaged; each compressor has errors of its own
        return b''


def _decompressed(compression: bytes, data: bytes) -> bytes:
    """Return what is known of the original; half the input gives about half of it."""
    unpacked: bytes = data
    if compression == b'lz4':
        unpacked = import_module('lz4.frame').LZ4FrameDecompressor().decompress(data)
    elif compression == b'zstd':
        name = 'compression.zstd' if sys.version_info >= (3, 14) else 'backports.zstd'
        unpacked = import_module(name).ZstdDecompressor().decompress(data)
    return unpacked


def _texts(data: bytes, count: int) -> list[str]:
    texts, position = [], 0
    for _ in range(count):
        (length,) = struct.unpack_from('<I', data, position)
        texts.append(data[position + 4:position + 4 + length].decode(errors='replace'))
        position += 4 + length
    return texts
