# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
The systems side by side: `python -m model.compare OUT` trains each on the same data and budget.

Every system sees as many excerpts of the same corpus, with three seeds, at about a million
parameters; what distils a trained network starts from it. The bundles are OUT/bundles/NAME@SEED,
judged by `python -m model.evaluate OUT/bundles/*`. A stopped comparison goes on where it was.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Final

from model import export_codes, personalisation, train_codebook, train_query, voice_styles
from model.batches import BatchConfig
from model.biased_denoiser import BiasedConfig
from model.code_query import QueryConfig
from model.codebook import CodebookConfig
from model.distill import DistillConfig, distil
from model.export import export
from model.live_denoiser import LiveConfig
from model.talker_denoiser import TalkerConfig
from model.train import TrainConfig, train

SIZES: Final = {'width': 128, 'heads': 4, 'layers': 2, 'feed_forward': 320, 'encoder_blocks': 4}
OURS: Final = {'lip_gap': 1.0, 'seal': 1.0, 'closing': 1.0}        # losses of our own
BATCH: Final = BatchConfig(size=16, seconds=1.6, grid_share=0.5)
STEPS: Final = 1500
HALVED: Final = (8, 4, 2, 1)    # steps of the students of halving
DISTILLING: Final = 300         # more of them, for the networks that learn to do with few steps
PERSONAL: Final = 3             # times as many, where who speaks is to be learnt too
DATA: Final = [
    {'name': 'GRID audiovisual corpus, talker s1, training clips (Cooke et al. 2006)',
     'licence': 'CC-BY-4.0'},
    {'name': 'synthetic speech of Kokoro-82M voices with teacher curves', 'licence': 'Apache-2.0'},
]


@dataclass(frozen=True)
class Workshop:
    """Where one seed of the comparison lies, and what every run of it is told."""

    out: Path
    corpus: str
    seed: int

    @property
    def plan(self) -> dict[str, Any]:
        """Return what every training run is told."""
        return {'corpus': self.corpus, 'seed': self.seed, 'steps': STEPS, 'threads': 1,
                'checkpoint_every': 100, 'batch': BATCH}

    @property
    def trained(self) -> dict[str, Any]:
        """Return what a run is told that trains a denoiser."""
        return {**self.plan, 'learning_rate': 1e-3, 'warm_up': 50, 'average': 0.99}

    @property
    def distilled(self) -> dict[str, Any]:
        """Return what a run is told that distils one."""
        return {**self.plan, 'steps': DISTILLING, 'average': 0.97}

    def voices(self, manner: str) -> str:
        """Return the file of who speaks: each in a manner of `model.voice_styles`."""
        path = self.out / f'voices_{manner}.json'
        if not path.exists():
            self.out.mkdir(parents=True, exist_ok=True)
            voice_styles.build(Path(self.corpus), [Path('../shared/data/kokoro')], path, manner)
        return str(path)

    def enrol(self, name: str, manner: str) -> None:
        """Give a run the library of the voices that it was trained with."""
        corpus = voice_styles.load_voiced(self.corpus, self.voices(manner))
        personalisation.write_library(Path(self.run(name)),
                                      personalisation.library_voices(corpus))

    def run(self, name: str) -> str:
        """Return the folder of a training run."""
        return str(self.out / 'runs' / f'{name}@{self.seed}')

    def ship(self, name: str, write: Callable[..., float] = export, **more: object) -> None:
        """Export a run as the bundle of its name; its manifest says `more`."""
        about = {'name': name, 'version': '0', 'styles': ['neutral'], 'data': DATA,
                 'languages': ['en', 'es', 'it', 'pt'], 'licence': 'Apache-2.0', **more}
        write(Path(self.run(name)), self.out / 'bundles' / f'{name}@{self.seed}', about)


def live(shop: Workshop) -> None:
    """Train our own network."""
    batch = replace(BATCH, blank_share=1.0, even_share=0.3)     # it is never handed its past
    train(TrainConfig(out=shop.run('live'), live=LiveConfig(**SIZES), **OURS,
                      **{**shop.trained, 'batch': batch}), device='cpu')
    shop.ship('live', steps=[1, 50])            # to compare with; more than 8 are of no use


def live_and_students(shop: Workshop) -> None:
    """Train our own network, then teach it few steps by each method."""
    live(shop)
    told = {**shop.distilled, **OURS}
    for method in ('shortcut', 'consistency'):
        distil(DistillConfig(out=shop.run(f'live_{method}'), start_from=shop.run('live'),
                             method=method, shortcut_share=0.5, **told), device='cpu')
        shop.ship(f'live_{method}')
    teacher, told['steps'] = 'live', DISTILLING // len(HALVED)
    for steps in HALVED:                        # each student is the next one's teacher
        student = f'live_halving{steps}'
        distil(DistillConfig(out=shop.run(student), start_from=shop.run(teacher), finest=2 * steps,
                             coarsest=steps, method='halving', **told), device='cpu')
        shop.ship(student)
        teacher = student


