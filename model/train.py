# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Train a denoising network: `python -m model.train CONFIG.toml`.

Every step draws its batch from (seed, step), so a run resumed from a checkpoint is the run that
was never stopped. CPU and GPU run the same file; on a GPU the matrix work is done in bfloat16.
Several GPUs, or processes: `torchrun --nproc_per_node N -m model.train CONFIG.toml`; each draws
its part of every batch.
"""

from __future__ import annotations

import argparse
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avatar_bridge import rig
from model import optimisers
from model.batches import Batch, BatchConfig, draw
from model.biased_denoiser import BiasedConfig
from model.condition import Condition, Cut
from model.data import Corpus, load_corpus
from model.live_denoiser import EAR, SPEECH, LiveConfig
from model.loop import mixed, take_steps
from model.loop import save as save
from model.losses import motion_losses, phone_loss, speech_loss
from model.networks import make
from model.noising import noised
from model.origin import origin
from model.personal_losses import manner
from model.phones import NUMBERED
from model.ranks import ALONE, Ranks, joined
from model.settings import read_toml
from model.talker_denoiser import TalkerConfig
from model.voice_styles import load_voiced

STYLE = 'style.weight'          # the parameters of a table of styles,
BLOCKS = 'encoder.blocks.'      # of the blocks of an encoder,
TELLING = (EAR, SPEECH)         # and of what tells phones and speech


@dataclass(frozen=True)
class TrainConfig:
    """One training run."""

    corpus: str = 'runs/corpus'
    voices: str = ''                    # of `model.voice_styles`: each voice has a manner
    out: str = 'runs/live'
    start_from: str = ''                # a run whose averaged parameters to begin with; a bundle
    steps: int = 4000
    learning_rate: float = 6e-4
    warm_up: int = 200
    optimiser: str = 'adamw'            # or 'muon', of `model/optimisers.py`
    weight_decay: float = 0.01
    average: float = 0.998              # decay of the exponential moving average of parameters
    velocity: float = 0.5
    lip_gap: float = 0.5
    seal: float = 0.0
    closing: float = 0.0
    shown: bool = False                 # the lips are judged as the blender shows them
    contrast: float = 0.1               # of each loss of telling voices apart
    phones: float = 0.0                 # of telling the classes of phones apart,
    speech: float = 0.0                 # and whether somebody speaks
    seed: int = 1
    checkpoint_every: int = 200
    threads: int = 2
    precision: str = 'auto'             # of matrix work: float32, bfloat16, or that on a GPU
    coefficients: str = 'standardised'      # or 'raw', as DiffSpeaker's: what noise is added to
    kind: str = 'live'                  # of `model.networks.KINDS`; the table of that name has
    live: LiveConfig = field(default_factory=LiveConfig)        # its sizes
    regression: LiveConfig = field(default_factory=LiveConfig)
    diffspeaker: BiasedConfig = field(default_factory=BiasedConfig)
    diffusiontalker: TalkerConfig = field(default_factory=TalkerConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)

    @property
    def network(self) -> Any:
        """Sizes of the network that is trained."""
        sizes = getattr(self, self.kind)
        sizes = replace(sizes, phones=len(NUMBERED)) if self.phones else sizes
        return replace(sizes, speech=True) if self.speech else sizes

    @property
    def told(self) -> BatchConfig:
        """How excerpts are drawn, with what the losses want to know."""
        return replace(self.batch, phones=bool(self.phones or self.speech))


@dataclass
class Run:
    """What a checkpoint holds."""

    kind: str
    network: Any
    average: Any
    optimiser: optimisers.Optimiser
    mean: Tensor
    deviation: Tensor
    step: int = 0
    precision: str = 'auto'
    shown: bool = False

    def state(self) -> dict[str, object]:
        """Return everything that the next step depends on."""
        return {'network': self.network.state_dict(), 'average': self.average.state_dict(),
                'optimiser': self.optimiser.state_dict(), 'mean': self.mean,
                'deviation': self.deviation, 'step': self.step,
                'kind': self.kind, 'config': asdict(self.network.config)}


def start(config: TrainConfig, corpus: Corpus, device: str, ranks: Ranks = ALONE) -> Run:
    """Return a fresh run, or the one whose checkpoint lies in `config.out`."""
    torch.manual_seed(config.seed)
    network = make(config.kind, config.network).to(device)
    optimiser = optimisers.make(config.optimiser, network, config.learning_rate,
                                config.weight_decay, ranks)
    mean, deviation = SCALES[config.coefficients](corpus)
    run = Run(config.kind, network, deepcopy(network).requires_grad_(False), optimiser,
              mean.to(device), deviation.to(device), precision=config.precision,
              shown=config.shown)
    path = Path(config.out) / 'checkpoint.pt'
    if config.start_from and not path.exists():
        begun = origin(config.start_from, network)
        parameters = grown(begun.parameters, network)
        run.network.load_state_dict(parameters)
        run.average.load_state_dict(parameters)
        run.mean, run.deviation = begun.mean.to(device), begun.deviation.to(device)
    elif path.exists():
        saved = torch.load(path, map_location=device, weights_only=True)
        run.network.load_state_dict(saved['network'])
        run.average.load_state_dict(saved['average'])
        run.optimiser.load_state_dict(saved['optimiser'])
        run.mean, run.deviation = saved['mean'].to(device), saved['deviation'].to(device)
        run.step = saved['step']
    return run


def grown(parameters: dict[str, Tensor], network: torch.nn.Module) -> dict[str, Tensor]:
    """
    Return the parameters of a smaller network for a larger one; whatever else is missing stays so.

    New styles begin as the first, new blocks of the encoder pass on what they hear. What tells
    sounds (`TELLING`) is the network's own where it is new, left out where it is not wanted.
    """
    own = network.state_dict()
    kept = {name: value for name, value in parameters.items()
            if name in own or not name.startswith(TELLING)}
    if STYLE in kept and len(kept[STYLE]) < len(own[STYLE]):
        new = kept[STYLE][:1].expand(len(own[STYLE]) - len(kept[STYLE]), -1)
        kept[STYLE] = torch.cat([kept[STYLE], new])
    for name, value in own.items():
        if name not in kept and name.startswith((*TELLING, BLOCKS)):
            kept[name] = torch.zeros_like(value) if '.down.' in name else value
    return kept


def statistics(corpus: Corpus) -> tuple[Tensor, Tensor]:
    """Return mean and deviation (floor 0.02) of each weight over the training clips."""
    curves = np.concatenate([clip.curves[::5] for clip in corpus.training()]).astype(np.float32)
    deviation = np.maximum(curves.std(axis=0), 0.02)
    return torch.from_numpy(curves.mean(axis=0)), torch.from_numpy(deviation)


def unscaled(corpus: Corpus) -> tuple[Tensor, Tensor]:      # noqa: ARG001 - as `statistics`
    """Return a mean of 0 and a deviation of 1: coefficients that are the weights themselves."""
    return torch.zeros(len(rig.NAMES)), torch.ones(len(rig.NAMES))


SCALES = {'standardised': statistics, 'raw': unscaled}


def losses(run: Run, batch: Batch, device: str) -> dict[str, Tensor]:
    """Return the losses of one batch."""
    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(device)

    clean = (tensor(batch.clean) - run.mean) / run.deviation
    timesteps = tensor(batch.timesteps)
    noisy = noised(run.kind, clean, tensor(batch.noise), batch.timesteps)
    with mixed(device, run.precision):
        state = [part.to(device) for part in run.network.initial_state(len(clean))]
        heard, _ = run.network.listen(tensor(batch.features), state)
        cut = Cut(tensor(batch.times), tensor(batch.blocks), tensor(batch.horizons),
                  tensor(batch.token_times))
        style, contrasts = manner(run.network, batch, clean)
        condition = Condition(heard, *run.network.align(cut), style)
        predicted = run.network.denoise(noisy, timesteps, condition)
        told = what_sounds(run.network, batch, heard)
    predicted = predicted.float()
    moved = motion_losses(predicted, clean, run.mean, run.deviation, batch.fps, shown=run.shown)
    return {**moved, **contrasts, **told}


def what_sounds(network: Any, batch: Batch, heard: Tensor) -> dict[str, Tensor]:
    """Return the losses of telling what sounds, of a network that has been asked for it."""
    told = {}
    if batch.phones is not None and network.config.phones:
        phones = torch.from_numpy(batch.phones).to(heard.device)
        told['phones'] = phone_loss(network.classes(heard), phones)
    if batch.speech is not None and network.config.speech:
        speech = torch.from_numpy(batch.speech).to(heard.device)
        told['speech'] = speech_loss(network.speaks(heard), speech)
    return told


def update(run: Run, config: TrainConfig, batch: Batch, device: str, ranks: Ranks = ALONE,
           ) -> dict[str, float]:
    """Take one step, the same on every rank; return the losses of this rank's part."""
    parts = losses(run, batch, device)
    counts = {**shares(config), 'phones': config.phones, 'speech': config.speech}
    total = sum(share * parts[name] for name, share in counts.items() if name in parts)
    descend(run, total, rate=config.learning_rate * learning_rate_factor(run.step, config),
            average=config.average, ranks=ranks)
    found = torch.stack([value.detach() for value in parts.values()])
    return dict(zip(parts, found.tolist(), strict=True))


