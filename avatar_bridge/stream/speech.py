# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Is somebody speaking? What was said of each piece of 10 ms is remembered, and lasts a little.

A small network sees a third of a second of spectrum: each band is held against its own quietest
level, so neither the gain of the microphone nor a steady noise matters. Where the network that
moves the face tells, too, the two are asked together. `model/train_detector.py` makes the
parameters.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.audio import mel
from avatar_bridge.frames import Samples

Array = NDArray[np.float64]

PIECE: Final = mel.STRIDE       # samples, 10 ms
HANGOVER: Final = 15            # pieces that speech is assumed to go on: stops and short pauses,
SUSTAINED: Final = 8            # once so many
RECENT: Final = 12              # of the latest were speech: a click has no hangover
REMEMBERED: Final = 200         # pieces, 2 s
BANDS: Final = 20               # of the spectrum, four of `mel` each
SILENT: Final = 1e-6            # power that nothing is below
LAGS: Final = (0, 1, 2, 4, 8, 16, 32)       # pieces ago that the network sees
FALLING: Final = 0.1            # how fast the quietest level follows down, a piece,
RISING: Final = 0.004           # and up: four seconds
DELAY: Final = 2                # pieces: what is told is of the one so long before
DOUBT: Final = 0.75            # log odds that two who are asked must have in the mean
OPENING: Final = 3              # pieces at first that hear what was before the stream: nothing
YOUNG: Final = 50               # pieces in which a stream may have begun amid speech,
PLUNGING: Final = 0.5           # so that every dip counts for more
SCALE: Final = 4.0              # of log power, so that the network sees about unit variance


class SpokenTime:
    """
    Remember, for the last two seconds, which pieces of 10 ms held speech, or its hangover.

    `push` takes what is known of the next pieces; `heard_between` answers for a range of samples;
    `reset` makes it new.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self.reset()

    def reset(self) -> None:
        """Begin again with the first piece."""
        self._recent: deque[bool] = deque(maxlen=RECENT)
        self._pieces: deque[bool] = deque(maxlen=REMEMBERED)
        self._held = 0                  # pieces that the hangover still lasts
        self._count = 0

    def push(self, odds: NDArray[np.floating]) -> None:
        """Take (n,) log odds of speech in the next n pieces."""
        for spoken in odds > 0:
            self._remember(bool(spoken))

    def _remember(self, is_speech: bool) -> None:
        self._recent.append(is_speech)
        self._held = HANGOVER + 1 if sum(self._recent) >= SUSTAINED else max(0, self._held - 1)
        self._pieces.append(is_speech or self._held > 0)
        self._count += 1

    def heard_between(self, start: int, end: int) -> bool:
        """
        Return whether speech, or its hangover, touches samples [start, end).

        What is not known yet is as the last piece is.
        """
        oldest = self._count - len(self._pieces)
        first = min(max(0, start // PIECE - oldest), len(self._pieces) - 1)
        last = min(-(-end // PIECE) - oldest, len(self._pieces))
        return any(self._pieces[index] for index in range(max(0, first), last))


class SpeechDetector:
    """
    Tell of each piece of 10 ms whether somebody spoke, 20 ms after it.

    `push` takes samples in any blocks, with what the network that moves the face tells of them, if
    it does; `reset` makes it new.
    """

    def __init__(self) -> None:
        """Know nothing of the room yet."""
        self.reset()

    def reset(self) -> None:
        """Forget the room."""
        self._rest = np.zeros(mel.HISTORY, np.float32)
        self._floor = np.zeros(BANDS)
        self._spectra = np.zeros((LAGS[-1], BANDS))      # over the floor, the newest last
        self._count = 0
        self._waiting = np.zeros(0)     # odds of pieces of which the other has not told

    def push(self, samples: Samples, told: NDArray[np.floating] | None = None) -> Array:
        """
        Hear (n,) samples; return (m,) log odds of speech in the pieces that are known now.

        :param told: (m,) log odds by the network that moves the face, of the same pieces
        """
        odds = self._heard(samples)
        if told is None:
            return odds
        odds = np.concatenate([self._waiting, odds])
        self._waiting = odds[len(told):]
        return (odds[:len(told)] + told) / 2 - DOUBT

    def _heard(self, samples: Samples) -> Array:
        heard = np.concatenate([self._rest, samples])
        spectra = bands(heard)
        self._rest = heard[len(spectra) * PIECE:]
        if not len(spectra):
            return np.zeros(0)
        floors = np.empty_like(spectra)
        for index, spectrum in enumerate(spectra):
            self._floor = followed(self._floor, spectrum, self._count + index)
            floors[index] = self._floor
        over = np.concatenate([self._spectra, spectra - floors])
        self._spectra = over[len(spectra):]
        before, self._count = self._count, self._count + len(spectra)
        return score(seen(over, floors), parameters())[max(0, DELAY - before):]


def bands(samples: Samples) -> Array:
    """Return the (n, BANDS) log power of every whole feature, as `mel.mel_power` cuts them."""
    power = mel.mel_power(samples).astype(np.float64)
    return np.log(power.reshape(len(power), BANDS, mel.BANDS // BANDS).mean(axis=2) + SILENT)


def followed(floor: Array, spectrum: Array, age: int) -> Array:
    """Return the quietest level of each band after a piece, `age` pieces into the stream."""
    if age < OPENING:
        return spectrum
    falling = PLUNGING if age < YOUNG else FALLING
    return floor + (spectrum - floor) * np.where(spectrum < floor, falling, RISING)


def seen(over: Array, floors: Array) -> Array:
    """
    Return (n, inputs) of the network.

    `over` is (LAGS[-1] + n, BANDS), how far spectra are over the floor; `floors` (n, BANDS).
    """
    last = LAGS[-1]
    shape = floors - floors.mean(axis=1, keepdims=True)
    return np.concatenate([*(over[last - lag:len(over) - lag] for lag in LAGS), shape],
                          axis=1) / SCALE


def score(inputs: Array, layers: list[tuple[Array, Array]]) -> Array:
    """Return (n,) log odds of speech, given (n, inputs)."""
    for matrix, bias in layers[:-1]:
        inputs = np.tanh(inputs @ matrix + bias)
    matrix, bias = layers[-1]
    answer: Array = (inputs @ matrix + bias)[:, 0]
    return answer


@lru_cache(maxsize=1)
def parameters() -> list[tuple[Array, Array]]:
    """Return matrix and bias of each layer."""
    path = files('avatar_bridge') / 'assets' / 'speech_detector.npz'
    with path.open('rb') as file, np.load(file) as stored:
        count = len(stored.files) // 2
        return [(stored[f'matrix_{index}'].astype(np.float64),
                 stored[f'bias_{index}'].astype(np.float64)) for index in range(count)]
