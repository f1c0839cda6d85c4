# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Export network `codetalker` as a bundle: `python -m model.export_codes RUN OUT`.

The graphs are compared with eager torch over random inputs before anything is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avatar_bridge.audio import mel
from avatar_bridge.ports import Backend
from model.bundle_writer import Exportable, rounded, run_command, write_bundle
from model.code_query import CodeQuery, Condition, QueryConfig
from model.codebook import CodebookConfig, MotionCodebook, intervals
from model.export import Listen, as_arrays
from model.graph_writer import GraphWriter


class Query(nn.Module):
    """One frame: which codes follow the codes before it."""

    def __init__(self, network: CodeQuery) -> None:
        """Wrap `network`."""
        super().__init__()
        self.network = network

    def forward(self, codes: Tensor, heard: Tensor, delays: Tensor, remembered: Tensor,
                ages: Tensor, style: Tensor, interval: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """
        Return the frame's codes, what is remembered of as many frames, and the codes' scores.

        Codes are (batch, 1, components) as they go in, so that many are joined as they are.
        """
        motion, audio = self.network.align_one(ages, delays)
        condition = Condition(heard, motion, audio, style, interval)
        answer, joined = self.network(codes, condition, remembered)
        return answer.scores.argmax(dim=-1), joined[:, :, 1:], answer.scores


class Decode(nn.Module):
    """Codes -> coefficients, with the decoder's caches as separate inputs and outputs."""

    def __init__(self, codebook: MotionCodebook) -> None:
        """Wrap the decoder and the table of `codebook`."""
        super().__init__()
        self.table = codebook.codebook
        self.decoder = codebook.decoder

    def forward(self, codes: Tensor, interval: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
        """Return coefficients (batch, frames, 52) and the new caches."""
        motion, state = self.decoder(self.table.latents(codes), interval, list(caches))
        return (motion, *state)


@dataclass
class Trained:
    """A run's network and codebook, as they are exported."""

    query: CodeQuery
    codebook: MotionCodebook
    mean: Tensor
    deviation: Tensor
    step: int

    @classmethod
    def load(cls, run: Path) -> Trained:
        """Return the averaged parameters of a run of `model.train_query`."""
        saved = torch.load(run / 'checkpoint.pt', map_location='cpu', weights_only=True)
        codebook = MotionCodebook(CodebookConfig(**saved['codebook_config']))
        query = CodeQuery(QueryConfig(**saved['config']), codebook.codebook)
        codebook.load_state_dict(saved['codebook'])
        query.load_state_dict(saved['average'])
        # The graphs store 16 bits, so these are the parameters that they are compared with.
        for network in (query, codebook):
            network.half().float().eval().requires_grad_(False)
        return cls(query, codebook, saved['mean'], saved['deviation'], saved['step'])

    def rest(self) -> Tensor:
        """Return the codes (components,) of a face at rest."""
        face = (-self.mean / self.deviation)[None, None]
        return self.codebook.codes(face, intervals(1, 30.0))[0, 0]


def random_query(query: CodeQuery, rng: np.random.Generator, *, past: int, tokens: int,
                 ) -> dict[str, Tensor]:
    """Return random inputs of the graph `query`."""
    config, fps = query.config, rng.uniform(24, 60)
    width = 2 * config.width

    def normal(*shape: int) -> Tensor:
        return torch.from_numpy(rng.standard_normal(shape, np.float32))

    return {
        'codes': torch.from_numpy(rng.integers(0, len(query.vectors), (1, 1, query.components))),
        'heard': normal(1, config.layers, tokens, width),
        'delays': (0.02 * torch.arange(tokens) - 0.5)[None],
        'remembered': normal(1, config.layers, past, width),
        'ages': (torch.arange(past, 0, -1) / fps).float()[None],
        'style': normal(1, config.width),
        'interval': intervals(1, fps),
    }


def random_decode(codebook: MotionCodebook, rng: np.random.Generator, frames: int,
                  ) -> dict[str, Tensor]:
    """Return random inputs of the graph `decode`, behind frames of one pose."""
    config, interval = codebook.config, intervals(1, rng.uniform(24, 60))
    codes = torch.from_numpy(
        rng.integers(0, config.codebook_size, (1, frames, config.components)))
    state = codebook.decoder.settled(codebook.codebook.latents(codes[:, 0]), interval)
    caches = {f'cache_{index}': part.contiguous() for index, part in enumerate(state)}
    return {'codes': codes, 'interval': interval, **caches}


def export_graphs(trained: Trained, writer: GraphWriter) -> None:
    """Write the graphs `listen`, `query` and `decode`; frames, past and tokens are dynamic."""
    rng = np.random.default_rng(0)
    state = trained.query.initial_state()
    caches = {f'cache_{index}': part for index, part in enumerate(state)}
    writer.write('listen', Listen(trained.query),
                 {'features': torch.zeros(1, 4, mel.BANDS), **caches},
                 {'features': {1: 'features'}, 'heard': {2: 'tokens'},
                  **{f'{name}_after': {} for name in caches}})
    writer.write('query', Query(trained.query),
                 random_query(trained.query, rng, past=23, tokens=40),
                 {'heard': {2: 'tokens'}, 'delays': {1: 'tokens'}, 'remembered': {2: 'past'},
                  'ages': {1: 'past'}, 'codes_after': {}, 'remembered_after': {2: 'past'},
                  'scores': {}})
    inputs = random_decode(trained.codebook, rng, 6)
    writer.write('decode', Decode(trained.codebook), inputs,
                 {'codes': {1: 'frames'}, 'motion': {1: 'frames'},
                  **{f'{name}_after': {} for name in inputs if name.startswith('cache_')}})


def difference(trained: Trained, backend: Backend) -> float:
    """Return the largest difference between the graphs and eager torch over random inputs."""
    rng = np.random.default_rng(1)
    networks = {'listen': Listen(trained.query), 'query': Query(trained.query),
                'decode': Decode(trained.codebook)}
    graphs = {name: backend(name) for name in networks}
    state = trained.query.initial_state()
    worst = 0.0
    for _ in range(12):
        caches = {f'cache_{index}': part for index, part in enumerate(state)}
        features = rng.standard_normal((1, 2 * int(rng.integers(1, 20)), mel.BANDS), np.float32)
        inputs = {
            'listen': {'features': torch.from_numpy(features), **caches},
            'query': random_query(trained.query, rng, past=int(rng.integers(2, 60)),
                                  tokens=int(rng.integers(2, 60))),
            'decode': random_decode(trained.codebook, rng, int(rng.integers(1, 12))),
        }
        for name, network in networks.items():
            expected = network(*inputs[name].values())
            found = graphs[name](as_arrays(inputs[name])).values()
            # Codes are compared by their scores: of two that score alike, either is right.
            worst = max(worst, *(float(np.abs(a - b.numpy()).max())
                                 for a, b in zip(found, expected, strict=True)
                                 if b.is_floating_point()))
            state = list(expected[1:]) if name == 'listen' else state
    return worst


def manifest(trained: Trained, about: dict[str, Any]) -> dict[str, Any]:
    """Return what the manifest says of a run."""
    query, codebook = trained.query, trained.codebook
    return {
        'network': 'codetalker', 'steps': [1, 1], 'usual_steps': 1,
        'mean': rounded(trained.mean), 'deviation': rounded(trained.deviation), **about,
        'styles': {name: rounded(row) for name, row in zip(about['styles'], query.style.weight,
                                                           strict=True)},
        'codes': {'rest': trained.rest().tolist(), 'motion_past': query.config.motion_past,
                  'audio_past': -query.config.audio_span[0]},
        'parameters': sum(p.numel() for part in (query, codebook) for p in part.parameters()),
        'trained_steps': trained.step,
    }


def export(run: Path, out: Path, about: dict[str, Any],
           backends: tuple[str, ...] = ('onnx', 'torch')) -> float:
    """Write the bundle of a run; return the parity reached."""
    trained = Trained.load(run)
    return write_bundle(Exportable(partial(export_graphs, trained), partial(difference, trained),
                                   manifest(trained, about)), out, backends)


if __name__ == '__main__':
    run_command(export, __doc__, 'codetalker.about.json')