def descend(run: Run, total: Tensor, *, rate: float, average: float, ranks: Ranks = ALONE) -> None:
    """Make the loss `total` smaller; `rate` is that of learning, `average` the mean's decay."""
    for group in run.optimiser.param_groups:
        group['lr'] = rate
    run.optimiser.zero_grad(set_to_none=True)
    total.backward()
    ranks.agree(run.network)
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), 1.0)
    run.optimiser.step()
    run.step += 1
    decay = min(average, (1 + run.step) / (10 + run.step))
    with torch.no_grad():
        for slow, fast in zip(run.average.parameters(), run.network.parameters(), strict=True):
            slow.lerp_(fast, 1 - decay)


def shares(config: TrainConfig) -> dict[str, float]:
    """Return how much each loss counts."""
    return {'coefficient': 1.0, 'velocity': config.velocity, 'lip_gap': config.lip_gap,
            'seal': config.seal, 'closing': config.closing,
            **dict.fromkeys(('identity', 'emotion', 'face'), config.contrast)}


def learning_rate_factor(step: int, config: TrainConfig) -> float:
    """Return the share of the learning rate: linear warm-up, then half a cosine to 2 %."""
    if step < config.warm_up:
        return (step + 1) / config.warm_up
    part = (step - config.warm_up) / max(1, config.steps - config.warm_up)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, part)))


