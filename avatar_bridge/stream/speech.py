# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Is somebody speaking? Level against the room, causal, in pieces of 10 ms."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from avatar_bridge.frames import Samples

PIECE: Final = 160              # samples, 10 ms
HANGOVER: Final = 25            # pieces that speech is assumed to go on: stops and short pauses
ABOVE_ROOM: Final = 9.0         # dB over the room's level
QUIETEST: Final = -66.0         # dBFS of the differences; below it nothing counts as speech
REMEMBERED: Final = 200         # pieces, 2 s: nobody speaks longer without a gap of 10 ms
SETTLED: Final = 50             # pieces after which the quietest tenth is taken for the room
USUAL_ROOM: Final = -60.0       # dBFS, until then


class SpeechDetector:
    """
    Remember, for the last two seconds, which pieces of 10 ms held speech.

    `push` takes samples in any blocks; `heard_between` answers for a range of samples; `reset`
    makes it new.
    """

    def __init__(self) -> None:
        """Know nothing of the room yet."""
        self.reset()

    def reset(self) -> None:
        """Forget the room."""
        self._rest = np.zeros(0, np.float32)
        self._last = np.zeros(1, np.float32)
        self._levels: deque[float] = deque(maxlen=REMEMBERED)
        self._pieces: deque[bool] = deque(maxlen=REMEMBERED)
        self._count = 0

    def push(self, samples: Samples) -> None:
        """Hear `samples`."""
        if not len(samples):
            return
        # Differences of neighbours: rumble, breath and DC are quiet in them, speech is not.
        heard = np.concatenate([self._rest, np.diff(samples, prepend=self._last)])
        self._last = samples[-1:]
        whole = len(heard) // PIECE
        pieces = heard[:whole * PIECE].reshape(whole, PIECE)
        self._rest = heard[whole * PIECE:]
        for power in np.mean(pieces.astype(np.float64) ** 2, axis=1):
            level = 10.0 * float(np.log10(power + 1e-12))
            self._levels.append(level)
            room = sorted(self._levels)[len(self._levels) // 10]
            if self._count < SETTLED:
                room = min(room, USUAL_ROOM)
            self._pieces.append(level > max(QUIETEST, room + ABOVE_ROOM))
            self._count += 1

    def heard_between(self, start: int, end: int) -> bool:
        """Return whether speech, or its hangover, touches samples [start, end)."""
        oldest = self._count - len(self._pieces)
        first = max(0, start // PIECE - HANGOVER - oldest)
        last = -(-end // PIECE) - oldest
        return any(self._pieces[index] for index in range(first, min(last, len(self._pieces))))
