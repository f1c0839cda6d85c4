# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
BIWI B3D(AC)2 (Fanelli et al. 2010), as CodeTalker's preparation leaves it.

`vertices_npy/F2_e01.npy` (frames, 23370 x 3) at 25 fps, `wav/F2_e01.wav`, `templates.pkl`
{subject: 23370 x 3}, and `regions/lve.txt` and `fdd.txt`: indices of lips and upper face. Only the
emotional half, e01 to e40, is used. Test A has the subjects of the training, test B others.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.datasets.plain_pickle import read_plain_pickle
from model.datasets.recording import DatasetError, Recording, found_in
from model.datasets.sound import read_sound, sound_of

FPS: Final = 25.0
SEEN: Final = ('F2', 'F3', 'F4', 'M3', 'M4', 'M5')
UNSEEN: Final = ('F1', 'F5', 'F6', 'F7', 'F8', 'M1', 'M2', 'M6')
SENTENCES: Final = {'train': range(1, 33), 'valid': range(33, 37), 'test': range(37, 41)}
NAME: Final = re.compile(r'([FM]\d)_e(\d\d)$')
REGIONS: Final = ('lve', 'fdd')


def recordings(folder: Path) -> Iterator[Recording]:
    """Yield the recordings of the official split: train, valid, test A and test B."""
    neutrals = read_plain_pickle(folder / 'templates.pkl')
    for path in found_in(folder / 'vertices_npy', '*.npy'):
        found = NAME.match(path.stem)
        if found is None:               # n01 to n40, the neutral half
            continue
        subject, split = found.group(1), split_of(found.group(1), int(found.group(2)))
        if not split:
            continue
        if subject not in neutrals:
            raise DatasetError(folder / 'templates.pkl', expected=f'the face of {subject}',
                               found=f'{sorted(neutrals)}')
        neutral = np.asarray(neutrals[subject], np.float32).reshape(-1, 3)
        sound = sound_of(folder / 'wav' / f'{path.stem}.npy')
        yield Recording(path.stem, split, subject, 'en', read_sound(sound), FPS,
                        vertices=read_vertices(path, len(neutral)), neutral=neutral)


def split_of(subject: str, sentence: int) -> str:
    """Return the official split; of an unseen subject the last sentences are test B."""
    if subject in SEEN:
        return next((split for split, held in SENTENCES.items() if sentence in held), '')
    return 'test' if subject in UNSEEN and sentence in SENTENCES['test'] else ''


def read_vertices(path: Path, count: int) -> NDArray[np.float32]:
    """Return the (frames, count, 3) vertices of a file."""
    try:
        flat = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DatasetError(path, expected='an array', found=str(error)) from error
    if flat.ndim < 2 or flat[0].size != 3 * count:
        raise DatasetError(path, expected=f'(frames, {count} x 3), as templates.pkl has it',
                           found=str(flat.shape))
    return flat.reshape(len(flat), count, 3).astype(np.float32)


def read_regions(folder: Path) -> dict[str, NDArray[np.int64]]:
    """Return the vertices of `regions/lve.txt` (lips) and `fdd.txt` (upper face) by name."""
    return {name: read_region(folder / 'regions' / f'{name}.txt') for name in REGIONS}


def read_region(path: Path) -> NDArray[np.int64]:
    """Return the indices of a region file; commas or white space are between them."""
    try:
        return np.array([int(word) for word in re.split(r'[\s,]+', path.read_text().strip())])
    except (OSError, ValueError) as error:
        raise DatasetError(path, expected='indices of vertices', found=str(error)) from error
