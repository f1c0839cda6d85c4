# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Clips that motion is judged by, with what is known about the face that said them.

100 GRID clips that no training sees, 10 clips of talkers that nobody fitted, synthetic voices and
languages that no training hears (with their teacher's curves and phones), recorded prompts with
their phones (`model/prompts.py`), and the bundled speech.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
import json
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
import soundfile

from avatar_bridge.audio.intake import Intake
from avatar_bridge.frames import AudioBlock
from model import metrics, teacher
from model.clip_store import Row, read_rows
from model.data import kokoro_phones, taught
from model.phones import SILENCE
from model.voices import SHARES, split_of_row

Array = NDArray[np.floating]

SAMPLE_RATE: Final = 16000
PAUSE: Final = 1.0              # seconds of silence around a prompt, whose file has none


@dataclass(frozen=True)
class Clip:
    """What was said, and what is known about the face that said it."""

    name: str
    samples: Array                                  # (n,) 16 kHz mono
    speech: tuple[tuple[float, float], ...]         # seconds in which somebody speaks
    tracked: Array | None = None                    # (m,) inner-lip gap, in a unit of its own
    tracked_fps: float = 25.0                       # label i stands at i / tracked_fps
    phones: tuple[tuple[str, float, float], ...] = ()
    truth: Array | None = None                      # (m, 52) weights, at tracked_fps too


Makers = dict[str, Callable[[], Iterable[Clip]]]


def clip_sets(data: Path, prompts: Path | None = None, speech: Path | None = None,
              names: Collection[str] = ()) -> dict[str, list[Clip]]:
    """
    Return the clips to judge by, per set; only what `data`, `prompts` and `speech` have.

    `names`: make these sets only.
    """
    makers = {**grid_sets(data), **synthetic_sets(data / 'kokoro', speech)}
    if prompts and (prompts / 'phones.json').is_file():
        makers['prompts'] = lambda: prompt_clips(prompts)
    makers['speech'] = lambda: [bundled_speech()]
    return {name: list(make()) for name, make in makers.items() if not names or name in names}


def grid_sets(data: Path) -> Makers:
    """Return what makes the sets of real talkers."""
    one, others = data / 'grid_s1', data / 'grid_others'
    makers: Makers = {}
    if one.is_dir():
        makers['grid_s1'] = lambda: grid_clips(one, (one / 'validation.txt').read_text().split())
    if others.is_dir():
        makers['grid_others'] = lambda: grid_clips(others)
    return makers


def synthetic_sets(kokoro: Path, speech: Path | None) -> Makers:
    """Return what makes the sets of voices and languages that no training hears."""
    makers: Makers = {}
    rows = read_rows(kokoro)
    for name, split in (('kokoro', 'validation'), ('kokoro_test', 'test')):
        if chosen := [row for row in rows if split_of_row(row) == split]:
            makers[name] = partial(synthetic_clips, kokoro, chosen)
    if speech and (rows := read_rows(speech)):
        makers['voices'] = partial(synthetic_clips, speech, [
            row for row in rows if row['split'] == 'test' and language(row) in SHARES['train']])
        makers['languages'] = partial(synthetic_clips, speech, [
            row for row in rows if language(row) not in SHARES['train']])
    return makers


def read_audio(path: Path) -> Array:
    """Return a file as (n,) float32 at 16 kHz, mono."""
    samples, sample_rate = soundfile.read(path, dtype='float32', always_2d=True)
    intake = Intake(SAMPLE_RATE)
    return np.concatenate([intake.push(AudioBlock(0, samples, sample_rate)), intake.flush()])


def grid_clips(folder: Path, ids: Sequence[str] | None = None) -> Iterator[Clip]:
    """
    Yield the GRID clips of `folder`, all or those named.

    A label stands at i / 25 s: in 250 clips the tracked lips part within 10 ms of the burst of b.
    """
    face = np.load(folder / 'face.npz')
    words = json.loads((folder / 'words.json').read_text())
    gap, height = (face['lip'][..., list(face['lip_names']).index(name)].astype(float)
                   for name in ('inner_lip_gap_px', 'face_height_px'))
    rows = {str(name): row for row, name in enumerate(face['ids'])}
    for name in ids if ids is not None else rows:
        speech = tuple((start, end) for word, start, end in words[name] if word != 'sil')
        yield Clip(name, read_audio(folder / 'audio' / f'{name}.opus'), speech,
                   gap[rows[name]] / height[rows[name]], float(face['fps']))


def language(row: Row) -> str:
    """Return the language of a row of a corpus, whatever the accent."""
    return str(row['lang']).partition('-')[0]


def synthetic_clips(folder: Path, rows: Sequence[Row], count: int = 30) -> Iterator[Clip]:
    """Yield `count` clips of a corpus, spread over its `rows`; `truth` is their teacher's."""
    for row in rows[::max(1, len(rows) // count)][:count]:
        samples = read_audio(folder / f'{row["id"]}.opus')
        phones = kokoro_phones(row, samples)
        speech = tuple((phone.start, phone.end) for phone in phones if phone.kind != SILENCE)
        truth = taught(phones, samples, str(row['id']))
        yield Clip(row['id'], samples, speech, metrics.lip_gap(truth), teacher.RATE,
                   tuple((phone.symbol, phone.start, phone.end) for phone in phones), truth)


def prompt_clips(folder: Path) -> Iterator[Clip]:
    """Yield recorded prompts; nobody saw the face, but it is known what was said when."""
    silence = round(PAUSE * SAMPLE_RATE)
    for name, rows in json.loads((folder / 'phones.json').read_text()).items():
        phones = tuple((ipa, PAUSE + start, PAUSE + end) for ipa, start, end in rows)
        yield Clip(name, np.pad(read_audio(folder / f'{name}.flac'), silence),
                   tuple((start, end) for ipa, start, end in phones if ipa != SILENCE),
                   phones=phones)


def bundled_speech() -> Clip:
    """Return the speech that ships with the package, with its phones."""
    folder = Path(str(files('avatar_bridge') / 'assets'))
    about = json.loads((folder / 'speech.json').read_text())
    phones = tuple((ipa, start, end) for ipa, start, end in about['phones'])
    return Clip('speech', read_audio(folder / 'speech.flac'),
                tuple((start, end) for _, start, end in phones), phones=phones)
