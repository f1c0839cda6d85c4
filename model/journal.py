# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
What a training run says of itself: `log.csv`, TensorBoard events, a progress bar.

A run that is resumed goes on from its checkpoint; rows that a killed run wrote behind it are
dropped, so the log is the log of the run that was never stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
import csv
from pathlib import Path

from tqdm import tqdm

EVENTS = 'tensorboard'          # folder of a run's events: tensorboard --logdir runs


class Journal:
    """Open for the steps from `first` to `last`; `write` one step's figures after another."""

    def __init__(self, out: Path, *, first: int, last: int) -> None:
        """Go on with what lies in `out`, where something does."""
        from torch.utils.tensorboard import SummaryWriter

        self._path = out / 'log.csv'
        keep_steps_before(first, self._path)
        self._file = self._path.open('a', newline='')
        self._table = csv.writer(self._file, lineterminator='\n')
        self._events = SummaryWriter(str(out / EVENTS), purge_step=first or None)
        self._bar = tqdm(initial=first, total=last, mininterval=5.0)

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Add the figures of one step."""
        if self._file.tell() == 0:
            self._table.writerow(['step', *figures])
        self._table.writerow([step, *(f'{value:.5f}' for value in figures.values())])
        for name, value in figures.items():
            self._events.add_scalar(name, value, step)
        self._bar.set_postfix({name: f'{value:.3f}' for name, value in figures.items()},
                              refresh=False)
        self._bar.update()

    def flush(self) -> None:
        """See to it that everything so far is on the disk."""
        self._file.flush()
        self._events.flush()

    def __enter__(self) -> Journal:
        """Return the journal."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything."""
        self._bar.close()
        self._events.close()
        self._file.close()


def keep_steps_before(step: int, path: Path) -> None:
    """Drop the rows of a log from `step` on, and a row that was cut short."""
    if not path.exists():
        return
    rows = [row for row in path.read_text().splitlines(keepends=True) if row.endswith('\n')]
    numbers = [row.partition(',')[0] for row in rows]
    kept = [row for row, number in zip(rows, numbers, strict=True)
            if (number.isdigit() and int(number) < step) or (number == 'step' and step)]
    path.write_text(''.join(kept), newline='')
