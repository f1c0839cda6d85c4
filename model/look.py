# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Faces side by side, to be judged by eye: `python -m model.look OUT [BUNDLE ...]`.

Makes a film with sound and a contact sheet of each clip: bundles, and where it is known what is
said, the teacher and openfacefx (a peer, from its package). `--blind SEED` shuffles them clip by
clip and calls them A, B, ...; who was who is in `key.json`. `docs/looking.md` says what to look
at.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
import json
from pathlib import Path
import string
import sys
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from avatar_bridge import rig
from avatar_bridge.bundle import load_bundle
from avatar_bridge.config import EngineConfig
from avatar_bridge.errors import AvatarBridgeError
from avatar_bridge.frames import TimedAudio
from avatar_bridge.phones import Phone
from avatar_bridge.pictures import Pixels, Sheet
from avatar_bridge.portrait import Portrait
from avatar_bridge.sinks.contact_sheet import chosen, color_of
from avatar_bridge.sinks.film import Film
from avatar_bridge.stream.engine import Engine
from model import metrics, phones, teacher
from model.clip_sets import SAMPLE_RATE, Clip, clip_sets
from model.performers import spoken

Weights = NDArray[np.floating]
Face = Callable[[Clip], Weights]

FPS: Final = Fraction(60)
#: What is looked at: these clips of each set, in this order.
SHOWN: Final = {'speech': (0,), 'prompts': (3, 40), 'kokoro': (5, 20), 'grid_others': (1, 6),
                'grid_s1': (0,)}
LONGEST: Final = 8.0            # seconds of a clip
TILE: Final = 320               # pixels
NAME: Final = 32                # height of the line with the name
COLUMNS: Final = 12             # pictures of a sheet's row
CELL: Final = 160
LABEL: Final = 24
LEFT: Final = 130               # width of the names beside a sheet's rows


def clips_to_show(sets: Mapping[str, Sequence[Clip]]) -> dict[str, Clip]:
    """Return the clips that everybody looks at, by the name of their files."""
    return {f'{name}-{clips[index].name}': clips[index]
            for name, places in SHOWN.items() if (clips := sets.get(name))
            for index in places if index < len(clips)}


def faces(bundles: Sequence[str]) -> dict[str, Face]:
    """Return who animates."""
    found: dict[str, Face] = {}
    for name in bundles:
        engine = Engine(load_bundle(name), EngineConfig(fps=FPS))
        found[Path(name).name] = lambda clip, engine=engine: spoken(engine, clip.samples)
    return {**found, 'teacher': taught, 'openfacefx': peer}


def taught(clip: Clip) -> Weights:
    """Return what the teacher makes of the clip's phones; nothing where there are none."""
    if not clip.phones:
        return np.zeros((0, len(rig.NAMES)))
    said = [phones.Phone(symbol if symbol in phones.CLASS_OF else phones.SILENCE, start, end)
            for symbol, start, end in clip.phones]
    weights = teacher.animate(said, teacher.loudness(clip.samples))
    return at_fps(weights, teacher.RATE, clip)


def peer(clip: Clip) -> Weights:
    """Return what openfacefx makes of the clip's phones; nothing where there are none."""
    if not clip.phones:
        return np.zeros((0, len(rig.NAMES)))
    import openfacefx  # the extra `judge`
    track = openfacefx.retarget(openfacefx.generate_from_alignment(
        openfacefx.from_phone_timestamps(
            [(max(0.0, start), end, SPELT.get(symbol, symbol))
             for symbol, start, end in clip.phones])),
        openfacefx.PRESETS['arkit'])
    times = np.arange(round(len(clip.samples) / SAMPLE_RATE * FPS)) / float(FPS)
    weights = np.zeros((len(times), len(rig.NAMES)))
    for channel in track.channels:
        if channel.name in rig.INDEX and channel.keys:
            weights[:, rig.INDEX[channel.name]] = np.interp(
                times, [key.time for key in channel.keys], [key.value for key in channel.keys])
    return weights


#: Kokoro's letters as other programs spell them.
SPELT: Final = {'A': 'eɪ', 'I': 'aɪ', 'O': 'oʊ', 'Q': 'əʊ', 'W': 'aʊ', 'Y': 'ɔɪ', 'ʤ': 'dʒ',
                'ʧ': 'tʃ', 'ʦ': 'ts', 'ʣ': 'dz', 'ᵊ': 'ə', 'ᵻ': 'ɪ'}


def at_fps(weights: Weights, fps: float, clip: Clip) -> Weights:
    """Return weights at FPS, as many as the clip has."""
    times = np.arange(round(len(clip.samples) / SAMPLE_RATE * FPS)) / float(FPS)
    return metrics.at_times(weights, times, fps=fps)


def shuffled(names: Sequence[str], seed: int | None, clip: str) -> dict[str, str]:
    """Return label and name in the order in which they are shown; without a seed, the names."""
    if seed is None:
        return {name: name for name in names}
    rng = np.random.default_rng([seed, *clip.encode()])
    order = [names[index] for index in rng.permutation(len(names))]
    return dict(zip(string.ascii_uppercase, order, strict=False))


