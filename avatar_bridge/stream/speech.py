# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Is somebody speaking? What was said of each piece of 10 ms is remembered, and lasts a little.

A small network with a memory hears spectra: each band is held against its own quietest level, the
voice against the loudest that was heard lately. So neither the gain of the microphone nor a steady
noise matters, and whoever talks in the background is known by being weaker. It is told what the
network that moves the face makes of it, if that says so. `model/train_detector.py` makes the
parameters.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

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
FALLING: Final = 0.1            # how fast the quietest level follows down, a piece,
RISING: Final = 0.004           # and up: four seconds
SWELLING: Final = 0.2           # how fast the loudest level follows up, a piece,
FADING: Final = 0.003           # and down: three seconds
VOICE: Final = slice(2, 14)     # bands of the level: 200 Hz to 3 kHz
DELAY: Final = 2                # pieces: what is told is of the one so long before
LOUD: Final = 2.0               # no opinion counts for more
DOUBT: Final = 1.5              # log odds that a mouth at rest wants: it moves for nobody in vain
OPENING: Final = 3              # pieces at first that hear what was before the stream: nothing
YOUNG: Final = 50               # pieces in which a stream may have begun amid speech,
PLUNGING: Final = 0.5           # so that every dip counts for more
INPUTS: Final = 2 * BANDS + 3
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


class Room(NamedTuple):
    """What is known of where the sound comes from, in log power."""

    age: int                    # pieces
    floor: Array                # (BANDS + 1,) quietest level of each band and of the voice,
    loudest: float              # whose loudest fades


EMPTY: Final = Room(0, np.zeros(BANDS + 1), 0.0)


class Parameters(NamedTuple):
    """A gated recurrent unit (Cho et al. 2014) between two layers; reset, update, new."""

    into: Array                 # (INPUTS, width)
    into_bias: Array            # (width,)
    heard: Array                # (width, 3 width)
    heard_bias: Array           # (3 width,)
    kept: Array                 # (width, 3 width)
    kept_bias: Array            # (3 width,)
    out: Array                  # (width,)
    out_bias: Array             # ()

    @property
    def width(self) -> int:
        """Numbers in the memory."""
        return len(self.out)


class SpeechDetector:
    """
    Tell of each piece of 10 ms whether somebody spoke, 20 ms after it.

    `push` takes samples in any blocks, with what the network that moves the face tells of them, if
    it does; `reset` makes it new.
    """

    def __init__(self) -> None:
        """Know nothing of the room yet."""
        self._parameters = parameters()
        self.reset()

    def reset(self) -> None:
        """Forget the room."""
        self._rest = np.zeros(mel.HISTORY, np.float32)
        self._room = EMPTY
        self._waiting = np.zeros((0, INPUTS - 1))       # pieces of which nothing was told yet
        self._told = np.zeros(DELAY)                    # nothing of what was before the first one
        self._memory = np.zeros(self._parameters.width)

    def push(self, samples: Samples, told: NDArray[np.floating] | None = None) -> Array:
        """
        Hear (n,) samples; return (m,) log odds of speech in the pieces that are known now.

        :param told: (m,) log odds by the network that moves the face, of the same pieces
        """
        heard = np.concatenate([self._rest, samples])
        levels = bands(heard)
        self._rest = heard[len(levels) * PIECE:]
        scored = self._room.age - len(self._waiting)
        inputs, self._room = placed(levels, self._room)
        told = np.zeros(len(inputs)) if told is None else told
        waiting, said = np.concatenate([self._waiting, inputs]), np.append(self._told, told)
        known = min(len(waiting), len(said))
        self._waiting, self._told = waiting[known:], said[known:]
        odds, self._memory = score(with_told(waiting[:known], said[:known]), self._memory,
                                   self._parameters)
        return odds[max(0, DELAY - scored):] - DOUBT


def bands(samples: Samples) -> Array:
    """
    Return (n, BANDS + 1) log power of every whole feature, as `mel.mel_power` cuts them.

    The last column is the level of the voice.
    """
    power = mel.mel_power(samples).astype(np.float64)
    power = power.reshape(len(power), BANDS, mel.BANDS // BANDS).mean(axis=2) + SILENT
    return np.log(np.column_stack([power, power[:, VOICE].mean(axis=1)]))


def placed(heard: Array, room: Room) -> tuple[Array, Room]:
    """
    Return (n, INPUTS - 1) of the network, given (n, BANDS + 1) levels, and the room after them.

    Each band over its floor, the floor's shape, the voice under its loudest, that over its floor.
    """
    floors, loudest = np.empty_like(heard), np.empty(len(heard))
    for index, levels in enumerate(heard):
        room = after(room, levels)
        floors[index], loudest[index] = room.floor, room.loudest
    shape = floors[:, :BANDS] - floors[:, :BANDS].mean(axis=1, keepdims=True)
    inputs = np.column_stack([(heard - floors)[:, :BANDS], shape, heard[:, BANDS] - loudest,
                              loudest - floors[:, BANDS]])
    return inputs / SCALE, room


def with_told(inputs: Array, told: NDArray[np.floating]) -> Array:
    """Return (n, INPUTS): what was placed, and (n,) log odds that were told, 0 for nothing."""
    return np.column_stack([inputs, np.clip(told / SCALE, -LOUD, LOUD)])


def after(room: Room, heard: Array) -> Room:
    """Return what is known of the room after a piece more, (BANDS + 1,) levels."""
    level = float(heard[BANDS])
    if not room.age:
        return Room(1, heard, level)
    rising = SWELLING if level > room.loudest else FADING
    return Room(room.age + 1, followed(room.floor, heard, room.age),
                room.loudest + rising * (level - room.loudest))


def followed(floor: Array, spectrum: Array, age: int) -> Array:
    """Return the quietest level of each band after a piece, `age` pieces into the stream."""
    if age < OPENING:
        return spectrum
    falling = PLUNGING if age < YOUNG else FALLING
    return floor + (spectrum - floor) * np.where(spectrum < floor, falling, RISING)


def score(inputs: Array, memory: Array, network: Parameters) -> tuple[Array, Array]:
    """Return (n,) log odds of speech, given (n, INPUTS), and the (width,) memory after them."""
    width = network.width
    entering = np.tanh(inputs @ network.into + network.into_bias) @ network.heard
    memories = np.empty((len(inputs), width))
    for index, heard in enumerate(entering + network.heard_bias):
        kept = memory @ network.kept + network.kept_bias
        reset, update = opened((heard + kept)[:2 * width]).reshape(2, width)
        new = np.tanh(heard[2 * width:] + reset * kept[2 * width:])
        memories[index] = memory = new + update * (memory - new)
    odds: Array = memories @ network.out + network.out_bias
    return odds, memory


def opened(gate: Array) -> Array:
    """Return the logistic function of a gate."""
    return 0.5 + 0.5 * np.tanh(0.5 * gate)


@lru_cache(maxsize=1)
def parameters() -> Parameters:
    """Return the network that ships."""
    path = files('avatar_bridge') / 'assets' / 'speech_detector.npz'
    with path.open('rb') as file, np.load(file) as stored:
        return Parameters(*(stored[name].astype(np.float64) for name in Parameters._fields))
