# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Distil a trained denoiser to few steps: `python -m model.distill CONFIG.toml`.

Three methods (`model/few_steps.py`): progressive halving, shortcuts, consistency. The student is
told the strength of the guidance, so that it costs no second pass. Every step draws its batch from
(seed, step), so a run resumed from a checkpoint is the run that was never stopped.
"""

from __future__ import annotations

import argparse
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from avatar_bridge.diffusion.sampler import Level
from model.batches import Batch, BatchConfig, draw
from model.condition import UNSEEN, Condition, Cut
from model.few_steps import Estimate, Place, consistency, two_as_one, unhurried
from model.loop import take_steps
from model.losses import motion_losses
from model.networks import KINDS, make
from model.noise_levels import PAST
from model.noising import levels_at, noised
from model.optimisers import adamw
from model.personal_losses import audio_feature_loss, manner, personal_enhancer_loss
from model.settings import read_toml
from model.train import (
    Run,
    TrainConfig,
    check_styles,
    descend,
    learning_rate_factor,
    open_corpus,
    shares,
)

#: What the student of each method is told of a step besides its noise time.
TOLD = {'halving': ('guidance',), 'shortcut': ('step_size', 'guidance'),
        'consistency': ('guidance',)}


@dataclass(frozen=True)
class DistillConfig:
    """One distillation."""

    corpus: str = 'runs/corpus'
    voices: str = ''                    # of `model.voice_styles`: each voice has a manner
    start_from: str = 'runs/live'       # folder of the run whose averaged parameters teach
    out: str = 'runs/live_shortcut'
    method: str = 'shortcut'            # of `TOLD`
    finest: int = 16                    # steps of the first teacher; noise times lie on this grid
    coarsest: int = 1                   # steps that halving ends with
    encoder_blocks: int = 0             # of the student; 0: as many as its teacher has
    steps: int = 200
    learning_rate: float = 2e-4
    warm_up: int = 10                   # of each stage
    weight_decay: float = 0.01
    average: float = 0.99               # decay of the exponential moving average of parameters
    velocity: float = 0.5
    lip_gap: float = 0.5
    seal: float = 0.0
    closing: float = 0.0
    audio: float = 0.0                  # DiffusionTalker's L_ae
    contrast: float = 0.0               # its L_pc, and telling voices apart
    shortcut_share: float = 0.25        # of the excerpts learn a shortcut, the others the data
    guided_share: float = 0.5           # of the excerpts are guided
    strongest: float = 3.0              # guidance that is learnt, from 1 on
    past_share: float = 0.0             # of the excerpts know the past
    seed: int = 1
    checkpoint_every: int = 50
    threads: int = 1
    batch: BatchConfig = field(default_factory=BatchConfig)

    def __post_init__(self) -> None:
        """Check that the method is known and that its stages share the steps."""
        if self.method not in TOLD:
            raise ValueError(f'method {self.method!r}, expected one of {", ".join(TOLD)}')
        if self.finest & (self.finest - 1) or self.coarsest & (self.coarsest - 1):
            raise ValueError(f'{self.finest} and {self.coarsest} steps, expected powers of two')
        if self.steps % len(self.stages):
            raise ValueError(f'{self.steps} steps cannot be shared by {len(self.stages)} stages')

    @property
    def stages(self) -> list[int]:
        """Sampler steps of the student in each stage; its teacher takes twice as many."""
        if self.method != 'halving':
            return [self.finest]
        halvings = (self.finest // self.coarsest).bit_length() - 1
        return [self.finest >> (halving + 1) for halving in range(halvings)]

    def stage(self, step: int) -> tuple[int, int]:
        """Return the sampler steps of the student at `step`, and how far it is into its stage."""
        number, into = divmod(step, self.steps // len(self.stages))
        return self.stages[number], into


class Starts(NamedTuple):
    """Where the student's steps begin, numpy, batch first."""

    timesteps: np.ndarray       # (batch, frames)
    active: np.ndarray          # (batch, frames) 1 for frames that the step moves, 0: the past
    step_size: np.ndarray       # (batch,) noise time; 0: no step, an estimate
    guidance: np.ndarray        # (batch,)


class Step(NamedTuple):
    """The student's steps, as tensors."""

    clean: Tensor               # (batch, frames, 52) the data
    place: Place
    size: Tensor                # (batch,) noise time
    guidance: Tensor            # (batch,)


@dataclass
class Distillation(Run):
    """What a checkpoint holds: the student as a run, its teacher, how to sample the student."""

    teacher: Any = None
    manifest: dict[str, Any] = field(default_factory=dict)

    def state(self) -> dict[str, object]:
        """Return everything that the next step depends on."""
        return {**super().state(), 'teacher': self.teacher.state_dict(),
                'teacher_config': asdict(self.teacher.config), 'manifest': self.manifest}


