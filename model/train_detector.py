# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Train the speech detector: `python -m model.train_detector DATA` writes its parameters.

Talkers of GRID's training clips and Kokoro's training voices, one behind the other, in rooms of
all kinds and at all levels; a piece of 10 ms is speech where a word or a phone is said. Whoever
talks in the background is no speech. A minute on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
import json
from pathlib import Path
import sys
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
import torch
from tqdm import trange

from avatar_bridge.stream import speech
from model import augment
from model.clip_sets import SAMPLE_RATE, Clip, read_audio
from model.data import kokoro_phones
from model.grid import GridCorpus
from model.phones import SILENCE
from model.room_sets import BACKGROUNDS, alone, behind, heard_as
from model.voices import HELD_OUT_VOICES

Array = NDArray[np.float64]
Generator = np.random.Generator

PARAMETERS: Final = Path(__file__).parents[1] / 'avatar_bridge/assets/speech_detector.npz'
CLIPS: Final = 150              # of each corpus
STREAMS: Final = 260
SECONDS: Final = 10             # of a stream
HIDDEN: Final = (32, 16)
EPOCHS: Final = 14
BATCH: Final = 4096
EDGE: Final = 3                 # pieces around a word's ends that count for nothing
LEVELS: Final = (-45.0, 0.0)    # dBFS of a stream's peak
DECIBELS: Final = (3.0, 25.0)   # of the speech over its background
ALONE: Final = 0.25             # share of the backgrounds before which nobody speaks


class Heard(NamedTuple):
    """What the network sees of a stream, and what it should say."""

    seen: Array                 # (n, inputs)
    speech: NDArray[np.bool_]   # (n,)
    counts: NDArray[np.bool_]   # (n,) False near the ends of words


def talkers(data: Path, rng: Generator) -> list[Clip]:
    """Return training clips with the times at which somebody speaks."""
    grid = GridCorpus(data / 'grid_s1')
    names = rng.permutation([clip.id for clip in grid.training()])[:CLIPS]
    clips = [Clip(name, read_audio(grid.audio(name)),
                  tuple((start, end) for word, start, end in grid.words[name] if word != 'sil'))
             for name in names]
    rows = [json.loads(line) for path in sorted((data / 'kokoro').glob('align_*.jsonl'))
            for line in path.read_text().splitlines()]
    held = set(HELD_OUT_VOICES['validation'][:2])       # the two that these rows have whole
    rows = [row for row in rows if not {row['voice'], row['voice2']} & held]
    return clips + [kokoro_clip(row, data / 'kokoro')
                    for row in rng.choice(np.array(rows, object), CLIPS, replace=False)]


def kokoro_clip(row: dict[str, object], folder: Path) -> Clip:
    """Return a synthetic clip; its pauses are no speech."""
    samples = read_audio(folder / f'{row["id"]}.opus')
    return Clip(str(row['id']), samples,
                tuple((phone.start, phone.end) for phone in kokoro_phones(row, samples)
                      if phone.kind != SILENCE))


def streams(clips: Sequence[Clip], rng: Generator) -> Iterator[Clip]:
    """Yield clips of SECONDS made of several, somewhere."""
    for _ in range(STREAMS):
        clip = joined([clips[index] for index in rng.integers(len(clips), size=8)], rng)
        others = [clips[index] for index in rng.integers(len(clips), size=8)]
        if rng.random() < 0.5:
            changes = (augment.reverb, augment.telephone, augment.opus, augment.mp3)
            clip = heard_as(changes[int(rng.integers(len(changes)))])(
                clip, others, rng).clip
        if rng.random() < 0.75:
            background = list(BACKGROUNDS.values())[int(rng.integers(len(BACKGROUNDS)))]
            place = alone if rng.random() < ALONE else behind
            clip = place(background, rng.uniform(*DECIBELS))(clip, others, rng).clip
        peak = max(float(np.abs(clip.samples).max()), 1e-6)
        scale = 10 ** (rng.uniform(*LEVELS) / 20) / peak
        if rng.random() < 0.1:
            scale *= 4          # overdriven, or a little louder than it seems
        yield replace(clip, samples=np.clip(clip.samples * scale, -1, 1).astype(np.float32))


