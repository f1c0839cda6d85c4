# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Export a trained network as a bundle: `python -m model.export RUN OUT`.

The graphs are compared with eager torch over random cuts before anything is written.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
import shutil
import tempfile
from typing import Any
import warnings

import numpy as np
import torch
from torch import Tensor, nn

from avatar_bridge import rig
from avatar_bridge.audio import mel
from avatar_bridge.bundle import FORMAT, file_hash
from model.live_denoiser import Cut, LiveConfig, LiveDenoiser

OPSET = 17
TOLERANCE = 1e-4


class Listen(nn.Module):
    """The encoder with its caches as separate inputs and outputs."""

    def __init__(self, network: LiveDenoiser) -> None:
        """Wrap `network`."""
        super().__init__()
        self.network = network

    def forward(self, features: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
        """Return keys and values of the new tokens, and the new caches."""
        heard, state = self.network.listen(features, list(caches))
        return (heard, *state)


class Denoise(nn.Module):
    """One denoising step with flat inputs."""

    def __init__(self, network: LiveDenoiser) -> None:
        """Wrap `network`."""
        super().__init__()
        self.network = network

    def forward(self, noisy: Tensor, timesteps: Tensor, times: Tensor, blocks: Tensor,
                horizons: Tensor, heard: Tensor, token_times: Tensor, style: Tensor) -> Tensor:
        """Return the clean coefficients."""
        cut = Cut(times, blocks, horizons, token_times)
        return self.network.denoise(noisy, timesteps, cut, heard, style)


def denoise_inputs(config: LiveConfig, frames: int, tokens: int, rng: np.random.Generator,
                   ) -> dict[str, Tensor]:
    """Return random inputs of the denoising graph."""
    shape = (1, config.layers, tokens, 2 * config.width)
    times = np.arange(frames) / rng.uniform(24, 60)
    return {
        'noisy': torch.tensor(rng.standard_normal((1, frames, len(rig.NAMES)), np.float32)),
        'timesteps': torch.tensor(rng.random((1, frames), np.float32)),
        'times': torch.tensor(times[None].astype(np.float32)),
        'blocks': torch.tensor((np.arange(frames) // 3)[None].astype(np.float32)),
        'horizons': torch.tensor((times + 0.1)[None].astype(np.float32)),
        'heard': torch.tensor(rng.standard_normal(shape, np.float32)),
        'token_times': torch.tensor((np.arange(tokens) * 0.02 - 0.5)[None].astype(np.float32)),
        'style': torch.tensor([int(rng.integers(0, config.styles))]),
    }


def export_graphs(network: LiveDenoiser, folder: Path) -> None:
    """Write `listen.onnx` and `denoise.onnx` with dynamic frames and tokens."""
    rng = np.random.default_rng(0)
    state = network.encoder.initial_state()
    caches = [f'cache_{index}' for index in range(len(state))]
    inputs = denoise_inputs(network.config, 12, 40, rng)
    axes = {'noisy': {1: 'frames'}, 'timesteps': {1: 'frames'}, 'times': {1: 'frames'},
            'blocks': {1: 'frames'}, 'horizons': {1: 'frames'}, 'heard': {2: 'tokens'},
            'token_times': {1: 'tokens'}, 'clean': {1: 'frames'}}
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.onnx.export(
            Listen(network), (torch.zeros(1, 4, mel.BANDS), *state), str(folder / 'listen.onnx'),
            input_names=['features', *caches],
            output_names=['heard', *(f'{name}_after' for name in caches)],
            dynamic_axes={'features': {1: 'features'}, 'heard': {2: 'tokens'}},
            opset_version=OPSET, dynamo=False)
        torch.onnx.export(
            Denoise(network), tuple(inputs.values()), str(folder / 'denoise.onnx'),
            input_names=list(inputs), output_names=['clean'], dynamic_axes=axes,
            opset_version=OPSET, dynamo=False)


def parity(network: LiveDenoiser, folder: Path) -> float:
    """Return the largest difference between the graphs and eager torch over random cuts."""
    from avatar_bridge.onnx_models import open_graph

    rng = np.random.default_rng(1)
    listen, denoise = open_graph(folder / 'listen.onnx'), open_graph(folder / 'denoise.onnx')
    worst = 0.0
    state = network.encoder.initial_state()
    caches = {f'cache_{index}': part.numpy() for index, part in enumerate(state)}
    for _ in range(12):
        features = torch.tensor(rng.standard_normal((1, 2 * int(rng.integers(1, 20)), mel.BANDS),
                                                    np.float32))
        heard, state = network.listen(features, state)
        found, *after = listen.run(None, {'features': features.numpy(), **caches})
        caches = {f'cache_{index}': part for index, part in enumerate(after)}
        worst = max(worst, float(np.abs(found - heard.numpy()).max()))
        inputs = denoise_inputs(network.config, int(rng.integers(2, 40)),
                                int(rng.integers(2, 60)), rng)
        clean = Denoise(network)(*inputs.values())
        found = denoise.run(None, {name: value.numpy() for name, value in inputs.items()})[0]
        worst = max(worst, float(np.abs(found - clean.numpy()).max()))
    return worst


def manifest(folder: Path, *, mean: Tensor, deviation: Tensor, about: dict[str, Any],
             ) -> dict[str, Any]:
    """Return the manifest of the graphs in `folder`."""
    return {
        'format': FORMAT, 'network': 'live', 'rig': list(rig.NAMES),
        'fps': [24, 60], 'sample_rate': mel.SAMPLE_RATE, 'lookahead_ms': [0, 200],
        'steps': [1, 8],
        'mean': [round(float(value), 6) for value in mean],
        'deviation': [round(float(value), 6) for value in deviation],
        **about,
        'files': {path.name: file_hash(path) for path in sorted(folder.glob('*.onnx'))},
    }


def export(run: Path, out: Path, about: dict[str, Any]) -> float:
    """Write the bundle of the averaged parameters of `run`; return the parity reached."""
    saved = torch.load(run / 'checkpoint.pt', map_location='cpu', weights_only=True)
    network = LiveDenoiser(LiveConfig(**saved['config']))
    network.load_state_dict(saved['average'])
    network.eval().requires_grad_(False)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        export_graphs(network, folder)
        worst = parity(network, folder)
        if worst > TOLERANCE:
            raise SystemExit(f'not exported: the graphs differ from torch by {worst:.2e}, '
                             f'allowed are {TOLERANCE:.0e}')
        about = {**about, 'parameters': sum(p.numel() for p in network.parameters()),
                 'trained_steps': saved['step']}
        written = manifest(folder, mean=saved['mean'], deviation=saved['deviation'], about=about)
        (folder / 'manifest.json').write_text(json.dumps(written, indent=1) + '\n')
        out.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.iterdir()):
            shutil.copyfile(path, out / path.name)
    return worst


def main() -> None:
    """Read the command line and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('run', type=Path, help='folder of a training run')
    parser.add_argument('out', type=Path, help='folder of the bundle')
    parser.add_argument('--about', type=Path, default=Path('model/configs/live.about.json'),
                        help='JSON with name, styles, languages, data and licences')
    arguments = parser.parse_args()
    about = json.loads(arguments.about.read_text())
    worst = export(arguments.run, arguments.out, about)
    size = sum(path.stat().st_size for path in arguments.out.glob('*')) / 2**20
    print(f'{arguments.out}: {size:.1f} MB, parity {worst:.1e}')


if __name__ == '__main__':
    main()
