# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Which worker gets which clip: by a hash of its id, whatever the order and the number of workers.

A clip is always in the same of SHARDS shards; workers share the shards out among themselves. So a
list that is sorted otherwise, or has grown, moves no clip, and every worker of a `torchrun` can
tell its own clips without asking the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
import hashlib
from typing import Final, TypeVar

SHARDS: Final = 4096

Item = TypeVar('Item')


def shard(name: str) -> int:
    """Return the shard of an id, 0 to SHARDS - 1; the same on every machine."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], 'big') % SHARDS


def share(items: Iterable[Item], name: Callable[[Item], str], *, worker: int, workers: int,
          ) -> list[Item]:
    """Return those items, in their order, that belong to a worker (`RANK` of `WORLD_SIZE`)."""
    if not 0 <= worker < workers <= SHARDS:
        raise ValueError(f'worker must lie in [0, workers) and workers in [1, {SHARDS}], got '
                         f'{worker} of {workers}')
    return [item for item in items if shard(name(item)) % workers == worker]
