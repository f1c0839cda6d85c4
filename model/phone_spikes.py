# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Where a phone recogniser (PyPI `hama`) hears known phones: a second opinion for an aligner.

Its network answers every 20 ms which phone it hears, in spikes with blanks between (CTC). The best
path through the phones that were said gives each phone one spike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

FRAME: Final = 0.02             # seconds
SAMPLE_RATE: Final = 16000
NOTHING: Final = ('<blank>', '<wb>', ' ')
#: How the recogniser writes our symbols, where it writes them otherwise or in several ways.
HEARD_AS: Final = {
    'p': ('p', 'pʰ'), 't': ('t', 'tʰ', 'ɾ'), 'k': ('k', 'kʰ'), 'd': ('d', 'ɾ'), 'ɡ': ('ɡ', 'g'),
    'ɹ': ('ɹ', 'r'), 'l': ('l', 'ɫ'), 'h': ('h', 'ɦ'), 'ʧ': ('t͡ʃ',), 'ʤ': ('d͡ʒ',),
    'A': ('eɪ', 'e'), 'I': ('aɪ',), 'O': ('oʊ', 'o'), 'W': ('aʊ',), 'Y': ('ɔɪ',),
    'ɑ': ('ɑ', 'ɒ', 'a'), 'ɔ': ('ɔ', 'ɑ', 'ɒ'), 'ɚ': ('ɚ', 'ɝ', 'ɜ'), 'ʌ': ('ʌ', 'ə', 'ɪ'),
    'u': ('u', 'ʉ'), 'i': ('i', 'ɪ'), 'ɪ': ('ɪ', 'ə', 'ɨ', 'i'),
}


class Spike(NamedTuple):
    """One phone as it was heard."""

    time: float                 # seconds, from the first sample to the middle of the frame
    likelihood: float           # of the phone there, over that of the likeliest; 1 is sure


class PhoneListener:
    """A recogniser that is told what was said."""

    def __init__(self) -> None:
        """Load the network that the package carries."""
        from hama.asr import ASRModel  # the extra `judge`
        self._model = ASRModel()
        self._tokens = {token: index for index, token in enumerate(self._model.decoder_tokens)}

    def hear(self, samples: Array, symbols: Sequence[str]) -> list[Spike]:
        """Return the spike of each of `symbols` in 16 kHz samples; none where they do not fit."""
        scores = self._scores(samples)
        blank = self._best(scores, NOTHING)
        spoken = np.stack([self._best(scores, HEARD_AS.get(symbol, (symbol,)))
                           for symbol in symbols], axis=1)
        path = forced(spoken, blank)
        if path is None:
            return []
        spikes = []
        for index in range(len(symbols)):
            frames = np.flatnonzero(path == 2 * index + 1)
            frame = int(frames[np.argmax(spoken[frames, index])])
            sure = float(np.exp(spoken[frame, index] - scores[frame].max()))
            spikes.append(Spike((frame + 0.5) * FRAME, sure))
        return spikes

    def _scores(self, samples: Array) -> Array:
        """Return the log likelihood of every token, (frames, tokens)."""
        waveform = np.asarray(samples, np.float32)[None]
        answers, lengths = self._model.session.run(
            [self._model._log_probs_output_name, self._model._out_lengths_output_name],
            {self._model._waveform_input_name: waveform,
             self._model._waveform_lengths_input_name: np.array([len(samples)])})
        return np.asarray(answers[0][:int(lengths[0])], float)

    def _best(self, scores: Array, tokens: Sequence[str]) -> Array:
        """Return the best log likelihood among `tokens`, (frames,)."""
        return np.asarray(scores[:, [self._tokens[token] for token in tokens]].max(axis=1))


def forced(spoken: Array, blank: Array) -> NDArray[np.intp] | None:
    """
    Return the best path (frames,) through blank, first symbol, blank, second, ..., blank.

    `spoken` (frames, symbols) and `blank` (frames,) are log likelihoods. A blank may be left out,
    as between unlike symbols of a CTC; None where there are fewer frames than symbols.
    """
    frames, count = spoken.shape
    if not 0 < count <= frames:
        return None
    scores = np.repeat(blank[:, None], 2 * count + 1, axis=1)
    scores[:, 1::2] = spoken
    best = np.full(2 * count + 1, -np.inf)
    best[:2] = scores[0, :2]
    steps = np.zeros(scores.shape, np.intp)
    skips = np.where(np.arange(2 * count + 1) % 2 == 1, 0.0, -np.inf)
    for frame in range(1, frames):
        options = np.stack([best, np.concatenate([[-np.inf], best[:-1]]),
                            np.concatenate([[-np.inf] * 2, best[:-2]]) + skips])
        steps[frame] = np.argmax(options, axis=0)
        best = options.max(axis=0) + scores[frame]
    path = np.empty(frames, np.intp)
    state = 2 * count - int(best[-2] > best[-1])
    for frame in range(frames - 1, -1, -1):
        path[frame] = state
        state -= steps[frame, state]
    return path
