# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""A recording: what every loader yields, and how a loader says that a file is not as published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
import hashlib
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.phones import SILENCE, Phone

SPLITS = ('train', 'valid', 'test')     # as the cache of `model/data.py` calls them


@dataclass(frozen=True)
class Recording:
    """Somebody speaks; his face is known as weights, as vertices, or by the phones alone."""

    id: str
    split: str                              # one of SPLITS
    speaker: str
    language: str                           # '' where nobody says
    samples: NDArray[np.int16]              # (n,) at 16 kHz
    fps: float = 0.0                        # of the motion; 0 where there is none
    curves: NDArray[np.float32] | None = None       # (frames, 52) weights, frame i at i / fps
    vertices: NDArray[np.float32] | None = None     # (frames, vertices, 3)
    neutral: NDArray[np.float32] | None = None      # (vertices, 3), the speaker's face at rest
    phones: tuple[Phone, ...] = ()

    def __post_init__(self) -> None:
        """Check what loaders must get right."""
        assert self.split in SPLITS, self.split
        assert self.samples.dtype == np.int16, self.samples.dtype
        assert (self.fps > 0) == (self.curves is not None or self.vertices is not None)


    def cut(self, edges: Sequence[float]) -> Iterator[Recording]:
        """Yield the parts between edges (seconds), with the same name, face and split."""
        for start, end in pairwise(edges):
            frames = slice(round(start * self.fps), round(end * self.fps))
            yield replace(
                self, samples=self.samples[round(start * 16000):round(end * 16000)],
                curves=None if self.curves is None else self.curves[frames],
                vertices=None if self.vertices is None else self.vertices[frames],
                phones=tuple(phone._replace(start=max(phone.start, start) - start,
                                            end=min(phone.end, end) - start)
                             for phone in self.phones if phone.end > start and phone.start < end))

    def pieces(self, longest: float) -> Iterator[Recording]:
        """Yield parts of at most about `longest` seconds, `ID_000` and so on, cut in pauses."""
        edges, end = [0.0], len(self.samples) / 16000
        pauses = [((phone.start + phone.end) / 2, phone.end - phone.start)
                  for phone in self.phones if phone.kind == SILENCE]
        while end - edges[-1] > longest:
            near = [pause for pause in pauses if longest / 2 < pause[0] - edges[-1] < longest]
            middle, _ = max(near, key=lambda pause: pause[1], default=(edges[-1] + longest, 0.0))
            edges.append(round(middle, 2))         # on a frame of the teacher
        for number, part in enumerate(self.cut([*edges, end])):
            yield replace(part, id=f'{self.id}_{number:03}') if len(edges) > 1 else part


class DatasetError(ValueError):
    """A file of a data set is not as it is published."""

    def __init__(self, path: Path, *, expected: str, found: str) -> None:
        """Name the file, what belongs there and what is there."""
        super().__init__(f'{path}: expected {expected}, found {found}')


def drawn_split(name: str) -> str:
    """Return the split of a recording of nobody's published list: 5 % each are held out."""
    share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], 'big') / 2**32
    return 'valid' if share < 0.05 else 'test' if share < 0.1 else 'train'


def found_in(folder: Path, pattern: str) -> list[Path]:
    """Return the files under `folder` that match, sorted; there must be one."""
    paths = sorted(path for path in folder.rglob(pattern) if path.is_file())
    if not paths:
        what = 'none' if folder.is_dir() else 'no such folder'
        raise DatasetError(folder, expected=f'files {pattern}', found=what)
    return paths
