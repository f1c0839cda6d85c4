# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Train the codebook of `codetalker`: `python -m model.train_codebook CONFIG.toml`.

Every step draws its batch, and where dead codes are moved to, from (seed, step), so a run resumed
from a checkpoint is the run that was never stopped. At the end `report.json` says how exactly
clips that were not trained on come back, and how much of the codebook they use.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, field
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model.batches import CURVE_RATE, Batch, BatchConfig, draw
from model.codebook import CodebookConfig, MotionCodebook, intervals
from model.data import Corpus, load_corpus
from model.loop import take_steps
from model.losses import channel_weights, lip_gap_loss, velocity_loss
from model.metrics import LIP_GAP
from model.optimisers import adamw
from model.settings import read_toml
from model.train import learning_rate_factor, statistics


@dataclass(frozen=True)
class CodebookTrainConfig:
    """One training run."""

    corpus: str = 'runs/corpus3'
    out: str = 'runs/codebook'
    steps: int = 2000
    learning_rate: float = 1e-3
    warm_up: int = 50
    weight_decay: float = 0.0
    velocity: float = 0.5
    lip_gap: float = 0.5
    quantisation: float = 1.0
    seed: int = 1
    checkpoint_every: int = 200
    threads: int = 1
    network: CodebookConfig = field(default_factory=CodebookConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)


@dataclass
class Run:
    """What a checkpoint holds."""

    network: MotionCodebook
    optimiser: torch.optim.Optimizer
    mean: Tensor
    deviation: Tensor
    step: int = 0

    def state(self) -> dict[str, object]:
        """Return everything that the next step depends on."""
        return {'network': self.network.state_dict(), 'optimiser': self.optimiser.state_dict(),
                'mean': self.mean, 'deviation': self.deviation, 'step': self.step,
                'config': asdict(self.network.config)}


def start(config: CodebookTrainConfig, corpus: Corpus, device: str) -> Run:
    """Return a fresh run, or the one whose checkpoint lies in `config.out`."""
    torch.manual_seed(config.seed)
    network = MotionCodebook(config.network).to(device)
    optimiser = adamw(network.parameters(), config.learning_rate, config.weight_decay)
    path = Path(config.out) / 'checkpoint.pt'
    if not path.exists():
        mean, deviation = statistics(corpus)
        return Run(network, optimiser, mean.to(device), deviation.to(device))
    saved = torch.load(path, map_location=device, weights_only=True)
    network.load_state_dict(saved['network'])
    optimiser.load_state_dict(saved['optimiser'])
    return Run(network, optimiser, saved['mean'], saved['deviation'], saved['step'])


def trained(folder: Path, device: str) -> tuple[MotionCodebook, Tensor, Tensor]:
    """Return the codebook of a run, frozen, and the mean and deviation it is made for."""
    saved = torch.load(folder / 'checkpoint.pt', map_location=device, weights_only=True)
    network = MotionCodebook(CodebookConfig(**saved['config'])).to(device)
    network.load_state_dict(saved['network'])
    return network.eval().requires_grad_(False), saved['mean'], saved['deviation']


def losses(run: Run, clean: Tensor, fps: float, rng: np.random.Generator,
           ) -> tuple[dict[str, Tensor], Tensor]:
    """Return the losses of (batch, frames, 52) coefficients and the codes they became."""
    interval = intervals(len(clean), fps, clean.device)
    latents = run.network.encode(clean, interval)
    run.network.codebook.revive(latents.detach(), rng)
    quantised = run.network.codebook.quantise(latents)
    back = run.network.decode(quantised.latents, interval, quantised.latents[:, 0])
    error = channel_weights().to(clean.device) * (back - clean).abs()
    return {'coefficient': error.mean(),
            'velocity': velocity_loss(back, clean, fps),
            'lip_gap': lip_gap_loss(back, clean, run.deviation),
            'quantisation': quantised.loss}, quantised.codes


def update(run: Run, config: CodebookTrainConfig, batch: Batch, rng: np.random.Generator,
           ) -> dict[str, float]:
    """Take one step; return its losses and the perplexity of the codes."""
    for group in run.optimiser.param_groups:
        group['lr'] = config.learning_rate * learning_rate_factor(run.step, config)
    clean = torch.from_numpy(batch.clean).to(run.mean.device)
    parts, codes = losses(run, (clean - run.mean) / run.deviation, batch.fps, rng)
    total = (parts['coefficient'] + config.velocity * parts['velocity']
             + config.lip_gap * parts['lip_gap'] + config.quantisation * parts['quantisation'])
    run.optimiser.zero_grad(set_to_none=True)
    total.backward()
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), 1.0)
    run.optimiser.step()
    run.network.codebook.count(codes)
    run.step += 1
    shares = torch.bincount(codes.flatten(), minlength=config.network.codebook_size)
    return {**{name: float(value.detach()) for name, value in parts.items()},
            'perplexity': perplexity(shares.cpu().numpy())}


def perplexity(counts: np.ndarray) -> float:
    """Return how many codes, evenly used, would be as varied as these (size,) counts."""
    shares = counts[counts > 0] / counts.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


@torch.no_grad()
def report(run: Run, corpus: Corpus, fps: float, clips: int = 100) -> dict[str, float]:
    """Return how validation clips (training clips if there are none) come back at `fps`."""
    size = run.network.config.codebook_size
    counts, errors, gaps = np.zeros(size, np.int64), [], []
    for entry in (corpus.select('valid') or corpus.select('train'))[:clips]:
        curves = torch.from_numpy(at_rate(corpus.clip(entry).curves, fps)).to(run.mean.device)
        interval = intervals(1, fps, run.mean.device)
        codes = run.network.codes(((curves - run.mean) / run.deviation)[None], interval)
        latents = run.network.codebook.latents(codes)
        back = run.network.decode(latents, interval, latents[:, 0])[0]
        error = ((back * run.deviation + run.mean).clamp(0, 1) - curves).cpu().numpy()
        counts += np.bincount(codes.cpu().numpy().ravel(), minlength=size)
        errors.append(np.abs(error).mean())
        gaps.append(100 * np.abs(error @ LIP_GAP).mean())
    return {'fps': fps, 'usage': float((counts > 0).mean()), 'perplexity': perplexity(counts),
            'weight_error': float(np.mean(errors)), 'lip_gap_error_mm': float(np.mean(gaps))}


def at_rate(curves: np.ndarray, fps: float) -> np.ndarray:
    """Return (frames, 52) curves of the corpus at another rate, float32."""
    times = np.arange(int(len(curves) / CURVE_RATE * fps)) / fps
    known = np.arange(len(curves)) / CURVE_RATE
    return np.stack([np.interp(times, known, row) for row in curves.T.astype(np.float32)],
                    axis=1).astype(np.float32)


def train(config: CodebookTrainConfig, *, device: str) -> Run:
    """Train to `config.steps`, from where the last checkpoint stands."""
    corpus = load_corpus(config.corpus)
    run = start(config, corpus, device)
    take_steps(run, config, lambda rng: update(run, config, draw(corpus, config.batch, rng), rng))
    reports = [report(run, corpus, fps) for fps in (30.0, 60.0)]
    (Path(config.out) / 'report.json').write_text(json.dumps(reports, indent=1) + '\n')
    return run


def main() -> None:
    """Read the configuration and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', type=Path, help='TOML file with fields of CodebookTrainConfig')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    arguments = parser.parse_args()
    config = read_toml(CodebookTrainConfig, arguments.config)
    print(asdict(config))
    train(config, device=arguments.device)
    print((Path(config.out) / 'report.json').read_text(), end='')


if __name__ == '__main__':
    main()
