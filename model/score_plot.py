# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""A picture of an evaluation: quality against steps, and lip gaps of a clip against the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import numpy as np

from model.clip_sets import Array, Clip
from model.score_table import Row, is_figure

PANELS: Final = {'correlation': 'lip-gap correlation, lag 0', 'closure_f1': 'F1 of p b m',
                 'lve': 'LVE, mm²', 'fdd_size': '|FDD|, mm²'}


def draw(path: Path, rows: Sequence[Row], clip: Clip, gaps: Mapping[str, Array], fps: float,
         ) -> None:
    """
    Write a picture of the (pooled) rows and of what each model made of `clip`.

    `gaps` are (n,) lip gaps at `fps`, by model.
    """
    import matplotlib as mpl

    mpl.use('Agg')
    from matplotlib import lines, pyplot

    figure = pyplot.figure(figsize=(15, 8), layout='constrained')
    shape = figure.add_gridspec(2, len(PANELS))
    names = dict.fromkeys([row['model'] for row in rows] + list(gaps))
    colours = dict(zip(names, cycle(mpl.colormaps['tab20'].colors), strict=False))
    shown = best_set(rows)
    for column, (key, title) in enumerate(PANELS.items()):
        axes = figure.add_subplot(shape[0, column], title=f'{title} ({shown})', xlabel='steps')
        against_steps(axes, [row for row in rows if row['set'] == shown], key, colours)
    axes = figure.add_subplot(shape[1, :], xlabel='seconds',
                              title=f'lip gap over its 95th percentile, clip {clip.name}')
    over_time(axes, clip, gaps, fps, colours)
    figure.legend(handles=[lines.Line2D([], [], color=colour, label=name) for name, colour
                           in {'truth': 'black', **colours}.items()],
                  loc='outside lower center', ncols=8)
    figure.savefig(path, format='png', dpi=110)
    pyplot.close(figure)


def best_set(rows: Sequence[Row]) -> str:
    """Return the set whose clips have a truth for the most figures; the first of several."""
    known = Counter({row['set']: 0 for row in rows})
    known.update(row['set'] for row in rows for key in PANELS if is_figure(row.get(key)))
    return known.most_common(1)[0][0]


def against_steps(axes: Any, rows: Sequence[Row], key: str, colours: Mapping[str, Any]) -> None:
    """Draw a line for each model; one that takes no steps goes straight across."""
    rows = [row for row in rows if is_figure(row.get(key))]
    for model in dict.fromkeys(row['model'] for row in rows):
        mine = sorted((row for row in rows if row['model'] == model),
                      key=lambda row: row.get('steps') or 0)
        if mine[0].get('steps') is None:
            axes.axhline(mine[0][key], color=colours[model], linestyle='--')
            continue
        steps = [row['steps'] for row in mine]
        axes.errorbar(steps, [row[key] for row in mine], color=colours[model], marker='o',
                      yerr=[row.get(f'{key}_spread', 0.0) for row in mine])
    ticks = sorted({row['steps'] for row in rows if row.get('steps')})
    if ticks:
        axes.set_xscale('log', base=2)
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()


def over_time(axes: Any, clip: Clip, gaps: Mapping[str, Array], fps: float,
              colours: Mapping[str, Any]) -> None:
    """Draw the tracked gap and every model's, each over its 95th percentile."""
    def curve(gap: Array, rate: float, **look: Any) -> None:
        scale = max(float(np.percentile(gap, 95)), 1e-6)
        axes.plot(np.arange(len(gap)) / rate, np.asarray(gap) / scale, **look)

    if clip.tracked is not None:
        curve(clip.tracked, clip.tracked_fps, color='black', linewidth=2)
    for model, gap in gaps.items():
        curve(gap, fps, color=colours[model], linewidth=1)
    axes.set_xlim(0, len(clip.samples) / 16000)
