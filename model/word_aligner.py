# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Find the phones inside GRID's words: `python -m model.word_aligner DATA` learns how they sound.

GRID says when each word begins and ends, no more. Three Gaussians a phone (its onset, middle and
end) over cepstra, each speaker's mean and deviation taken out, are learnt by embedded Viterbi
training on the training clips: align, estimate, align again. Word edges may move a little.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
import sys
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
import soundfile

from model.grid import GridCorpus
from model.phones import GRID_WORDS, SILENCE, Phone, from_words

Array = NDArray[np.float64]
RATE: Final = 100               # frames per second
STATES: Final = 3               # of a phone, a frame each at least
SLACK: Final = 0.05             # seconds: how far phones stray from even shares of their word
TRUST: Final = 0.15             # in the sound: neighbouring frames repeat one another
LEAST_VARIANCE: Final = 0.05    # of features whose variance is 1
ROUNDS: Final = 4
LEARNT: Final = Path(__file__).parent / 'configs' / 'grid_phones.npz'
NAMES: Final = (SILENCE, *sorted(set(''.join(GRID_WORDS.values()))))


class Voice(NamedTuple):
    """How the states of NAMES sound, STATES a phone."""

    means: Array                # (phones * STATES, features)
    variances: Array            # the same

    def scores(self, heard: Array) -> Array:
        """Return the log likelihood of each state, (frames, states)."""
        precise = 1 / self.variances
        distance = (heard ** 2 @ precise.T - 2 * heard @ (self.means * precise).T
                    + (self.means ** 2 * precise).sum(axis=1))
        return -0.5 * (distance + np.log(self.variances).sum(axis=1))


@lru_cache(maxsize=1)
def learnt() -> Voice:
    """Return the stored voice."""
    with np.load(LEARNT) as stored:
        return Voice(stored['means'].astype(float), stored['variances'].astype(float))


def cepstra(samples: NDArray[np.float32]) -> Array:
    """Return (n, 26): 13 mel cepstra and their slopes, 100 a second, standardised per clip."""
    count = -(-len(samples) // 160)
    padded = np.pad(np.asarray(samples, float), (200, 200 + count * 160 - len(samples)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, 400)[80::160][:count]
    power = np.abs(np.fft.rfft(frames * np.hanning(400), 512)) ** 2
    static = dct(np.log(power @ _mel_bands().T + 1e-7), norm='ortho')[:, :13]
    features = np.concatenate([static, np.gradient(static, axis=0)], axis=1)
    return (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)


@lru_cache(maxsize=1)
def _mel_bands() -> Array:
    """Return 26 triangles over the 257 bins of 512 points at 16 kHz, 60 to 7600 Hz."""
    edges = 700 * (10 ** (np.linspace(*(2595 * np.log10(1 + np.array([60, 7600]) / 700)), 28)
                          / 2595) - 1)
    bins = np.arange(257) * 16000 / 512
    up = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    down = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(up, down))


def align(words: list[list[object]], heard: Array, voice: Voice) -> list[Phone]:
    """Return the phones of words `[word, start, end]` where the (n, 26) cepstra have them."""
    phones = from_words(words)
    states = np.array([NAMES.index(phone.symbol) * STATES + part
                       for phone in phones for part in range(STATES)])
    path = _viterbi(TRUST * voice.scores(heard)[:, states] + _nearness(phones, len(heard)))
    first = np.searchsorted(path // STATES, np.arange(len(phones) + 1)) / RATE
    first[0] = phones[0].start
    return [phone._replace(start=float(start), end=float(end))
            for phone, start, end in zip(phones, first, first[1:], strict=False)]


def _nearness(phones: list[Phone], frames: int) -> Array:
    """Return the log probability (frames, states) of frames this far from where a phone lies."""
    times = np.arange(frames)[:, None] / RATE
    starts, ends = (np.repeat(edges, STATES) for edges in
                    np.array([(phone.start, phone.end) for phone in phones]).T)
    return -0.5 * (np.maximum(0, np.maximum(starts - times, times - ends)) / SLACK) ** 2


def _viterbi(scores: Array) -> NDArray[np.intp]:
    """Return the best path (frames,) through (frames, states), left to right, none left out."""
    frames, states = scores.shape
    stepped = np.zeros((frames, states), bool)
    best = np.full(states, -np.inf)
    best[0] = scores[0, 0]
    for frame in range(1, frames):
        before = np.concatenate([[-np.inf], best[:-1]])
        stepped[frame] = before > best
        best = np.maximum(best, before) + scores[frame]
    path = np.empty(frames, np.intp)
    state = states - 1
    for frame in range(frames - 1, -1, -1):
        path[frame] = state
        state -= int(stepped[frame, state])
    return path


def estimate(aligned: list[tuple[list[Phone], Array]]) -> Voice:
    """Return the voice that explains these alignments best."""
    heard = np.concatenate([features for _, features in aligned])
    states = np.concatenate([_states(phones, len(features)) for phones, features in aligned])
    counts = np.maximum(np.bincount(states, minlength=len(NAMES) * STATES), 1)[:, None]
    first, second = np.zeros((2, len(counts), heard.shape[1]))
    np.add.at(first, states, heard)
    np.add.at(second, states, heard ** 2)
    means = first / counts
    return Voice(means, np.maximum(second / counts - means ** 2, LEAST_VARIANCE))


def _states(phones: list[Phone], frames: int) -> NDArray[np.intp]:
    """Return the state of each frame; a phone's thirds are its states."""
    starts = np.array([phone.start for phone in phones])
    lengths = np.maximum([phone.end - phone.start for phone in phones], 1e-3)
    times = (np.arange(frames) + 0.5) / RATE
    at = np.clip(np.searchsorted(starts, times, 'right') - 1, 0, None)
    part = np.clip((times - starts[at]) / lengths[at] * STATES, 0, STATES - 1).astype(np.intp)
    names = np.array([NAMES.index(phone.symbol) for phone in phones])
    return names[at] * STATES + part


def train(corpus: GridCorpus) -> Voice:
    """Return a voice learnt on the training clips."""
    clips = [(corpus.words[clip.id], cepstra(soundfile.read(corpus.audio(clip.id))[0]))
             for clip in corpus.training()]
    aligned = [(from_words(words), heard) for words, heard in clips]
    for _ in range(ROUNDS):
        voice = estimate(aligned)
        aligned = [(align(words, heard, voice), heard) for words, heard in clips]
    return estimate(aligned)


if __name__ == '__main__':
    voice = train(GridCorpus(Path(sys.argv[1]) / 'grid_s1'))
    np.savez_compressed(LEARNT, means=voice.means.astype(np.float32),
                        variances=voice.variances.astype(np.float32))
