# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Clips on the disk: `<id>.opus`, a line each in `align_<seed>.jsonl`, and a manifest.

A line is written when its sound lies there complete, so a stopped run leaves nothing half done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
import fcntl
import io
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
import soundfile

from model.phones import CLASS_OF
from model.synthesisers import SAMPLE_RATE, Spoken
from model.voices import Line

PEAK: Final = 0.9               # of a clip; a room's levels come with training's augmentation
OPUS_LEVEL: Final = 0.9         # libsndfile's scale; 28 kbit/s here
SECONDS: Final = (1.0, 14.0)    # of a clip

Row = dict[str, Any]


class ClipError(Exception):
    """A clip is not worth keeping, or the folder is in use."""


def make_row(line: Line, spoken: Spoken) -> Row:
    """Return the line of an alignment file."""
    phones = [[symbol, round(start, 3), round(end, 3)] for symbol, start, end in spoken.phones]
    return {**line._asdict(), 'dur': round(len(spoken.samples) / SAMPLE_RATE, 3),
            'phones': phones}


def encode(samples: NDArray[np.float32]) -> bytes:
    """Return samples as an Ogg Opus file, at PEAK."""
    peak = float(np.abs(samples).max(initial=0.0))
    seconds = len(samples) / SAMPLE_RATE
    if not SECONDS[0] <= seconds <= SECONDS[1]:
        raise ClipError(f'{seconds:.1f} s, wanted {SECONDS[0]:g} to {SECONDS[1]:g}')
    if not np.isfinite(peak) or peak < 0.01:
        raise ClipError(f'a peak of {peak:g}')
    file = io.BytesIO()
    soundfile.write(file, samples * (PEAK / peak), SAMPLE_RATE, format='OGG', subtype='OPUS',
                    compression_level=OPUS_LEVEL)
    return file.getvalue()


class ClipStore:
    """The clips of one seed in a folder; one process at a time writes them."""

    def __init__(self, folder: Path, seed: int) -> None:
        """Open the folder, made if need be, and read what an earlier run left."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.seed = folder, seed
        self._file = (folder / f'align_{seed}.jsonl').open('a+', encoding='utf-8')
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise ClipError(f'another run writes to {self._file.name}') from None
        self.rows: list[Row] = []
        self.phones: dict[str, Counter[str]] = {}       # of each language
        self.seconds = 0.0
        self._done: set[str] = set()
        for row in self._read():
            self._count(row)
        self._skipped = folder / f'skipped_{seed}.jsonl'
        self._skips = {json.loads(text)['id'] for text in complete_lines(self._skipped)}
        self._done |= self._skips

    def _read(self) -> Iterator[Row]:
        """Yield the rows; half a line, from a run that was killed, is cut off."""
        self._file.seek(0)
        text = self._file.read()
        whole = text[:text.rfind('\n') + 1]
        if whole != text:
            self._file.truncate(len(whole.encode()))
        return map(json.loads, whole.splitlines())

    def _count(self, row: Row) -> None:
        self.rows.append({key: value for key, value in row.items() if key != 'phones'})
        self.phones.setdefault(row['lang'], Counter()).update(
            symbol for symbol, *_ in row['phones'] if symbol in CLASS_OF)
        self.seconds += row['dur']
        self._done.add(row['id'])

    def __contains__(self, name: str) -> bool:
        """Tell whether a clip was made, or given up, before."""
        return name in self._done

    def add(self, row: Row, sound: bytes) -> None:
        """Keep a clip."""
        half = self.folder / f'{row["id"]}.half'
        half.write_bytes(sound)
        half.replace(self.folder / f'{row["id"]}.opus')
        print(json.dumps(row, ensure_ascii=False), file=self._file, flush=True)
        self._count(row)

    def skip(self, name: str, reason: str) -> None:
        """Remember that a line gave no clip."""
        with self._skipped.open('a', encoding='utf-8') as file:
            print(json.dumps({'id': name, 'reason': reason}), file=file)
        self._done.add(name)
        self._skips.add(name)

    def counts(self) -> dict[str, Any]:
        """Return minutes by split and language and by voice, and how often phones occur."""
        languages: dict[str, Counter[str]] = {}
        voices: Counter[str] = Counter()
        for row in self.rows:
            languages.setdefault(row['split'], Counter())[row['lang']] += row['dur'] / 60
            for voice in {row['voice'], row['voice2']}:
                voices[voice] += row['dur'] / 60
        return {
            'clips': len(self.rows), 'skipped': len(self._skips),
            'hours': round(self.seconds / 3600, 3),
            'minutes': {split: _rounded(found) for split, found in languages.items()},
            'minutes_with_voice': _rounded(voices),
            'phones': {language: dict(found.most_common())
                       for language, found in sorted(self.phones.items())},
        }

    def describe(self, facts: dict[str, Any]) -> None:
        """Write `manifest_<seed>.json`: `facts`, and what is there."""
        path = self.folder / f'manifest_{self.seed}.json'
        half = path.with_suffix('.half')
        half.write_text(json.dumps({**facts, **self.counts()}, ensure_ascii=False, indent=1))
        half.replace(path)

    def __enter__(self) -> ClipStore:
        """Return the store."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let others write."""
        self._file.close()


def _rounded(minutes: Counter[str]) -> dict[str, float]:
    return {name: round(minutes[name], 2) for name in sorted(minutes)}


def complete_lines(path: Path) -> list[str]:
    """Return the lines of a file that end; none where there is no file."""
    text = path.read_text(encoding='utf-8') if path.exists() else ''
    return text[:text.rfind('\n') + 1].splitlines()


def read_rows(folder: Path) -> list[Row]:
    """Return every row of every alignment file in a folder."""
    return [json.loads(text) for path in sorted(folder.glob('align_*.jsonl'))
            for text in complete_lines(path)]
