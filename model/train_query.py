# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Train network `codetalker` on a trained codebook: `python -m model.train_query CONFIG.toml`.

Who is only ever shown the true past learns to copy it, and is lost as soon as he has to go on
from his own. So here every second batch continues what the network itself said so far
(DAgger, Ross et al. 2011: its own past, the true next codes), and in the others some codes of the
past are unknown.
Every step draws its batch and its gaps from (seed, step).
"""

from __future__ import annotations

import argparse
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
import torch.nn.functional as F

from model.batches import Batch, BatchConfig, draw
from model.code_query import Answer, CodeQuery, Condition, QueryConfig, free_run
from model.codebook import MotionCodebook, intervals
from model.data import load_corpus
from model.loop import take_steps
from model.losses import coefficient_loss, lip_gap_loss, velocity_loss
from model.optimisers import adamw
from model.settings import read_toml
from model.train import learning_rate_factor
from model.train_codebook import trained


@dataclass(frozen=True)
class QueryTrainConfig:
    """One training run."""

    corpus: str = 'runs/corpus3'
    codebook: str = 'runs/codebook'     # folder of the run that made the codebook
    out: str = 'runs/codetalker'
    steps: int = 1000
    learning_rate: float = 8e-4
    warm_up: int = 50
    weight_decay: float = 0.01
    average: float = 0.995              # decay of the exponential moving average of parameters
    code: float = 0.2                   # of the head's own loss; 1 for latents, as in the paper
    velocity: float = 0.5
    lip_gap: float = 0.5
    own_from: int = 200                 # from this step on, every `own_every`th batch continues
    own_every: int = 2                  # the network's own motion
    longest_gap: float = 0.6            # largest share of codes unknown in the other batches
    seed: int = 1
    checkpoint_every: int = 100
    threads: int = 1
    network: QueryConfig = field(default_factory=QueryConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)


@dataclass
class Run:
    """What a checkpoint holds; the codebook is in it, but is not trained."""

    network: CodeQuery
    average: CodeQuery
    optimiser: torch.optim.Optimizer
    codebook: MotionCodebook
    mean: Tensor
    deviation: Tensor
    step: int = 0

    def state(self) -> dict[str, object]:
        """Return everything that the next step depends on."""
        return {'network': self.network.state_dict(), 'average': self.average.state_dict(),
                'optimiser': self.optimiser.state_dict(), 'mean': self.mean,
                'deviation': self.deviation, 'step': self.step,
                'config': asdict(self.network.config),
                'codebook': self.codebook.state_dict(),
                'codebook_config': asdict(self.codebook.config)}


def start(config: QueryTrainConfig, device: str) -> Run:
    """Return a fresh run, or the one whose checkpoint lies in `config.out`."""
    torch.manual_seed(config.seed)
    codebook, mean, deviation = trained(Path(config.codebook), device)
    network = CodeQuery(config.network, codebook.codebook).to(device)
    optimiser = adamw(network.parameters(), config.learning_rate, config.weight_decay)
    run = Run(network, deepcopy(network).requires_grad_(False), optimiser, codebook, mean,
              deviation)
    path = Path(config.out) / 'checkpoint.pt'
    if path.exists():
        saved = torch.load(path, map_location=device, weights_only=True)
        run.network.load_state_dict(saved['network'])
        run.average.load_state_dict(saved['average'])
        run.optimiser.load_state_dict(saved['optimiser'])
        run.codebook.load_state_dict(saved['codebook'])
        run.step = saved['step']
    return run


def condition_of(run: Run, batch: Batch) -> Condition:
    """Return what the frames after the first hear."""
    device = run.mean.device
    state = [part.to(device) for part in run.network.encoder.initial_state(len(batch.clean))]
    heard, _ = run.network.listen(torch.from_numpy(batch.features).to(device), state)
    times, horizons, token_times = (torch.from_numpy(row).to(device) for row in (
        batch.times[:, 1:], batch.horizons[:, 1:], batch.token_times))
    style = run.network.style(torch.from_numpy(batch.style).to(device))
    return Condition(heard, *run.network.align(times, horizons, token_times), style,
                     intervals(len(style), batch.fps, device))


def past(run: Run, codes: Tensor, condition: Condition, config: QueryTrainConfig,
         rng: np.random.Generator) -> Tensor:
    """Return the codes (batch, frames - 1, components) that each frame is told came before it."""
    if run.step >= config.own_from and run.step % config.own_every == 0:
        said = free_run(run.network, codes[:, 0], condition)
        return torch.cat([codes[:, :1], said[:, :-1]], dim=1)
    told = codes[:, :-1]
    shares = rng.uniform(0.0, config.longest_gap, (len(codes), 1, 1))
    gaps = torch.from_numpy(rng.random(told.shape) < shares).to(told.device)
    return torch.where(gaps, run.network.unknown_code, told)


def losses(run: Run, batch: Batch, config: QueryTrainConfig, rng: np.random.Generator,
           ) -> dict[str, Tensor]:
    """Return the losses of one batch, and the share of the codes that were right."""
    clean = (torch.from_numpy(batch.clean).to(run.mean.device) - run.mean) / run.deviation
    condition = condition_of(run, batch)
    with torch.no_grad():
        codes = run.codebook.codes(clean, condition.interval)
        told = past(run, codes, condition, config, rng)
    answer, _ = run.network(told, condition, run.network.forget(len(told)))
    before = run.codebook.codebook.latents(codes[:, 0])
    motion = run.codebook.decode(run.network.chosen(answer), condition.interval, before)
    right = (answer.scores.argmax(dim=-1) == codes[:, 1:]).float().mean()
    return {'code': code_loss(run, answer, codes[:, 1:]),
            'coefficient': coefficient_loss(motion, clean[:, 1:]),
            'velocity': velocity_loss(motion, clean[:, 1:], batch.fps),
            'lip_gap': lip_gap_loss(motion, clean[:, 1:], run.deviation), 'right': right}


def code_loss(run: Run, answer: Answer, codes: Tensor) -> Tensor:
    """Return the head's own loss: cross-entropy of codes, or the squared error of latents."""
    if run.network.config.head == 'codes':
        return F.cross_entropy(answer.scores.flatten(0, 2), codes.flatten())
    return F.mse_loss(answer.latents, run.codebook.codebook.latents(codes))


