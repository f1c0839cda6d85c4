# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Takes of the Live Link Face app: `DIR/**/TAKE.csv` and the sound of the take.

The sound is `TAKE.wav` (without `_cal`, `_raw` or `_neutral`, or of another suffix), or the only
one in the take's folder. Rows have time codes that count 60 frames a second; a phone that captures
30 leaves every other out, and rows may be blank or missing. Between rows the face is interpolated.
"""

from __future__ import annotations

from collections.abc import Iterator
import csv
from pathlib import Path
import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.rig import NAMES
from model.datasets.recording import DatasetError, Recording, drawn_split, found_in
from model.datasets.sound import SUFFIXES, read_sound

FPS: Final = 60.0               # of the time code, and of what is made of the rows
DAY: Final = 24 * 3600.0
LOGS: Final = ('frame_log.csv',)        # tables of a take that hold no weights
CALIBRATED: Final = ('_cal', '_raw', '_neutral')
TIMECODE: Final = re.compile(r'(\d\d):(\d\d):(\d\d)[:;](\d\d(?:\.\d+)?)$')


def recordings(folder: Path) -> Iterator[Recording]:
    """Yield the takes under a folder; of a take's two tables the calibrated one."""
    for path in found_in(folder, '*.csv'):
        if path.name in LOGS or (path.stem.endswith('_raw') and _twin(path).is_file()):
            continue
        name = path.relative_to(folder).with_suffix('').as_posix()
        curves = read_curves(path)
        speaker = path.parent.relative_to(folder).as_posix()
        yield Recording(name, drawn_split(name),
                        folder.resolve().name if speaker == '.' else speaker, '',
                        read_sound(sound_of_take(path)), FPS, curves=curves)


def _twin(path: Path) -> Path:
    return path.with_name(path.name.removesuffix('_raw.csv') + '_cal.csv')


def sound_of_take(path: Path) -> Path:
    """Return the sound that belongs to a table."""
    stem = path.stem
    for ending in CALIBRATED:
        stem = stem.removesuffix(ending)
    for name in dict.fromkeys((path.stem, stem)):
        for suffix in SUFFIXES:
            if (sound := path.with_name(name + suffix)).is_file():
                return sound
    sounds = [beside for beside in path.parent.iterdir() if beside.suffix in SUFFIXES]
    tables = {beside.stem.removesuffix('_raw').removesuffix('_cal')
              for beside in path.parent.glob('*.csv') if beside.name not in LOGS}
    if len(sounds) == len(tables) == 1:
        return sounds[0]
    raise DatasetError(path, expected=f'its sound {stem}.wav beside it',
                       found=f'{len(sounds)} files of sound with other names')


def read_curves(path: Path) -> NDArray[np.float32]:
    """Return the (n, 52) weights of a take at FPS from its first row on; by the header's names."""
    times, rows = [], []
    with path.open(newline='', encoding='utf-8-sig') as file:
        table = csv.reader(file)
        places = columns(path, next(table, []))
        for number, row in enumerate(table, 2):
            if len(row) <= max(places) or not all(row[place].strip() for place in places):
                continue                # a blank row: the face was not seen
            try:
                rows.append([float(row[place]) for place in places[1:]])
                times.append(seconds(row[places[0]]))
            except ValueError as error:
                raise DatasetError(path, expected=f'a time code and numbers in line {number}',
                                   found=str(error)) from error
    if not rows:
        raise DatasetError(path, expected='rows with weights', found='none')
    return gridded(np.unwrap(times, period=DAY), np.array(rows))


def columns(path: Path, header: list[str]) -> list[int]:
    """Return the places of the time code and of the 52 weights in the rig's order."""
    places = {name.strip().lower(): place for place, name in enumerate(header)}
    wanted = ('Timecode', *NAMES)
    if missing := [name for name in wanted if name.lower() not in places]:
        raise DatasetError(path, expected='a header with Timecode and the 52 shapes',
                           found=f'none called {missing[0]}')
    return [places[name.lower()] for name in wanted]


def seconds(timecode: str) -> float:
    """Return the seconds since midnight of HH:MM:SS:FF.mmm."""
    found = TIMECODE.match(timecode.strip())
    if found is None:
        raise ValueError(f'the time code {timecode!r}')
    hours, minutes, whole, frames = found.groups()
    return 3600.0 * int(hours) + 60.0 * int(minutes) + int(whole) + float(frames) / FPS


def gridded(times: NDArray[np.float64], rows: NDArray[np.float64], fps: float = FPS,
            ) -> NDArray[np.float32]:
    """Return rows at any times (seconds) as (n, 52) weights in [0, 1], evenly from the first."""
    keep = np.concatenate([[True], np.diff(np.maximum.accumulate(times)) > 0])
    times, rows = times[keep] - times[0], rows[keep]
    even = np.arange(int(np.floor(times[-1] * fps + 1e-3)) + 1) / fps
    curves = np.stack([np.interp(even, times, row) for row in rows.T], axis=1)
    return np.clip(curves, 0, 1).astype(np.float32)
