# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What a bundle costs and how it behaves as a stream, measured on the bundled speech."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from avatar_bridge import rig
from avatar_bridge.bundle import Bundle
from avatar_bridge.clock import MonotonicClock
from avatar_bridge.config import EngineConfig
from avatar_bridge.stream.engine import Engine
from model import metrics
from model.clip_sets import SAMPLE_RATE, Array
from model.performers import spoken

BLOCKS: Final = (160, 320, 4096)        # samples at a time, against all at once
SEEDS: Final = 5

Figures = dict[str, Any]


def costs(bundle: Bundle, config: EngineConfig, samples: Array) -> Figures:
    """Return every figure of a bundle that needs no truth."""
    return {**size(bundle), **streaming(Engine(bundle, config), samples),
            **diversity(bundle, config, samples)}


def size(bundle: Bundle) -> Figures:
    """Return the number of parameters, where the manifest says it, and the graphs' megabytes."""
    graphs = [bundle.path / name for name in bundle.manifest['files'] if name.endswith('.onnx')]
    return {'parameters': bundle.manifest.get('parameters'),
            'megabytes': sum(path.stat().st_size for path in graphs) / 2**20}


def streaming(engine: Engine, samples: Array) -> Figures:
    """
    Return CPU seconds for a second of audio (median over block sizes) and stream parity.

    Parity is the largest difference of a weight between any block size and all samples at once.
    """
    clock = MonotonicClock()
    whole, spent, parity = spoken(engine, samples), [], 0.0
    for block in BLOCKS:
        began = clock.process()
        parts = spoken(engine, samples, block)
        spent.append((clock.process() - began) / 1e9)
        parity = max(parity, difference(parts, whole))
    return {'rtf': float(np.median(spent)) * SAMPLE_RATE / len(samples), 'parity': parity}


def difference(one: Array, other: Array) -> float:
    """Return the largest difference of a weight; infinite where frames are missing."""
    return float(np.abs(one - other).max()) if one.shape == other.shape else float('inf')


def diversity(bundle: Bundle, config: EngineConfig, samples: Array) -> Figures:
    """Return how much weights of the upper face, and of the mouth, differ from seed to seed."""
    takes: NDArray[np.float32] = np.stack([
        spoken(Engine(bundle, replace(config, seed=seed)), samples) for seed in range(SEEDS)])
    return {'upper_diversity': metrics.diversity(takes[..., metrics.UPPER_FACE]),
            'mouth_diversity': metrics.diversity(takes[..., rig.MOUTH])}
