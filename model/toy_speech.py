# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Babble whose phones are known to the sample, made in a second: harmonics, formants and hiss.

It lies on the disk as `data/kokoro` does, so that everything that reads that folder reads this.
Nobody would take it for speech; a network that hears it can learn what the lips do.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.clip_store import encode
from model.voices import HELD_OUT_VOICES

SAMPLE_RATE: Final = 16000
RATE: Final = 200               # of the curves that steer the sound, 1/s
BANDWIDTH: Final = 90.0         # of a formant, Hz
HIGHEST: Final = 3800.0         # harmonic, Hz
SYLLABLES: Final = (6, 9)       # of a clip
REST: Final = 0.3               # seconds of silence before and after


class Sound(NamedTuple):
    """What a phone sounds like."""

    formants: tuple[float, float] = (300.0, 1200.0)     # Hz
    voice: float = 0.0                                  # level of the harmonics
    hiss: float = 0.0                                   # level of the noise


class Voice(NamedTuple):
    """Who speaks."""

    name: str
    pitch: float                # Hz
    tract: float                # factor of all formants


VOWELS: Final = {
    'a': Sound((750, 1250), 1.0), 'i': Sound((290, 2250), 0.7), 'u': Sound((320, 850), 0.7),
    'ɛ': Sound((560, 1800), 0.9), 'o': Sound((480, 900), 0.9),
}
CONSONANTS: Final = {
    'm': Sound((250, 1000), 0.25), 'b': Sound((200, 800), 0.06), 'p': Sound(),
    'f': Sound(hiss=0.05), 'v': Sound((250, 1100), 0.2, 0.03), 's': Sound(hiss=0.12),
    'n': Sound((280, 1700), 0.3), 'l': Sound((350, 1200), 0.5), 'k': Sound(hiss=0.01),
}
SOUNDS: Final = {**VOWELS, **CONSONANTS}
VOICES: Final = (Voice('af_bella', 210, 1.12), Voice('am_adam', 110, 0.95),
                 Voice('bf_emma', 180, 1.05), Voice('bm_george', 95, 0.9))
UNHEARD: Final = tuple(Voice(name, *manner) for name, manner in zip(
    HELD_OUT_VOICES['validation'], ((225, 1.08), (120, 0.98)), strict=False))

Timed = list[tuple[str, float, float]]                  # symbol, start and end in seconds


def write(folder: Path, *, clips: int, held_out: int, seed: int = 1) -> None:
    """Write `clips` clips to train with, and `held_out` of voices that no training hears."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, rows = np.random.default_rng(seed), []
    for number in range(clips + held_out):
        split, voices = ('train', VOICES) if number < clips else ('validation', UNHEARD)
        voice, phones = voices[number % len(voices)], babble(rng)
        name = f'toy_{number:03d}'
        (folder / f'{name}.opus').write_bytes(encode(spoken(phones, voice, rng)))
        rows.append({'id': name, 'split': split, 'synthesiser': 'flite', 'lang': 'en',
                     'voice': voice.name, 'voice2': voice.name, 'mix': 1.0, 'speed': 1.0,
                     'text': ''.join(symbol for symbol, *_ in phones[1:-1]),
                     'dur': phones[-1][2], 'phones': phones})
    (folder / f'align_{seed}.jsonl').write_text(
        ''.join(json.dumps(row, ensure_ascii=False) + '\n' for row in rows), encoding='utf-8')


def babble(rng: np.random.Generator) -> Timed:
    """Return the phones of some syllables with a pause among them."""
    syllables = int(rng.integers(*SYLLABLES))
    pause = int(rng.integers(2, syllables))
    phones: Timed = [('<s>', 0.0, REST)]

    def say(symbol: str, seconds: float) -> None:
        start = phones[-1][2]
        phones.append((symbol, start, round(start + seconds, 3)))

    for number in range(syllables):
        if number == pause:
            say(',', 0.4)
        say(str(rng.choice(list(CONSONANTS))), rng.uniform(0.07, 0.11))
        say(str(rng.choice(list(VOWELS))), rng.uniform(0.12, 0.22))
    say('</s>', REST)
    return phones


def spoken(phones: Timed, voice: Voice, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the samples of phones."""
    count = int(phones[-1][2] * SAMPLE_RATE)
    times = np.arange(count) / SAMPLE_RATE
    steps = np.arange(-(-count * RATE // SAMPLE_RATE) + 1) / RATE
    ends = [end for _, _, end in phones]
    sounds = [SOUNDS.get(phones[index][0], Sound()) for index in
              np.minimum(np.searchsorted(ends, steps, 'right'), len(phones) - 1)]
    smooth = np.hanning(7)[1:-1] / np.hanning(7).sum()

    def curve(values: list[float]) -> NDArray[np.float64]:
        return np.interp(times, steps, np.convolve(np.pad(values, 2, 'edge'), smooth, 'valid'))

    pitch = voice.pitch * (1.0 + 0.08 * np.sin(2.0 * times) - 0.06 * times / times[-1])
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    formants = [voice.tract * curve([sound.formants[index] for sound in sounds])
                for index in (0, 1)]
    tone = np.zeros(count)
    for harmonic in range(1, int(HIGHEST / voice.pitch)):
        strength = sum(1 / (1 + ((harmonic * pitch - formant) / BANDWIDTH) ** 2)
                       for formant in formants)
        tone += strength / np.sqrt(harmonic) * np.sin(harmonic * phase)
    hiss = np.diff(rng.standard_normal(count + 1))
    return (curve([sound.voice for sound in sounds]) * tone
            + curve([sound.hiss for sound in sounds]) * hiss).astype(np.float32)
