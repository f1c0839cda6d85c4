# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Judge bundles, or CSV files of other programs: `python -m model.evaluate [BUNDLE ...]`.

Runs what ships (the streaming engine) over real talkers: 100 GRID clips that no training sees,
10 clips of talkers that nobody fitted, synthetic voices that no training hears (against their
teacher, for its p, b, m), and the bundled speech.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
import csv
from dataclasses import dataclass
from fractions import Fraction
from importlib.resources import files
import json
from pathlib import Path
import sys
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
import soundfile
from tqdm import tqdm

from avatar_bridge import rig
from avatar_bridge.audio.intake import Intake
from avatar_bridge.bundle import load_bundle
from avatar_bridge.config import PROFILES, EngineConfig
from avatar_bridge.errors import AvatarBridgeError
from avatar_bridge.frames import AudioBlock
from avatar_bridge.stream.engine import Engine
from model import metrics, teacher
from model.data import HELD_OUT_VOICES, kokoro_phones
from model.phones import SILENCE

Array = NDArray[np.floating]

SAMPLE_RATE: Final = 16000
LAGS: Final = tuple(step / 100 for step in range(-20, 21))
COLUMNS: Final = {                                  # of the table: title and format
    'model': ('model', 's'), 'set': ('set', 's'), 'clips': ('clips', 'd'),
    'correlation': ('r at lag 0', '.3f'), 'best_correlation': ('best r', '.3f'),
    'lag_ms': ('A/V lag ms', '+.0f'), 'silence': ('silence', '.1%'),
    'jitter': ('jitter', '.4f'), 'seams': ('seams', '.2f'),
    'closure_f1': ('p b m F1', '.2f'), 'false_closures': ('false', '.1%'),
    'labiodental_f1': ('f v F1', '.2f'),
}


@dataclass(frozen=True)
class Clip:
    """What was said, and what is known about the face that said it."""

    name: str
    samples: Array                                  # (n,) 16 kHz mono
    speech: tuple[tuple[float, float], ...]         # seconds in which somebody speaks
    tracked: Array | None = None                    # (m,) inner-lip gap over face height
    tracked_fps: float = 25.0                       # label i stands at i / tracked_fps
    phones: tuple[tuple[str, float, float], ...] = ()


class Motion(NamedTuple):
    """What a program made of a clip; the loudness baseline has a gap and no weights."""

    gap: Array                                      # (n,)
    weights: Array | None = None                    # (n, 52)
    hop: int = 0                                    # frames between seams, 0: no seams


Animate = Callable[[Clip], Motion]


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


def bundled_speech() -> Clip:
    """Return the speech that ships with the package, with its phones."""
    folder = Path(str(files('avatar_bridge') / 'assets'))
    about = json.loads((folder / 'speech.json').read_text())
    phones = tuple((ipa, start, end) for ipa, start, end in about['phones'])
    return Clip('speech', read_audio(folder / 'speech.flac'),
                tuple((start, end) for _, start, end in phones), phones=phones)


