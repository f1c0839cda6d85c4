# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What waits for one reader: newer frames push out older ones, the rest keeps its order."""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Final

Message = bytes | str           # bytes: a kind and a payload of the wire; str: JSON


class Sort(Enum):
    """What a message is, and how many of its sort may wait."""

    FRAME = 4                   # 67 ms at 60 fps
    SOUND = 16                  # blocks, about a second
    NOTE = 64                   # events, answers
    STATUS = 1                  # the newest says it all


class Outbox:
    """
    A short queue of each sort that read as one, in order.

    `put` never waits; `take` returns the oldest message or None. `dropped` counts lost frames.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self.dropped = 0
        self._count = 0
        self._queues: Final = {
            sort: deque[tuple[int, Message]](maxlen=sort.value) for sort in Sort}

    def put(self, message: Message, sort: Sort = Sort.NOTE) -> None:
        """Add a message; the oldest of its sort makes room."""
        queue = self._queues[sort]
        if sort is Sort.FRAME and len(queue) == queue.maxlen:
            self.dropped += 1
        self._count += 1
        queue.append((self._count, message))

    def take(self) -> Message | None:
        """Return what was put first."""
        queues = [queue for queue in self._queues.values() if queue]
        return min(queues, key=lambda queue: queue[0][0]).popleft()[1] if queues else None
