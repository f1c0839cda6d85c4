# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Who animates a clip: a bundle in the streaming engine, loudness, another program's files."""

from __future__ import annotations

from collections.abc import Callable
import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from avatar_bridge import rig
from avatar_bridge.stream.engine import Engine
from model import metrics
from model.clip_sets import SAMPLE_RATE, Array, Clip


class Motion(NamedTuple):
    """What a program made of a clip; the loudness baseline has a gap and no weights."""

    gap: Array                                      # (n,)
    weights: Array | None = None                    # (n, 52)
    hop: int = 0                                    # frames between seams, 0: no seams


Animate = Callable[[Clip], Motion]


def engine_motion(engine: Engine) -> Animate:
    """Return what animates a clip with a streaming engine."""
    def animate(clip: Clip) -> Motion:
        weights = spoken(engine, clip.samples)
        return Motion(metrics.lip_gap(weights), weights, engine.spec.hop)
    return animate


def spoken(engine: Engine, samples: Array, block: int = 0) -> NDArray[np.float32]:
    """Return the (n, 52) weights of (m,) samples, pushed in blocks, or at once where it is 0."""
    block = block or len(samples)
    frames = [frame for start in range(0, len(samples), block)
              for frame in engine.push(samples[start:start + block].astype(np.float32))]
    return np.stack([frame.weights for frame in frames + engine.flush()])


def loudness_motion(fps: float) -> Animate:
    """Return the baseline: the mouth is as open as the sound is loud."""
    return lambda clip: Motion(metrics.loudness_envelope(clip.samples, SAMPLE_RATE, fps=fps))


def csv_motion(folder: Path, *, fps: float, rate: float) -> Animate:
    """Return what reads `folder`/<clip>.csv, `rate` rows a second, as frames at `fps`."""
    def animate(clip: Clip) -> Motion:
        rows = read_live_link(folder / f'{clip.name}.csv')
        times = np.arange(int(np.ceil(len(rows) * fps / rate))) / fps
        weights = metrics.at_times(rows, times, fps=rate)
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
