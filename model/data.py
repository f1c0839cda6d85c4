# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Training corpora: `python -m model.data build` animates aligned speech with the teacher.

The cache holds every clip's 16 kHz samples and its (n, 52) curves at 100 Hz, the teacher's in
every style of `model/teacher_styles.py`. Real clips (GRID) keep the teacher's articulation, but
their lips open as far as the talker's tracked lips did, whatever the style. Those to train with
are there in other voices, too (`model/revoicing.py`).
Own recordings and BEAT (`docs/data.md`) have their own faces, or the teacher's where only the
phones are known. Validation clips of GRID and whole voices (`model/voices.py`) are marked and
never drawn for training.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
import json
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, NamedTuple
import zlib

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
import soundfile
from tqdm import tqdm

from avatar_bridge.rig import INDEX
from model import motion
from model.clip_store import read_rows
from model.coarticulation import gesture, sounding
from model.datasets import beat, live_link, text_grid
from model.datasets.recording import DatasetError, Recording
from model.face_offset import estimate
from model.grid import GridClip, GridCorpus
from model.metrics import LIP_GAP, lip_gap
from model.phones import UNKNOWN, Phone, class_numbers, from_kokoro, settle
from model.prosody import pitch
from model.revoicing import analyse, draw_voice, spoken
from model.teacher import RATE, animate, loudness, speaking
from model.teacher_styles import STYLES
from model.voices import split_of_row
from model.word_aligner import align, cepstra, learnt

#: Seconds that Kokoro's declared phone starts lag the sound. Over 200 clips: 35 ms against the
#: onset of energy, 50 to 55 ms when the loudness of whole clips is fitted to the phones.
KOKORO_LATE = 0.05
#: The same of every synthesiser of `model/corpus.py`; flite is exact.
LATE = {'kokoro': KOKORO_LATE, 'flite': 0.0}
#: What the cache calls a split.
SPLIT_NAMES = {'train': 'train', 'validation': 'valid', 'test': 'test'}
#: What reads the folders of users; the cache calls their clips so.
LOADERS: Mapping[str, Callable[[Path], Iterator[Recording]]] = {
    'textgrid': text_grid.recordings, 'live_link': live_link.recordings, 'beat': beat.recordings,
}
#: As what training draws them: as real faces, or as the teacher's.
DRAWN_AS = {'textgrid': 'kokoro', 'live_link': 'grid', 'beat': 'grid'}
#: Files of the cache: the face in each style, the first one's without its name.
CURVES = {name: f'curves_{name}.f16' if place else 'curves.f16'
          for place, name in enumerate(STYLES)}
PHONES = 'phones.u8'            # and what sounds
REVOICED = 3                    # other voices in which a real clip is there
LONGEST = 30.0                  # seconds that the teacher animates at once
BELIEVED = 0.1                  # confidence from which on a recording's offset is taken out,
EXACT = 0.03                    # if it is more than these seconds: the estimate is no better


class Clip(NamedTuple):
    """One clip: sound and the face that goes with it."""

    samples: NDArray[np.int16]      # (n,) at 16 kHz
    curves: NDArray[np.float16]     # (frames, 52) at 100 Hz
    phones: NDArray[np.uint8] | None = None     # (frames,) classes by `model.phones.NUMBERED`

    @property
    def sounding(self) -> NDArray[np.uint8]:
        """Return the phones; raises `ValueError` where the cache is of before they were kept."""
        if self.phones is None:
            raise ValueError('this cache has no phones: build it anew with python -m model.data')
        return self.phones


class Entry(NamedTuple):
    """Where a clip lies in the cache."""

    id: str
    corpus: str                     # 'kokoro', whoever synthesised it, 'grid', or one of LOADERS
    split: str                      # 'train', 'valid' or 'test'
    voice: str
    language: str
    first_sample: int
    samples: int
    first_frame: int
    frames: int


class Made(NamedTuple):
    """A clip as it is built: its face in every style of `STYLES`, or one that has no style."""

    samples: NDArray[np.int16]
    faces: list[NDArray[np.float16]]
    phones: Sequence[Phone] | None = None       # where they are known

    @property
    def classes(self) -> NDArray[np.uint8]:
        """Return the class of phone that sounds at each frame."""
        frames = len(self.faces[0])
        if self.phones is None:
            return np.full(frames, UNKNOWN, np.uint8)
        return class_numbers(self.phones, frames, RATE)

    @property
    def in_styles(self) -> list[NDArray[np.float16]]:
        """Return a face for each style; who has but one keeps it."""
        return self.faces if len(self.faces) > 1 else self.faces * len(STYLES)


