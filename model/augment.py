# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Speech as it is heard elsewhere: louder, faster, in a room, among people, over the telephone.

Pure functions on (n,) samples at 16 kHz in [-1, 1], and where the face must follow, on its
(m, 52) curves at 100 Hz, frame i at sample 160 i. All chance comes from the generator given.
Except `speed`, nothing changes how long a sound is or when it is heard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
import io
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, oaconvolve, resample_poly, sosfiltfilt
import soundfile

from avatar_bridge import rig
from model.metrics import rms
from model.motion import at_times
from model.room import draw_room, impulse_response

Array = NDArray[np.float32]
Generator = np.random.Generator
SAMPLE_RATE: Final = 16000
CURVE_RATE: Final = 100
STRIDE: Final = SAMPLE_RATE // CURVE_RATE
FASTEST: Final = 1.1            # and as much slower
RELEASE: Final = 0.3            # seconds in which a face comes to rest when nothing is heard
QUIET: Final = 1e-4             # rms below which there is no speech to hold a background against
BABBLING: Final = (1, 5)        # people who are heard behind a speaker,
CROWD: Final = (3, 8)           # and where nobody near speaks: one alone might be the speaker

#: Asked for so many others who speak.
Voices = Callable[[int], Sequence[NDArray[np.float32]]]


class Piece(NamedTuple):
    """Sound and the face that goes with it."""

    samples: Array              # (n,) at 16 kHz
    curves: Array               # (m, 52) at 100 Hz


@dataclass(frozen=True)
class AugmentConfig:
    """Share of the excerpts to which each change is made; none by default."""

    speed: float = 0.0
    reverb: float = 0.0
    babble: float = 0.0
    music: float = 0.0
    keyboard: float = 0.0
    noise: float = 0.0
    alone: float = 0.0                  # people or one of the three above, and nobody near speaks
    gain: float = 0.0
    clipping: float = 0.0
    codec: float = 0.0
    mute: float = 0.0

    def __post_init__(self) -> None:
        """Check the shares."""
        for field in fields(self):
            if not 0 <= getattr(self, field.name) <= 1:
                raise ValueError(f'{field.name} must lie in [0, 1], got '
                                 f'{getattr(self, field.name)}')


def change(piece: Piece, config: AugmentConfig, voices: Voices, rng: Generator) -> Piece:
    """Return a piece changed by chance, in the order in which sound meets these things."""
    if rng.random() < config.speed:
        piece = speed(piece, round(float(rng.uniform(2 - FASTEST, FASTEST)), 2))
    samples = piece.samples
    if rng.random() < config.reverb:
        samples = reverb(samples, rng)
    if rng.random() < config.alone:
        samples = alone(samples, voices, rng)
        piece = piece._replace(curves=np.zeros_like(piece.curves))
    elif rng.random() < config.babble:
        samples = babble(samples, voices, rng)
    for share, changed in ((config.music, music), (config.keyboard, keyboard),
                           (config.noise, noise), (config.gain, gain),
                           (config.clipping, clipping), (config.codec, codec)):
        if rng.random() < share:
            samples = changed(samples, rng)
    piece = piece._replace(samples=samples)
    if rng.random() < config.mute:
        reach = RELEASE * SAMPLE_RATE
        piece = mute(piece, int(rng.uniform(-reach, len(samples))))
    return piece


def mirror(curves: Array) -> Array:
    """Return (m, 52) curves of the face in a mirror."""
    return curves[:, rig.MIRROR]


