# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What waits for one reader: newer frames push out older ones, the rest keeps its order."""

from __future__ import annotations

from collections import deque
from typing import Final

FRAMES: Final = 4               # frames that may wait: 67 ms at 60 fps
OTHERS: Final = 64              # sounds, events and texts that may wait: seconds

Message = bytes | str           # bytes: a kind and a payload of the wire; str: JSON


class Outbox:
    """
    Two short queues that read as one, in order.

    `put` never waits; `take` returns the oldest message or None. `dropped` counts lost frames.
    """

    def __init__(self, *, frames: int = FRAMES, others: int = OTHERS) -> None:
        """Hold at most that many."""
        self.dropped = 0
        self._count = 0
        self._frames: deque[tuple[int, Message]] = deque(maxlen=frames)
        self._others: deque[tuple[int, Message]] = deque(maxlen=others)

    def put(self, message: Message, *, frame: bool = False) -> None:
        """Add a message; the oldest of its sort makes room."""
        queue = self._frames if frame else self._others
        if frame and len(queue) == queue.maxlen:
            self.dropped += 1
        self._count += 1
        queue.append((self._count, message))

    def take(self) -> Message | None:
        """Return what was put first."""
        queues = [queue for queue in (self._frames, self._others) if queue]
        return min(queues, key=lambda queue: queue[0][0]).popleft()[1] if queues else None