@dataclass(frozen=True)
class Corpus:
    """The cache, opened."""

    entries: list[Entry]
    audio: NDArray[np.int16]
    curves: NDArray[np.float16]
    styled: tuple[NDArray[np.float16], ...] = ()        # in the other styles, where there are any
    phones: NDArray[np.uint8] | None = None             # caches of before they were kept have none

    @property
    def styles(self) -> int:
        """How many styles there are."""
        return 1 + len(self.styled)

    def clip(self, entry: Entry, style: int = 0, amount: float = 1.0) -> Clip:
        """Return one clip, `amount` (0 to 1) of the way from the first style to that number."""
        frames = slice(entry.first_frame, entry.first_frame + entry.frames)
        curves = (self.curves, *self.styled)[style][frames]
        if amount < 1:
            curves = self.curves[frames] + np.float16(amount) * (curves - self.curves[frames])
        return Clip(self.audio[entry.first_sample:entry.first_sample + entry.samples], curves,
                    None if self.phones is None else self.phones[frames])

    def select(self, split: str, corpus: str = '') -> list[Entry]:
        """Return the entries of a split, of one corpus or of all."""
        return [entry for entry in self.entries
                if entry.split == split and corpus in ('', entry.corpus)]

    def training(self) -> Iterator[Clip]:
        """Yield every training clip."""
        return (self.clip(entry) for entry in self.select('train'))

    def draw(self, corpus: str, rng: np.random.Generator, style: int = 0, amount: float = 1.0,
             ) -> Clip:
        """Return a training clip, drawn in proportion to its length; of another corpus if none."""
        drawn_from = self.drawn_from
        entries, ends = drawn_from.get(corpus) or next(iter(drawn_from.values()))
        return self.clip(entries[int(np.searchsorted(ends, rng.integers(ends[-1]), 'right'))],
                         style, amount)

    @cached_property
    def drawn_from(self) -> dict[str, tuple[list[Entry], NDArray[np.int64]]]:
        """Return the training clips by what they are drawn as, and where each ends, frames."""
        chosen: dict[str, list[Entry]] = {}
        for entry in self.select('train'):
            chosen.setdefault(DRAWN_AS.get(entry.corpus, entry.corpus), []).append(entry)
        return {name: (entries, np.cumsum([entry.frames for entry in entries]))
                for name, entries in chosen.items()}


def load_corpus(folder: str | Path) -> Corpus:
    """Open the cache in `folder`; the arrays stay on the disk."""
    folder = Path(folder)
    entries = [Entry(*row) for row in json.loads((folder / 'clips.json').read_text())]
    curves = [np.memmap(folder / name, np.float16, 'r').reshape(-1, len(INDEX))
              for name in CURVES.values() if (folder / name).exists()]
    phones = folder / PHONES
    return Corpus(entries, np.memmap(folder / 'audio.i16', np.int16, 'r'), curves[0],
                  tuple(curves[1:]), np.memmap(phones, np.uint8, 'r') if phones.exists() else None)


def kokoro_phones(row: dict[str, object], samples: NDArray[np.float32]) -> list[Phone]:
    """Return the phones of an alignment, where the sound has them."""
    synthesiser = str(row.get('synthesiser', 'kokoro'))
    phones = from_kokoro(row['phones'], shift=LATE[synthesiser])    # type: ignore[arg-type]
    return settle(phones, samples) if synthesiser == 'kokoro' else phones


def kokoro_clip(row: dict[str, object], folder: Path) -> Made:
    """Return a Kokoro clip, animated in every style."""
    samples = read(folder / f'{row["id"]}.opus')
    phones = kokoro_phones(row, samples)
    return Made(as_int16(samples), in_every_style(phones, samples, str(row['id'])), phones)


def in_every_style(phones: list[Phone], samples: NDArray[np.float32], name: str,
                   ) -> list[NDArray[np.float16]]:
    """Return what the teacher makes of a clip in each of `STYLES`."""
    loud, tone = loudness(samples), pitch(samples)      # the pitch takes longer than the face
    return [animate(phones, loud, style=style, pitch=tone, rng=chance(name)).astype(np.float16)
            for style in STYLES.values()]