def speed(piece: Piece, factor: float) -> Piece:
    """Return sound and face `factor` times as fast, to a hundredth; the pitch moves, too."""
    down = round(100 * factor)
    samples = resample_poly(piece.samples, 100, down).astype(np.float32)
    times = np.arange(-(-len(samples) // STRIDE)) / CURVE_RATE * (down / 100)
    return Piece(samples, at_times(piece.curves, CURVE_RATE, times))


def mute(piece: Piece, start: int) -> Piece:
    """Return a piece that is silent from sample `start` on, while the face comes to rest."""
    samples = piece.samples.copy()
    samples[max(0, start):] = 0
    past = (np.arange(len(piece.curves)) * STRIDE - start) / (RELEASE * SAMPLE_RATE)
    left = 0.5 + 0.5 * np.cos(np.pi * np.clip(past, 0, 1))
    return Piece(samples, (piece.curves * left[:, None]).astype(np.float32))


def gain(samples: Array, rng: Generator) -> Array:
    """Return samples between 24 dB weaker and 6 dB stronger."""
    return samples * np.float32(10 ** (rng.uniform(-24, 6) / 20))


def clipping(samples: Array, rng: Generator) -> Array:
    """Return samples of an overdriven input: the peaks are cut off 3 to 15 dB below the top."""
    peak = float(np.abs(samples).max(initial=0.0)) * 10 ** (rng.uniform(-15, -3) / 20)
    return np.clip(samples, -peak, peak)


def reverb(samples: Array, rng: Generator) -> Array:
    """Return samples as a room gives them to a microphone, as loud as before."""
    response = impulse_response(draw_room(rng), SAMPLE_RATE, rng)
    wet = oaconvolve(samples, response)[:len(samples)]
    return at_level(wet, rms(samples)).astype(np.float32)


def noise(samples: Array, rng: Generator) -> Array:
    """Return samples with noise of a drawn colour that swells, 0 to 35 dB below the speech."""
    steady = coloured(len(samples), rng.uniform(0, 1), rng)
    knots = np.exp(rng.normal(0, 0.4, 8))
    swell = np.interp(np.arange(len(samples)), np.linspace(0, len(samples), 8), knots)
    return mixed(samples, steady * swell, rng.uniform(0, 35))


def coloured(count: int, slope: float, rng: Generator) -> NDArray[np.float64]:
    """Return (count,) samples of noise whose amplitude falls as frequency ** -slope; 0.5: pink."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    bins = np.maximum(np.arange(len(spectrum)), len(spectrum) / 200)
    return np.fft.irfft(spectrum * bins ** -slope, count)


def music(samples: Array, rng: Generator) -> Array:
    """Return samples with plucked chords and a beat behind them, 0 to 30 dB below the speech."""
    return mixed(samples, chords(len(samples), rng), rng.uniform(0, 30))


def chords(count: int, rng: Generator) -> Array:
    """Return (count,) samples of plucked chords and a beat."""
    beat = int(SAMPLE_RATE * 60 / rng.uniform(70, 160))
    root, ring = 110 * 2 ** (rng.integers(0, 12) / 12), rng.uniform(0.1, 0.6)
    brightness, drums = rng.uniform(0.8, 2.0), rng.uniform(0, 0.5)
    scale = np.array([0, 2, 4, 5, 7, 9, 11, 12, 14, 16])
    played = np.zeros(-(-count // beat) * beat + beat, np.float32)
    for start in range(0, count + beat, beat):
        pitches = root * 2 ** (rng.choice(scale, 3, replace=False) / 12)
        stroke = _chord(pitches, beat, brightness) * _decay(beat, ring)
        hit = rng.standard_normal(beat, dtype=np.float32) * _decay(beat, 0.03)
        played[start:start + beat] = stroke + drums * hit
    # The beat does not begin with the excerpt.
    first = int(rng.integers(beat))
    return played[first:first + count]


def _chord(pitches: NDArray[np.float64], count: int, brightness: float) -> Array:
    """Return (count,) samples of strings of these pitches (Hz), six harmonics each."""
    harmonics = np.arange(1, 7)
    turns = np.float32(2 * np.pi / SAMPLE_RATE) * np.arange(count, dtype=np.float32)
    angles = (pitches[:, None] * harmonics).ravel()[:, None].astype(np.float32) * turns
    levels = np.tile(harmonics ** -brightness, len(pitches)).astype(np.float32)
    return levels @ np.sin(angles)


def _decay(count: int, seconds: float) -> Array:
    return np.exp(-np.arange(count, dtype=np.float32) / np.float32(seconds * SAMPLE_RATE))


def babble(samples: Array, voices: Voices, rng: Generator) -> Array:
    """Return samples among other people who speak, 3 to 25 dB below."""
    people = voices(int(rng.integers(*BABBLING, endpoint=True)))
    return mixed(samples, crowd(len(samples), people, rng), rng.uniform(3, 25))


def crowd(count: int, voices: Sequence[Array], rng: Generator) -> NDArray[np.float64]:
    """Return (count,) samples of voices that speak at once, each from anywhere on."""
    together = np.zeros(count)
    for voice in voices:
        if len(voice) and rms(voice) > QUIET:
            heard = np.resize(np.roll(voice, int(rng.integers(len(voice)))), count)
            together += heard / rms(voice) * rng.uniform(0.5, 1)
    return together


def keyboard(samples: Array, rng: Generator) -> Array:
    """Return samples with somebody who types, 0 to 25 dB below the speech."""
    return mixed(samples, keystrokes(len(samples), rng), rng.uniform(0, 25))


def alone(samples: Array, voices: Voices, rng: Generator) -> Array:
    """Return a background without the samples, half the time people, 0 to 25 dB below them."""
    count = len(samples)
    if rng.random() < 0.5:
        people = voices(int(rng.integers(*CROWD, endpoint=True)))
        background: NDArray[np.floating] = crowd(count, people, rng)
    else:
        others = (chords, keystrokes, lambda count, rng: coloured(count, 0.5, rng))
        background = others[int(rng.integers(len(others)))](count, rng)
    return beneath(samples, background, rng.uniform(0, 25)).astype(np.float32)


def keystrokes(count: int, rng: Generator) -> NDArray[np.float64]:
    """Return (count,) samples of typing: a click and a fainter one, 3 to 8 keys a second."""
    typed = np.zeros(count)
    at = rng.uniform(0, 0.2)
    while (start := int(at * SAMPLE_RATE)) < count:
        for offset, strength in ((0.0, 1.0), (rng.uniform(0.06, 0.12), 0.4)):
            first = start + int(offset * SAMPLE_RATE)
            stroke = strength * rng.uniform(0.4, 1) * _click(rng)
            typed[first:first + len(stroke)] += stroke[:max(0, count - first)]
        # People type in runs of letters with pauses between them.
        at += rng.uniform(0.12, 0.33) if rng.random() < 0.85 else rng.uniform(0.4, 0.9)
    return typed


def _click(rng: Generator) -> NDArray[np.float64]:
    """Return 40 ms of a key: a sharp noise over the resonance of what it stands on."""
    count = SAMPLE_RATE // 25
    times = np.arange(count) / SAMPLE_RATE
    thud = np.sin(2 * np.pi * rng.uniform(150, 450) * times) * _decay(count, 0.012)
    return rng.standard_normal(count) * _decay(count, rng.uniform(0.001, 0.004)) + 0.4 * thud


def mixed(samples: Array, background: NDArray[np.floating], decibels: float) -> Array:
    """Return samples with a background whose rms is so many decibels below theirs."""
    return (samples + beneath(samples, background, decibels)).astype(np.float32)


def beneath(samples: Array, background: NDArray[np.floating], decibels: float,
            ) -> NDArray[np.floating]:
    """Return the background with an rms so many decibels below that of the samples."""
    level = rms(samples)
    return at_level(background, (level if level > QUIET else 0.03) * 10 ** (-decibels / 20))


def at_level(sound: NDArray[np.floating], level: float) -> NDArray[np.floating]:
    """Return a sound with this rms."""
    return sound * (level / max(rms(sound), 1e-9))


def codec(samples: Array, rng: Generator) -> Array:
    """Return samples of a telephone, of a cheap converter, or of Opus or MP3 at a low rate."""
    return LINES[int(rng.integers(len(LINES)))](samples, rng)


def telephone(samples: Array, rng: Generator) -> Array:
    """Return samples of a line: 300 to 3400 Hz, 8 kHz, 8 bits of mu-law at a drawn level."""
    line = sosfiltfilt(butter(2, (300, 3400), 'bandpass', fs=SAMPLE_RATE, output='sos'), samples)
    slow = resample_poly(line, 1, 2)
    top = max(float(np.abs(slow).max(initial=0.0)), 1e-6) * 10 ** (rng.uniform(0, 24) / 20)
    pressed = np.sign(slow) * np.log1p(255 * np.abs(slow) / top) / np.log(256)
    coded = np.round(pressed * 127) / 127
    heard = np.sign(coded) * (256 ** np.abs(coded) - 1) / 255 * top
    return resample_poly(heard, 2, 1)[:len(samples)].astype(np.float32)


def coarse(samples: Array, rng: Generator) -> Array:
    """Return samples of 8 bits at 8 to 16 kHz, to which and from which straight lines lead."""
    steps = SAMPLE_RATE / rng.uniform(8000, SAMPLE_RATE)
    times = np.arange(len(samples))
    slow = np.arange(0, len(samples) + steps, steps)
    top = max(float(np.abs(samples).max(initial=0.0)), 1e-6) * 10 ** (rng.uniform(0, 18) / 20)
    coded = np.round(np.interp(slow, times, samples) / top * 127) / 127 * top
    return np.interp(times, slow, coded).astype(np.float32)


def opus(samples: Array, rng: Generator) -> Array:
    """Return samples that went through Opus, near its lowest rates."""
    return _coded(samples, ('OGG', 'OPUS'), float(rng.uniform(0.85, 0.98)))


def mp3(samples: Array, rng: Generator) -> Array:
    """Return samples that went through MP3, near its lowest rates."""
    return _coded(samples, ('MP3', 'MPEG_LAYER_III'), float(rng.uniform(0.7, 0.98)))


def _coded(samples: Array, kind: tuple[str, str], level: float) -> Array:
    """Return samples after a round trip through a file; what the coder adds at the end is cut."""
    file = io.BytesIO()
    soundfile.write(file, np.clip(samples, -1, 1), SAMPLE_RATE, format=kind[0], subtype=kind[1],
                    compression_level=level)
    file.seek(0)
    heard, _ = soundfile.read(file, dtype='float32')
    return np.pad(heard, (0, max(0, len(samples) - len(heard))))[:len(samples)]


#: What `codec` draws from.
LINES: Final = (telephone, coarse, opus, mp3)
