# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Figures as Markdown tables and as JSON; runs that differ in their seed alone are put together.

A row is a mapping: `model`, perhaps `steps` and `set`, and figures by name. Models called NAME@1,
NAME@2, ... are runs of NAME: `pooled` gives their mean, and their deviation as FIGURE_spread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

Row = dict[str, Any]
Columns = Mapping[str, tuple[str, str]]             # figure: title and format

QUALITY: Final = {
    'model': ('model', 's'), 'runs': ('runs', 'd'), 'steps': ('steps', 'd'), 'set': ('set', 's'),
    'clips': ('clips', 'd'), 'correlation': ('r at lag 0', '.3f'),
    'best_correlation': ('best r', '.3f'), 'lag_ms': ('A/V lag ms', '+.0f'),
    'closure_f1': ('p b m F1', '.2f'), 'false_closures': ('false', '.1%'),
    'labiodental_f1': ('f v F1', '.2f'), 'silence': ('silence', '.1%'),
    'lve': ('LVE mm²', '.3f'), 'fdd': ('FDD mm²', '+.5f'),
    'fdd_size': ('size of FDD', '.5f'), 'mve': ('MVE mm', '.4f'),
    'jitter': ('jitter', '.4f'), 'seams': ('seams', '.2f'),
}
COSTS: Final = {
    'model': ('model', 's'), 'runs': ('runs', 'd'), 'steps': ('steps', 'd'),
    'parameters': ('parameters', ',d'), 'megabytes': ('MB', '.1f'),
    'rtf': ('CPU s per s', '.3f'), 'parity': ('stream parity', '.0e'),
    'upper_diversity': ('diversity, upper face', '.4f'),
    'mouth_diversity': ('diversity, mouth', '.4f'),
}
ROOMS: Final = {
    'model': ('model', 's'), 'runs': ('runs', 'd'), 'steps': ('steps', 'd'),
    'room': ('room', 's'), 'clips': ('clips', 'd'), 'correlation': ('r at lag 0', '.3f'),
    'of_clean': ('of clean', '.2f'), 'lag_ms': ('A/V lag ms', '+.0f'), 'rest': ('at rest', '.1%'),
}
IDENTITY: Final = ('model', 'steps', 'set', 'room')


def markdown(rows: Sequence[Row], columns: Columns) -> str:
    """Return the rows as a table; a column in which nobody has a figure is left out."""
    columns = {key: column for key, column in columns.items()
               if any(is_figure(row.get(key)) for row in rows)}
    lines = ['| ' + ' | '.join(title for title, _ in columns.values()) + ' |',
             '|' + '---|' * len(columns)]
    lines += ['| ' + ' | '.join(cell(row, key, form) for key, (_, form) in columns.items()) + ' |'
              for row in rows]
    return '\n'.join(lines)


def cell(row: Row, key: str, form: str) -> str:
    """Return a cell: the figure, its spread over runs if there is one, a dash for none."""
    if not is_figure(row.get(key)):
        return '-'
    spread = row.get(f'{key}_spread')
    return format(row[key], form) + (
        f' ±{format(spread, form.lstrip("+"))}' if is_figure(spread) else '')


def is_figure(value: Any) -> bool:
    """Tell whether there is something to show."""
    return value is not None and not (isinstance(value, float) and np.isnan(value))


def pooled(rows: Sequence[Row]) -> list[Row]:
    """Return a row for each model, steps and set or room: its own, or what its runs amount to."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        family, at, _ = row['model'].partition('@')
        groups.setdefault((family, at, *(row.get(key) for key in IDENTITY[1:])), []).append(row)
    return [together(family, group) if at else group[0]
            for (family, at, *_), group in groups.items()]


def together(family: str, runs: Sequence[Row]) -> Row:
    """Return means and deviations (n - 1) of runs of one family."""
    row: Row = {**runs[0], 'model': family, 'runs': len(runs)}
    for key in [key for key, value in runs[0].items() if isinstance(value, float)]:
        values = [run.get(key, np.nan) for run in runs]
        row[key] = float(np.mean(values))
        row[f'{key}_spread'] = float(np.std(values, ddof=1)) if len(runs) > 1 else float('nan')
    return row


def merged(earlier: Sequence[Row], later: Sequence[Row]) -> list[Row]:
    """Return the rows of both; a later one stands for an earlier one about the same."""
    rows = {tuple(row.get(key) for key in IDENTITY): row for row in (*earlier, *later)}
    return list(rows.values())


def plain(rows: Sequence[Row]) -> list[Row]:
    """Return the rows as JSON can say them: what is no figure is left out."""
    return [{key: value for key, value in row.items() if is_figure(value)} for row in rows]
