# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Overlapping windows in, one gapless sequence of frames out."""

from __future__ import annotations

from typing import Final

import numpy as np

from avatar_bridge.frames import FrameWindow, Weights
from avatar_bridge.timeline import StreamSpec

SPREAD: Final = 0.0136          # seconds: deviation of the kernel that settles frames
FRESH: Final = (0.3, 0.7)       # share of the new prediction as a fade begins and ends


class StreamBlender:
    """
    Commit the frames that a window settles, fading from the last guess into the new prediction.

    The last `lookahead` frames of a window are held back as a guess. The next window knows more
    about them; the guess is cross-faded into it over `fade` frames, and every frame is settled
    between its neighbours, the last one of a hop with the help of the guess: a seam never jumps,
    and neither costs latency. `push` returns exactly `hop` frames, `bridge` too but from the guess
    alone, `flush` the guess itself; `reset` makes it new.
    """

    def __init__(self, spec: StreamSpec, rest: Weights) -> None:
        """Blend windows cut as `spec` says; `rest` is (52,), the face before the stream."""
        self.spec = spec
        self._rest = rest
        self._rise = np.linspace(*FRESH, spec.fade, dtype=np.float32)[:, None]
        self._share = neighbours_share(float(spec.fps)) if spec.lookahead else 0.0
        self.reset()

    def reset(self) -> None:
        """Forget everything: a face at rest."""
        self._guess = self._rest[None][:0]
        self._before = self._rest[None]         # the last frame, before it was settled
        self.known = np.repeat(self._rest[None], self.spec.context, axis=0)

    def push(self, window: FrameWindow) -> Weights:
        """Return the (hop, 52) frames that are final now."""
        fresh = window.coefficients[self.spec.context:].copy()
        overlap = min(len(self._guess), self.spec.fade)
        rise = self._rise[:overlap]
        fresh[:overlap] = (1 - rise) * self._guess[:overlap] + rise * fresh[:overlap]
        return self._commit(fresh)

    def bridge(self) -> Weights:
        """Return (hop, 52) frames without a prediction: the guess, then its last frame, held."""
        missing = self.spec.hop + self.spec.lookahead - len(self._guess)
        last = self._guess[-1:] if len(self._guess) else self.known[-1:]
        return self._commit(np.concatenate([self._guess, np.repeat(last, missing, axis=0)]))

    def flush(self) -> Weights:
        """Return the guess, (n, 52), and be new."""
        guess = self._guess
        self.reset()
        return guess

    def _commit(self, frames: Weights) -> Weights:
        hop = self.spec.hop
        self._guess = frames[hop:]
        if self.spec.context:
            self.known = np.concatenate([self.known, frames[:hop]])[-self.spec.context:]
        around = np.concatenate([self._before, frames, frames[-1:]])[:hop + 2]
        self._before = around[hop:hop + 1]
        return settled(around, self._share)


def neighbours_share(fps: float) -> float:
    """Return what each neighbour counts in a frame, so that the kernel's deviation is `SPREAD`."""
    return min(1 / 3, (SPREAD * fps) ** 2 / 2)


def settled(frames: Weights, share: float) -> Weights:
    """Return (n, 52) of (n + 2, 52) frames: each with this share of both its neighbours."""
    beside = frames[:-2] + frames[2:]
    return (1 - 2 * share) * frames[1:-1] + share * beside