class Gallery:
    """Draws faces beside one another."""

    def __init__(self) -> None:
        """Set up the head."""
        self._portrait = Portrait((TILE, TILE))

    def close(self) -> None:
        """Free the picture."""
        self._portrait.close()

    def face(self, weights: Weights) -> Pixels:
        """Return the face of (52,) weights, (TILE, TILE, 3)."""
        return np.asarray(self._portrait.render(np.asarray(weights, np.float32)))

    def film(self, path: Path, clip: Clip, motions: Mapping[str, Weights]) -> None:
        """Write a film in which all speak at once, with the sound."""
        size = (TILE * len(motions), TILE + NAME)
        count = int(min(LONGEST * FPS, *(len(weights) for weights in motions.values())))
        film = Film(path, size=size, fps=FPS, sample_rate=SAMPLE_RATE)
        film.hear(TimedAudio(0, clip.samples[:round(count / FPS * SAMPLE_RATE)], SAMPLE_RATE,
                             0, 0))
        for index in range(count):
            if film.wants(index):
                film.see(self._row(motions, index, size), index, int(index * 10**9 / FPS))
        film.close()

    def _row(self, motions: Mapping[str, Weights], index: int, size: tuple[int, int]) -> Pixels:
        sheet = Sheet(size)
        for place, (label, weights) in enumerate(motions.items()):
            sheet.put(self.face(weights[index]), (place * TILE, 0))
            sheet.write(label, (place * TILE + TILE / 2, TILE + NAME / 2), size=18, anchor='mm')
        return sheet.pixels()

    def sheet(self, path: Path, clip: Clip, motions: Mapping[str, Weights]) -> None:
        """Write a picture with a row for each, at times that are worth it."""
        count = min(len(weights) for weights in motions.values())
        said = tuple(Phone(symbol, start, end) for symbol, start, end in clip.phones)
        moments = chosen([index / float(FPS) for index in range(count)], said, COLUMNS)
        sheet = Sheet((LEFT + len(moments) * CELL, len(motions) * CELL + LABEL))
        cut = (TILE - CELL) // 2
        for row, (label, weights) in enumerate(motions.items()):
            sheet.write(label, (LEFT / 2, (row + 0.5) * CELL), size=18, anchor='mm')
            for column, moment in enumerate(moments):
                # The lower half of the face: that is where speech is.
                pixels = self.face(weights[moment.position])[TILE - CELL - 60:TILE - 60,
                                                             cut:cut + CELL]
                sheet.put(pixels, (LEFT + column * CELL, row * CELL))
        for column, moment in enumerate(moments):
            place = (LEFT + (column + 0.5) * CELL, len(motions) * CELL + LABEL / 2)
            text = f'{moment.position / float(FPS):.2f} s'
            sheet.write(f'{text}  {moment.phone.text}' if moment.phone else text, place, size=15,
                        color=color_of(moment.phone) if moment.phone else '#e8eaed', anchor='mm')
        path.write_bytes(sheet.png())


def show(arguments: argparse.Namespace) -> dict[str, dict[str, str]]:
    """Write films and sheets; return who was called what in each."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    clips = clips_to_show(clip_sets(arguments.data, arguments.prompts))
    everybody, key = faces(arguments.bundle or ['live']), {}
    gallery = Gallery()
    for name, clip in tqdm(list(clips.items())[:arguments.clips], 'looking', disable=None):
        made = {who: animate(clip) for who, animate in everybody.items()}
        present = [who for who, weights in made.items() if len(weights)]
        key[name] = shuffled(present, arguments.blind, name)
        motions = {label: made[who] for label, who in key[name].items()}
        gallery.sheet(arguments.out / f'{name}.png', clip, motions)
        if arguments.films:
            gallery.film(arguments.out / f'{name}.mp4', clip, motions)
    gallery.close()
    return key


def main(argv: Sequence[str] | None = None) -> int:
    """Make the gallery; 1 and a line on stderr where something is missing."""
    command = argparse.ArgumentParser('python -m model.look', description=__doc__)
    command.add_argument('out', type=Path)
    command.add_argument('bundle', nargs='*', help='bundle name or folder (default: live)')
    command.add_argument('--data', type=Path, default=Path('../shared/data'))
    command.add_argument('--prompts', type=Path, default=Path('runs/prompts'))
    command.add_argument('--blind', type=int, metavar='SEED',
                         help='hide the names; they are written to key.json')
    command.add_argument('--clips', type=int, metavar='N', help='only the first clips')
    command.add_argument('--sheets-only', dest='films', action='store_false',
                         help='no films, which take long without a GPU')
    arguments = command.parse_args(argv)
    try:
        key = show(arguments)
    except (AvatarBridgeError, OSError, ImportError) as error:
        print(f'look: {error}', file=sys.stderr)
        return 1
    if arguments.blind is not None:
        (arguments.out / 'key.json').write_text(json.dumps(key, indent=1))
    return 0


if __name__ == '__main__':
    sys.exit(main())
