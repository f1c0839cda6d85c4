# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Ways of speaking for synthetic voices: `python -m model.voice_styles --corpus DIR --speech DIR`.

The teacher moves every face alike, so a corpus of it has nothing personal in it. Here each voice
gets a manner of its own: how far the jaw opens, how much the lips round, whether the mouth smiles,
whether the brows go up. It is made up, but it follows from what is measured in the voice (pitch,
its liveliness, spectral tilt, brightness) by a fixed random rotation, so that who hears an unknown
voice can tell its manner. How much a clip's brows move follows from how lively it is spoken as
well: the part that is not the person's but the moment's. Real talkers keep their own faces.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
import json
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from avatar_bridge.rig import INDEX
from model.clip_store import read_rows
from model.data import Corpus, Entry, load_corpus
from model.voice_measures import NAMES, arousal, measures
from model.voices import split_of_row

Array = NDArray[np.floating]

FORMAT: Final = 1
SEED: Final = 7                         # of the rotation from measures to manners
SPREAD: Final = 0.9                     # deviations are squashed by tanh after this factor
JAW, ROUNDING = 0.35, 0.45              # log gain at most
MOUTH, BROWS = 0.22, 0.40               # weight added at most, while somebody speaks loudly
MOMENT: Final = 0.5                     # how much of the brows' manner is the clip's arousal
VIEWS: Final = 3                        # of a voice: its sound, another clip, more of the first
#: The teacher's squint is 0.05 of the smoothed loudness while somebody speaks, 0 in silence.
LOUDNESS: Final = ('eyeSquintLeft', 0.05)
#: What a talker of real recordings has: the face he was recorded with.
AS_RECORDED: Final = (0.0, 0.0, 0.0, 0.0)

_JAW = [INDEX[name] for name in ('jawOpen', 'mouthClose')]      # both: lips that met still meet
_ROUND = [INDEX[name] for name in ('mouthFunnel', 'mouthPucker')]


class Manner(NamedTuple):
    """How somebody speaks, each in [-1, 1]; 0 is the teacher's way."""

    jaw: float = 0.0
    rounding: float = 0.0
    mouth: float = 0.0                  # smile, or frown where it is negative
    brows: float = 0.0                  # up with the voice, or down


class VoicedClip(NamedTuple):
    """A clip, and who speaks in it."""

    samples: NDArray[np.int16]          # (n,) at 16 kHz
    curves: NDArray[np.float16]         # (frames, 52) at 100 Hz
    entry: Entry
    phones: NDArray[np.uint8] | None = None


def in_manner(curves: Array, manner: Manner) -> NDArray[np.float32]:
    """Return (n, 52) curves of the teacher as somebody with this manner makes them."""
    curves = np.array(curves, np.float32)
    name, full = LOUDNESS
    loud = np.clip(curves[:, INDEX[name]] / full, 0, 1)
    curves[:, _JAW] *= np.exp(JAW * manner.jaw)
    curves[:, _ROUND] *= np.exp(ROUNDING * manner.rounding)
    corners = 'mouthSmile' if manner.mouth > 0 else 'mouthFrown'
    raised = ('browInnerUp', 'browOuterUpLeft', 'browOuterUpRight')
    moved = raised if manner.brows > 0 else ('browDownLeft', 'browDownRight')
    for side in ('Left', 'Right'):
        curves[:, INDEX[corners + side]] += MOUTH * abs(manner.mouth) * loud
    for name in moved:
        curves[:, INDEX[name]] += BROWS * abs(manner.brows) * np.maximum(loud - 0.3, 0)
    return np.clip(curves, 0, 1)


@dataclass(frozen=True)
class VoicedCorpus(Corpus):
    """A cache whose voices have manners, split by who speaks."""

    manners: dict[str, Manner] = field(default_factory=dict)        # by clip

    def clip(self, entry: Entry, style: int = 0, amount: float = 1.0,     # type: ignore[override]
             ) -> VoicedClip:
        """Return one clip in the manner of its voice."""
        samples, curves, phones = super().clip(entry, style, amount)
        manner = self.manners.get(entry.id)
        styled = curves if manner is None else in_manner(curves, manner)
        return VoicedClip(samples, styled, entry, phones)

    def views(self, clip: VoicedClip, length: int, rng: np.random.Generator,
              ) -> NDArray[np.int16]:
        """
        Return (3, length) samples: of the voice elsewhere, of another clip, more of the first.

        The first two are one voice, the first and the last are one voice in one moment.
        """
        entries = self.voices[clip.entry.voice]
        one, other = (int(rng.integers(len(entries) - taken)) for taken in (0, len(entries) > 1))
        other += other >= one and len(entries) > 1
        return np.stack([self._view(entries[place], length, rng) for place in (one, other, one)])

    def lone(self, clip: VoicedClip) -> bool:
        """Return whether this is the only clip of its voice."""
        return len(self.voices[clip.entry.voice]) == 1

    def voice_number(self, clip: VoicedClip) -> int:
        """Return the place of the clip's voice among all that are trained with."""
        return self._numbers[clip.entry.voice]

    def _view(self, entry: Entry, length: int, rng: np.random.Generator) -> NDArray[np.int16]:
        start = int(rng.integers(max(1, entry.samples - length)))
        first = entry.first_sample + start
        heard = self.audio[first:min(first + length, entry.first_sample + entry.samples)]
        return np.pad(heard, (length - len(heard), 0))

    @cached_property
    def voices(self) -> dict[str, list[Entry]]:
        """Return the training clips of each voice."""
        voices: dict[str, list[Entry]] = {}
        for entry in self.select('train'):
            voices.setdefault(entry.voice, []).append(entry)
        return voices

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {voice: number for number, voice in enumerate(sorted(self.voices))}

    def held_out(self, least: int = 2) -> dict[str, list[Entry]]:
        """Return the clips of each voice that no training hears and that has `least` of them."""
        voices: dict[str, list[Entry]] = {}
        for entry in self.entries:
            if entry.split != 'train' and entry.id in self.manners:
                voices.setdefault(entry.voice, []).append(entry)
        return {voice: clips for voice, clips in sorted(voices.items()) if len(clips) >= least}