def start(config: DistillConfig, device: str) -> Distillation:
    """Return a student that is its teacher, or the run whose checkpoint lies in `config.out`."""
    checkpoint = Path(config.out) / 'checkpoint.pt'
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        run = fresh(config, saved, saved['teacher_config'], saved['teacher'], device)
        run.network.load_state_dict(saved['network'])
        run.average.load_state_dict(saved['average'])
        run.optimiser.load_state_dict(saved['optimiser'])
        run.step = saved['step']
        return run
    saved = torch.load(Path(config.start_from) / 'checkpoint.pt', map_location=device,
                       weights_only=True)
    return fresh(config, saved, saved['config'], saved['average'], device)


def fresh(config: DistillConfig, saved: dict[str, Any], settings: dict[str, Any],
          parameters: dict[str, Tensor], device: str) -> Distillation:
    """Return a run whose teacher has `settings` and `parameters`, and whose student begins so."""
    kind = saved['kind']
    teacher_config = KINDS[kind].config(**settings)
    teacher = make(kind, teacher_config).to(device).requires_grad_(False)
    teacher.load_state_dict(parameters)
    torch.manual_seed(config.seed)
    network = make(kind, replace(
        teacher_config, told=TOLD[config.method],
        encoder_blocks=config.encoder_blocks or teacher_config.encoder_blocks)).to(device)
    known = {name: parameters[name] for name in network.state_dict() if name in parameters}
    new = network.load_state_dict(known, strict=False).missing_keys
    assert all(name.startswith('told.') for name in new), new
    return Distillation(kind, network, deepcopy(network).requires_grad_(False),
                        adamw(network.parameters(), config.learning_rate, config.weight_decay),
                        saved['mean'].to(device), saved['deviation'].to(device),
                        teacher=teacher, manifest=manifest(config))


def manifest(config: DistillConfig) -> dict[str, Any]:
    """Return what a bundle of the student says of its sampling."""
    fewest, most = 1, config.finest // 2
    if config.method == 'halving':
        fewest = most = config.coarsest
    return {'steps': [fewest, most], 'usual_steps': max(fewest, min(2, most)), 'guidance': 'baked',
            'past_from_steps': 1 if config.past_share else None}


def promote(run: Distillation, config: DistillConfig) -> None:
    """Make the student the teacher of the next stage."""
    run.teacher = deepcopy(run.average)
    run.network.load_state_dict(run.average.state_dict())
    run.optimiser = adamw(run.network.parameters(), config.learning_rate, config.weight_decay)


def draw_starts(config: DistillConfig, blocks: np.ndarray, student_steps: int,
                rng: np.random.Generator) -> Starts:
    """
    Draw where steps of the student begin: on the sampler's own noise times.

    :param blocks: (batch, frames) block numbers
    :param student_steps: steps from noise to clean; of a shortcut's first excerpts they are fewer
    """
    size = len(blocks)
    counts = np.full(size, student_steps)
    step_size = 1.0 / counts
    if config.method == 'shortcut':
        shortcuts = round(size * config.shortcut_share)
        counts[:shortcuts] = 2 ** rng.integers(0, config.finest.bit_length() - 1, shortcuts)
        step_size = np.where(np.arange(size) < shortcuts, 1.0 / counts, 0.0)
    level = (1 + rng.integers(0, counts)) / counts
    last = blocks.max(axis=1).astype(int)
    first = np.where(rng.random(size) < config.past_share,
                     np.minimum(rng.integers(1, last + 2), last), 0)
    active = blocks >= first[:, None]
    past = rng.uniform(0.0, PAST, size)
    guidance = np.where(rng.random(size) < config.guided_share,
                        rng.uniform(1.0, config.strongest, size), 1.0)
    return Starts(*(part.astype(np.float32) for part in (
        np.where(active, level[:, None], past[:, None]), active, step_size, guidance)))


class Hearing(NamedTuple):
    """A network that has listened to a batch."""

    network: Any
    condition: Condition
    deaf: Condition                     # of somebody who hears nothing
    contrasts: dict[str, Tensor]        # losses of telling voices apart

    def estimate(self, guidance: Tensor, rows: Tensor | slice = slice(None)) -> Estimate:
        """Return the guided estimate of some excerpts; two passes where it has to be computed."""
        hearing, deaf, scale = (at(self.condition, rows), at(self.deaf, rows),
                                guidance[rows])

        def one_pass(place: Place, step_size: Tensor) -> Tensor:
            told = hearing._replace(step_size=step_size, guidance=scale)
            return self.network.denoise(place.noisy, place.timesteps, told)

        def two_pass(place: Place, _step_size: Tensor) -> Tensor:
            away = self.network.denoise(place.noisy, place.timesteps, deaf)
            towards = self.network.denoise(place.noisy, place.timesteps, hearing) - away
            return away + scale[:, None, None] * towards

        return one_pass if 'guidance' in self.network.config.told else two_pass