def update(run: Run, config: QueryTrainConfig, batch: Batch, rng: np.random.Generator,
           ) -> dict[str, float]:
    """Take one step; return its losses."""
    for group in run.optimiser.param_groups:
        group['lr'] = config.learning_rate * learning_rate_factor(run.step, config)
    parts = losses(run, batch, config, rng)
    total = (config.code * parts['code'] + parts['coefficient']
             + config.velocity * parts['velocity'] + config.lip_gap * parts['lip_gap'])
    run.optimiser.zero_grad(set_to_none=True)
    total.backward()
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), 1.0)
    run.optimiser.step()
    run.step += 1
    decay = min(config.average, (1 + run.step) / (10 + run.step))
    with torch.no_grad():
        for slow, fast in zip(run.average.parameters(), run.network.parameters(), strict=True):
            slow.lerp_(fast, 1 - decay)
    return {name: float(value.detach()) for name, value in parts.items()}


def train(config: QueryTrainConfig, *, device: str) -> Run:
    """Train to `config.steps`, from where the last checkpoint stands."""
    corpus = load_corpus(config.corpus)
    run = start(config, device)
    take_steps(run, config, lambda rng: update(run, config, draw(corpus, config.batch, rng), rng))
    return run


def main() -> None:
    """Read the configuration and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', type=Path, help='TOML file with the fields of QueryTrainConfig')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    arguments = parser.parse_args()
    config = read_toml(QueryTrainConfig, arguments.config)
    print(asdict(config))
    train(config, device=arguments.device)


if __name__ == '__main__':
    main()
