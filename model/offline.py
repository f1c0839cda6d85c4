# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Animate a file with a run that cannot stream: `python -m model.offline RUN IN.wav OUT.csv`.

All frames of the utterance are denoised at once and hear all of it, as the papers do it. The rows
are those of a Live Link Face CSV, which `python -m model.evaluate --csv` reads.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from avatar_bridge import rig
from avatar_bridge.audio import mel
from avatar_bridge.diffusion.face_model import frame_noise
from avatar_bridge.diffusion.sampler import SCHEDULES, Level, evenly, sample
from avatar_bridge.stream.denoiser import LEAD
from model.clip_sets import read_audio
from model.condition import Condition, Cut
from model.networks import KINDS, make

Array = NDArray[np.float32]
TOKEN: Final = 2 * mel.STRIDE
EVER: Final = 1e4               # seconds: nothing lies beyond hearing


class Offline:
    """A run's averaged network and what its coefficients mean."""

    def __init__(self, run: Path) -> None:
        """Read the checkpoint of a run."""
        saved = torch.load(run / 'checkpoint.pt', map_location='cpu', weights_only=True)
        self.sampling = KINDS[saved['kind']].sampling
        self.network = make(saved['kind'], KINDS[saved['kind']].config(**saved['config']))
        self.network.load_state_dict(saved['average'])
        self.network.eval().requires_grad_(False)
        self._mean, self._deviation = saved['mean'].numpy(), saved['deviation'].numpy()

    def animate(self, samples: Array, *, fps: float = 60.0, steps: int = 0, seed: int = 0,
                ) -> Array:
        """Return (frames, 52) weights for (n,) samples at 16 kHz; 0 steps: the usual number."""
        frames = int(np.ceil(len(samples) * fps / mel.SAMPLE_RATE))
        condition = self._listen(samples, torch.arange(frames)[None] / fps + LEAD)

        def denoise(noisy: Tensor, level: Level) -> Tensor:
            times = torch.full((1, frames), level.timestep)
            return self.network.denoise(noisy, times, condition)

        levels = evenly(steps or self.sampling.usual_steps, SCHEDULES[self.sampling.schedule])
        noise = torch.from_numpy(frame_noise(seed, 0, frames,
                                             self.sampling.mouth_noise))[None]
        clean = sample(denoise, noise, levels=levels)[0].numpy()
        return np.clip(clean * self._deviation + self._mean, 0, 1).astype(np.float32)

    def _listen(self, samples: Array, times: Tensor) -> Condition:
        keys = listened(self.network, samples)
        tokens = -(-len(samples) // TOKEN)
        cut = Cut(times, torch.zeros_like(times), torch.full_like(times, EVER),
                  TOKEN / mel.SAMPLE_RATE * torch.arange(1, tokens + 1)[None])
        return Condition(keys, *self.network.align(cut), self._style())

    def _style(self) -> Any:
        """Return the first style of a network with a table."""
        return self.network.style.weight[:1]


def listened(network: Any, samples: Array) -> Tensor:
    """Return the keys and values (1, layers, tokens, 2 width) of (n,) samples, heard at once."""
    tokens = -(-len(samples) // TOKEN)
    heard = np.pad(samples, (mel.HISTORY, tokens * TOKEN - len(samples)))
    features = mel.log_mel(heard[mel.HISTORY:], np.zeros(mel.HISTORY, np.float32))[0]
    inputs = features if network.encoder.streams else heard
    keys: Tensor = network.listen(torch.from_numpy(inputs[None].astype(np.float32)),
                                  network.initial_state())[0]
    return keys


def main() -> None:
    """Read the command line and animate."""
    command = argparse.ArgumentParser('python -m model.offline', description=__doc__)
    command.add_argument('run', type=Path, help='folder of a training run')
    command.add_argument('audio', type=Path)
    command.add_argument('out', type=Path, help='CSV')
    command.add_argument('--fps', type=float, default=60.0)
    command.add_argument('--steps', type=int, default=0, help='of the sampler; 0: the usual')
    arguments = command.parse_args()
    weights = Offline(arguments.run).animate(read_audio(arguments.audio), fps=arguments.fps,
                                             steps=arguments.steps)
    with arguments.out.open('w', newline='') as file:
        rows = csv.writer(file)
        rows.writerow(rig.NAMES)
        rows.writerows([f'{weight:.5f}' for weight in row] for row in weights)


if __name__ == '__main__':
    main()
