# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Frames that were recorded: Live Link Face CSV, npz, JSON lines, and the messages of a bag."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
import csv
from fractions import Fraction
import io
import json
import math
from pathlib import Path
from typing import Any, Final
import zipfile
import zlib

import numpy as np

from avatar_bridge import rig
from avatar_bridge.errors import AudioError
from avatar_bridge.frames import Weights
from avatar_bridge.wire import Take

LARGEST: Final = 2**29                  # bytes that an npz may unpack to
BASES: Final = (24, 25, 30, 48, 50, 60)     # frames that a time code may count in a second
FASTEST: Final = 1000                   # frames per second that make sense
BROKEN: Final = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError,
                 MemoryError, OSError, EOFError, csv.Error, zipfile.BadZipFile, zlib.error)
STILL: Final = (0.0,) * 7               # head and eyes
BAGS: Final = ('.mcap', '.db3', '.bag')
FRAME: Final = 'avatar_bridge_msgs/msg/BlendshapeFrame'
LAYOUT: Final = 'avatar_bridge_msgs/msg/BlendshapeLayout'
LONGEST_GAP: Final = 600                # frames that a recorder may have missed in one go

#: Live Link's columns of head and eyes, and the signs that make them ours: its x is mirrored.
ANGLES: Final = ('headyaw', 'headpitch', 'headroll', 'lefteyeyaw', 'lefteyepitch', 'righteyeyaw',
                 'righteyepitch')
MIRRORED: Final = np.array((-1, -1, 1, -1, -1, -1, -1), np.float32)


def read_file(path: Path) -> Take:
    """Return the frames of a recording on the disk, bags included; raises `AudioError`."""
    if path.is_dir() or path.suffix.lower() in BAGS:
        return checked(str(path), read_bag(path))
    try:
        return read_recording(path.name, path.read_bytes())
    except OSError as error:
        raise AudioError(f'cannot read {path}: {error.strerror or error}') from error


def read_recording(name: str, content: bytes) -> Take:
    """Return the frames of a recording called `name`; raises `AudioError` in one line."""
    suffix = '.' + name.rpartition('.')[2].lower()
    if suffix not in READERS:
        raise AudioError(f'{name}: expected a recording that ends in {", ".join(READERS)}')
    try:
        take = READERS[suffix](content)
    except AudioError as error:
        raise AudioError(f'{name}: {error}') from error
    except BROKEN as error:
        raise AudioError(f'{name}: expected {suffix} as avatar_bridge or Live Link Face write it, '
                         f'found something else ({" ".join(str(error).split())[:80]})') from error
    return checked(name, take)


def checked(name: str, take: Take) -> Take:
    """Return a take that can be shown; raises `AudioError`."""
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
    clock = header.index('timecode') if 'timecode' in header else -1
    wanted = [*places.values(), *(header.index(title) for title in ANGLES if title in header)]
    times: list[str] = []
    values: list[list[float]] = []
    for row in rows:
        if not row:
            continue                    # some apps leave lines empty
        if len(row) != len(header):
            break                       # a recording that was cut short ends in half a row
        times.append(row[clock])
        full = all(row[column] for column in wanted)
        values.append(values[-1] if values and not full else
                      [float(row[column] or 0) for column in wanted])
    table = np.asarray(values, np.float32).reshape(len(values), len(wanted))
    weights = reordered(table[:, :len(places)], places)
    turns = table[:, len(places):] * MIRRORED if len(wanted) == len(places) + len(ANGLES) else None
    return taken(weights, fps_of(times) if clock >= 0 else 60.0, turns)


def read_json_lines(content: bytes) -> Take:
    """Read our JSON lines; a last line that was cut is left out."""
    about, *lines = content.decode().splitlines()
    header = json.loads(about)
    frames: list[list[float]] = []
    turns: list[list[float]] = []
    for line in lines:
        try:
            frame = json.loads(line)
        except ValueError:
            break
        frames.append(frame['weights'])
        turns.append([*frame.get('head', STILL[:3]), *frame.get('eyes', STILL[3:])])
    return taken(reordered(frames, header['names']), float(Fraction(header['fps'])), turns)