def taught(phones: list[Phone], samples: NDArray[np.float32], name: str) -> NDArray[np.float64]:
    """Return what the teacher makes of a clip: (frames, 52) at 100 Hz, brows and all."""
    return animate(phones, loudness(samples), pitch=pitch(samples), rng=chance(name))


def chance(name: str) -> np.random.Generator:
    """Return the generator of a clip: the same whenever and wherever it is animated."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def grid_clip(corpus: GridCorpus, clip: GridClip, voices: int) -> list[Made]:
    """Return a GRID clip whose lips open as the talker's did, and the same in other voices."""
    samples = read(corpus.audio(clip.id))
    phones = align(corpus.words[clip.id], cepstra(samples), learnt())
    curves = taught(phones, samples, clip.id)
    followed = follow_gap(curves, phones, clip.gap)
    # A talker who breathes in opens his mouth; nothing in the sound says so.
    uttered = speaking(sounding(phones, np.arange(len(followed)) / RATE))
    faces = [(followed * uttered[:, None]).astype(np.float16)]
    return [Made(as_int16(heard), faces, phones)
            for heard in (samples, *revoiced(samples, clip.id, voices))]


def revoiced(samples: NDArray[np.float32], name: str, voices: int) -> list[NDArray[np.float32]]:
    """Return what a clip says in so many drawn voices."""
    if not voices:
        return []
    speech, rng = analyse(samples), chance(name)
    return [spoken(speech, draw_voice(rng)) for _ in range(voices)]


