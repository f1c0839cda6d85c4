# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""From a source's blocks to the engine's samples: one channel, one rate, nothing infinite."""

from __future__ import annotations

from typing import Literal

import numpy as np

from avatar_bridge.audio.resample import Resampler
from avatar_bridge.errors import AudioError
from avatar_bridge.frames import AudioBlock, Samples

Channel = Literal['mix'] | int
LONGEST_GAP = 1.0               # seconds; a longer one is a new recording, not a hole in this one


class Intake:
    """
    Downmix, repair, resample.

    `push` returns the 16 kHz samples that a block completes, `flush` the rest, `reset` makes it
    new but keeps the counters.
    """

    def __init__(self, sample_rate: int = 16000, channel: Channel = 'mix') -> None:
        """Make samples of `sample_rate` Hz from all channels or from one."""
        self.sample_rate = sample_rate
        self._channel = channel
        self.nonfinite = 0              # samples that were NaN or infinite and became silence
        self.clipped = 0                # samples at or beyond full scale; passed on
        self.gaps = 0                   # samples that never came and became silence
        self.level = (-120.0, -120.0)   # rms and peak of the newest block, dBFS
        self.reset()

    def reset(self) -> None:
        """Expect a new stream."""
        self._resampler: Resampler | None = None
        self._rate = -1
        self._next = 0

    def push(self, block: AudioBlock) -> Samples:
        """Return the samples that are determined by now, (n,) float32."""
        mono = self._repaired(self._mono(block.samples))
        self._measure(mono)
        pieces = []
        if block.sample_rate != self._rate:
            pieces.append(self.flush())
            self._resampler = Resampler(checked_rate(block.sample_rate), self.sample_rate)
            self._rate = block.sample_rate
        elif 0 < block.start - self._next <= LONGEST_GAP * self._rate:
            missing = block.start - self._next
            self.gaps += missing
            mono = np.concatenate([np.zeros(missing, np.float32), mono])
        self._next = block.start + len(block.samples)
        assert self._resampler is not None
        pieces.append(self._resampler.push(mono))
        return np.concatenate(pieces)

    def flush(self) -> Samples:
        """Return what the resampler still holds."""
        rest = np.zeros(0, np.float32) if self._resampler is None else self._resampler.flush()
        self._resampler, self._rate = None, -1
        return rest

    def _mono(self, samples: Samples) -> Samples:
        if samples.ndim == 1 and self._channel in ('mix', 0):
            return samples
        samples = samples.reshape(len(samples), -1)
        if self._channel == 'mix':
            return samples.mean(axis=1, dtype=np.float32)
        if not 0 <= self._channel < samples.shape[1]:
            raise AudioError(f'channel {self._channel} was asked for, but the audio has '
                             f'{samples.shape[1]} (counted from 0); choose one of them or mix')
        return samples[:, self._channel]

    def _repaired(self, samples: Samples) -> Samples:
        samples = samples.astype(np.float32, copy=False)
        finite = np.isfinite(samples)
        if not finite.all():
            self.nonfinite += int(len(samples) - finite.sum())
            samples = np.where(finite, samples, np.float32(0.0))
        self.clipped += int(np.count_nonzero(np.abs(samples) >= 1.0))
        return np.clip(samples, -8.0, 8.0)

    def _measure(self, samples: Samples) -> None:
        if len(samples):
            rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
            self.level = (decibels(rms), decibels(float(np.abs(samples).max())))


def checked_rate(sample_rate: int) -> int:
    """Return `sample_rate` if audio can have it."""
    if not 4000 <= sample_rate <= 384000:
        raise AudioError(f'expected a sample rate of 4000 to 384000 Hz, got {sample_rate}')
    return sample_rate


def decibels(amplitude: float) -> float:
    """Return dB relative to full scale, -120 at least."""
    return 20.0 * float(np.log10(max(amplitude, 1e-6)))
