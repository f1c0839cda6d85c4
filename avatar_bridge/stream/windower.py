# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Samples in, overlapping windows out, as soon as their last sample was heard."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from avatar_bridge.audio.ring import AudioRing
from avatar_bridge.frames import AudioWindow, Samples
from avatar_bridge.timeline import StreamSpec


class Windower:
    """
    Cut the stream into windows, one a hop.

    `push` yields each window that is complete, `flush` the last ones as if silence followed, so
    that every frame the audio reaches gets committed; `reset` makes it new. A window carries only
    the samples since the window before: the model's state remembers the rest.
    """

    def __init__(self, spec: StreamSpec) -> None:
        """Cut as `spec` says."""
        self.spec = spec
        self._ring = AudioRing()
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._ring.reset()
        self.next_frame = 0             # first frame that is not committed yet

    @property
    def heard(self) -> int:
        """Samples pushed so far."""
        return self._ring.end

    def push(self, samples: Samples) -> Iterator[AudioWindow]:
        """Take samples; yield the windows they complete."""
        self._ring.push(samples)
        while (window := self._complete()) is not None:
            yield window

    def flush(self) -> Iterator[AudioWindow]:
        """Yield windows until the audio's last frame is committed; then `reset` is due."""
        spec = self.spec
        total = spec.timeline.frames_in(self.heard)
        hops = max(0, -(-(total - self.next_frame) // spec.hop))
        end = spec.timeline.first_sample(self.next_frame + hops * spec.hop + spec.lookahead)
        yield from self.push(np.zeros(max(0, end - self.heard), np.float32))

    def _complete(self) -> AudioWindow | None:
        spec = self.spec
        last = self.next_frame + spec.hop + spec.lookahead
        end = spec.timeline.first_sample(last)
        if end > self._ring.end:
            return None
        samples = self._ring.take(self._ring.start, end)
        self._ring.forget(end)
        self.next_frame += spec.hop
        return AudioWindow(end - len(samples), samples, last - spec.window, spec.window)
