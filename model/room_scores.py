# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""How motion holds out in rooms: the figures of each setting, and how they compare with clean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from model import metrics
from model.clip_sets import Clip
from model.judgement import LAGS, mean
from model.performers import Animate, Motion
from model.room_sets import SETTINGS, Heard, heard_in
from model.score_table import Row

CLEAN: Final = 'clean'
EVERY: Final = {'grid_s1': 5, 'grid_others': 1}     # of the clips of each set that has faces


def room_clips(sets: Mapping[str, Sequence[Clip]]) -> list[Clip]:
    """Return the clips that go into rooms: every fifth of the one talker, all of the others."""
    return [clip for name, step in EVERY.items() for clip in sets.get(name, [])[::step]]


def room_rows(animate: Animate, clips: Sequence[Clip], fps: float) -> Iterator[Row]:
    """Yield a row for clean speech and one for each setting."""
    clean = [animate(clip) for clip in clips]
    yield {'room': CLEAN, **figures([Heard(clip) for clip in clips], clean, clean, fps)}
    for room in SETTINGS:
        heard = heard_in(room, clips)
        yield {'room': room,
               **figures(heard, [since(animate(one.clip), one.before, fps) for one in heard],
                         clean, fps)}


def figures(heard: Sequence[Heard], motions: Sequence[Motion], clean: Sequence[Motion],
            fps: float) -> Row:
    """
    Return the means over clips; what is at rest is so against how far the clean mouth opens.

    `of_clean` is the correlation over that of the clean motion in the same span of time.
    """
    together = list(zip(heard, motions, clean, strict=True))
    rows = [correlations(one.clip, motion, fps) for one, motion, _ in together
            if one.clip.tracked is not None]
    reference = [correlations(one.clip, since(motion, one.begins, fps), fps)
                 for one, _, motion in together if one.clip.tracked is not None]
    at_rest = mean(rest_share(one.clip, motion, plain, fps) for one, motion, plain in together)
    if not rows:
        return {'clips': len(heard), 'rest': at_rest}
    zero = LAGS.index(0)
    correlation, clean_correlation = (float(np.mean(each, axis=0)[zero])
                                      for each in (rows, reference))
    return {'clips': len(heard), 'correlation': correlation,
            'of_clean': correlation / clean_correlation if clean_correlation else float('nan'),
            'lag_ms': metrics.best_lag(np.stack(rows), LAGS).milliseconds, 'rest': at_rest}


def correlations(clip: Clip, motion: Motion, fps: float) -> metrics.Array:
    """Return r of the lip gap with the tracked one at each lag."""
    assert clip.tracked is not None
    return metrics.lag_correlations(motion.gap, clip.tracked, LAGS, fps=fps,
                                    tracked_fps=clip.tracked_fps)


def since(motion: Motion, seconds: float, fps: float) -> Motion:
    """Return the lip gap of a motion from `seconds` on."""
    if not seconds:
        return motion
    times = np.arange(seconds, (len(motion.gap) - 1) / fps, 1 / fps)
    return Motion(metrics.at_times(motion.gap, times, fps=fps))


def rest_share(clip: Clip, motion: Motion, clean: Motion, fps: float) -> float:
    """Return the share of frames without speech in which the mouth is at rest."""
    quiet = metrics.quiet_frames(len(motion.gap), clip.speech, fps=fps)
    opening = float(np.percentile(clean.gap, 95))
    return float(np.mean(motion.gap[quiet] <= metrics.SILENT * opening)) if quiet.any() \
        else float('nan')
