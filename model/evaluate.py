# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Judge bundles, or CSV files of other programs: `python -m model.evaluate [BUNDLE ...]`.

Runs what ships (the streaming engine) over the clips of `model/clip_sets.py`, at every number of
steps that is asked for and that a bundle takes, and prints tables: quality on each set of clips,
costs, and with `--rooms` how it holds out among noise. Bundles in folders NAME@1, NAME@2, ... are
runs of NAME that differ in their seed: one row, mean and deviation. `--with` takes in what an
earlier evaluation wrote.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
import json
from pathlib import Path
import sys
from typing import Any, Final, NamedTuple

from tqdm import tqdm

from avatar_bridge.bundle import Bundle, load_bundle
from avatar_bridge.config import PROFILES, EngineConfig
from avatar_bridge.errors import AvatarBridgeError, UsageError
from avatar_bridge.stream.engine import Engine
from model.clip_sets import Array, Clip, bundled_speech, clip_sets
from model.costs import costs
from model.judgement import judge
from model.performers import Animate, csv_motion, engine_motion, loudness_motion
from model.room_scores import room_clips, room_rows
from model.room_sets import SETTINGS
from model.score_plot import draw
from model.score_table import COSTS, QUALITY, ROOMS, Row, markdown, merged, plain, pooled

PARTS: Final = ('quality', 'costs')


class Contestant(NamedTuple):
    """Something to be judged: a bundle at a number of steps, or what has neither."""

    model: str
    animate: Animate
    steps: int | None = None
    bundle: Bundle | None = None
    config: EngineConfig = EngineConfig()

    @property
    def identity(self) -> Row:
        """Return the beginning of every row about it."""
        return {'model': self.model, 'steps': self.steps}


class Report(NamedTuple):
    """What an evaluation found."""

    quality: list[Row]                      # a row for each model, steps and set
    costs: list[Row]                        # a row for each bundle and steps
    clip: Clip | None = None                # one clip, and every model's lip gap in it
    gaps: dict[str, Array] = {}             # noqa: RUF012 - never changed
    rooms: list[Row] = []                   # noqa: RUF012 - a row for each bundle, steps and room


def contestants(arguments: argparse.Namespace) -> Iterator[Contestant]:
    """Yield what is to be judged."""
    fps = float(arguments.fps)
    default = [] if arguments.csv or arguments.earlier else ['live']
    for name in named(arguments.bundle or default):
        yield from of_bundle(name, load_bundle(name), arguments)
    for folder in arguments.csv:
        yield Contestant(str(folder), csv_motion(folder, fps=fps, rate=arguments.csv_fps))
    yield Contestant('loudness', loudness_motion(fps))


def named(bundles: Sequence[str]) -> Sequence[str]:
    """Return the bundles; raises `UsageError` where two would have one name in the tables."""
    names = [Path(bundle).name for bundle in bundles]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UsageError(f'two bundles are called {twice.pop()}: expected folders of different '
                         'names (NAME@1, NAME@2, ... for runs of one)')
    return bundles


def of_bundle(name: str, bundle: Bundle, arguments: argparse.Namespace) -> Iterator[Contestant]:
    """Yield a bundle at each number of steps; one that it does not take becomes the nearest."""
    usual = EngineConfig(profile=arguments.profile, fps=arguments.fps)
    nearest = Engine(bundle, usual).nearest_steps
    for steps in sorted({nearest(steps) for steps in arguments.steps}):
        config = replace(usual, steps=steps)
        yield Contestant(Path(name).name, engine_motion(Engine(bundle, config)), steps, bundle,
                         config)


def evaluate(arguments: argparse.Namespace) -> Report:
    """Judge everybody; raises `UsageError` where files are to follow a room's sound."""
    if arguments.rooms and arguments.csv:
        raise UsageError('--rooms and --csv: files do not hear a room, expected one of the two')
    quality: list[Row] = []
    expense: list[Row] = []
    gaps: dict[str, Array] = {}
    rooms: list[Row] = []
    sets = chosen_sets(arguments) if 'quality' in arguments.only or arguments.rooms else {}
    shown = example(sets)
    for contestant in contestants(arguments):
        for name, clips in sets.items() if 'quality' in arguments.only else ():
            progress = tqdm(clips, f'{contestant.model} {name}', leave=False, disable=None)
            motions = [contestant.animate(clip) for clip in progress]
            figures = judge(clips, motions, float(arguments.fps))
            quality.append({**contestant.identity, 'set': name, **figures})
            if shown in clips:
                gaps.setdefault(contestant.model.partition('@')[0],
                                motions[clips.index(shown)].gap)
        if contestant.bundle and 'costs' in arguments.only:
            expense.append({**contestant.identity, **costs(
                contestant.bundle, contestant.config, bundled_speech().samples)})
        if arguments.rooms:
            found = room_rows(contestant.animate, room_clips(sets), float(arguments.fps))
            progress = tqdm(found, f'{contestant.model} rooms', len(SETTINGS) + 1, leave=False,
                            disable=None)
            rooms += [{**contestant.identity, **row} for row in progress]
    return Report(quality, expense, shown, gaps, rooms)


