# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
BEAT (Liu et al. 2022), as published: a folder a speaker with `ID.json`, `.wav` and `.TextGrid`.

`ID` is NUMBER_NAME_TYPE_FIRST_LAST: even types are read speech, odd ones conversation; FIRST to
LAST are the sequences it holds. The JSON has `names` (51 shapes, the tongue is missing, or 52) and
`frames` with `weights` and perhaps a `time`, 60 a second. The split is the published one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
import json
from pathlib import Path
import re
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.rig import INDEX, NAMES
from model.datasets.live_link import gridded
from model.datasets.recording import DatasetError, Recording, found_in
from model.datasets.sound import SAMPLE_RATE, read_sound, sound_of
from model.datasets.text_grid import read_phones

FPS: Final = 60.0
NAME: Final = re.compile(r'(\d+)_([^_]+)_([0-7])_(\d+)_(\d+)$')
LANGUAGES: Final = ('en', 'zh', 'es', 'ja')     # of types 0 and 1, 2 and 3, ...
#: Who speaks for four hours; the others speak for one.
LONG: Final = frozenset((1, 2, 3, 4, 6, 7, 8, 9, 11, 21))
EMOTIONAL: Final = (65, 73, 81, 87, 95, 103, 111)           # first sequence of each emotion
#: Held-out sequences of read speech and of conversation, by whether the speaker is a LONG one.
HELD_OUT: Final = {
    (True, 'speech'): {
        'valid': frozenset((*range(57, 65), 72, 80, 86, 94, 102, 110, 118)),
        'test': frozenset((*range(1, 9), *EMOTIONAL))},
    (True, 'conversation'): {'valid': frozenset((12,)), 'test': frozenset((1,))},
    (False, 'speech'): {'valid': frozenset(range(5, 9)), 'test': frozenset(range(1, 5))},
    (False, 'conversation'): {'valid': frozenset(), 'test': frozenset()},
}


class Name(NamedTuple):
    """What a file's name says."""

    number: int                 # of the speaker
    speaker: str
    kind: int
    first: int
    last: int

    @property
    def splits(self) -> tuple[str, ...]:
        """Split of the recording; of two halves where the published list cuts it in two."""
        place = 'conversation' if self.kind % 2 else 'speech'
        is_long, sequences = self.number in LONG, set(range(self.first, self.last + 1))
        halved = (1,) if place == 'conversation' else EMOTIONAL
        if not is_long and sequences <= set(halved):
            return ('test', 'valid')
        # A recording of several sequences is held out as soon as one of them is.
        held = HELD_OUT[is_long, place]
        return (next((split for split in ('test', 'valid') if sequences & held[split]), 'train'),)


def recordings(folder: Path) -> Iterator[Recording]:
    """Yield the recordings under a folder; the two halves of a halved one apart."""
    for path in found_in(folder, '*.json'):
        name = parsed(path)
        samples, curves = read_sound(sound_of(path)), read_curves(path)
        grid, language = path.with_suffix('.TextGrid'), LANGUAGES[name.kind // 2]
        # Those of other languages are in alphabets of their own, Pinyin and the like.
        phones = read_phones(grid) if language == 'en' and grid.is_file() else ()
        whole = Recording(path.stem, name.splits[0], f'{name.number}_{name.speaker}', language,
                          samples, FPS, curves=curves, phones=phones)
        edges = np.linspace(0, len(samples) / SAMPLE_RATE, len(name.splits) + 1)
        for half, split, part in zip('ab', name.splits, whole.cut(list(edges)), strict=False):
            part_id = path.stem if len(name.splits) == 1 else f'{path.stem}_{half}'
            yield replace(part, id=part_id, split=split)


def parsed(path: Path) -> Name:
    """Return what the name of a file says."""
    found = NAME.match(path.stem)
    if found is None:
        raise DatasetError(path, expected='a name like 1_wayne_0_1_8.json', found=path.name)
    number, speaker, *rest = found.groups()
    return Name(int(number), speaker, *map(int, rest))


def read_curves(path: Path) -> NDArray[np.float32]:
    """Return the (n, 52) weights of a JSON file at FPS, in the rig's order."""
    try:
        found: Any = json.loads(path.read_text(encoding='utf-8'))
        names, frames = found['names'], found['frames']
        rows = np.array([frame['weights'] for frame in frames], np.float64)
        times = [frame.get('time') for frame in frames]
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        raise DatasetError(path, expected='names, and frames with weights',
                           found=f'{type(error).__name__}: {error}') from error
    if rows.ndim != 2 or rows.shape[1] != len(names) or not np.isfinite(rows).all():
        raise DatasetError(path, expected=f'frames of {len(names)} weights, one for each name',
                           found=f'weights of shape {rows.shape}')
    if missing := sorted(set(NAMES) - set(names) - {'tongueOut'}):
        raise DatasetError(path, expected='51 or 52 ARKit names',
                           found=f'none called {missing[0]}')
    weights = np.zeros((len(rows), len(NAMES)))
    for place, name in enumerate(names):
        if name in INDEX:
            weights[:, INDEX[name]] = rows[:, place]
    even = np.arange(len(rows)) / FPS
    if None in times or len(rows) < 2:
        return gridded(even, weights)
    rate = (len(rows) - 1) / max(np.ptp(times), 1e-9)
    if not FPS / 3 < rate < FPS * 2:
        raise DatasetError(path, expected='about 60 frames a second', found=f'{rate:.1f}')
    return gridded(np.array(times, np.float64), weights)
