# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Train the speech detector: `python -m model.train_detector CORPUS` writes its parameters.

Talkers of the training clips of a cache that `model.data` built, half of them real where there are
such, one behind the other, in rooms of all kinds and at all levels; a piece of 10 ms is speech
where a phone sounds. Whoever talks in the background is no speech. What the network of a bundle
tells of them is part of what is seen. Twenty minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
import sys
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
import torch
from tqdm import trange

from avatar_bridge.audio.hearing import TOKEN, Hearing
from avatar_bridge.bundle import Bundle, load_bundle
from avatar_bridge.config import EngineConfig
from avatar_bridge.stream import speech
from model import augment, data
from model.clip_sets import SAMPLE_RATE, Clip
from model.phones import NUMBERED, SILENCE
from model.room_sets import (
    Background,
    alone,
    behind,
    from_sample,
    heard_as,
    keyboard,
    music,
    second_voice,
)

Array = NDArray[np.floating]
Generator = np.random.Generator

PARAMETERS: Final = Path(__file__).parents[1] / 'avatar_bridge/assets/speech_detector.npz'
CLIPS: Final = 800              # real ones, and as many others
STREAMS: Final = 3600
SECONDS: Final = 10             # of a stream
EPOCHS: Final = 20
BATCH: Final = 32               # streams
WIDTH: Final = 48               # of the memory
RATE: Final = 3e-3
UNTOLD: Final = 0.3             # share of the streams of which the other network tells nothing
EDGE: Final = 0.03              # seconds around a phone's ends that count for nothing
LEVELS: Final = (-45.0, 0.0)    # dBFS of a stream's peak
DECIBELS: Final = (3.0, 25.0)   # of the speech over its background
ALONE: Final = 0.2              # share of the backgrounds before which nobody speaks
PAUSES: Final = {0.0: 0.4, 1.0: 0.35, 7.0: 0.25}    # seconds at most between clips, how often
HISSING: Final = 0.7            # share of the streams that are never quite silent
BEGUN: Final = 0.5              # share of the streams that begin amid speech,
CUT: Final = (0.2, 1.5)         # so many seconds into the first clip
CHANGES: Final = (augment.reverb, *augment.LINES)      # of half of the streams

Tell = Callable[[Array], Array]         # of (n,) samples: (m,) log odds of speech in each piece


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


def streams(clips: Sequence[Clip], count: int, rng: Generator) -> Iterator[Clip]:
    """Yield clips of SECONDS made of several, somewhere."""
    for _ in range(count):
        chosen = [clips[index] for index in rng.integers(len(clips), size=8)]
        if rng.random() < BEGUN:
            chosen[0], first = begun(chosen[0], rng.uniform(*CUT)), 0
        else:
            first = pause(rng)
        clip = joined(chosen, rng, first)
        others = [clips[index] for index in rng.integers(len(clips), size=8)]
        if rng.random() < 0.5:
            changed = CHANGES[int(rng.integers(len(CHANGES)))]
            clip = heard_as(changed)(clip, others, rng).clip
        if rng.random() < 0.75:
            clip = placed(clip, others, rng)
        peak = max(float(np.abs(clip.samples).max()), 1e-6)
        scale = 10 ** (rng.uniform(*LEVELS) / 20) / peak
        if rng.random() < 0.1:
            scale *= 4          # overdriven, or a little louder than it seems
        yield replace(clip, samples=np.clip(clip.samples * scale, -1, 1).astype(np.float32))


