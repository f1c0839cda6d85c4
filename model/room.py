# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
How a room sounds: the impulse response of a box by the image method, with a diffuse tail.

Early reflections are those of Allen and Berkley (1979); the tail is noise that decays with the
reverberation time and goes on as loud as the reflections were. The direct sound is sample 0: a
room changes the sound, not when it is heard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

SPEED: Final = 343.0            # of sound, m/s
ORDER: Final = 3                # reflections along each axis that are counted one by one


@dataclass(frozen=True)
class Room:
    """A box with somebody who speaks and a microphone; metres and seconds."""

    size: tuple[float, float, float]
    speaker: tuple[float, float, float]
    microphone: tuple[float, float, float]
    reverberation: float        # until the sound has decayed by 60 dB

    @property
    def distance(self) -> float:
        """Return how far the speaker is from the microphone."""
        return float(np.linalg.norm(np.subtract(self.speaker, self.microphone)))


def draw_room(rng: np.random.Generator) -> Room:
    """Draw a room like those that people speak in, at arm's length from the microphone."""
    size = rng.uniform((2.5, 2.5, 2.3), (8.0, 6.0, 3.5))
    speaker = rng.uniform(0.8, size - 0.8)
    direction = rng.standard_normal(3)
    away = direction / np.linalg.norm(direction) * rng.uniform(0.2, 0.6)
    microphone = np.clip(speaker + away, 0.2, size - 0.2)
    return Room(tuple(size), tuple(speaker), tuple(microphone), float(rng.uniform(0.15, 0.45)))


def impulse_response(room: Room, sample_rate: int, rng: np.random.Generator,
                     ) -> NDArray[np.float32]:
    """Return (n,) samples; the direct sound is the first and 1."""
    response = np.zeros(int(room.reverberation * sample_rate) + 1)
    delays, levels = images(room)
    places = np.round(delays * sample_rate).astype(int)
    heard = places < len(response)
    np.add.at(response, places[heard], levels[heard])
    response[0] = 1.0
    times = np.arange(len(response)) / sample_rate
    # The images of ORDER stop where the nearest wall would need one more.
    mixing = min(ORDER * min(room.size) / SPEED, 0.5 * room.reverberation)
    before = (times > 0.5 * mixing) & (times <= mixing)
    tail = rng.standard_normal(len(response)) * 10 ** (-3 * times / room.reverberation)
    tail *= np.sqrt((response[before] ** 2).sum() / (tail[before] ** 2).sum())
    return (response + tail * np.clip(2 * times / mixing - 1, 0, 1)).astype(np.float32)


def images(room: Room) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return delays behind the direct sound (s) and levels against it, of all reflections."""
    size = np.array(room.size)
    surface = 2 * (size[0] * size[1] + size[1] * size[2] + size[2] * size[0])
    absorbed = min(0.161 * np.prod(size) / (surface * room.reverberation), 0.95)   # Sabine
    turns = np.stack(np.meshgrid(*[np.arange(-ORDER, ORDER + 1)] * 3, indexing='ij'),
                     axis=-1).reshape(-1, 1, 3)
    mirrored = np.stack(np.meshgrid(*[(0, 1)] * 3, indexing='ij'), axis=-1).reshape(1, -1, 3)
    places = (1 - 2 * mirrored) * np.array(room.speaker) + 2 * turns * size
    bounces = (np.abs(turns - mirrored) + np.abs(turns)).sum(axis=-1)
    distances = np.linalg.norm(places - np.array(room.microphone), axis=-1)
    later = (bounces > 0) & (distances > room.distance)
    levels = (1 - absorbed) ** (bounces / 2) * room.distance / np.maximum(distances, 1e-3)
    return (distances[later] - room.distance) / SPEED, levels[later]
