# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
VOCASET (Cudeiro et al. 2019), as published: one array of all frames and pickles that index it.

`data_verts.npy` (frames, 5023, 3) at 60 fps, `subj_seq_to_idx.pkl` {subject: {sentence: {frame:
row}}}, `raw_audio_fixed.pkl` {subject: {sentence: {audio, sample_rate}}}, `templates.pkl`
{subject: (5023, 3)}. As in every published comparison each other frame is taken: 30 fps.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import re
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.datasets.plain_pickle import read_plain_pickle
from model.datasets.recording import DatasetError, Recording
from model.datasets.sound import at_16_khz

FPS: Final = 30.0
EVERY: Final = 2                # of the 60 frames a second
SUBJECTS: Final = {
    'train': ('FaceTalk_170728_03272_TA', 'FaceTalk_170904_00128_TA', 'FaceTalk_170725_00137_TA',
              'FaceTalk_170915_00223_TA', 'FaceTalk_170811_03274_TA', 'FaceTalk_170913_03279_TA',
              'FaceTalk_170904_03276_TA', 'FaceTalk_170912_03278_TA'),
    'valid': ('FaceTalk_170811_03275_TA', 'FaceTalk_170908_03277_TA'),
    'test': ('FaceTalk_170809_00138_TA', 'FaceTalk_170731_00024_TA'),
}
SENTENCES: Final = {'train': range(1, 41), 'valid': range(21, 41), 'test': range(21, 41)}


def recordings(folder: Path) -> Iterator[Recording]:
    """Yield the recordings of the official split; sentences that have no sound are left out."""
    vertices = read_vertices(folder / 'data_verts.npy')
    rows = read_plain_pickle(folder / 'subj_seq_to_idx.pkl')
    sounds = read_plain_pickle(folder / 'raw_audio_fixed.pkl')
    neutrals = read_plain_pickle(folder / 'templates.pkl')
    for subject in sorted(rows):
        neutral = _neutral(folder / 'templates.pkl', neutrals, subject, vertices.shape[1])
        for sentence in sorted(rows[subject]):
            split, sound = split_of(subject, sentence), sounds.get(subject, {}).get(sentence)
            if split and sound:
                chosen = np.array(list(rows[subject][sentence].values()))[::EVERY]
                yield Recording(f'{subject}_{sentence}', split, subject, 'en', _samples(sound),
                                FPS, vertices=np.asarray(vertices[chosen], np.float32),
                                neutral=neutral)


def split_of(subject: str, sentence: str) -> str:
    """Return the official split of a sentence, '' where it has none."""
    found = re.search(r'(\d+)$', sentence)
    number = int(found.group(1)) if found else 0
    return next((split for split, subjects in SUBJECTS.items()
                 if subject in subjects and number in SENTENCES[split]), '')


def read_vertices(path: Path) -> NDArray[np.floating]:
    """Return (frames, vertices, 3); the array stays on the disk."""
    try:
        vertices = np.load(path, mmap_mode='r', allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DatasetError(path, expected='an array', found=str(error)) from error
    if vertices.ndim != 3 or vertices.shape[2] != 3:
        raise DatasetError(path, expected='(frames, 5023, 3)', found=str(vertices.shape))
    return vertices


def _neutral(path: Path, neutrals: dict[str, Any], subject: str, count: int,
             ) -> NDArray[np.float32]:
    neutral = np.asarray(neutrals.get(subject, ()), np.float32)
    if neutral.size != 3 * count:
        raise DatasetError(path, expected=f'{count} vertices of {subject}',
                           found=f'shape {neutral.shape}')
    return neutral.reshape(count, 3)


def _samples(sound: dict[str, Any]) -> NDArray[np.int16]:
    audio = np.asarray(sound['audio'])
    whole = np.iinfo(audio.dtype).max + 1 if np.issubdtype(audio.dtype, np.integer) else 1
    return at_16_khz((audio / whole).astype(np.float32), int(sound['sample_rate']))
