# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Sets of meshes to train on: `python -m model.vertex_sets vocaset|biwi FOLDER --out OUT`.

Fits the set's head (`model/vertex_head.py`) on the training clips and writes `OUT/head.npz`, each
clip's sound and coefficients as `OUT/<split>/<id>.npz`, and what the head loses in `OUT/set.json`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
import json
from pathlib import Path
import sys
from typing import Final, NamedTuple

import numpy as np
from tqdm import tqdm

from model import metrics
from model.converters import write_npz
from model.datasets import biwi, vocaset
from model.datasets.recording import SPLITS, DatasetError, Recording
from model.vertex_head import Array, VertexHead, fit

Loader = Callable[[Path], Iterator[Recording]]
SETS: Final[dict[str, Loader]] = {'vocaset': vocaset.recordings, 'biwi': biwi.recordings}
#: Components of a head where nobody says.
COMPONENTS: Final = {'vocaset': 256, 'biwi': 512}


class Loss(NamedTuple):
    """What a head cannot say, over the clips of a split; in the unit of the mesh."""

    clips: int
    vertex: float               # mean distance of a vertex (MVE)
    lips: float | None = None   # worst squared distance of a lip vertex (LVE), if lips are known


def offsets(folder: Path, load: Loader) -> Iterator[Array]:
    """Yield the (frames, vertices, 3) offsets from the rest of every training clip."""
    for recording in tqdm(load(folder), desc='fit', unit='clip'):
        if recording.split == 'train':
            yield of_rest(recording)


def of_rest(recording: Recording) -> Array:
    """Return how far the vertices of a recording are from the speaker's face at rest."""
    assert recording.vertices is not None
    assert recording.neutral is not None
    return recording.vertices - recording.neutral


def write_clip(out: Path, recording: Recording, head: VertexHead) -> tuple[float, ...]:
    """Write a clip's sound and coefficients; return what is lost: MVE and LVE."""
    vertices, neutral = recording.vertices, recording.neutral
    assert vertices is not None
    assert neutral is not None
    coefficients = head.encode(vertices, neutral)
    write_npz(out / recording.split / f'{recording.id}.npz', {
        'samples': recording.samples, 'coefficients': coefficients,
        'neutral': neutral, 'fps': np.float64(recording.fps)})
    decoded = head.decode(coefficients, neutral)
    lost = [metrics.mean_vertex_error(decoded, vertices)]
    if 'lve' in head.regions:
        lost.append(metrics.lip_vertex_error(decoded, vertices, head.regions['lve']))
    return tuple(lost)


def build(name: str, folder: Path, out: Path, components: int,
          regions: Path | None = None) -> dict[str, Loss]:
    """Fit the head and write the set; return what the head loses in each split."""
    load, where = SETS[name], regions or folder / 'regions'
    found = {path.stem: biwi.read_region(path) for path in sorted(where.glob('*.txt'))}
    head = fit(offsets(folder, load), components, found)
    out.mkdir(parents=True, exist_ok=True)
    head.save(out / 'head.npz')
    lost: dict[str, list[tuple[float, ...]]] = {split: [] for split in SPLITS}
    for recording in tqdm(load(folder), desc='write', unit='clip'):
        lost[recording.split].append(write_clip(out, recording, head))
    losses = {split: Loss(len(rows), *np.mean(rows, axis=0).tolist())
              for split, rows in lost.items() if rows}
    (out / 'set.json').write_text(json.dumps({
        'set': name, 'components': len(head.deviations), 'vertices': len(head.mean) // 3,
        'lost': {split: loss._asdict() for split, loss in losses.items()}}, indent=1))
    return losses


def main(argv: list[str] | None = None) -> int:
    """Build a set and print what its head loses."""
    command = argparse.ArgumentParser('python -m model.vertex_sets', description=__doc__)
    command.add_argument('name', choices=list(SETS))
    command.add_argument('folder', type=Path, help='the set as published')
    command.add_argument('--out', type=Path, required=True)
    command.add_argument('--components', type=int, help='of the head (default: 256 or 512)')
    command.add_argument('--regions', type=Path, metavar='DIR',
                         help='files of vertex indices, lve.txt and fdd.txt (default: '
                         'FOLDER/regions)')
    arguments = command.parse_args(argv)
    try:
        losses = build(arguments.name, arguments.folder, arguments.out,
                       arguments.components or COMPONENTS[arguments.name], arguments.regions)
    except (DatasetError, ValueError) as error:
        print(f'vertex_sets: {error}', file=sys.stderr)
        return 1
    for split, loss in losses.items():
        lips = '-' if loss.lips is None else f'{loss.lips:.3e}'
        print(f'{split:<6} {loss.clips:>4} clips  MVE {loss.vertex:.3e}  LVE {lips}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
