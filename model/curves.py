# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
What latency and frame rate cost: `python -m model.curves [BUNDLE] --plot FILE.png`.

Animates real talkers with the streaming engine at several look-aheads (same hop), frame rates and
profiles, and prints a table: correlation and lag of the lip gap, how well each agrees with the
first of its kind, and jitter against the teacher's where it is known what is said.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
import sys
from typing import Final, NamedTuple

import matplotlib
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from avatar_bridge import rig
from avatar_bridge.bundle import Bundle, load_bundle
from avatar_bridge.config import PROFILES, EngineConfig
from avatar_bridge.errors import AvatarBridgeError
from avatar_bridge.stream.engine import Engine
from avatar_bridge.timeline import StreamSpec, Timeline
from model import metrics
from model.clip_sets import Clip, clip_sets
from model.judgement import lip_sync, mean
from model.performers import Motion, engine_motion
from model.score_table import Row, markdown

Weights = NDArray[np.floating]

LOOKAHEADS: Final = (0, 20, 40, 60, 100, 200)       # ms
RATES: Final = (60, 50, 30, 25)
HOP: Final = 0.05               # seconds, that of `live`
PAST: Final = 0.15              # seconds of final motion in a window, as in `live`
COLUMNS: Final = {
    'kind': ('what changes', 's'), 'value': ('to', 's'), 'latency': ('latency ms', '.0f'),
    'correlation': ('r at lag 0', '.3f'), 'lag_ms': ('A/V lag ms', '+.0f'),
    'agreement': ('agrees', '.3f'), 'jitter': ('jitter over teacher', '.2f'),
}


class Cut(NamedTuple):
    """One way to run the engine."""

    kind: str
    value: str
    config: EngineConfig
    spec: StreamSpec | None = None      # None: what the profile says


def cuts() -> Iterator[Cut]:
    """Yield what is compared; the first of each kind is what the others should agree with."""
    usual = EngineConfig()
    for milliseconds in reversed(LOOKAHEADS):
        ahead = milliseconds / 1000
        spec = StreamSpec.from_seconds(Timeline(16000, usual.fps), window=PAST + HOP + ahead,
                                       hop=HOP, lookahead=ahead)
        yield Cut('look-ahead ms', str(milliseconds), usual, spec)
    for rate in RATES:
        yield Cut('frames a second', str(rate), replace(usual, fps=Fraction(rate)))
    for profile in reversed(PROFILES):
        yield Cut('profile', profile, replace(usual, profile=profile))


def rows(bundle: Bundle, clips: Sequence[Clip], spoken: Sequence[Clip]) -> Iterator[Row]:
    """Yield a row for each cut: `clips` have faces, `spoken` a teacher's curves."""
    firsts: dict[str, tuple[list[Motion], float]] = {}
    for cut in cuts():
        engine = Engine(bundle, cut.config, spec=cut.spec)
        animate, fps = engine_motion(engine), float(cut.config.fps)
        motions = [animate(clip) for clip in clips]
        first = firsts.setdefault(cut.kind, (motions, fps))
        yield {'kind': cut.kind, 'value': cut.value, 'latency': float(1000 * engine.latency),
               **lip_sync(list(zip(clips, motions, strict=True)), fps),
               'agreement': mean(agreement(one, fps, other, first[1])
                                 for one, other in zip(motions, first[0], strict=True)),
               'jitter': mean(over_teacher(clip, animate(clip), fps) for clip in spoken)}


def agreement(one: Motion, fps: float, other: Motion, other_fps: float) -> float:
    """Return r of two lip gaps, read at the times of the one with fewer frames a second."""
    times = np.arange(int(min(len(one.gap) / fps, len(other.gap) / other_fps) * min(
        fps, other_fps))) / min(fps, other_fps)
    return metrics.pearson(metrics.at_times(one.gap, times, fps=fps),
                           metrics.at_times(other.gap, times, fps=other_fps))


def over_teacher(clip: Clip, motion: Motion, fps: float) -> float:
    """Return the mouth's jitter over that of the teacher's curves at the same rate."""
    assert clip.truth is not None
    assert motion.weights is not None
    times = np.arange(len(motion.weights)) / fps
    truth = metrics.at_times(clip.truth, times, fps=clip.tracked_fps)
    return metrics.jitter(motion.weights[:, rig.MOUTH]) / metrics.jitter(truth[:, rig.MOUTH])


def draw(path: Path, found: Sequence[Row]) -> None:
    """Draw correlation against look-ahead, and the agreement of frame rates."""
    matplotlib.use('Agg')
    from matplotlib import pyplot
    figure, panels = pyplot.subplots(1, 2, figsize=(10, 4), layout='constrained')
    for panel, kind, figure_of, title in (
            (panels[0], 'look-ahead ms', 'correlation', 'r at lag 0'),
            (panels[1], 'frames a second', 'agreement', 'agreement with 60')):
        points = sorted((float(row['value']), row[figure_of]) for row in found
                        if row['kind'] == kind)
        panel.plot(*zip(*points, strict=True), marker='o')
        panel.set_xlabel(kind)
        panel.set_ylabel(title)
        panel.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; 1 and a line on stderr where something is missing."""
    command = argparse.ArgumentParser('python -m model.curves', description=__doc__)
    command.add_argument('bundle', nargs='?', default='live')
    command.add_argument('--data', type=Path, default=Path('../shared/data'))
    command.add_argument('--clips', type=int, default=10, metavar='N', help='of each kind')
    command.add_argument('--plot', type=Path, metavar='FILE')
    arguments = command.parse_args(argv)
    try:
        sets = clip_sets(arguments.data, names=('grid_others', 'grid_s1', 'kokoro'))
        clips = [*sets.get('grid_others', [])[:arguments.clips],
                 *sets.get('grid_s1', [])[:arguments.clips]]
        found = list(tqdm(rows(load_bundle(arguments.bundle), clips,
                               sets.get('kokoro', [])[:arguments.clips // 2]),
                          'cuts', len(list(cuts())), leave=False, disable=None))
    except (AvatarBridgeError, OSError, ValueError) as error:
        print(f'curves: {error}', file=sys.stderr)
        return 1
    print(markdown(found, COLUMNS))
    if arguments.plot:
        draw(arguments.plot, found)
    return 0


if __name__ == '__main__':
    sys.exit(main())