def at(parts: Any, rows: Tensor | slice) -> Any:
    """Return the rows of every tensor in a named tuple."""
    return type(parts)(*(part if part is None else part[rows] for part in parts))


def listen(network: Any, batch: Batch, clean: Tensor) -> Hearing:
    """Return the network with what it hears of a batch."""
    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(clean.device)

    state = [part.to(clean.device) for part in network.initial_state(len(clean))]
    heard, _ = network.listen(tensor(batch.features), state)
    cut = Cut(tensor(batch.times), tensor(batch.blocks), tensor(batch.horizons),
              tensor(batch.token_times))
    style, contrasts = manner(network, batch, clean)
    condition = Condition(heard, *network.align(cut), style)
    unheard = torch.full_like(condition.audio[..., 1:], UNSEEN)
    deaf = condition._replace(audio=torch.cat([condition.audio[..., :1], unheard], dim=-1))
    return Hearing(network, condition, deaf, contrasts)


@torch.no_grad()
def target(run: Distillation, config: DistillConfig, batch: Batch, taught: Hearing, step: Step,
           ) -> Tensor:
    """Return what the student is to say, (batch, frames, 52)."""
    def levels(timesteps: Tensor) -> Level:
        return levels_at(run.kind, timesteps.cpu().numpy(), timesteps.device)

    place, step_size = step.place, step.size
    if config.method == 'halving':
        wanted = two_as_one(taught.estimate(step.guidance), place, step_size, levels)
    elif config.method == 'consistency':
        average = listen(run.average, batch, step.clean).estimate(step.guidance)
        wanted = consistency(taught.estimate(step.guidance), average, place, step_size, levels)
    else:
        wanted = step.clean.clone()
        jump = step_size > 0
        guided = ~jump & (step.guidance > 1)
        if jump.any():
            average = listen(run.average, batch, step.clean).estimate(step.guidance, jump)
            wanted[jump] = two_as_one(unhurried(average, 1.0 / config.finest), at(place, jump),
                                      step_size[jump], levels)
        if guided.any():
            wanted[guided] = taught.estimate(step.guidance, guided)(at(place, guided),
                                                                    step_size[guided])
    return torch.where(place.active[..., None] > 0, wanted, step.clean)


def losses(run: Distillation, config: DistillConfig, batch: Batch, starts: Starts, device: str,
           ) -> dict[str, Tensor]:
    """Return the losses of one batch."""
    timesteps, active, size, guidance = (torch.from_numpy(part).to(device) for part in starts)
    clean = (torch.from_numpy(batch.clean).to(device) - run.mean) / run.deviation
    noisy = noised(run.kind, clean, torch.from_numpy(batch.noise).to(device), starts.timesteps)
    step = Step(clean, Place(noisy, timesteps, active), size, guidance)
    with torch.no_grad():
        taught = listen(run.teacher, batch, clean)
    wanted = target(run, config, batch, taught, step)
    student = listen(run.network, batch, clean)
    said = student.estimate(guidance)(step.place, size)
    features = (what.condition.heard.transpose(1, 2).flatten(2) for what in (student, taught))
    parts = {**motion_losses(said, wanted, run.mean, run.deviation, batch.fps),
             'audio': audio_feature_loss(*features), **student.contrasts}
    if student.contrasts:
        same = torch.from_numpy(batch.style[:, None] == batch.style[None]).to(device)
        parts['personal'] = personal_enhancer_loss(taught.condition.style,
                                                   run.teacher.face(said), same)
    return parts


def update(run: Distillation, config: DistillConfig, batch: Batch, rng: np.random.Generator,
           device: str) -> dict[str, float]:
    """Take one step; return its losses."""
    student_steps, into = config.stage(run.step)
    if run.step and not into:
        promote(run, config)
    parts = losses(run, config, batch, draw_starts(config, batch.blocks, student_steps, rng),
                   device)
    counts = {**shares(config), 'audio': config.audio, 'personal': config.contrast}
    stage = TrainConfig(steps=config.steps // len(config.stages), warm_up=config.warm_up)
    descend(run, sum(counts[name] * part for name, part in parts.items()),
            rate=config.learning_rate * learning_rate_factor(into, stage), average=config.average)
    return {name: float(part.detach()) for name, part in parts.items()}


def distil(config: DistillConfig, *, device: str) -> Distillation:
    """Distil to `config.steps`, from where the last checkpoint stands."""
    corpus = open_corpus(config)
    run = start(config, device)
    check_styles(config.batch, corpus, run.network)
    take_steps(run, config,
               lambda rng: update(run, config, draw(corpus, config.batch, rng), rng, device))
    return run


def main() -> None:
    """Read the configuration and distil."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', type=Path, help='TOML file with the fields of DistillConfig')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    arguments = parser.parse_args()
    config = read_toml(DistillConfig, arguments.config)
    print(asdict(config))
    distil(config, device=arguments.device)


if __name__ == '__main__':
    main()