def open_corpus(config: TrainConfig) -> Corpus:
    """Return what is trained on, with the manners of its voices where they are given."""
    if config.voices:
        return load_voiced(config.corpus, config.voices)
    return load_corpus(config.corpus)


def check_styles(batch: BatchConfig, corpus: Corpus, network: torch.nn.Module) -> None:
    """Refuse to draw styles that the corpus does not have, or for which there is no place."""
    places = len(network.state_dict().get(STYLE, ()))
    if batch.style_share and not 1 < corpus.styles <= places:
        raise ValueError(f'style_share is {batch.style_share}: expected a corpus of 2 to {places} '
                         f'styles, as the network has; this one has {corpus.styles}')


def train(config: TrainConfig, *, device: str, ranks: Ranks = ALONE) -> Run:
    """Train to `config.steps`, from where the last checkpoint stands."""
    corpus = open_corpus(config)
    run = start(config, corpus, device, ranks)
    assert len(run.mean) == len(rig.NAMES)
    check_styles(config.batch, corpus, run.network)
    part = replace(config.told, size=ranks.share(config.batch.size))
    take_steps(run, config, lambda rng: update(run, config, draw(corpus, part, rng), device,
                                               ranks), ranks)
    return run


def main() -> None:
    """Read the configuration and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', type=Path, help='TOML file with the fields of TrainConfig')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    arguments = parser.parse_args()
    config = read_toml(TrainConfig, arguments.config)
    with joined(arguments.device) as (ranks, device):
        if ranks.leads:
            print(asdict(config))
        train(config, device=device, ranks=ranks)


if __name__ == '__main__':
    main()