def load_voiced(corpus: str | Path, voices: str | Path) -> VoicedCorpus:
    """Open the cache in folder `corpus` with the manners that file `voices` gives."""
    plain = load_corpus(corpus)
    about = json.loads(Path(voices).read_text())
    if about['format'] != FORMAT:
        raise ValueError(f'{voices}: format {about["format"]}, expected {FORMAT}')
    clips = about['clips']
    entries = [entry._replace(voice=clips[entry.id]['voice'], split=clips[entry.id]['split'])
               if entry.id in clips else entry for entry in plain.entries]
    return VoicedCorpus(entries, plain.audio, plain.curves, plain.styled, plain.phones,
                        {name: Manner(*row['manner']) for name, row in clips.items()})


def manners(found: dict[str, Array], voices: dict[str, str], training: set[str],
            arousals: dict[str, float]) -> dict[str, Manner]:
    """
    Return the manner of each clip.

    :param found: clip -> its measures (4,)
    :param voices: clip -> its voice
    :param training: clips that the scale is taken from
    :param arousals: clip -> arousal
    """
    of_voice = {voice: np.mean([found[clip] for clip in found if voices[clip] == voice], axis=0)
                for voice in set(voices.values())}
    known = np.stack([of_voice[voice] for voice in sorted({voices[clip] for clip in training})])
    rotation = np.linalg.qr(np.random.default_rng(SEED).standard_normal((len(NAMES),) * 2))[0]
    excitement = np.array([arousals[clip] for clip in sorted(training)])
    made = {}
    for clip in found:
        away = (of_voice[voices[clip]] - known.mean(axis=0)) / (known.std(axis=0) + 1e-6)
        own = np.tanh(SPREAD * (rotation @ away))
        moment = np.tanh((arousals[clip] - excitement.mean()) / (excitement.std() + 1e-6))
        own[3] = (1 - MOMENT) * own[3] + MOMENT * moment
        made[clip] = Manner(*(round(float(value), 4) for value in own))
    return made


def voice_name(row: dict[str, Any]) -> str:
    """Return the name of who speaks a row: a voice, or a blend of two."""
    if row['mix'] >= 1 or row['voice'] == row['voice2']:
        return str(row['voice'])
    return f'{row["voice"]}+{row["voice2"]}@{row["mix"]:g}'


def _measured(entry: Entry, corpus: Path) -> tuple[Array, float]:
    samples = load_corpus(corpus).clip(entry).samples.astype(np.float32) / 32768
    return measures(samples), arousal(samples)


def build(corpus: Path, speech: list[Path], out: Path, manner: str = 'own') -> dict[str, Any]:
    """
    Measure every synthetic clip, and write who speaks it, its split and its manner.

    `manner`: each voice's `own`, split by who speaks, or the `teacher`'s, split as the cache is.
    """
    rows = {row['id']: row for folder in speech for row in read_rows(folder)}
    entries = [entry for entry in load_corpus(corpus).entries if entry.id in rows]
    if not entries:
        raise SystemExit(f'{", ".join(map(str, speech))}: no clip of {corpus} is told of there')
    with ProcessPoolExecutor(2) as pool:
        made = pool.map(partial(_measured, corpus=corpus), entries, chunksize=32)
        found = [result for result in tqdm(made, total=len(entries), unit='clip')]
    splits = {entry.id: split_of_row(rows[entry.id]) for entry in entries}
    names = {entry.id: voice_name(rows[entry.id]) for entry in entries}
    own = manners({entry.id: row for entry, (row, _) in zip(entries, found, strict=True)}, names,
                  {clip for clip, split in splits.items() if split == 'train'},
                  {entry.id: value for entry, (_, value) in zip(entries, found, strict=True)})
    if manner == 'teacher':
        splits = {entry.id: entry.split for entry in entries}
        own = dict.fromkeys(splits, Manner())
    about = {'format': FORMAT, 'measures': NAMES, 'clips': {
        entry.id: {'voice': names[entry.id], 'split': splits[entry.id], 'manner': own[entry.id],
                   'measures': [round(float(value), 4) for value in row],
                   'arousal': round(value, 4)}
        for entry, (row, value) in zip(entries, found, strict=True)}}
    out.write_text(json.dumps(about))
    return about


def main() -> None:
    """Measure a corpus."""
    command = argparse.ArgumentParser('python -m model.voice_styles', description=__doc__)
    command.add_argument('--corpus', type=Path, default=Path('runs/corpus3'))
    command.add_argument('--speech', type=Path, action='append',
                         help='folder with the rows of the clips (default ../shared/data/kokoro)')
    command.add_argument('--out', type=Path, default=Path('runs/voices3.json'))
    command.add_argument('--manner', choices=('own', 'teacher'), default='own',
                         help='each voice has one of its own, or all have the teacher\'s')
    arguments = command.parse_args()
    speech = arguments.speech or [Path('../shared/data/kokoro')]
    clips = build(arguments.corpus, speech, arguments.out, arguments.manner)['clips'].values()
    for split in sorted({clip['split'] for clip in clips}):
        inside = [clip['voice'] for clip in clips if clip['split'] == split]
        print(f'{split}: {len(inside)} clips of {len(set(inside))} voices')


if __name__ == '__main__':
    main()
