# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
The same clips in other places: among people, beside music, over the telephone, too loud.

A setting makes of a clip what a microphone hears there; the face that belongs to it is the same.
A background is held against the level of the clip while somebody speaks in it, so its decibels are
a true ratio; `alone` leaves the speech out and the background as loud as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple
import zlib

import numpy as np

from model import augment, metrics
from model.clip_sets import SAMPLE_RATE, Array, Clip
from model.metrics import rms

Generator = np.random.Generator
Background = Callable[[Clip, Sequence[Clip], Generator], Array]

CROWD: Final = 5                # people who talk at once
BEFORE: Final = 6               # seconds of a background before somebody speaks
CUT: Final = (0.3, 1.5)         # seconds into a clip at which a stream may begin
OVERDRIVEN: Final = 12.0        # dB above full scale


class Heard(NamedTuple):
    """A clip as it is heard somewhere; times are those of the clip."""

    clip: Clip
    begins: float = 0.0         # seconds into the original at which the clip does,
    before: float = 0.0         # and that were heard before it: its samples begin with them


Setting = Callable[[Clip, Sequence[Clip], Generator], Heard]


def level(clip: Clip) -> float:
    """Return the rms of a clip while somebody speaks."""
    spoken = [clip.samples[round(start * SAMPLE_RATE):round(end * SAMPLE_RATE)]
              for start, end in clip.speech]
    return rms(np.concatenate([*spoken, np.zeros(0)])) or rms(clip.samples)


def behind(background: Background, decibels: float, before: float = 0.0) -> Setting:
    """Return speech with a background so many decibels below it, and `before` it, in seconds."""
    def setting(clip: Clip, others: Sequence[Clip], rng: Generator) -> Heard:
        longer = replace(clip, samples=np.pad(clip.samples, (round(before * SAMPLE_RATE), 0)))
        sound = beneath(background(longer, others, rng), decibels, clip)
        return Heard(replace(longer, samples=longer.samples + sound), before=before)
    return setting


def alone(background: Background, decibels: float) -> Setting:
    """Return the background of `behind` without the speech: nobody's mouth should move."""
    def setting(clip: Clip, others: Sequence[Clip], rng: Generator) -> Heard:
        sound = beneath(background(clip, others, rng), decibels, clip)
        return Heard(replace(clip, samples=sound, speech=(), tracked=None, phones=(), truth=None))
    return setting


def beneath(sound: Array, decibels: float, clip: Clip) -> Array:
    """Return a sound at `decibels` under the level of the clip's speech."""
    return augment.at_level(sound, level(clip) * 10 ** (-decibels / 20)).astype(np.float32)


def babble(clip: Clip, others: Sequence[Clip], rng: Generator) -> Array:
    """Return several of the others at once."""
    chosen = rng.choice(len(others), min(CROWD, len(others)), replace=False)
    return augment.crowd(len(clip.samples), [others[index].samples for index in chosen], rng)


def second_voice(clip: Clip, others: Sequence[Clip], rng: Generator) -> Array:
    """Return one of the others."""
    other = others[int(rng.integers(len(others)))].samples
    return np.resize(np.roll(other, int(rng.integers(len(other)))), len(clip.samples))


def music(clip: Clip, _: Sequence[Clip], rng: Generator) -> Array:
    """Return plucked chords and a beat."""
    return augment.chords(len(clip.samples), rng)


def keyboard(clip: Clip, _: Sequence[Clip], rng: Generator) -> Array:
    """Return somebody who types."""
    return augment.keystrokes(len(clip.samples), rng)


def pink(clip: Clip, _: Sequence[Clip], rng: Generator) -> Array:
    """Return steady noise as loud in each octave."""
    return augment.coloured(len(clip.samples), 0.5, rng)


def heard_as(change: Callable[[Array, Generator], Array]) -> Setting:
    """Return the whole sound changed."""
    return lambda clip, _, rng: Heard(replace(clip, samples=change(clip.samples, rng)))


def peak_at(decibels: float) -> Setting:
    """Return the clip with its peak at `decibels` of full scale; what is above it is cut off."""
    def change(samples: Array, _: Generator) -> Array:
        scale = 10 ** (decibels / 20) / max(float(np.abs(samples).max(initial=0.0)), 1e-9)
        return np.clip(samples * scale, -1, 1).astype(np.float32)
    return heard_as(change)


def cut_in(clip: Clip, _: Sequence[Clip], rng: Generator) -> Heard:
    """Return the clip from any sample on."""
    first = int(rng.uniform(*CUT) * SAMPLE_RATE)
    return Heard(from_sample(clip, first), first / SAMPLE_RATE)


def from_sample(clip: Clip, first: int) -> Clip:
    """Return a clip without the samples before `first`, nor what is known of them."""
    begins = first / SAMPLE_RATE
    speech = tuple((max(0.0, start - begins), end - begins) for start, end in clip.speech
                   if end > begins)
    return replace(clip, samples=clip.samples[first:], speech=speech,
                   tracked=later(clip.tracked, begins, clip.tracked_fps),
                   truth=later(clip.truth, begins, clip.tracked_fps),
                   phones=tuple((ipa, start - begins, end - begins)
                                for ipa, start, end in clip.phones if start >= begins))


def later(track: Array | None, seconds: float, fps: float) -> Array | None:
    """Return a track from `seconds` on, or None of none."""
    if track is None:
        return None
    times = np.arange(seconds, (len(track) - 1) / fps, 1 / fps)
    return metrics.at_times(track, times, fps=fps)


BACKGROUNDS: Final[Mapping[str, Background]] = {
    'babble': babble, 'music': music, 'keyboard': keyboard, 'pink noise': pink}

#: Every setting. What is `alone` is as loud as it would be 10 dB under speech.
SETTINGS: Final[Mapping[str, Setting]] = {
    **{f'{name} {decibels} dB': behind(background, decibels)
       for name, background in BACKGROUNDS.items() for decibels in (10, 5)},
    f'babble 10 dB after {BEFORE} s': behind(babble, 10, BEFORE),
    'second voice 10 dB': behind(second_voice, 10),
    'reverb': heard_as(augment.reverb),
    'telephone': heard_as(augment.telephone),
    **{f'peak {decibels} dBFS': peak_at(decibels) for decibels in (-45, -30, -15, 0)},
    'overdriven': peak_at(OVERDRIVEN),
    'cut-in': cut_in,
    **{f'{name} alone': alone(background, 10) for name, background in BACKGROUNDS.items()},
}


def heard_in(name: str, clips: Sequence[Clip], seed: int = 0) -> list[Heard]:
    """Return the clips in a setting, each with its own chance, and the others behind it."""
    return [SETTINGS[name](clip, [other for other in clips if other.name != clip.name],
                           np.random.default_rng([seed, zlib.crc32(name.encode()), index]))
            for index, clip in enumerate(clips)]
