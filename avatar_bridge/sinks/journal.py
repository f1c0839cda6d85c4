# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""A file that grows by whole records."""

from __future__ import annotations

import io
from pathlib import Path

from avatar_bridge.errors import SinkError


class Journal:
    """
    Append records without a buffer of our own: a crash loses none that `append` accepted.

    Opened a second time it goes on where the last whole record ended.
    """

    def __init__(self, path: Path | str) -> None:
        """Write to `path`; folders on the way are made."""
        self.path = Path(path)
        self.size = 0                   # bytes of whole records
        self._file: io.FileIO | None = None

    @property
    def is_new(self) -> bool:
        """Whether nothing has been written yet."""
        return self.size == 0

    def open(self) -> None:
        """Create the file, or go on with it; raises `SinkError`."""
        self.close()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.is_new:
                self._file = io.FileIO(self.path, 'w')
            else:
                self._file = io.FileIO(self.path, 'r+')
                self._file.truncate(self.size)
                self._file.seek(self.size)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def append(self, record: bytes) -> None:
        """Write one record; raises `SinkError`."""
        if self._file is None:
            raise SinkError(f'{self.path} is not open')
        try:
            rest = memoryview(record)
            while rest:
                rest = rest[self._file.write(rest) or 0:]
        except OSError as error:
            raise unwritable(self.path, error) from error
        self.size += len(record)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            file, self._file = self._file, None
            try:
                file.close()
            except OSError as error:
                raise unwritable(self.path, error) from error


def unwritable(path: Path, error: OSError) -> SinkError:
    """Return what to tell about a file that cannot be written."""
    return SinkError(f'cannot write {path}: {error.strerror or error}; '
                     'choose another place or make room')
