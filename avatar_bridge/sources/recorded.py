# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Frames that were recorded: Live Link Face CSV, npz and JSON lines, from a file's bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
import csv
from fractions import Fraction
import io
import json
from typing import Any, Final
import zipfile

import numpy as np

from avatar_bridge import rig
from avatar_bridge.errors import AudioError
from avatar_bridge.frames import Weights
from avatar_bridge.wire import Take

LARGEST: Final = 2**29                  # bytes that an npz may unpack to
BASES: Final = (24, 25, 30, 48, 50, 60)     # frames that a time code may count in a second
FASTEST: Final = 1000                   # frames per second that make sense


def read_recording(name: str, content: bytes) -> Take:
    """Return the frames of a recording called `name`; raises `AudioError` in one line."""
    suffix = '.' + name.rpartition('.')[2].lower()
    if suffix not in READERS:
        raise AudioError(f'{name}: expected a recording that ends in {", ".join(READERS)}')
    try:
        take = READERS[suffix](content)
    except AudioError as error:
        raise AudioError(f'{name}: {error}') from error
    except (ValueError, KeyError, TypeError, OSError, EOFError, csv.Error, zipfile.BadZipFile,
            IndexError, ZeroDivisionError) as error:
        raise AudioError(f'{name}: expected {suffix} as avatar_bridge or Live Link Face write it, '
                         f'found something else ({" ".join(str(error).split())[:80]})') from error
    if not len(take.weights):
        raise AudioError(f'{name} holds no frames')
    if not 1 <= take.fps <= FASTEST:
        raise AudioError(f'{name}: expected 1 to {FASTEST} frames a second, found {take.fps:g}')
    return take


def read_csv(content: bytes) -> Take:
    """Read columns by their header, in any order; a row without values repeats the one before."""
    rows = csv.reader(io.StringIO(content.decode('utf-8-sig')))
    header = [title.strip().lower() for title in next(rows, [])]
    places = in_rig({title: column for column, title in enumerate(header)})
    if places is None:
        raise AudioError('expected a column for each of the ARKit shapes')
    times: list[str] = []
    weights: list[list[float]] = []
    for row in rows:
        if len(row) != len(header):
            break                       # a recording that was cut short ends in half a row
        times.append(row[0])
        full = all(row[column] for column in places.values())
        if full or not weights:
            weights.append([float(row[places[name]] or 0) if name in places else 0.0
                            for name in rig.NAMES])
        else:
            weights.append(weights[-1])
    return taken(weights, fps_of(times) if header[0] == 'timecode' else 60.0)


def read_json_lines(content: bytes) -> Take:
    """Read our JSON lines; a last line that was cut is left out."""
    about, *lines = content.decode().splitlines()
    header = json.loads(about)
    frames = []
    for line in lines:
        try:
            frames.append(json.loads(line)['weights'])
        except ValueError:
            break
    return taken(reordered(frames, header['names']), float(Fraction(header['fps'])))


def read_npz(content: bytes) -> Take:
    """Read our npz; nothing in it is executed, and it must not unpack to more than `LARGEST`."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
            raise AudioError(f'expected at most {LARGEST >> 20} MiB unpacked')
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        ratio = arrays['fps'].ravel().tolist()
        fps = float(Fraction(*map(int, ratio))) if len(ratio) == 2 else float(ratio[0])
        return taken(reordered(arrays['weights'], arrays['names'].tolist()), fps)


READERS: Final[dict[str, Callable[[bytes], Take]]] = {
    '.csv': read_csv, '.npz': read_npz, '.jsonl': read_json_lines,
}


def in_rig(columns: Mapping[str, int]) -> dict[str, int] | None:
    """Return where each shape stands, whatever its letters' case; None where most are missing."""
    lower = {name.lower(): column for name, column in columns.items()}
    places = {name: lower[name.lower()] for name in rig.NAMES if name.lower() in lower}
    return places if len(places) > len(rig.NAMES) // 2 else None


def reordered(frames: Any, names: Iterable[str]) -> Weights:
    """Return (n, 52) weights in the rig's order of (n, m) values of `names`."""
    values = np.asarray(frames, np.float32).reshape(len(frames), -1)
    places = in_rig({name: column for column, name in enumerate(names)})
    if places is None:
        raise AudioError('expected the ARKit shapes')
    weights = np.zeros((len(values), len(rig.NAMES)), np.float32)
    for name, column in places.items():
        weights[:, rig.INDEX[name]] = values[:, column]
    return weights


def taken(weights: Any, fps: float) -> Take:
    """Return frames at rest where a value is no number, and none beyond [0, 1]."""
    clean = np.nan_to_num(np.asarray(weights, np.float32), nan=0.0, posinf=1.0, neginf=0.0)
    return Take(fps, np.clip(clean.reshape(-1, len(rig.NAMES)), 0.0, 1.0))


def fps_of(timecodes: list[str]) -> float:
    """Return the rows per second of HH:MM:SS:FF.fff time codes; 60 where they do not say."""
    clocks = [tuple(map(float, code.split(':'))) for code in timecodes]
    base = next((base for base in BASES if base > max((clock[3] for clock in clocks), default=0)),
                BASES[-1])
    times = [3600 * clock[0] + 60 * clock[1] + clock[2] + clock[3] / base for clock in clocks]
    span = (times[-1] - times[0]) % 86400 if times else 0.0
    return (len(times) - 1) / span if span > 0 else float(BASES[-1])
