# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Every system at toy size, from corpus to table: `python -m model.smoke OUT`.

Makes a corpus, trains, distils, exports and judges each system as in earnest, in a minute or two.
Fails where a loss does not fall (or a student forgets what its teacher knew), a figure is not
finite or a bundle does not stream.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import csv
from dataclasses import dataclass, replace
import json
from pathlib import Path
import sys
import time
from typing import Any, Final

import numpy as np

from avatar_bridge.bundle import load_bundle
from avatar_bridge.config import EngineConfig
from model import (
    data,
    evaluate,
    export_codes,
    personalisation,
    toy_speech,
    train_codebook,
    train_query,
    voice_styles,
)
from model.batches import BatchConfig
from model.biased_denoiser import BiasedConfig
from model.clip_sets import bundled_speech
from model.code_query import QueryConfig
from model.codebook import CodebookConfig
from model.costs import costs
from model.distill import DistillConfig, distil
from model.export import export
from model.live_denoiser import LiveConfig
from model.score_table import COSTS, QUALITY, Row, markdown
from model.talker_denoiser import TalkerConfig
from model.train import TrainConfig, train

SIZES: Final = {'width': 48, 'heads': 4, 'layers': 1, 'feed_forward': 64, 'encoder_blocks': 2}
#: A clear sound: a few steps of a few excerpts must show that something is learnt.
BATCH: Final = BatchConfig(size=6, seconds=1.0, lead_in=0.32, deaf_share=0.0, noise_share=0.0)
STEPS: Final = 30
#: Of the first losses: the last ones must be below. A student begins as its teacher.
LIMITS: Final = {'runs': 0.9, 'students': 1.5}
ALIKE: Final = 1e-4             # a weight may differ so much with the blocks that samples come in
HEARD: Final = 16000            # samples of the bundled speech that costs are measured on
ALWAYS: Final = ('correlation', 'lve', 'fdd', 'mve', 'jitter', 'rtf', 'parity', 'megabytes')


@dataclass(frozen=True)
class Workshop:
    """Where everything lies."""

    out: Path
    backends: tuple[str, ...] = ('onnx', 'torch')

    @property
    def plan(self) -> dict[str, Any]:
        """Return what every training run is told."""
        return {'corpus': str(self.out / 'corpus'), 'steps': STEPS, 'warm_up': 10,
                'learning_rate': 3e-3, 'checkpoint_every': STEPS, 'threads': 1, 'batch': BATCH}

    @property
    def voiced(self) -> dict[str, Any]:
        """Return what a run is told that hears who speaks."""
        return {**self.plan, 'voices': str(self.out / 'voices.json'),
                'batch': replace(BATCH, voice_seconds=1.0)}

    def run(self, name: str) -> Path:
        """Return the folder of a training run."""
        return self.out / 'runs' / name

    def student(self, name: str) -> Path:
        """Return the folder of a distillation."""
        return self.out / 'students' / name

    def bundle(self, name: str) -> Path:
        """Return the folder of a bundle."""
        return self.out / 'bundles' / name

    def about(self, name: str) -> Row:
        """Return what a manifest says of where a bundle comes from."""
        return {'name': name, 'version': '0', 'styles': ['neutral'], 'languages': ['en'],
                'data': [], 'licence': 'Apache-2.0'}


def make_corpus(shop: Workshop) -> None:
    """Babble, the teacher's face for it, and a manner for each voice."""
    toy_speech.write(shop.out / 'data' / 'kokoro', clips=16, held_out=2)
    data.build(shop.out / 'data', shop.out / 'corpus')
    voice_styles.build(shop.out / 'corpus', [shop.out / 'data' / 'kokoro'],
                       shop.out / 'voices.json')


def live(shop: Workshop) -> None:
    """Train our own network, teach it shortcuts, export it."""
    train(TrainConfig(out=str(shop.run('live')), live=LiveConfig(**SIZES), average=0.9,
                      **shop.plan), device='cpu')
    distil(DistillConfig(out=str(shop.student('live')), start_from=str(shop.run('live')),
                         method='shortcut', average=0.9, **shop.plan), device='cpu')
    export(shop.student('live'), shop.bundle('live'), shop.about('live'), shop.backends)


def regression(shop: Workshop) -> None:
    """Train and export the deterministic baseline."""
    train(TrainConfig(out=str(shop.run('regression')), kind='regression', average=0.9,
                      regression=LiveConfig(**SIZES), **shop.plan), device='cpu')
    export(shop.run('regression'), shop.bundle('regression'), shop.about('regression'),
           shop.backends)


def diffspeaker(shop: Workshop) -> None:
    """Train and export DiffSpeaker's network."""
    train(TrainConfig(out=str(shop.run('diffspeaker')), kind='diffspeaker', average=0.9,
                      diffspeaker=BiasedConfig(**SIZES), **shop.plan), device='cpu')
    export(shop.run('diffspeaker'), shop.bundle('diffspeaker'), shop.about('diffspeaker'),
           shop.backends)


