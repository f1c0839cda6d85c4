# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What other programs gave us so that they know us again: one secret for each, in a file."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from pathlib import Path
import sys

log = logging.getLogger(__name__)


class Tokens:
    """A small JSON file that only its user can read; one that cannot be used is done without."""

    def __init__(self, path: Path) -> None:
        """Keep tokens in `path`."""
        self._path = path

    def get(self, name: str) -> str:
        """Return the token of `name`, '' where there is none."""
        token = self._read().get(name, '')
        return token if isinstance(token, str) else ''

    def put(self, name: str, token: str) -> None:
        """Remember a token; an empty one forgets it."""
        known = {**self._read(), name: token}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new = self._path.with_suffix('.new')
            new.unlink(missing_ok=True)
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'w',
                      encoding='utf-8') as file:
                json.dump({key: value for key, value in known.items() if value}, file, indent=1)
            new.replace(self._path)
        except OSError as error:
            log.warning('%s cannot be written (%s): VTube Studio will ask again', self._path,
                        error.strerror)

    def _read(self) -> dict[str, object]:
        with contextlib.suppress(OSError, ValueError, RecursionError):
            found = json.loads(self._path.read_text('utf-8'))
            if isinstance(found, dict):
                return found
        return {}


def config_folder() -> Path:
    """Return where programs of this user keep what they remember."""
    if sys.platform == 'win32':         # pragma: no cover
        return Path(os.environ.get('APPDATA') or Path.home()) / 'avatar_bridge'
    if sys.platform == 'darwin':        # pragma: no cover
        return Path.home() / 'Library' / 'Application Support' / 'avatar_bridge'
    return Path(os.environ.get('XDG_CONFIG_HOME') or Path.home() / '.config') / 'avatar_bridge'
