# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
The last touch: `python -m model.finish BEFORE RUN OUT --corpus CORPUS` writes the run that ships.

Its parameters are those of the run, or `--share` of the way there from the stage before it: that
keeps what both can (Wortsman et al. 2022, weights along the path of fine-tuning), and blocks that
only the run has say that share of what they learnt. Its speech head is fitted on what this network
makes of streams in rooms (`model/train_detector.py`).
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
from tqdm import trange

from avatar_bridge.audio.hearing import TOKEN
from model.batches import SPEECH_DELAY
from model.clip_sets import SAMPLE_RATE, Clip
from model.data import Corpus, load_corpus
from model.live_denoiser import SPEECH, speech_head
from model.networks import KINDS, make
from model.offline import listened
from model.origin import origin
from model.train import grown
from model.train_detector import Heard, streams, talkers, to_say

STREAMS: Final = 800            # by which the head is fitted
STEPS: Final = 3000
BATCH: Final = 4096             # tokens


def between(before: dict[str, Tensor], after: dict[str, Tensor], share: float,
            ) -> dict[str, Tensor]:
    """Return the parameters `share` of the way from one stage of a network to another."""
    return {name: torch.lerp(before[name], value, share) for name, value in after.items()}


def listen(network: Any, clip: Clip) -> Heard:
    """Return what the speech head sees of a stream, and what it should say."""
    with torch.inference_mode():
        seen = listened(network, clip.samples)[0, 0].numpy()
    times = (np.arange(len(seen)) + 1) * TOKEN / SAMPLE_RATE - SPEECH_DELAY
    return to_say(clip, seen, times)


def fit(heard: Sequence[Heard], seed: int) -> torch.nn.Sequential:
    """Return a network that tells speech, by cross entropy."""
    torch.manual_seed(seed)
    seen = torch.from_numpy(np.concatenate([one.seen[one.counts] for one in heard])).float()
    truth = torch.from_numpy(np.concatenate([one.speech[one.counts] for one in heard])).float()
    model = speech_head(seen.shape[1])
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in trange(STEPS, desc='training', disable=None):
        chosen = torch.randint(len(seen), (BATCH,))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            model(seen[chosen])[:, 0], truth[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model


def finish(before: Path, run: Path, out: Path, corpus: Corpus, *, share: float = 1.0,
           seed: int = 0) -> None:
    """Write the checkpoint of the run that ships."""
    saved = torch.load(run / 'checkpoint.pt', map_location='cpu', weights_only=True)
    config = {**saved['config'], 'speech': False}
    network = make(saved['kind'], KINDS[saved['kind']].config(**config))
    network.load_state_dict(grown(saved['average'], network))
    earlier = origin(before, network)
    for scale in ('mean', 'deviation'):
        if not torch.equal(getattr(earlier, scale), saved[scale]):
            raise SystemExit(f'{before} and {run} differ in {scale}: not stages of one network')
    kept = between(grown(earlier.parameters, network), network.state_dict(), share)
    network.load_state_dict(kept)
    network.eval()
    rng = np.random.default_rng(seed)
    head = fit([listen(network, clip) for clip in streams(talkers(corpus, rng), STREAMS, rng)],
               seed)
    told = {f'{SPEECH}{name}': value for name, value in head.state_dict().items()}
    out.mkdir(parents=True, exist_ok=True)
    torch.save({**saved, 'config': {**config, 'speech': True}, 'average': {**kept, **told}},
               out / 'checkpoint.pt')


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line and finish."""
    command = argparse.ArgumentParser('python -m model.finish', description=__doc__)
    command.add_argument('before', type=Path, help='the stage before, or a bundle of it')
    command.add_argument('run', type=Path, help='the last stage')
    command.add_argument('out', type=Path, help='a run to export')
    command.add_argument('--corpus', type=Path, required=True)
    command.add_argument('--share', type=float, default=1.0,
                         help='how far from the stage before to the last, 0.5 for half way')
    command.add_argument('--seed', type=int, default=0)
    arguments = command.parse_args(argv)
    finish(arguments.before, arguments.run, arguments.out, load_corpus(arguments.corpus),
           share=arguments.share, seed=arguments.seed)
    return 0


if __name__ == '__main__':
    sys.exit(main())
