# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Training batches: excerpts of clips with augmented features, cut into blocks of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from avatar_bridge import rig
from avatar_bridge.audio import mel
from avatar_bridge.config import PROFILES
from model import augment
from model.data import Clip, Corpus
from model.noise_levels import Levels, chunk, even, triangle
from model.phones import NUMBERED, UNKNOWN

Array = NDArray[np.float32]
Number = TypeVar('Number', bound=np.number)
SILENT = len(NUMBERED) - 1              # number of silence among the classes
CURVE_RATE = 100                        # frames per second of the corpus's curves
REAL, SPOKEN = 'grid', 'kokoro'         # as what a clip is drawn
LEAD = -(-mel.HISTORY // mel.STRIDE)    # frames before an excerpt that its first feature hears
PHONE_DELAY = 0.06                      # seconds: the phone that a token tells was that long ago,
SPEECH_DELAY = 0.03                     # and speech: in the middle of the token before it


@dataclass(frozen=True)
class BatchConfig:
    """How an excerpt is drawn; times in seconds."""

    size: int = 32
    seconds: float = 2.4
    lead_in: float = 0.64               # audio before the first frame, for the encoder's memory
    grid_share: float = 0.3             # of the excerpts are real speech
    extra_lookahead: float = 0.2
    longest_block: float = 0.3
    profile_share: float = 0.0          # of the excerpts have hop and look-ahead of a profile
    deaf_share: float = 0.08            # of the excerpts hear nothing: the unconditional case
    noise_share: float = 0.5
    mirror_share: float = 0.5
    blank_share: float = 0.0            # of the excerpts know nothing of the past: one-step use
    noise_times: str = 'blocks'         # one for each block, or one for the `window` of all frames
    even_share: float = 0.0             # of the excerpts have noise as a sampler without a past,
    chunk_share: float = 0.0            # as one that goes on from a past,
    triangle_share: float = 0.0         # or as one that rolls (`model/noise_levels.py`)
    rungs: int = 4                      # of the ladder that it rolls on
    style_share: float = 0.0            # of the synthetic excerpts are not in the first style
    partly_share: float = 0.0           # of those are part of the way to it
    phones: bool = False                # what sounds is told, too
    hears: str = 'mel'                  # or `samples`, for an encoder of `model.speech_encoders`
    voice_seconds: float = 0.0          # of each voice are heard beside the excerpt, at most
    sound: augment.AugmentConfig = field(default_factory=augment.AugmentConfig)


class Batch(NamedTuple):
    """What a training step needs, numpy, batch first."""

    features: Array         # (batch, 2 n, 80), or (batch, HISTORY + 320 n) samples
    clean: Array            # (batch, frames, 52) weights in [0, 1]
    timesteps: Array        # (batch, frames)
    noise: Array            # (batch, frames, 52)
    times: Array            # (1, frames) the same for all
    blocks: Array           # (batch, frames)
    horizons: Array         # (batch, frames)
    token_times: Array      # (1, n)
    style: NDArray[np.int64]
    fps: float
    amounts: Array | None = None        # (batch,) how much of it; all of it where there are none
    voices: Array | None = None         # (batch, 3, 2 m, 80) features of who speaks, if asked for
    lone: NDArray[np.bool_] | None = None       # (batch,) the voice has one clip only
    phones: Array | None = None         # (batch, n, classes) 1 for what a token is to tell,
    speech: Array | None = None         # (batch, n, 2) and whether somebody speaks, or nobody


def draw(corpus: Corpus, config: BatchConfig, rng: np.random.Generator) -> Batch:
    """Draw one batch; the same generator state gives the same batch."""
    fps = float(rng.choice([24.0, 25.0, 30.0, 60.0, rng.uniform(24.0, 60.0)]))
    frames = int(config.seconds * fps)
    features = int((config.lead_in + config.seconds) * CURVE_RATE) // 2 * 2
    # One moment for all excerpts: then one bias in seconds serves them all.
    moments = config.lead_in + rng.uniform(0.0, 0.02) + np.arange(frames) / fps
    clips, items = [], []
    styles, amounts = np.zeros(config.size, np.int64), np.ones(config.size, np.float32)
    for place in range(config.size):
        drawn_as = _whom(config, rng)
        if config.style_share and drawn_as != REAL and rng.random() < config.style_share:
            styles[place] = rng.integers(1, corpus.styles)
            if config.partly_share and rng.random() < config.partly_share:
                amounts[place] = rng.random()
        clips.append(corpus.draw(drawn_as, rng, int(styles[place]), float(amounts[place])))
        items.append(_excerpt(corpus, clips[-1], config, moments, fps, rng))
    batch = Batch(
        np.stack([item[0] for item in items]),
        np.stack([item[1] for item in items]),
        np.stack([item[2] for item in items]),
        rng.standard_normal((config.size, frames, len(rig.NAMES)), dtype=np.float32),
        moments[None].astype(np.float32),
        np.stack([item[3] for item in items]),
        np.stack([item[4] for item in items]),
        _token_times(features)[None],
        styles,
        fps,
        amounts if config.partly_share else None,
        phones=np.stack([item[5] for item in items]) if config.phones else None,
        speech=np.stack([item[6] for item in items]) if config.phones else None,
    )
    return _with_voices(batch, corpus, clips, config, rng) if config.voice_seconds else batch


def _with_voices(batch: Batch, corpus: Any, clips: list[Any], config: BatchConfig,
                 rng: np.random.Generator) -> Batch:
    """Return the batch with what a `VoicedCorpus` has of the voices of its clips."""
    # Often little of a voice is known yet: lengths are drawn from 0.2 s on, evenly in octaves.
    length = 2 * int(50 * 0.2 * (config.voice_seconds / 0.2) ** rng.random())
    heard = [corpus.views(clip, length * mel.STRIDE + mel.HISTORY, rng) for clip in clips]
    return batch._replace(
        style=np.array([corpus.voice_number(clip) for clip in clips]),
        voices=np.stack([[_voice(view / np.float32(32768), config, rng) for view in views]
                         for views in heard]),
        lone=np.array([corpus.lone(clip) for clip in clips]))


def _whom(config: BatchConfig, rng: np.random.Generator) -> str:
    """Return as which kind of clip one is drawn."""
    return REAL if rng.random() < config.grid_share else SPOKEN


def _excerpt(corpus: Corpus, clip: Clip, config: BatchConfig, times: NDArray[np.float64],
             fps: float, rng: np.random.Generator) -> tuple[Array, ...]:
    length = int((config.lead_in + config.seconds) * CURVE_RATE) // 2 * 2
    start = int(rng.integers(-60, max(-59, len(clip.curves) - length + 100)))     # in 10 ms
    if config.phones:
        clip = clip._replace(curves=np.hstack([clip.curves, _classes(clip)]))
    curves, samples = clip.curves, _padded(clip.samples, start * mel.STRIDE - mel.HISTORY,
                                           length * mel.STRIDE + mel.HISTORY)
    samples = samples.astype(np.float32) / 32768.0
    if config.sound != augment.AugmentConfig():
        samples, curves = _changed(corpus, clip, (start, length), config, rng)
        start = 0
    features = HEARD[config.hears](samples, config, rng)
    curves, sounding = np.split(curves, [len(rig.NAMES)], axis=1)
    clean = _curves_at(curves, (times + start / CURVE_RATE) * CURVE_RATE)
    phones, speech = (
        _shares(_curves_at(sounding, (_token_times(length) - delay) * CURVE_RATE + start))
        for delay in (PHONE_DELAY, SPEECH_DELAY))
    if rng.random() < config.mirror_share:
        clean = clean[:, rig.MIRROR]
    blocks, horizons = _blocks(times, config, fps, rng)
    if rng.random() < config.deaf_share:
        horizons = np.full_like(horizons, -1e3)
    timesteps = NOISE_TIMES[config.noise_times](blocks.astype(int), rng)
    if rng.random() < config.blank_share:
        timesteps = np.ones_like(timesteps)
    levels = Levels(timesteps, blocks, horizons)
    if config.even_share or config.chunk_share or config.triangle_share:
        levels = _sampled(levels, times, config, rng)
    return (features, clean, levels.timesteps, levels.blocks, levels.horizons, phones,
            _spoken(speech))


def _token_times(features: int) -> Array:
    """Return when each token of an excerpt was complete, seconds."""
    return 0.02 * np.arange(1, features // 2 + 1, dtype=np.float32)


def _classes(clip: Clip) -> NDArray[np.float16]:
    """
    Return (frames, classes) of a clip: 1 for the class that sounds, all 0 in silence.

    So whatever takes a sound away and lets its face rest makes silence of it. The place of silence
    itself says what is not known.
    """
    places = np.where(clip.sounding == SILENT, UNKNOWN, clip.sounding)
    places = np.where(clip.sounding == UNKNOWN, SILENT, places)
    return (places[:, None] == np.arange(len(NUMBERED))).astype(np.float16)


def _shares(classes: Array) -> Array:
    """Return (n, classes) shares, given such as `_classes`; all 0 where nothing is known."""
    if classes.shape[1]:
        classes[:, SILENT] = 1 - classes.sum(axis=1)
    return classes


def _spoken(shares: Array) -> Array:
    """Return (n, 2) shares of speech and of silence."""
    return np.stack([shares[:, :SILENT].sum(axis=1), shares[:, SILENT:].sum(axis=1)], axis=1)


def _sampled(levels: Levels, times: NDArray[np.float64], config: BatchConfig,
             rng: np.random.Generator) -> Levels:
    """Return the levels as one of the samplers has them, or as they are."""
    kind = rng.random()
    if kind < config.even_share:
        return even(levels, rng)
    if kind < config.even_share + config.chunk_share:
        return chunk(levels, rng)
    if kind < config.even_share + config.chunk_share + config.triangle_share:
        return triangle(levels, times, config.rungs, rng)
    return levels


def _changed(corpus: Corpus, clip: Clip, span: tuple[int, int], config: BatchConfig,
             rng: np.random.Generator) -> tuple[Array, Array]:
    """Return the samples of an excerpt, `span` = start and length in 10 ms, and its curves."""
    first, length = span[0] - LEAD, LEAD + span[1]
    whole = int(np.ceil(length * augment.FASTEST)) + 2      # one that is sped up is used up sooner
    piece = augment.Piece(
        _padded(clip.samples, first * mel.STRIDE, whole * mel.STRIDE) / np.float32(32768),
        _padded(clip.curves, first, whole).astype(np.float32))

    def voices(count: int) -> Sequence[Array]:      # of the same people as those who are watched
        heard = [corpus.draw(_whom(config, rng), rng).samples for _ in range(count)]
        return [samples.astype(np.float32) / 32768 for samples in heard]

    samples, curves = augment.change(piece, config.sound, voices, rng)
    return samples[LEAD * mel.STRIDE - mel.HISTORY:length * mel.STRIDE], curves[LEAD:]


def _padded(samples: NDArray[Number], start: int, length: int) -> NDArray[Number]:
    """Return `length` samples, or frames, from `start`; zeros where the clip has none."""
    piece = np.zeros((length, *samples.shape[1:]), samples.dtype)
    first, last = max(0, start), min(len(samples), start + length)
    if last > first:
        piece[first - start:last - start] = samples[first:last]
    return piece


def _curves_at(curves: NDArray[np.float16], position: NDArray[np.float64]) -> Array:
    """Interpolate (T, 52) curves linearly; before the first and after the last the face rests."""
    inside = (position >= 0) & (position <= len(curves) - 1)
    low = np.clip(np.floor(position).astype(int), 0, len(curves) - 2)
    part = np.clip(position - low, 0.0, 1.0)[:, None].astype(np.float32)
    below, above = curves[low].astype(np.float32), curves[low + 1].astype(np.float32)
    return np.where(inside[:, None], below * (1 - part) + above * part, 0.0).astype(np.float32)


def _features(samples: Array, config: BatchConfig, rng: np.random.Generator) -> Array:
    """Return log-mel features with another level, room colour, vocal tract and noise."""
    gain = 10.0 ** (rng.uniform(-24.0, 6.0) / 20.0)
    power = mel.mel_power(samples) * np.float32(gain * gain)
    if rng.random() < 0.6:
        power = power @ _warp(rng.uniform(-0.12, 0.12))
    colour = np.interp(np.arange(mel.BANDS), np.linspace(0, mel.BANDS - 1, 5),
                       rng.normal(0.0, 3.0, 5))
    power = power * (10.0 ** (colour / 10.0)).astype(np.float32)
    if rng.random() < config.noise_share:
        power = power + _noise(power, rng)
    return mel.log_compress(power)


def _samples(samples: Array, config: BatchConfig, rng: np.random.Generator) -> Array:
    """Return the samples with another level and white noise, 5 to 40 dB below them."""
    noisy = samples * np.float32(10.0 ** (rng.uniform(-24.0, 6.0) / 20.0))
    if rng.random() < config.noise_share:
        below = noisy.std() * 10.0 ** (-rng.uniform(5.0, 40.0) / 20.0)
        noisy = noisy + below * rng.standard_normal(len(noisy), dtype=np.float32)
    return noisy.astype(np.float32)


HEARD = {'mel': _features, 'samples': _samples}


def _voice(samples: Array, config: BatchConfig, rng: np.random.Generator) -> Array:
    """Return log-mel features with another level and noise; what is a voice's own is left."""
    gain = 10.0 ** (rng.uniform(-24.0, 6.0) / 20.0)
    power = mel.mel_power(samples) * np.float32(gain * gain)
    if rng.random() < config.noise_share:
        power = power + _noise(power, rng)
    return mel.log_compress(power)


def _warp(amount: float) -> Array:
    """Return a (80, 80) matrix that moves the mel bands as a longer or shorter vocal tract."""
    source = np.clip(np.arange(mel.BANDS) * (1.0 + amount), 0, mel.BANDS - 1)
    low = np.minimum(source.astype(int), mel.BANDS - 2)
    matrix = np.zeros((mel.BANDS, mel.BANDS), np.float32)
    matrix[low, np.arange(mel.BANDS)] = 1 - (source - low)
    matrix[low + 1, np.arange(mel.BANDS)] += source - low
    return matrix


def _noise(power: Array, rng: np.random.Generator) -> Array:
    """Return coloured, slowly moving noise 5 to 40 dB below the excerpt's speech."""
    speech = float(np.percentile(power.mean(axis=1), 90))
    snr = 10.0 ** (rng.uniform(5.0, 40.0) / 10.0)
    colour = np.interp(np.arange(mel.BANDS), np.linspace(0, mel.BANDS - 1, 6),
                       rng.normal(0.0, 6.0, 6)) - 0.1 * np.arange(mel.BANDS)
    shape = 10.0 ** (colour / 10.0)
    swell = np.exp(np.interp(np.arange(len(power)), np.linspace(0, len(power), 8),
                             rng.normal(0.0, 0.4, 8)))
    # Power of Gaussian noise in a band: chi-square of about the band's width in bins.
    grain = rng.gamma(2.0, 0.5, power.shape)
    return (speech / snr * grain * (shape / shape.mean()) * swell[:, None]).astype(np.float32)


def _blocks(times: NDArray[np.float64], config: BatchConfig, fps: float,
            rng: np.random.Generator) -> tuple[Array, Array]:
    """Cut the frames into blocks of one length; return block numbers and audio horizons."""
    used = bool(config.profile_share) and rng.random() < config.profile_share
    hop, lookahead = PROFILES[rng.choice(list(PROFILES))] if used else (
        rng.uniform(0.02, config.longest_block), None)
    length = max(1, round(float(hop) * fps))
    phase = int(rng.integers(0, length))
    blocks = (np.arange(len(times)) + phase) // length
    if lookahead is None:
        lookahead = rng.uniform(0.0, config.extra_lookahead) if rng.random() < 0.5 else 0.0
    ends = times[0] + ((blocks + 1) * length - phase) / fps
    return (blocks - blocks[0]).astype(np.float32), (ends + lookahead).astype(np.float32)


def _block_times(blocks: NDArray[np.int64], rng: np.random.Generator) -> Array:
    """Draw a noise time for each block: past-like, anything, or where a sampler starts."""
    kind = rng.random(int(blocks[-1]) + 1)
    low = np.where(kind < 0.4, 0.0, np.where(kind < 0.65, 0.0, 0.95))
    high = np.where(kind < 0.4, 0.2, 1.0)
    return rng.uniform(low, high).astype(np.float32)[blocks]


def _window_time(blocks: NDArray[np.int64], rng: np.random.Generator) -> Array:
    """Draw one noise time for all frames."""
    return np.full(len(blocks), rng.random(), np.float32)


NOISE_TIMES = {'blocks': _block_times, 'window': _window_time}
