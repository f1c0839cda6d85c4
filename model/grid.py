# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""GRID clips with their tracked lip gap, as they lie in `data/grid_s1` and `data/grid_others`."""

from __future__ import annotations

from collections.abc import Iterator
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PEAK = 0.125        # dm: the lip gap that a talker's 95th percentile is scaled to


class GridClip(NamedTuple):
    """One clip of 3 s."""

    id: str
    gap: NDArray[np.float64]        # (75,) inner-lip gap in dm of the head, 25 a second
    tracked: NDArray[np.bool_]
    width: NDArray[np.float64]      # (75,) of the mouth over the talker's usual one


class GridCorpus:
    """One talker's clips; the gap is over the face height, less the neutral, scaled to PEAK."""

    def __init__(self, folder: Path) -> None:
        """Read the labels in `folder`."""
        self.folder = folder
        self.words = json.loads((folder / 'words.json').read_text())
        held = folder / 'validation.txt'
        self.validation = set(held.read_text().split()) if held.exists() else set()
        with np.load(folder / 'face.npz') as face:
            self._ids = [str(name) for name in face['ids']]
            lip = face['lip'].astype(np.float64)
            self._tracked = face['tracked']
        ratio = np.nan_to_num(lip[:, :, 0] / np.maximum(lip[:, :, 2], 1.0))
        neutral, loud = np.percentile(ratio[self._tracked], [5, 95])
        width = np.nan_to_num(lip[:, :, 1] / np.maximum(lip[:, :, 2], 1.0))
        self._width = width / np.median(width[self._tracked])
        self._gap = np.maximum(0.0, (ratio - neutral) / (loud - neutral) * PEAK)

    def clips(self) -> Iterator[GridClip]:
        """Yield every clip."""
        for index, name in enumerate(self._ids):
            yield GridClip(name, self._gap[index], self._tracked[index], self._width[index])

    def training(self) -> Iterator[GridClip]:
        """Yield the clips that are tracked throughout and not held out."""
        return (clip for clip in self.clips()
                if clip.id not in self.validation and clip.tracked.all())

    def audio(self, name: str) -> Path:
        """Return the file of a clip's sound, 16 kHz."""
        return self.folder / 'audio' / f'{name}.opus'
