# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Export a trained network as a bundle: `python -m model.export RUN OUT`.

The graphs are compared with eager torch over random cuts before anything is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avatar_bridge import rig
from avatar_bridge.audio import mel
from avatar_bridge.ports import Backend
from model.bundle_writer import Exportable, rounded, run_command, write_bundle
from model.condition import Condition, Cut
from model.graph_writer import GraphWriter
from model.live_denoiser import EAR
from model.networks import KINDS, make


class Listen(nn.Module):
    """The encoder with its caches as separate inputs and outputs."""

    def __init__(self, network: nn.Module) -> None:
        """Wrap `network`."""
        super().__init__()
        self.network = network

    def forward(self, features: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
        """Return keys and values of the new tokens, perhaps what they tell, the new caches."""
        heard, state = self.network.listen(features, list(caches))
        told = (self.network.speaks(heard),) if tells_speech(self.network) else ()
        return (heard, *told, *state)


class Align(nn.Module):
    """The attention biases of a window."""

    def __init__(self, network: nn.Module) -> None:
        """Wrap `network`."""
        super().__init__()
        self.network = network

    def forward(self, times: Tensor, blocks: Tensor, horizons: Tensor, token_times: Tensor,
                ) -> tuple[Tensor, Tensor]:
        """Return the biases of motion and audio."""
        return self.network.align(Cut(times, blocks, horizons, token_times))


class Denoise(nn.Module):
    """One denoising step with flat inputs."""

    def __init__(self, network: nn.Module) -> None:
        """Wrap `network`."""
        super().__init__()
        self.network = network

    def forward(self, noisy: Tensor, timesteps: Tensor, heard: Tensor, motion: Tensor,
                audio: Tensor, style: Tensor, *told: Tensor) -> Tensor:
        """Return the clean coefficients; `told` are what the network's configuration names."""
        more = dict(zip(told_names(self.network), told, strict=True))
        condition = Condition(heard, motion, audio, style, **more)
        return self.network.denoise(noisy, timesteps, condition)


class Enrol(nn.Module):
    """The personaliser with its caches as separate inputs and outputs."""

    def __init__(self, network: nn.Module) -> None:
        """Wrap `network`."""
        super().__init__()
        self.network = network

    def forward(self, features: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
        """Return the personal vector, and the new caches."""
        voice, state = self.network.enrol(features, list(caches))
        return (voice.personal, *state)


def tells_speech(network: nn.Module) -> bool:
    """Return whether the network says if somebody speaks."""
    return getattr(network.config, 'speech', False)


def enrols(network: nn.Module) -> bool:
    """Return whether the network hears how somebody speaks; others have a table of styles."""
    return hasattr(network, 'enrol')


def style_width(network: nn.Module) -> int:
    """Return the length of a style."""
    return network.config.personal if enrols(network) else network.style.embedding_dim


def told_names(network: nn.Module) -> tuple[str, ...]:
    """Return what a distilled network is told of a step besides its noise time."""
    return getattr(network.config, 'told', ())


def random_cut(frames: int, tokens: int, rng: np.random.Generator) -> dict[str, Tensor]:
    """Return random inputs of the graph `align`."""
    times = np.arange(frames) / rng.uniform(24, 60)
    rows = {'times': times, 'blocks': np.arange(frames) // 3, 'horizons': times + 0.1,
            'token_times': np.arange(tokens) * 0.02 - 0.5}
    return {name: torch.tensor(row[None].astype(np.float32)) for name, row in rows.items()}


def random_step(network: nn.Module, cut: dict[str, Tensor], rng: np.random.Generator,
                ) -> dict[str, Tensor]:
    """Return random inputs of the graph `denoise` for a window cut like `cut`."""
    frames, tokens = cut['times'].shape[1], cut['token_times'].shape[1]
    config = network.config
    shape = (1, config.layers, tokens, 2 * config.width)
    motion, audio = Align(network)(*cut.values())
    return {
        'noisy': torch.tensor(rng.standard_normal((1, frames, len(rig.NAMES)), np.float32)),
        'timesteps': torch.tensor(rng.random((1, frames), np.float32)),
        'heard': torch.tensor(rng.standard_normal(shape, np.float32)),
        'motion': motion,
        'audio': audio,
        'style': torch.tensor(rng.standard_normal((1, style_width(network)), np.float32)),
        **{name: torch.tensor(rng.random(1, np.float32)) for name in told_names(network)},
    }


def export_graphs(network: nn.Module, writer: GraphWriter) -> None:
    """Write `listen`, `align` and `denoise` for both backends; frames and tokens are dynamic."""
    rng = np.random.default_rng(0)
    writer.write('listen', Listen(network),
                 {'features': torch.zeros(1, 4, mel.BANDS), **cached(network.initial_state())},
                 {'features': {1: 'features'}, 'heard': {2: 'tokens'},
                  **({'speech': {1: 'tokens'}} if tells_speech(network) else {}),
                  **{f'{name}_after': {} for name in cached(network.initial_state())}})
    if enrols(network):
        writer.write('enrol', Enrol(network),
                     {'features': torch.zeros(1, 4, mel.BANDS), **cached(network.strange())},
                     {'features': {1: 'features'}, 'style': {},
                      **{f'{name}_after': {} for name in cached(network.strange())}})
    cut = random_cut(12, 40, rng)
    writer.write('align', Align(network), cut,
                 {**{name: {1: 'frames'} for name in ('times', 'blocks', 'horizons')},
                  'token_times': {1: 'tokens'},
                  'motion': {2: 'frames', 3: 'frames'}, 'audio': {2: 'frames', 3: 'heard'}})
    writer.write('denoise', Denoise(network), random_step(network, cut, rng),
                 {'noisy': {1: 'frames'}, 'timesteps': {1: 'frames'}, 'heard': {2: 'tokens'},
                  'motion': {2: 'frames', 3: 'frames'}, 'audio': {2: 'frames', 3: 'heard'},
                  'clean': {1: 'frames'}})


def cached(state: list[Tensor]) -> dict[str, Tensor]:
    """Return a state as named inputs."""
    return {f'cache_{index}': part for index, part in enumerate(state)}


def difference(network: nn.Module, backend: Backend) -> float:
    """Return the largest difference between the graphs and eager torch over random cuts."""
    rng = np.random.default_rng(1)
    kinds = {'listen': (Listen(network), network.initial_state())}
    if enrols(network):
        kinds['enrol'] = (Enrol(network), network.strange())
    states = {name: (state, as_arrays(cached(state))) for name, (_, state) in kinds.items()}
    graphs = {name: backend(name) for name in (*kinds, 'align', 'denoise')}
    worst = 0.0

    def compare(graph: str, inputs: dict[str, Any], expected: tuple[Tensor, ...]) -> list[Any]:
        nonlocal worst
        found = list(graphs[graph](inputs).values())
        worst = max(worst, *(float(np.abs(a - b.numpy()).max())
                             for a, b in zip(found, expected, strict=True)))
        return found

    for _ in range(12):
        features = rng.standard_normal((1, 2 * int(rng.integers(1, 20)), mel.BANDS), np.float32)
        for name, (module, _) in kinds.items():
            state, caches = states[name]
            expected = module(torch.from_numpy(features), *state)
            after = compare(name, {'features': features, **caches}, expected)[-len(caches):]
            states[name] = (list(expected[-len(caches):]), dict(zip(caches, after, strict=True)))
        cut = random_cut(int(rng.integers(2, 40)), int(rng.integers(2, 60)), rng)
        compare('align', as_arrays(cut), Align(network)(*cut.values()))
        step = random_step(network, cut, rng)
        compare('denoise', as_arrays(step), (Denoise(network)(*step.values()),))
    return worst


def as_arrays(tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Return the tensors as numpy arrays."""
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def styles(network: nn.Module, names: Sequence[str], run: Path) -> dict[str, list[float]]:
    """Return the vector of each style: rows of the network's table, or the library of `run`."""
    if enrols(network):
        if not (run / 'library.json').is_file():
            raise SystemExit(f'not exported: {run} has no voices yet: expected library.json of '
                             f'python -m model.personalisation library {run}')
        return json.loads((run / 'library.json').read_text())
    table = network.style.weight
    if len(names) != len(table):
        raise SystemExit(f'not exported: {len(names)} names of styles for {len(table)} rows')
    return {name: rounded(row) for name, row in zip(names, table, strict=True)}


def export(run: Path, out: Path, about: dict[str, Any],
           backends: tuple[str, ...] = ('onnx', 'torch')) -> float:
    """Write the bundle of the averaged parameters of `run`; return the parity reached."""
    saved = torch.load(run / 'checkpoint.pt', map_location='cpu', weights_only=True)
    network = make(saved['kind'], KINDS[saved['kind']].config(**saved['config']))
    network.load_state_dict(saved['average'])
    # The graphs store 16 bits, so these are the parameters that they are compared with.
    network.half().float().eval().requires_grad_(False)
    if not network.encoder.streams:
        raise SystemExit(f'not exported: the encoder {network.config.encoder} hears a whole '
                         'utterance at once, so it cannot stream; train with encoder = \'mel\', '
                         'or use this run as it is, offline')
    sampling = KINDS[saved['kind']].sampling
    manifest = {
        'network': saved['kind'], 'schedule': sampling.schedule,
        'steps': [sampling.least_steps, sampling.most_steps],
        'usual_steps': sampling.usual_steps, 'past_from_steps': sampling.past_from_steps,
        'mouth_noise': sampling.mouth_noise,
        'mean': rounded(saved['mean']), 'deviation': rounded(saved['deviation']),
        **saved.get('manifest', {}), **about, 'styles': styles(network, about['styles'], run),
        'parameters': sum(p.numel() for name, p in network.named_parameters()
                          if not name.startswith(EAR)),
        'trained_steps': saved['step'],
    }
    return write_bundle(Exportable(partial(export_graphs, network), partial(difference, network),
                                   manifest), out, backends)


if __name__ == '__main__':
    run_command(export, __doc__, 'live.about.json')
