# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

import numpy as np

from avatar_bridge.audio.ring import AudioRing


def test_samples_keep_their_absolute_index():
    ring = AudioRing(16)
    samples = np.arange(1000, dtype=np.float32)
    for start in range(0, 1000, 7):
        ring.push(samples[start:start + 7])
        ring.forget(ring.end - 10)
        assert np.array_equal(ring.take(ring.start, ring.end), samples[ring.start:ring.end])
    assert (ring.start, ring.end) == (990, 1000)


def test_memory_is_what_is_held_at_most():
    ring = AudioRing(64)
    for _ in range(10_000):
        ring.push(np.zeros(32, np.float32))
        ring.forget(ring.end - 16)
    assert len(ring._buffer) == 64