def regression(shop: Workshop) -> None:
    """Train the deterministic baseline: our trunk and our losses, no noise."""
    train(TrainConfig(out=shop.run('regression'), kind='regression', **OURS,
                      regression=LiveConfig(**SIZES), **shop.trained), device='cpu')
    shop.ship('regression')


def diffspeaker(coefficients: str, shop: Workshop) -> None:
    """Train DiffSpeaker's network: one layer, pose and velocity, one noise time for a window."""
    name = 'diffspeaker' if coefficients == 'standardised' else f'diffspeaker_{coefficients}'
    batch = replace(BATCH, noise_times='window')
    train(TrainConfig(out=shop.run(name), kind='diffspeaker', coefficients=coefficients,
                      diffspeaker=BiasedConfig(**{**SIZES, 'layers': 1}), velocity=1.0,
                      lip_gap=0.0, **{**shop.trained, 'batch': batch}), device='cpu')
    shop.ship(name)


def diffusiontalker(manner: str, shop: Workshop) -> None:
    """
    Train DiffusionTalker's teacher and halve its 16 steps to 2.

    In the manner `teacher` all voices move alike, as for every system here, so that truths are
    the same. Manners of their `own` are for `model.personalisation judge`, and the one talker
    of real recordings is a small part of them.
    """
    name, longer, real = 'diffusiontalker', 1, BATCH.grid_share
    if manner == 'own':
        name, longer, real = 'diffusiontalker_own', PERSONAL, 0.2
    batch, teacher = replace(BATCH, voice_seconds=3.0, grid_share=real), f'{name}_teacher'
    train(TrainConfig(out=shop.run(teacher), kind='diffusiontalker', voices=shop.voices(manner),
                      diffusiontalker=TalkerConfig(**SIZES),
                      **{**shop.trained, 'steps': longer * STEPS, 'batch': batch}),
          device='cpu')
    distil(DistillConfig(out=shop.run(name), start_from=shop.run(teacher), method='halving',
                         voices=shop.voices(manner), finest=16, coarsest=2, contrast=0.1,
                         audio=0.1, **{**shop.distilled, 'steps': longer * DISTILLING,
                                       'batch': batch}), device='cpu')
    for run in (teacher, name):
        shop.enrol(run, manner)
        shop.ship(run)


def codetalker(shop: Workshop) -> None:
    """Train CodeTalker's codebook, then what says its codes."""
    codebook = shop.run('codebook')
    train_codebook.train(train_codebook.CodebookTrainConfig(
        out=codebook, network=CodebookConfig(width=128, blocks=3),
        **shop.plan), device='cpu')
    train_query.train(train_query.QueryTrainConfig(
        out=shop.run('codetalker'), codebook=codebook, network=QueryConfig(**SIZES),
        **shop.plan), device='cpu')
    shop.ship('codetalker', export_codes.export)


SYSTEMS: Final[dict[str, Callable[[Workshop], None]]] = {
    'regression': regression,
    'diffspeaker': partial(diffspeaker, 'standardised'),
    'diffspeaker_raw': partial(diffspeaker, 'raw'),
    'diffusiontalker': partial(diffusiontalker, 'teacher'),
    'diffusiontalker_own': partial(diffusiontalker, 'own'),
    'codetalker': codetalker,
    'live': live_and_students,
    'live_alone': live,
}
DEFAULT: Final = [name for name in SYSTEMS if name != 'live_alone']     # it is a part of `live`


def make(name: str, shop: Workshop) -> None:
    """Train and export one system."""
    SYSTEMS[name](shop)


def jobs(arguments: argparse.Namespace) -> Iterator[tuple[str, Workshop]]:
    """Yield what is to be made, the first seed of every system first."""
    for seed, name in product(arguments.seeds, arguments.system or DEFAULT):
        yield name, Workshop(arguments.out, arguments.corpus, seed)


def main() -> None:
    """Read the command line and train what is wanted."""
    command = argparse.ArgumentParser('python -m model.compare', description=__doc__)
    command.add_argument('out', type=Path, help='folder of runs and bundles')
    command.add_argument('--corpus', default='runs/corpus', help='cache of python -m model.data')
    command.add_argument('--seeds', type=int, nargs='+', default=[1, 2, 3])
    command.add_argument('--system', action='append', choices=SYSTEMS,
                         help='only this one; repeatable')
    command.add_argument('--workers', type=int, default=1, help='processes, a core each')
    arguments = command.parse_args()
    with ProcessPoolExecutor(arguments.workers) as pool:
        for done in [pool.submit(make, *job) for job in jobs(arguments)]:
            done.result()


if __name__ == '__main__':
    main()
