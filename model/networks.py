# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
The denoising networks by name, and how each is sampled.

All have one face: `listen` and `align` once per hop, `denoise` once per step, a table `style` of
the ways of speaking. So one training script, one exporter and one runtime serve them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from avatar_bridge.diffusion.face_model import Sampling
from model.biased_denoiser import BiasedConfig, BiasedDenoiser
from model.live_denoiser import LiveConfig, LiveDenoiser, Regressor
from model.talker_denoiser import TalkerConfig, TalkerDenoiser


@dataclass(frozen=True)
class Kind:
    """A network's classes and how it is sampled."""

    config: type[Any]
    network: type[Any]
    sampling: Sampling


KINDS = {
    'live': Kind(LiveConfig, LiveDenoiser, Sampling(past_from_steps=None, mouth_noise=0.0)),
    'regression': Kind(LiveConfig, Regressor, Sampling(most_steps=1, past_from_steps=None)),
    'diffspeaker': Kind(BiasedConfig, BiasedDenoiser,
                        Sampling('scaled_linear', 1, 50, usual_steps=50, past_from_steps=None)),
    'diffusiontalker': Kind(TalkerConfig, TalkerDenoiser, Sampling(most_steps=16, usual_steps=16)),
}


def make(kind: str, config: Any) -> Any:
    """Return a fresh network; raises `ValueError` for a name that is not known."""
    if kind not in KINDS:
        raise ValueError(f'kind {kind!r}, expected one of {", ".join(KINDS)}')
    return KINDS[kind].network(config)
