# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
The shipped bundle from nothing: `python -m model.stages WORK`.

Fetches the voices, speaks the corpus, animates it, trains every stage of `live` from the one
before, finishes the last and exports it. What is there already is not made again, so a run that
was stopped goes on; where WORK/corpus is there (say, of your own recordings, by `python -m
model.data`), it is taken.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
import json
from pathlib import Path
from typing import Final

import torch

from model import corpus, data
from model.export import export
from model.finish import finish
from model.settings import read_toml
from model.train import TrainConfig, train
from model.voice_packages import complete, fetch

CONFIGS: Final = Path(__file__).parent / 'configs'
STAGES: Final = ('live', 'live_settled', 'live_heard', 'live_closing', 'live_styles',
                 'live_rooms', 'live_speaks', 'live_further', 'live_deeper', 'live_longer',
                 'live_tongues', 'live_crowded')
SHARE: Final = 0.6              # of the way to the last stage, and
SEED: Final = 1                 # of the last touch: those of what ships


def plans(work: Path, share: float = 1.0) -> Iterator[TrainConfig]:
    """Yield the stages in `work`, each from the one before, with this share of their steps."""
    before = ''
    for name in STAGES:
        config = read_toml(TrainConfig, CONFIGS / f'{name}.toml')
        config = replace(config, corpus=str(work / 'corpus'), out=str(work / name),
                         start_from=before, steps=max(1, round(share * config.steps)))
        before = config.out
        yield config


def prepare(work: Path, recorded: Path, hours: float, workers: int) -> None:
    """Make the corpus in `work` from synthetic speech and what was `recorded`."""
    if (work / 'corpus' / 'clips.json').exists():
        return
    voices, speech = work / 'voices', work / 'speech'
    if not complete(voices):
        fetch(voices)
    corpus.build(corpus.BuildConfig(speech, voices, hours=hours, workers=workers))
    data.build(recorded, work / 'corpus', speech)


def main(argv: Sequence[str] | None = None) -> None:
    """Do whatever is left to do."""
    command = argparse.ArgumentParser('python -m model.stages', description=__doc__)
    command.add_argument('work', type=Path, help='folder of everything that is made')
    command.add_argument('--data', type=Path, default=Path('../shared/data'),
                         help='folder with grid_s1 and kokoro, or what there is of them')
    command.add_argument('--hours', type=float, default=corpus.BuildConfig.hours,
                         help='of synthetic speech to make')
    command.add_argument('--workers', type=int, default=2, help='processes that speak')
    command.add_argument('--share', type=float, default=1.0,
                         help='of the steps of every stage: 0.001 tries out whether all is there')
    command.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    arguments = command.parse_args(argv)
    prepare(arguments.work, arguments.data, arguments.hours, arguments.workers)
    stages = list(plans(arguments.work, arguments.share))
    for config in stages:
        train(config, device=arguments.device)
    finished = arguments.work / 'finished'
    if not (finished / 'checkpoint.pt').exists():
        finish(*(Path(config.out) for config in stages[-2:]), finished,
               data.load_corpus(arguments.work / 'corpus'), share=SHARE, seed=SEED)
    about = json.loads((CONFIGS / 'live.about.json').read_text())
    parity = export(finished, arguments.work / 'bundle', about)
    print(f'{arguments.work}/bundle: graphs and eager torch agree to {parity:.1e}')


if __name__ == '__main__':
    main()
