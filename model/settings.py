# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Frozen dataclass configurations from TOML; an unknown key is an error."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import tomllib

Config = TypeVar('Config')


def read_toml(kind: type[Config], path: Path) -> Config:
    """Return `kind` filled from the file; tables fill nested dataclasses."""
    return from_table(kind, tomllib.loads(path.read_text()), str(path))


def from_table(kind: type[Config], table: dict[str, Any], where: str) -> Config:
    """Return `kind` filled from `table`; `where` is named in errors."""
    hints = get_type_hints(kind)
    known = {field.name for field in fields(kind)}      # type: ignore[arg-type]
    if unknown := sorted(set(table) - known):
        raise ValueError(f'{where}: unknown {unknown}; known are {sorted(known)}')
    values = {
        name: from_table(hints[name], value, f'{where}: {name}') if is_dataclass(hints[name])
        else tuple(value) if isinstance(value, list) else value
        for name, value in table.items()
    }
    return kind(**values)
