# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""A training corpus that is written in no time, and networks that are trained in little."""

from contextlib import suppress
from dataclasses import fields, replace
import json

import numpy as np

from model.batches import BatchConfig, draw
from model.data import Entry
from model.loop import take_steps
from model.networks import KINDS
from model.ranks import ALONE
from model.train import TrainConfig, open_corpus, start, update

SIZES = {'width': 48, 'heads': 4, 'layers': 1, 'feed_forward': 64, 'encoder_blocks': 1}
BATCH = BatchConfig(size=4, seconds=0.8, lead_in=0.2)


def write_corpus(folder):
    """Write a cache of six clips whose jaw follows bursts of noise, of three voices."""
    rng, entries, audio, curves = np.random.default_rng(0), [], [], []
    for index in range(6):
        level = np.repeat(rng.random(20) > 0.5, 10).astype(np.float32)
        audio.append((8000 * np.repeat(level, 160) * rng.standard_normal(32000)).clip(
            -32000, 32000).astype(np.int16))
        curves.append(np.outer(level, np.linspace(0.1, 0.5, 52)).astype(np.float16))
        entries.append(Entry(str(index), ('kokoro', 'grid')[index % 2], 'train', 'v', 'en',
                             32000 * index, 32000, 200 * index, 200))
    np.concatenate(audio).tofile(folder / 'audio.i16')
    np.concatenate(curves).tofile(folder / 'curves.f16')
    (folder / 'clips.json').write_text(json.dumps(entries))
    (folder / 'voices.json').write_text(json.dumps({'format': 1, 'clips': {
        entry.id: {'voice': f'v{index % 3}', 'split': 'train', 'manner': [0.5, 0.0, -0.5, 0.2]}
        for index, entry in enumerate(entries)}}))
    return folder


def tiny(kind):
    """Return the smallest network of a kind that learns something."""
    config = KINDS[kind].config
    known = {field.name for field in fields(config)}
    return config(**{name: value for name, value in SIZES.items() if name in known})


def plan(corpus, out, kind='live', **changes):
    """Return the configuration of a short training run."""
    values = {'corpus': str(corpus), 'out': str(out), 'steps': 6, 'warm_up': 2,
              'checkpoint_every': 3, 'threads': 1, 'kind': kind, kind: tiny(kind),
              'batch': BATCH, **changes}
    if kind == 'diffusiontalker':       # which hears who speaks
        values |= {'voices': str(corpus / 'voices.json'),
                   'batch': replace(BATCH, voice_seconds=1.0)}
    return TrainConfig(**values)


class Stopped(Exception):
    """A run was broken off."""


def stop():
    raise Stopped


def train_until(step, config, ranks=ALONE, end=stop):
    """Train, and call `end` where `step` would begin."""
    corpus = open_corpus(config)
    run = start(config, corpus, 'cpu', ranks)
    part = replace(config.batch, size=ranks.share(config.batch.size))

    def take(rng):
        if run.step == step:
            end()
        return update(run, config, draw(corpus, part, rng), 'cpu', ranks)

    with suppress(Stopped):
        take_steps(run, config, take, ranks)