def read_npz(content: bytes) -> Take:
    """Read our npz; nothing in it is executed, and it must not unpack to more than `LARGEST`."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
            raise AudioError(f'expected at most {LARGEST >> 20} MiB unpacked')
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        ratio = arrays['fps'].ravel().tolist()
        fps = float(Fraction(*map(int, ratio))) if len(ratio) == 2 else float(ratio[0])
        turns = np.hstack([arrays['head'], arrays['eyes']]) if 'head' in arrays else None
        return taken(reordered(arrays['weights'], arrays['names'].tolist()), fps, turns)


def read_bag(path: Path) -> Take:
    """
    Read the frames that we, or our node, recorded as ROS messages; raises `AudioError`.

    A frame that the recorder missed is the one before it once more, so that the time is right.
    """
    from avatar_bridge.sources.recording import read_parts

    parts = read_parts(path)
    topics = {topic: kind for part in parts for topic, kind in part.topics.items()}
    found = sorted(topic for topic, kind in topics.items() if kind == FRAME)
    if len(found) != 1:
        raise AudioError(f'{path}: expected one topic of {FRAME}, found '
                         f'{", ".join(found) or "none"}')
    layouts = [topic for topic, kind in topics.items() if kind == LAYOUT]
    fps, names, frames = Fraction(60), tuple(rig.NAMES), []
    for message in (item for part in parts for item in part.messages((*found, *layouts))):
        if message.topic == found[0]:
            frames.append(message.content)
        else:
            about = message.content
            fps, names = Fraction(about.fps_numerator, about.fps_denominator), tuple(about.names)
    if not frames:
        return taken(np.zeros((0, len(rig.NAMES)), np.float32), float(fps))
    missed = np.diff([frame.index for frame in frames], append=frames[-1].index + 1)
    counts = np.where((missed > 0) & (missed <= LONGEST_GAP), missed, 1)
    weights = reordered(np.stack([frame.weights for frame in frames]), names)
    turns = np.array([[*frame.head, *frame.eyes] for frame in frames])
    return taken(np.repeat(weights, counts, 0), float(fps), np.repeat(turns, counts, 0))


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
    columns = {name: column for column, name in enumerate(names)}
    values, places = np.asarray(frames, np.float32), in_rig(columns)
    if places is None:
        raise AudioError('expected the ARKit shapes')
    if len(values) and values.shape[1:] != (len(columns),):
        raise AudioError(f'expected {len(columns)} weights a frame, found {values.shape}')
    weights = np.zeros((len(values), len(rig.NAMES)), np.float32)
    for name, column in places.items():
        weights[:, rig.INDEX[name]] = values[:, column]
    return weights


def taken(weights: Weights, fps: float, turns: Any = None) -> Take:
    """
    Return frames at rest where a value is no number, and none beyond [0, 1].

    `turns`: (n, 7) head and eyes in radians, within half a turn; all zero means there are none.
    """
    clean = np.clip(np.nan_to_num(weights, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
    if turns is None:
        return Take(fps, clean)
    angles = np.nan_to_num(np.asarray(turns, np.float32), posinf=0.0, neginf=0.0)
    if angles.shape != (len(clean), len(STILL)):
        raise AudioError(f'expected {len(STILL)} angles a frame, found {angles.shape}')
    if not angles.any():
        return Take(fps, clean)
    angles = np.clip(angles, -math.pi, math.pi)
    return Take(fps, clean, head=angles[:, :3], eyes=angles[:, 3:])


def fps_of(timecodes: list[str]) -> float:
    """Return the rows per second of HH:MM:SS:FF.fff time codes; 60 where they do not say."""
    clocks = [tuple(map(float, code.split(':'))) for code in timecodes]
    base = next((base for base in BASES if base > max((clock[3] for clock in clocks), default=0)),
                BASES[-1])
    times = [3600 * clock[0] + 60 * clock[1] + clock[2] + clock[3] / base for clock in clocks]
    span = (times[-1] - times[0]) % 86400 if times else 0.0
    return (len(times) - 1) / span if span > 0 else float(BASES[-1])
