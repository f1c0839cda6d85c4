# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The steps of a training run, whatever is trained: seeded, logged, saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import torch

from model.journal import Journal
from model.ranks import ALONE, Ranks


class Plan(Protocol):
    """What every training configuration says."""

    out: str                    # folder of the run
    steps: int
    seed: int
    checkpoint_every: int
    threads: int


class Trained(Protocol):
    """What a checkpoint holds."""

    step: int

    def state(self) -> dict[str, object]:
        """Return everything that the next step depends on."""
        ...


PRECISIONS: Final = ('auto', 'float32', 'bfloat16')
Step = Callable[[np.random.Generator], Mapping[str, float]]


def take_steps(run: Trained, plan: Plan, step: Step, ranks: Ranks = ALONE) -> None:
    """
    Take steps from where the run stands to `plan.steps`; every so many, save it.

    `step` gets a generator to draw its batch with, advances `run.step` and returns its figures.
    That generator and torch's own follow from (seed, step, rank) alone, so a run resumed from a
    checkpoint is, bit for bit, the run that was never stopped.
    """
    torch.set_num_threads(plan.threads)
    out = Path(plan.out)
    if not ranks.leads:
        while run.step < plan.steps:
            step(seeded(plan.seed, run.step, ranks))
        return
    out.mkdir(parents=True, exist_ok=True)
    with Journal(out, first=run.step, last=plan.steps) as journal:
        while (number := run.step) < plan.steps:
            journal.write(number, step(seeded(plan.seed, number, ranks)))
            if run.step % plan.checkpoint_every == 0 or run.step == plan.steps:
                journal.flush()
                save(run, out)


def mixed(device: str, precision: str) -> AbstractContextManager[object]:
    """Return the context of matrix work in `precision`; `auto` is bfloat16 on a GPU alone."""
    kind = torch.device(device).type
    if precision not in PRECISIONS:
        raise ValueError(f'precision {precision!r}, expected one of {", ".join(PRECISIONS)}')
    half = precision == 'bfloat16' or (precision == 'auto' and kind == 'cuda')
    return torch.autocast(kind, torch.bfloat16) if half else nullcontext()


def seeded(seed: int, step: int, ranks: Ranks) -> np.random.Generator:
    """Return a generator for one step of one rank, and seed torch's (dropout) likewise."""
    rng = np.random.default_rng([seed, step, ranks.index])
    torch.manual_seed(int(np.random.default_rng([seed, step, ranks.index, 1]).integers(2**63)))
    return rng


def save(run: Trained, out: Path) -> None:
    """Write the checkpoint so that a crash leaves the old one whole."""
    partial = out / 'checkpoint.partial'
    torch.save(run.state(), partial)
    partial.replace(out / 'checkpoint.pt')
