# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
The last touch: `python -m model.finish BEFORE RUN OUT --corpus CORPUS` writes the run that ships.

Its parameters lie half way between a run and the stage before it, which keeps what both can
(Wortsman et al. 2022, weights along the path of fine-tuning); its speech head is fitted on what
this network makes of streams in rooms (`model/train_detector.py`).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
import sys
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from avatar_bridge.audio.hearing import TOKEN
from model.batches import SPEECH_DELAY
from model.clip_sets import SAMPLE_RATE, Clip
from model.data import Corpus, load_corpus
from model.live_denoiser import SPEECH
from model.networks import KINDS, make
from model.offline import listened
from model.train_detector import Heard, fit, streams, talkers, to_say

SHARE: Final = 0.5              # of the later run


def halfway(before: dict[str, Tensor], after: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the parameters between two stages; what only the later one has is its own."""
    return {name: torch.lerp(before[name], value, SHARE) if name in before else value
            for name, value in after.items()}


def listen(network: Any, clip: Clip) -> Heard:
    """Return what the speech head sees of a stream, and what it should say."""
    with torch.inference_mode():
        seen = listened(network, clip.samples)[0, 0].numpy()
    times = (np.arange(len(seen)) + 1) * TOKEN / SAMPLE_RATE - SPEECH_DELAY
    return to_say(clip, seen, times)


def finish(before: Path, run: Path, out: Path, corpus: Corpus, seed: int = 0) -> None:
    """Write the checkpoint of the run that ships."""
    earlier, saved = (torch.load(folder / 'checkpoint.pt', map_location='cpu', weights_only=True)
                      for folder in (before, run))
    for scale in ('mean', 'deviation'):
        if not torch.equal(earlier[scale], saved[scale]):
            raise SystemExit(f'{before} and {run} differ in {scale}: not stages of one network')
    kept = {name: value for name, value in halfway(earlier['average'], saved['average']).items()
            if not name.startswith(SPEECH)}
    config = {**saved['config'], 'speech': False}
    network = make(saved['kind'], KINDS[saved['kind']].config(**config))
    network.load_state_dict(kept)
    network.eval()
    rng = np.random.default_rng(seed)
    head = fit([listen(network, clip) for clip in streams(talkers(corpus, rng), rng)], seed)
    told = {f'{SPEECH}{name}': value for name, value in head.state_dict().items()}
    out.mkdir(parents=True, exist_ok=True)
    torch.save({**saved, 'config': {**config, 'speech': True}, 'average': {**kept, **told}},
               out / 'checkpoint.pt')


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line and finish."""
    command = argparse.ArgumentParser('python -m model.finish', description=__doc__)
    command.add_argument('before', type=Path, help='the stage before')
    command.add_argument('run', type=Path, help='the last stage')
    command.add_argument('out', type=Path, help='a run to export')
    command.add_argument('--corpus', type=Path, required=True)
    command.add_argument('--seed', type=int, default=0)
    arguments = command.parse_args(argv)
    finish(arguments.before, arguments.run, arguments.out, load_corpus(arguments.corpus),
           arguments.seed)
    return 0


if __name__ == '__main__':
    sys.exit(main())