def joined(clips: Sequence[Clip], rng: Generator) -> Clip:
    """Return clips one behind the other, each as loud as its talker is, SECONDS long."""
    length = SECONDS * SAMPLE_RATE
    samples, spoken, at = np.zeros(length, np.float32), [], 0
    for clip in clips:
        gain = 0.05 / max(float(np.sqrt(np.mean(clip.samples ** 2))), 1e-4) * rng.uniform(0.5, 1)
        piece = clip.samples[:length - at] * np.float32(gain)
        samples[at:at + len(piece)] = piece
        spoken += [(start + at / SAMPLE_RATE, end + at / SAMPLE_RATE)
                   for start, end in clip.speech]
        at += len(piece) + int(rng.choice([0, rng.integers(SAMPLE_RATE)]))
        if at >= length:
            break
    # Digital silence between takes would give the takes away.
    hiss = 10 ** rng.uniform(-6, -3.5) * rng.standard_normal(length)
    return Clip('stream', (samples + hiss).astype(np.float32), tuple(spoken))


def listen(clip: Clip) -> Heard:
    """Return what the network sees, as `SpeechDetector` would show it."""
    padded = np.concatenate([np.zeros(speech.mel.HISTORY, np.float32), clip.samples])
    spectra = speech.bands(padded)
    floors = np.empty_like(spectra)
    floor = spectra[0]
    for index, spectrum in enumerate(spectra):
        floors[index] = floor = speech.followed(floor, spectrum, index)
    over = np.pad(spectra - floors, ((speech.LAGS[-1], 0), (0, 0)))
    times = (np.arange(len(spectra)) + 0.5) * speech.PIECE / SAMPLE_RATE
    spoken = np.zeros(len(spectra), bool)
    for start, end in clip.speech:
        spoken |= (times >= start) & (times < end)
    edges = np.flatnonzero(np.diff(spoken))
    counts = np.ones(len(spectra), bool)
    for edge in edges:
        counts[max(0, edge - EDGE):edge + EDGE + 2] = False
    return Heard(speech.seen(over, floors), spoken, counts)


def network(inputs: int) -> torch.nn.Sequential:
    """Return layers with a tanh between them."""
    sizes = (inputs, *HIDDEN)
    layers: list[torch.nn.Module] = []
    for before, after in zip(sizes, HIDDEN, strict=False):
        layers += [torch.nn.Linear(before, after), torch.nn.Tanh()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(HIDDEN[-1], 1))


def fit(heard: Sequence[Heard], seed: int) -> torch.nn.Sequential:
    """Return a network that tells speech, by cross entropy."""
    torch.manual_seed(seed)
    seen = torch.tensor(np.concatenate([one.seen[one.counts] for one in heard]),
                        dtype=torch.float32)
    truth = torch.tensor(np.concatenate([one.speech[one.counts] for one in heard])).float()
    model = network(seen.shape[1])
    steps = EPOCHS * (len(seen) // BATCH)
    optimiser = torch.optim.Adam(model.parameters(), 4e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in trange(steps, desc='training', disable=None):
        chosen = torch.randint(len(seen), (BATCH,))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            model(seen[chosen])[:, 0], truth[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model


def main(argv: Sequence[str] | None = None) -> int:
    """Train and write."""
    command = argparse.ArgumentParser('python -m model.train_detector', description=__doc__)
    command.add_argument('data', type=Path)
    command.add_argument('--out', type=Path, default=PARAMETERS)
    command.add_argument('--seed', type=int, default=0)
    arguments = command.parse_args(argv)
    rng = np.random.default_rng(arguments.seed)
    clips = talkers(arguments.data, rng)
    model = fit([listen(clip) for clip in streams(clips, rng)], arguments.seed)
    linear = [layer for layer in model if isinstance(layer, torch.nn.Linear)]
    arrays = {}
    for index, layer in enumerate(linear):
        arrays[f'matrix_{index}'] = layer.weight.detach().numpy().T.astype(np.float32)
        arrays[f'bias_{index}'] = layer.bias.detach().numpy().astype(np.float32)
    np.savez(arguments.out, **arrays)
    return 0


if __name__ == '__main__':
    sys.exit(main())
