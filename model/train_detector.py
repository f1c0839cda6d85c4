# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Train the speech detector: `python -m model.train_detector CORPUS` writes its parameters.

Talkers of the training clips of a cache that `model.data` built, half of them real where there are
such, one behind the other, in rooms of all kinds and at all levels; a piece of 10 ms is speech
where a phone sounds. Whoever talks in the background is no speech. Minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
import sys
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
import torch
from tqdm import trange

from avatar_bridge.stream import speech
from model import augment, data
from model.clip_sets import SAMPLE_RATE, Clip
from model.live_denoiser import speech_head
from model.phones import NUMBERED, SILENCE
from model.room_sets import BACKGROUNDS, alone, behind, heard_as

Array = NDArray[np.floating]
Generator = np.random.Generator

PARAMETERS: Final = Path(__file__).parents[1] / 'avatar_bridge/assets/speech_detector.npz'
CLIPS: Final = 300              # real ones, and as many others
STREAMS: Final = 400
SECONDS: Final = 10             # of a stream
STEPS: Final = 3000
BATCH: Final = 4096
EDGE: Final = 0.03              # seconds around a phone's ends that count for nothing
LEVELS: Final = (-45.0, 0.0)    # dBFS of a stream's peak
DECIBELS: Final = (3.0, 25.0)   # of the speech over its background
ALONE: Final = 0.35             # share of the backgrounds before which nobody speaks


class Heard(NamedTuple):
    """What a network sees of a stream, and what it should say."""

    seen: Array                 # (n, inputs)
    speech: NDArray[np.bool_]   # (n,)
    counts: NDArray[np.bool_]   # (n,) False near the ends of phones


def talkers(corpus: data.Corpus, rng: Generator) -> list[Clip]:
    """Return training clips with the times at which somebody speaks."""
    return [talker(corpus, entries[index])
            for _, (entries, _) in sorted(corpus.drawn_from.items())
            for index in rng.permutation(len(entries))[:CLIPS]]


def talker(corpus: data.Corpus, entry: data.Entry) -> Clip:
    """Return a clip; its pauses are no speech."""
    clip = corpus.clip(entry)
    edges = np.diff(clip.sounding != NUMBERED.index(SILENCE), prepend=False, append=False)
    times = np.flatnonzero(edges) / data.RATE
    return Clip(entry.id, clip.samples.astype(np.float32) / 32768,
                tuple(zip(times[::2].tolist(), times[1::2].tolist(), strict=True)))


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
    times = (np.arange(len(spectra)) + 0.5 - speech.DELAY) * speech.PIECE / SAMPLE_RATE
    return to_say(clip, speech.seen(over, floors), times)


def to_say(clip: Clip, seen: Array, times: Array) -> Heard:
    """Return what is seen (n, inputs) with whether somebody speaks at `times`, s."""
    spoken, counts = np.zeros(len(times), bool), np.ones(len(times), bool)
    for start, end in clip.speech:
        spoken |= (times >= start) & (times < end)
        for edge in (start, end):
            counts &= np.abs(times - edge) > EDGE
    return Heard(seen, spoken, counts)


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


def main(argv: Sequence[str] | None = None) -> int:
    """Train and write."""
    command = argparse.ArgumentParser('python -m model.train_detector', description=__doc__)
    command.add_argument('corpus', type=Path)
    command.add_argument('--out', type=Path, default=PARAMETERS)
    command.add_argument('--seed', type=int, default=0)
    arguments = command.parse_args(argv)
    rng = np.random.default_rng(arguments.seed)
    clips = talkers(data.load_corpus(arguments.corpus), rng)
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
