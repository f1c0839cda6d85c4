# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Every system at toy size, from corpus to table: `python -m model.smoke OUT`.

Makes a corpus, trains, distils, exports and judges each system as in earnest, in a minute or two.
Fails where a loss does not fall, a figure is not finite or a bundle does not stream.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import csv
from dataclasses import dataclass
import json
from pathlib import Path
import sys
import time
from typing import Any, Final

import numpy as np

from avatar_bridge.bundle import load_bundle
from avatar_bridge.config import EngineConfig
from model import data, evaluate, toy_speech, voice_styles
from model.batches import BatchConfig
from model.biased_denoiser import BiasedConfig
from model.clip_sets import bundled_speech
from model.costs import costs
from model.export import export
from model.live_denoiser import LiveConfig
from model.score_table import COSTS, QUALITY, Row, markdown
from model.train import TrainConfig, train

SIZES: Final = {'width': 48, 'heads': 4, 'layers': 1, 'feed_forward': 64, 'encoder_blocks': 2}
BATCH: Final = BatchConfig(size=8, seconds=1.2, lead_in=0.32)
STEPS: Final = 60
FELL: Final = 0.9               # of the first losses: the last ones must be below
ALIKE: Final = 1e-4             # a weight may differ so much with the blocks that samples come in
HEARD: Final = 24000            # samples of the bundled speech that costs are measured on
ALWAYS: Final = ('correlation', 'lve', 'fdd', 'mve', 'jitter', 'rtf', 'parity', 'megabytes')


@dataclass(frozen=True)
class Workshop:
    """Where everything lies."""

    out: Path

    @property
    def plan(self) -> dict[str, Any]:
        """Return what every training run is told."""
        return {'corpus': str(self.out / 'corpus'), 'steps': STEPS, 'warm_up': 10,
                'learning_rate': 3e-3, 'average': 0.9, 'checkpoint_every': STEPS, 'threads': 1,
                'batch': BATCH}

    def run(self, name: str) -> Path:
        """Return the folder of a training run."""
        return self.out / 'runs' / name

    def bundle(self, name: str) -> Path:
        """Return the folder of a bundle."""
        return self.out / 'bundles' / name


def make_corpus(shop: Workshop) -> None:
    """Babble, the teacher's face for it, and a manner for each voice."""
    toy_speech.write(shop.out / 'data' / 'kokoro', clips=16, held_out=3)
    data.build(shop.out / 'data', shop.out / 'corpus')
    voice_styles.build(shop.out / 'corpus', [shop.out / 'data' / 'kokoro'],
                       shop.out / 'voices.json')


def denoiser(shop: Workshop, kind: str, sizes: Any, **changes: Any) -> None:
    """Train and export one of `model.networks.KINDS`."""
    config = TrainConfig(out=str(shop.run(kind)), kind=kind, **{kind: sizes}, **shop.plan,
                         **changes)
    train(config, device='cpu')
    export(shop.run(kind), shop.bundle(kind), about(kind))


def about(name: str) -> Row:
    """Return what a manifest says of where a bundle comes from."""
    return {'name': name, 'version': '0', 'styles': ['neutral'], 'languages': ['en'], 'data': [],
            'licence': 'Apache-2.0'}


def live(shop: Workshop) -> None:
    """Make our own network."""
    denoiser(shop, 'live', LiveConfig(**SIZES))


def regression(shop: Workshop) -> None:
    """Make the deterministic baseline."""
    denoiser(shop, 'regression', LiveConfig(**SIZES))


def diffspeaker(shop: Workshop) -> None:
    """Make DiffSpeaker's network."""
    denoiser(shop, 'diffspeaker', BiasedConfig(**SIZES))


#: What makes a system, and the sampler steps to judge it at.
SYSTEMS: Final[dict[str, tuple[Callable[[Workshop], None], str]]] = {
    'live': (live, '1,2'), 'regression': (regression, '1'), 'diffspeaker': (diffspeaker, '4'),
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
    found = [f'{log.parent.name}: its loss did not fall' for log in sorted(
        shop.out.glob('runs/*/log.csv')) if not fell(log)]
    for row, rest in zip(quality, expense, strict=True):
        who, figures = f'{row["model"]} in {row["steps"]} steps', {**row, **rest}
        found += [f'{who}: {key} is {figures.get(key)}' for key in ALWAYS
                  if not np.isfinite(figures.get(key, np.nan))]
        if not rest['parity'] < ALIKE:
            found.append(f'{who}: streams otherwise in other blocks, by {rest["parity"]:.1e}')
    return found


def fell(log: Path) -> bool:
    """Tell whether a run ended with less of its first loss than it began with."""
    with log.open(newline='') as file:
        losses = [float(row[1]) for row in list(csv.reader(file))[1:]]
    tenth = max(1, len(losses) // 10)
    return float(np.mean(losses[-tenth:])) < FELL * float(np.mean(losses[:tenth]))


def smoke(out: Path, names: list[str]) -> list[str]:
    """Make and judge the systems; print the tables; return what is wrong."""
    shop, quality, expense = Workshop(out), [], []
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
    (out / 'figures.json').write_text(json.dumps({'rows': quality, 'costs': expense}, indent=1))
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
    found = smoke(arguments.out, arguments.system or list(SYSTEMS))
    for fault in found:
        print(f'smoke: {fault}', file=sys.stderr)
    return int(bool(found))


if __name__ == '__main__':
    sys.exit(main())