def diffusiontalker(shop: Workshop) -> None:
    """Train DiffusionTalker's teacher, halve its steps to 2, enrol voices, export the student."""
    teacher, student = shop.run('diffusiontalker'), shop.student('diffusiontalker')
    train(TrainConfig(out=str(teacher), kind='diffusiontalker', average=0.9,
                      diffusiontalker=TalkerConfig(**SIZES), **shop.voiced), device='cpu')
    distil(DistillConfig(out=str(student), start_from=str(teacher), method='halving', finest=4,
                         coarsest=2, contrast=0.1, audio=0.1, average=0.9, **shop.voiced),
           device='cpu')
    corpus = voice_styles.load_voiced(shop.out / 'corpus', shop.out / 'voices.json')
    personalisation.write_library(student, personalisation.library_voices(corpus))
    export(student, shop.bundle('diffusiontalker'), shop.about('diffusiontalker'), shop.backends)


def codetalker(shop: Workshop) -> None:
    """Train CodeTalker's codebook, then what says its codes, and export both."""
    codebook, run = shop.run('codetalker_codebook'), shop.run('codetalker')
    train_codebook.train(train_codebook.CodebookTrainConfig(
        out=str(codebook), network=CodebookConfig(width=32, blocks=1, codebook_size=32),
        **shop.plan), device='cpu')
    train_query.train(train_query.QueryTrainConfig(
        out=str(run), codebook=str(codebook), own_from=STEPS // 2, average=0.9,
        network=QueryConfig(**SIZES), **shop.plan), device='cpu')
    export_codes.export(run, shop.bundle('codetalker'), shop.about('codetalker'), shop.backends)


#: What makes a system, and the sampler steps to judge it at.
SYSTEMS: Final[dict[str, tuple[Callable[[Workshop], None], str]]] = {
    'live': (live, '1,2'), 'regression': (regression, '1'), 'diffspeaker': (diffspeaker, '4'),
    'diffusiontalker': (diffusiontalker, '2'), 'codetalker': (codetalker, '1'),
}


def judged(shop: Workshop, name: str, steps: str) -> tuple[list[Row], list[Row]]:
    """Return the rows of quality and of costs of a bundle."""
    arguments = evaluate.parser().parse_args([
        str(shop.bundle(name)), '--data', str(shop.out / 'data'), '--set', 'kokoro', '--fps', '30',
        '--only', 'quality', '--steps', steps])
    quality = [row for row in evaluate.evaluate(arguments).quality if row['model'] == name]
    bundle, speech = load_bundle(shop.bundle(name)), bundled_speech().samples[:HEARD]
    expense = [{'model': name, 'steps': row['steps'],
                **costs(bundle, EngineConfig(fps=arguments.fps, steps=row['steps']), speech)}
               for row in quality]
    return quality, expense


def faults(shop: Workshop, quality: list[Row], expense: list[Row]) -> list[str]:
    """Return what is wrong, a line each."""
    found = [f'{log.relative_to(shop.out).parent}: its loss did not fall'
             for folder, limit in LIMITS.items()
             for log in sorted(shop.out.glob(f'{folder}/*/log.csv')) if not fell(log, limit)]
    for row, rest in zip(quality, expense, strict=True):
        who, figures = f'{row["model"]} in {row["steps"]} steps', {**row, **rest}
        found += [f'{who}: {key} is {figures.get(key)}' for key in ALWAYS
                  if not np.isfinite(figures.get(key, np.nan))]
        if not rest['parity'] < ALIKE:
            found.append(f'{who}: streams otherwise in other blocks, by {rest["parity"]:.1e}')
    return found


def fell(log: Path, limit: float) -> bool:
    """Tell whether the first loss of a run ended below `limit` of what it began with."""
    with log.open(newline='') as file:
        losses = [float(row[1]) for row in list(csv.reader(file))[1:]]
    fifth = max(1, len(losses) // 5)
    return float(np.mean(losses[-fifth:])) < limit * float(np.mean(losses[:fifth]))


def smoke(shop: Workshop, names: list[str]) -> list[str]:
    """Make and judge the systems; print the tables; return what is wrong."""
    quality: list[Row] = []
    expense: list[Row] = []
    began = time.perf_counter()
    make_corpus(shop)
    for name in names:
        make, steps = SYSTEMS[name]
        make(shop)
        rows = judged(shop, name, steps)
        quality += rows[0]
        expense += rows[1]
        print(f'{name}: after {time.perf_counter() - began:.0f} s', file=sys.stderr)
    print(markdown(quality, QUALITY), markdown(expense, COSTS), sep='\n\n')
    figures = {'rows': quality, 'costs': expense}
    (shop.out / 'figures.json').write_text(json.dumps(figures, indent=1))
    return faults(shop, quality, expense)


def main() -> int:
    """Read the command line; 1 where something is wrong."""
    command = argparse.ArgumentParser('python -m model.smoke', description=__doc__)
    command.add_argument('out', type=Path, help='a folder that is new')
    command.add_argument('--system', action='append', choices=SYSTEMS,
                         help='only this one; repeatable')
    arguments = command.parse_args()
    if arguments.out.exists():
        command.error(f'{arguments.out} is there already: expected the name of a new folder')
    found = smoke(Workshop(arguments.out), arguments.system or list(SYSTEMS))
    for fault in found:
        print(f'smoke: {fault}', file=sys.stderr)
    return int(bool(found))


if __name__ == '__main__':
    sys.exit(main())