def begun(clip: Clip, seconds: float) -> Clip:
    """Return a clip without its first seconds; half of it at least is left."""
    return from_sample(clip, min(round(seconds * SAMPLE_RATE), len(clip.samples) // 2))


def placed(clip: Clip, others: Sequence[Clip], rng: Generator) -> Clip:
    """Return a clip before a background, or the background alone; half of them are people."""
    if rng.random() < ALONE:
        backgrounds, place = (people, *THINGS), alone
    else:                       # one alone might be the speaker
        backgrounds, place = (people, second_voice, *THINGS), behind
    drawn = backgrounds[int(rng.choice(len(backgrounds), p=shares(len(backgrounds))))]
    return place(drawn, rng.uniform(*DECIBELS))(clip, others, rng).clip


def shares(count: int) -> Array:
    """Return how often each of `count` backgrounds is drawn: half the time people."""
    voices = count - len(THINGS)
    return np.repeat([0.5 / voices, 0.5 / len(THINGS)], [voices, len(THINGS)])


def people(clip: Clip, others: Sequence[Clip], rng: Generator) -> Array:
    """Return three to all of the others at once."""
    crowd = others[:int(rng.integers(augment.CROWD[0], len(others), endpoint=True))]
    return augment.crowd(len(clip.samples), [other.samples for other in crowd], rng)


def noise(clip: Clip, _: Sequence[Clip], rng: Generator) -> Array:
    """Return steady noise of any colour, from white to brown."""
    return augment.coloured(len(clip.samples), rng.uniform(0, 1), rng)


def hum(clip: Clip, _: Sequence[Clip], rng: Generator) -> Array:
    """Return what mains, fans and motors make: a tone and its harmonics."""
    harmonics = np.arange(1, 1 + int(rng.integers(1, 12)))
    levels = harmonics ** -rng.uniform(0.5, 2) * rng.uniform(0, 1, len(harmonics))
    levels[0] = 1
    turns = 2 * np.pi * rng.uniform(45, 250) / SAMPLE_RATE * np.arange(len(clip.samples))
    phases = rng.uniform(0, 2 * np.pi, len(harmonics))
    return sum(level * np.sin(number * turns + phase)
               for number, level, phase in zip(harmonics, levels, phases, strict=True))


THINGS: Final[tuple[Background, ...]] = (music, keyboard, noise, hum)


def joined(clips: Sequence[Clip], rng: Generator, first: int = 0) -> Clip:
    """
    Return clips one behind the other, each as loud as its talker is, SECONDS long.

    :param first: sample at which the first one begins
    """
    length = SECONDS * SAMPLE_RATE
    samples, spoken, at = np.zeros(length, np.float32), [], first
    for clip in clips:
        gain = 0.05 / max(float(np.sqrt(np.mean(clip.samples ** 2))), 1e-4) * rng.uniform(0.5, 1)
        piece = clip.samples[:length - at] * np.float32(gain)
        samples[at:at + len(piece)] = piece
        spoken += [(start + at / SAMPLE_RATE, end + at / SAMPLE_RATE)
                   for start, end in clip.speech]
        at += len(piece) + pause(rng)
        if at >= length:
            break
    # Digital silence between takes would give the takes away; but synthesisers make it.
    hiss = (rng.random() < HISSING) * 10 ** rng.uniform(-6, -3.5) * rng.standard_normal(length)
    return Clip('stream', (samples + hiss).astype(np.float32), tuple(spoken))


def pause(rng: Generator) -> int:
    """Return for how many samples nobody speaks: often not at all, at times for seconds."""
    longest = rng.choice(list(PAUSES), p=list(PAUSES.values()))
    return int(rng.uniform(0, longest) * SAMPLE_RATE)


def teller(bundle: Bundle) -> Tell:
    """Return what says the log odds of speech that a bundle's network tells of each piece."""
    hearing = Hearing(bundle.backend(EngineConfig())('listen'), kept=1)

    def tell(samples: Array) -> Array:
        state = hearing.hear(samples.astype(np.float32), hearing.initial_state())
        return np.repeat(state['speech'], TOKEN // speech.PIECE)
    return tell


def listen(clip: Clip, told: Array) -> Heard:
    """Return what the detector sees of a stream, given what it is `told` of it, (m,) log odds."""
    levels = speech.bands(np.concatenate([np.zeros(speech.mel.HISTORY, np.float32),
                                          clip.samples]))
    said = np.concatenate([np.zeros(speech.DELAY), told])
    known = min(len(levels), len(said))
    seen = speech.with_told(speech.placed(levels, speech.EMPTY)[0][:known], said[:known])
    times = (np.arange(known) + 0.5 - speech.DELAY) * speech.PIECE / SAMPLE_RATE
    return to_say(clip, seen, times)


def to_say(clip: Clip, seen: Array, times: Array) -> Heard:
    """Return what is seen (n, inputs) with whether somebody speaks at `times`, s."""
    spoken, counts = np.zeros(len(times), bool), np.ones(len(times), bool)
    for start, end in clip.speech:
        spoken |= (times >= start) & (times < end)
        for edge in (start, end):
            counts &= np.abs(times - edge) > EDGE
    return Heard(seen, spoken, counts)


class Detector(torch.nn.Module):
    """What `avatar_bridge.stream.speech.score` computes, to be trained."""

    def __init__(self) -> None:
        """Make a fresh one."""
        super().__init__()
        self.into = torch.nn.Linear(speech.INPUTS, WIDTH)
        self.memory = torch.nn.GRU(WIDTH, WIDTH, batch_first=True)
        self.out = torch.nn.Linear(WIDTH, 1)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        """Return (streams, n) log odds of speech, given (streams, n, INPUTS)."""
        answer: torch.Tensor = self.out(self.memory(torch.tanh(self.into(seen)))[0])[..., 0]
        return answer

    def parameters_as_shipped(self) -> speech.Parameters:
        """Return the parameters as they are stored."""
        memory = self.memory
        found = (self.into.weight.T, self.into.bias, memory.weight_ih_l0.T, memory.bias_ih_l0,
                 memory.weight_hh_l0.T, memory.bias_hh_l0, self.out.weight[0], self.out.bias[0])
        return speech.Parameters(*(value.detach().numpy() for value in found))


def learn(heard: Sequence[Heard], seed: int) -> Detector:
    """Return a detector that tells speech in streams of one length, by cross entropy."""
    torch.manual_seed(seed)
    seen = torch.from_numpy(np.stack([one.seen for one in heard])).float()
    truth, counts = (torch.from_numpy(np.stack([getattr(one, name) for one in heard])).float()
                     for name in ('speech', 'counts'))
    model, batches = Detector(), max(1, len(heard) // BATCH)
    optimiser = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, pct_start=0.1,
                                                   total_steps=EPOCHS * batches)
    for _ in trange(EPOCHS, desc='training', disable=None):
        for chosen in torch.randperm(len(seen)).tensor_split(batches):
            shown = seen[chosen]
            shown[..., -1] *= torch.rand(len(chosen), 1) > UNTOLD
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                model(shown), truth[chosen], weight=counts[chosen])
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
    return model


def main(argv: Sequence[str] | None = None) -> int:
    """Train and write."""
    command = argparse.ArgumentParser('python -m model.train_detector', description=__doc__)
    command.add_argument('corpus', type=Path)
    command.add_argument('--bundle', default='live', help='whose network tells, too')
    command.add_argument('--out', type=Path, default=PARAMETERS)
    command.add_argument('--seed', type=int, default=0)
    arguments = command.parse_args(argv)
    rng = np.random.default_rng(arguments.seed)
    clips = talkers(data.load_corpus(arguments.corpus), rng)
    tell = teller(load_bundle(arguments.bundle))
    heard = [listen(clip, tell(clip.samples)) for clip in streams(clips, STREAMS, rng)]
    np.savez(arguments.out, **learn(heard, arguments.seed).parameters_as_shipped()._asdict())
    return 0


if __name__ == '__main__':
    sys.exit(main())