def recorded_clips(recording: Recording) -> Iterator[tuple[Recording, Made]]:
    """Yield the clips of a recording: with its face in time with its sound, or the teacher's."""
    if recording.curves is None:
        for part in recording.pieces(LONGEST):
            heard = part.samples.astype(np.float32) / 32768
            yield part, Made(part.samples, in_every_style(list(part.phones), heard, part.id),
                             part.phones)
        return
    curves = motion.resample(recording.curves, recording.fps, RATE)
    late = estimate(recording.samples, lip_gap(curves), RATE)
    if late.confidence >= BELIEVED and abs(late.seconds) > EXACT:
        curves = motion.shift(curves, RATE, -late.seconds)
    frames = -(-len(recording.samples) // (16000 // RATE))
    curves = np.pad(curves, ((0, max(0, frames - len(curves))), (0, 0)), mode='edge')[:frames]
    yield recording, Made(recording.samples, [curves.astype(np.float16)])


def follow_gap(curves: NDArray[np.float64], phones: list[Phone], gap: NDArray[np.float64],
               ) -> NDArray[np.float64]:
    """
    Return the curves with the jaw moved so that the lips open as far as `gap`, (n,) at 25 Hz.

    Where the words have a bilabial and the tracked lips are shut, the jaw stays the teacher's.
    """
    times = np.arange(len(curves)) / RATE
    labelled = np.arange(len(gap)) / 25.0
    wanted = PchipInterpolator(labelled, gap)(np.minimum(times, labelled[-1]))
    seal = gesture(phones, times, 'seal') * _below(wanted, 0.015, 0.045)
    jaw, close = INDEX['jawOpen'], INDEX['mouthClose']
    shut = np.clip(curves[:, close] / np.maximum(curves[:, jaw], 1e-3), 0, 1)
    others = curves @ LIP_GAP - curves[:, jaw] * LIP_GAP[jaw] - curves[:, close] * LIP_GAP[close]
    opened = np.clip((wanted - others) / LIP_GAP[jaw], 0, 1)
    followed = curves.copy()
    followed[:, jaw] = seal * curves[:, jaw] + (1 - seal) * opened
    followed[:, close] = followed[:, jaw] * np.maximum(seal, shut * _below(wanted, 0.0, 0.03))
    return followed


def _below(curve: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Return 1 below `low`, 0 above `high`, and a smooth fall between them."""
    rest = np.clip((high - curve) / (high - low), 0, 1)
    return rest * rest * (3 - 2 * rest)


def read(path: Path) -> NDArray[np.float32]:
    """Return a file's 16 kHz mono samples."""
    samples, rate = soundfile.read(path, dtype='float32')
    if rate != 16000 or samples.ndim != 1:
        raise ValueError(f'{path}: expected 16 kHz mono, got {rate} Hz, shape {samples.shape}')
    return np.asarray(samples)


def as_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Return samples as 16-bit integers."""
    return np.clip(np.round(samples * 32767), -32768, 32767).astype(np.int16)


Labelled = Iterator[tuple[tuple[str, ...], Made]]      # an Entry's first fields, and the clip


def kokoro_clips(folders: list[Path], pool: ProcessPoolExecutor) -> Labelled:
    """Yield what `model.corpus` and its like made in folders, animated."""
    rows = [(folder, row) for folder in folders for row in read_rows(folder)]
    made = pool.map(kokoro_clip, [row for _, row in rows], [folder for folder, _ in rows],
                    chunksize=16)
    for (_, row), clip in zip(rows, tqdm(made, total=len(rows)), strict=True):
        yield (row['id'], 'kokoro', SPLIT_NAMES[split_of_row(row)], row['voice'],
               row['lang']), clip


def grid_clips(folder: Path, pool: ProcessPoolExecutor) -> Labelled:
    """Yield the clips of a GRID talker who is tracked throughout, those to train with revoiced."""
    grid = GridCorpus(folder)
    clips = [clip for clip in grid.clips() if clip.tracked.all()]
    splits = ['valid' if clip.id in grid.validation else 'train' for clip in clips]
    made = pool.map(partial(grid_clip, grid), clips,
                    [REVOICED if split == 'train' else 0 for split in splits], chunksize=16)
    for source, split, takes in zip(clips, splits, tqdm(made, total=len(clips)), strict=True):
        for number, take in enumerate(takes):
            name = f'{source.id}~{number}' if number else source.id
            yield (name, 'grid', split, name if number else 's1', 'en'), take


def own_clips(name: str, folder: Path) -> Labelled:
    """Yield the clips of a folder that one of LOADERS reads."""
    for recording in tqdm(LOADERS[name](folder), desc=name, unit='recording'):
        for part, clip in recorded_clips(recording):
            yield (part.id, name, part.split, part.speaker, part.language), clip


def build(data: Path, out: Path, speech: Path | None = None,
          own: Mapping[str, Path] = MappingProxyType({})) -> None:
    """
    Animate everything under `data`, and what `model.corpus` made, and write the cache.

    `own`: further folders, by the name of their loader.
    """
    out.mkdir(parents=True, exist_ok=True)
    folders = [data / 'kokoro', *([] if speech is None else [speech])]
    with ProcessPoolExecutor(2) as pool, ExitStack() as stack:
        audio, sounds, *curves = (stack.enter_context((out / name).open('wb'))
                                  for name in ('audio.i16', PHONES, *CURVES.values()))
        sources = [kokoro_clips(folders, pool)]
        if (data / 'grid_s1').is_dir():
            sources.append(grid_clips(data / 'grid_s1', pool))
        sources += [own_clips(name, folder) for name, folder in own.items()]
        entries = [append(label, clip, audio, sounds, curves) for label, clip in chain(*sources)]
    (out / 'clips.json').write_text(json.dumps(entries))


def append(label: tuple[str, ...], clip: Made, audio: BinaryIO, sounds: BinaryIO,
           curves: Sequence[BinaryIO]) -> Entry:
    """Write a clip behind the others, its phones, its face in each style; return its entry."""
    first_sample = audio.tell() // 2
    first_frame = curves[0].tell() // 2 // len(INDEX)
    audio.write(clip.samples.tobytes())
    sounds.write(clip.classes.tobytes())
    for file, face in zip(curves, clip.in_styles, strict=True):
        file.write(face.tobytes())
    return Entry(*label, first_sample, len(clip.samples), first_frame, len(clip.faces[0]))


def main() -> None:
    """Build a cache; one that exists is left alone, a training may be reading it."""
    command = argparse.ArgumentParser('python -m model.data', description=__doc__)
    command.add_argument('verb', choices=['build'])
    command.add_argument('--data', type=Path, default=Path('../shared/data'))
    command.add_argument('--speech', type=Path, help='a folder of python -m model.corpus build')
    for name, loader in LOADERS.items():
        command.add_argument(f'--{name.replace("_", "-")}', type=Path, metavar='DIR',
                             help=f'a folder of {loader.__module__}')
    command.add_argument('--out', type=Path, default=Path('runs/corpus'))
    arguments = command.parse_args()
    if (arguments.out / 'clips.json').exists():
        command.error(f'{arguments.out} holds a corpus; name a new folder')
    own = {name: folder for name in LOADERS if (folder := getattr(arguments, name))}
    try:
        build(arguments.data, arguments.out, arguments.speech, own)
    except DatasetError as error:
        command.exit(1, f'{error}\n')


if __name__ == '__main__':
    main()