def kokoro_clips(folder: Path, count: int = 30) -> Iterator[Clip]:
    """Yield clips of the held-out voices, spread over them; `tracked` is their teacher's gap."""
    rows = [json.loads(line) for path in sorted(folder.glob('align_*.jsonl'))
            for line in path.read_text().splitlines()]
    held = [row for row in rows if {row['voice'], row['voice2']} & set(HELD_OUT_VOICES)]
    for row in held[::max(1, len(held) // count)][:count]:
        samples = read_audio(folder / f'{row["id"]}.opus')
        phones = kokoro_phones(row, samples)
        speech = tuple((phone.start, phone.end) for phone in phones if phone.kind != SILENCE)
        gap = metrics.lip_gap(teacher.animate(phones, teacher.loudness(samples)))
        yield Clip(row['id'], samples, speech, gap, teacher.RATE,
                   tuple((phone.symbol, phone.start, phone.end) for phone in phones))


def clip_sets(data: Path) -> dict[str, list[Clip]]:
    """Return the clips to judge by, per set; only what `data` has."""
    sets = {}
    if (data / 'grid_s1').is_dir():
        ids = (data / 'grid_s1' / 'validation.txt').read_text().split()
        sets['grid_s1'] = list(grid_clips(data / 'grid_s1', ids))
    if (data / 'grid_others').is_dir():
        sets['grid_others'] = list(grid_clips(data / 'grid_others'))
    if (data / 'kokoro').is_dir():
        sets['kokoro'] = list(kokoro_clips(data / 'kokoro'))
    return {**sets, 'speech': [bundled_speech()]}


def engine_motion(engine: Engine) -> Animate:
    """Return what animates a clip with a streaming engine."""
    def animate(clip: Clip) -> Motion:
        frames = engine.push(clip.samples.astype(np.float32)) + engine.flush()
        weights = np.stack([frame.weights for frame in frames])
        return Motion(metrics.lip_gap(weights), weights, engine.spec.hop)
    return animate


def loudness_motion(fps: float) -> Animate:
    """Return the baseline: the mouth is as open as the sound is loud."""
    return lambda clip: Motion(metrics.loudness_envelope(clip.samples, SAMPLE_RATE, fps=fps))


def csv_motion(folder: Path, *, fps: float, rate: float) -> Animate:
    """Return what reads `folder`/<clip>.csv, `rate` rows a second, as frames at `fps`."""
    def animate(clip: Clip) -> Motion:
        rows = read_live_link(folder / f'{clip.name}.csv')
        times = np.arange(int(np.ceil(len(rows) * fps / rate))) / fps
        weights = np.stack([metrics.at_times(row, times, fps=rate) for row in rows.T], axis=1)
        return Motion(metrics.lip_gap(weights), weights)
    return animate


def read_live_link(path: Path) -> NDArray[np.float32]:
    """Return (rows, 52) weights of a Live Link Face CSV, by header; blank rows repeat the last."""
    weights = np.zeros(len(rig.NAMES), np.float32)
    rows = []
    with path.open(newline='') as file:
        for row in csv.DictReader(file):
            named = {(name or '').strip().lower(): value for name, value in row.items()}
            if missing := [name for name in rig.NAMES if name.lower() not in named]:
                raise ValueError(f'{path}: expected a column for each shape, lacks {missing[0]}')
            if all(named[name.lower()] for name in rig.NAMES):
                weights = np.array([float(named[name.lower()]) for name in rig.NAMES], np.float32)
            rows.append(weights)
    if not rows:
        raise ValueError(f'{path}: expected rows under the header, got none')
    return np.stack(rows)


def judge(clips: Sequence[Clip], motions: Sequence[Motion], fps: float) -> dict[str, float]:
    """Return the figures of a set: means over its clips; NaN where there is nothing to judge."""
    row: dict[str, float] = {'clips': len(clips)}
    pairs = list(zip(clips, motions, strict=True))
    rows = [metrics.lag_correlations(motion.gap, clip.tracked, LAGS, fps=fps,
                                     tracked_fps=clip.tracked_fps)
            for clip, motion in pairs if clip.tracked is not None]
    if rows:
        best = metrics.best_lag(np.stack(rows), LAGS)
        row |= {'correlation': float(np.mean(rows, axis=0)[LAGS.index(0)]),
                'best_correlation': best.correlation, 'lag_ms': best.milliseconds}
    row['silence'] = mean(
        metrics.silence_share(motion.gap,
                              metrics.quiet_frames(len(motion.gap), clip.speech, fps=fps))
        for clip, motion in pairs)
    return row | smoothness(motions) | closure_scores(pairs, fps)


def smoothness(motions: Sequence[Motion]) -> dict[str, float]:
    """Return jitter and seam ratio of the mouth; a blink is meant to be sudden."""
    mouths = [(motion.weights[:, rig.MOUTH], motion.hop) for motion in motions
              if motion.weights is not None]
    return {'jitter': mean(metrics.jitter(mouth) for mouth, _ in mouths),
            'seams': mean(metrics.seam_ratio(mouth, hop) for mouth, hop in mouths if hop)}


def closure_scores(pairs: Sequence[tuple[Clip, Motion]], fps: float) -> dict[str, float]:
    """Return the F1 of p, b, m and of f, v, and the share of vowels wrongly shut."""
    spoken = [(clip, motion) for clip, motion in pairs if clip.phones]
    lips = [metrics.closures(motion.gap, clip.phones, fps=fps) for clip, motion in spoken]
    teeth = [metrics.closures(motion.gap, clip.phones, fps=fps, among=metrics.LABIODENTALS)
             for clip, motion in spoken]
    return {'closure_f1': mean(found.f1 for found in lips),
            'false_closures': mean(found.false_share for found in lips),
            'labiodental_f1': mean(found.f1 for found in teeth)}


def mean(values: Any) -> float:
    """Return the mean of what is a number; NaN of nothing."""
    numbers = [value for value in values if not np.isnan(value)]
    return float(np.mean(numbers)) if numbers else float('nan')


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows as a table."""
    lines = ['| ' + ' | '.join(title for title, _ in COLUMNS.values()) + ' |',
             '|' + '---|' * len(COLUMNS)]
    for row in rows:
        cells = (shown(row.get(key), form) for key, (_, form) in COLUMNS.items())
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def shown(value: Any, form: str) -> str:
    """Return a cell; a dash where there is no figure."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return '-'
    return format(value, form)


def models(arguments: argparse.Namespace) -> Iterator[tuple[str, Animate]]:
    """Yield what is to be judged, by name."""
    fps = float(arguments.fps)
    config = EngineConfig(profile=arguments.profile, fps=arguments.fps, steps=arguments.steps)
    default = [] if arguments.csv else ['live']
    for name in arguments.bundle or default:
        yield name, engine_motion(Engine(load_bundle(name), config))
    for folder in arguments.csv:
        yield str(folder), csv_motion(folder, fps=fps, rate=arguments.csv_fps)
    yield 'loudness', loudness_motion(fps)


def evaluate(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for each model and set."""
    sets = {name: clips[:arguments.clips] for name, clips in clip_sets(arguments.data).items()}
    rows = []
    for model, program in models(arguments):
        for name, clips in sets.items():
            progress = tqdm(clips, desc=f'{model} {name}', leave=False, disable=None)
            motions = [program(clip) for clip in progress]
            row = judge(clips, motions, float(arguments.fps))
            rows.append({'model': model, 'set': name, **row})
    return rows


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    command = argparse.ArgumentParser('python -m model.evaluate', description=__doc__)
    command.add_argument('bundle', nargs='*', help='bundle name or folder (default: live)')
    command.add_argument('--data', type=Path, default=Path('../shared/data'))
    command.add_argument('--profile', choices=tuple(PROFILES), default='live')
    command.add_argument('--fps', type=Fraction, default=Fraction(60))
    command.add_argument('--steps', type=int, default=EngineConfig().steps,
                         help='sampler steps a hop')
    command.add_argument('--clips', type=int, help='only the first clips of each set')
    command.add_argument('--csv', type=Path, action='append', default=[], metavar='DIR',
                         help='Live Link CSV files of another program, <clip id>.csv each')
    command.add_argument('--csv-fps', type=float, default=60, help='their rows a second')
    command.add_argument('--json', type=Path, metavar='FILE', help='write the figures there')
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; 1 and a line on stderr where something is missing."""
    arguments = parser().parse_args(argv)
    try:
        rows = evaluate(arguments)
    except (AvatarBridgeError, OSError, ValueError) as error:
        print(f'evaluate: {error}', file=sys.stderr)
        return 1
    print(markdown(rows))
    if arguments.json:
        settings = {'profile': arguments.profile, 'fps': str(arguments.fps),
                    'steps': arguments.steps}
        figures = [{key: value for key, value in row.items() if shown(value, '') != '-'}
                   for row in rows]
        arguments.json.write_text(json.dumps({'settings': settings, 'rows': figures}, indent=1))
    return 0


if __name__ == '__main__':
    sys.exit(main())