def chosen_sets(arguments: argparse.Namespace) -> dict[str, list[Clip]]:
    """Return the clips that are asked for, per set."""
    sets = clip_sets(arguments.data, arguments.prompts, arguments.speech, arguments.set or ())
    return {name: clips[:arguments.clips] for name, clips in sets.items()}


def example(sets: dict[str, list[Clip]]) -> Clip | None:
    """Return the clip to be drawn: one with a truth, or else the first."""
    clips = [clip for clips in sets.values() for clip in clips]
    known = [clip for clip in clips if clip.truth is not None]
    known += [clip for clip in clips if clip.tracked is not None]
    return next(iter(known + clips), None)


def with_earlier(report: Report, path: Path, settings: Row) -> Report:
    """Return the report with the rows of an earlier one; raises `UsageError` if unlike made."""
    earlier = json.loads(path.read_text())
    if earlier['settings'] != settings:
        raise UsageError(f'{path} was made with {earlier["settings"]}, expected {settings}')
    return report._replace(quality=merged(earlier['rows'], report.quality),
                           costs=merged(earlier['costs'], report.costs),
                           rooms=merged(earlier.get('rooms', []), report.rooms))


def write(report: Report, path: Path, settings: Row) -> None:
    """Write every row, and the rows that runs of one name amount to, as JSON."""
    tables = {'rows': report.quality, 'costs': report.costs, 'rooms': report.rooms}
    path.write_text(json.dumps({
        'settings': settings, **{name: plain(rows) for name, rows in tables.items()},
        'pooled': {name: plain(pooled(rows)) for name, rows in tables.items()},
    }, indent=1))


def step_counts(text: str) -> list[int]:
    """Return the numbers of `1,2,4`."""
    return [int(number) for number in text.split(',')]


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    command = argparse.ArgumentParser('python -m model.evaluate', description=__doc__)
    command.add_argument('bundle', nargs='*', help='bundle name or folder (default: live)')
    command.add_argument('--data', type=Path, default=Path('../shared/data'))
    command.add_argument('--profile', choices=tuple(PROFILES), default='live')
    command.add_argument('--fps', type=Fraction, default=Fraction(60))
    command.add_argument('--steps', type=step_counts, default=[EngineConfig().steps],
                         metavar='N,N,...',
                         help='sampler steps a hop; 0 is what a bundle does best')
    command.add_argument('--set', action='append', metavar='NAME',
                         help='only this set of clips; repeatable')
    command.add_argument('--clips', type=int, help='only the first clips of each set')
    command.add_argument('--only', choices=PARTS, default=PARTS,
                         help='one table; costs want a machine with nothing else to do')
    command.add_argument('--rooms', action='store_true',
                         help='also among noise, over the telephone, too loud')
    command.add_argument('--prompts', type=Path, default=Path('runs/prompts'), metavar='DIR',
                         help='what `python -m model.prompts` made, if it is there')
    command.add_argument('--speech', type=Path, default=Path('runs/speech'), metavar='DIR',
                         help='what `python -m model.corpus build` made, if it is there')
    command.add_argument('--csv', type=Path, action='append', default=[], metavar='DIR',
                         help='Live Link CSV files of another program, <clip id>.csv each')
    command.add_argument('--csv-fps', type=float, default=60, help='their rows a second')
    command.add_argument('--with', type=Path, action='append', default=[], metavar='FILE',
                         dest='earlier', help='add the rows of an earlier --json; repeatable')
    command.add_argument('--json', type=Path, metavar='FILE', help='write the figures there')
    command.add_argument('--plot', type=Path, metavar='FILE',
                         help='draw quality against steps, and lip gaps of a clip, as a PNG')
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables; 1 and a line on stderr where something is missing."""
    arguments = parser().parse_args(argv)
    settings: dict[str, Any] = {'profile': arguments.profile, 'fps': str(arguments.fps),
                                'clips': arguments.clips}
    try:
        report = evaluate(arguments)
        for path in arguments.earlier:
            report = with_earlier(report, path, settings)
    except (AvatarBridgeError, OSError, ValueError, KeyError) as error:
        print(f'evaluate: {error}', file=sys.stderr)
        return 1
    for rows, columns in ((report.quality, QUALITY), (report.rooms, ROOMS),
                          (report.costs, COSTS)):
        if rows:
            print(markdown(pooled(rows), columns), end='\n\n')
    if arguments.json:
        write(report, arguments.json, settings)
    if arguments.plot and report.clip:
        draw(arguments.plot, pooled(report.quality), report.clip, report.gaps,
             float(arguments.fps))
    return 0


if __name__ == '__main__':
    sys.exit(main())
