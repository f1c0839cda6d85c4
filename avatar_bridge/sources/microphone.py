# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""A microphone that may be unplugged, busy or missing, while the stream goes on."""

from __future__ import annotations

from collections.abc import Iterator
import threading
from typing import Any

import numpy as np

from avatar_bridge.clock import MonotonicClock
from avatar_bridge.errors import AudioError
from avatar_bridge.frames import AudioBlock, EndOfSpeech, Event, Samples
from avatar_bridge.ports import Clock
from avatar_bridge.sources.devices import InputDevice, Opened, PortAudio, chosen
from avatar_bridge.sources.intray import Intray

FIRST_PAUSE = 0.5               # seconds before a lost device is looked for again; doubles
LONGEST_PAUSE = 5.0
SILENCE = 0.02                  # seconds of silence at a time while there is no device
LOST = 1_000_000_000            # ns without samples after which a device counts as lost
PATIENCE = 0.25                 # seconds between looks at whether samples still come
STUCK = 8_000_000_000           # ns inside one call of the audio system
MOST_STUCK = 3
CLOSING = 1.0                   # seconds that a lost device may take to close
SLOW_START = 6_000_000_000      # the same before its first samples (PulseAudio: up to 2 s)


class Microphone:
    """
    Yield what a device hears, and what happens to it as `Event('device', ...)`.

    While the device is away silence comes in its place, in real time, so that faces go to rest;
    samples are numbered without a gap.
    """

    def __init__(self, device: str | int = '', *, clock: Clock | None = None) -> None:
        """
        Listen to the device with this index, or with this in its name; empty for the default.

        Raises `AudioError` where a device was asked for that is not there, and
        `MissingPackageError` without PortAudio.
        """
        self._portaudio = PortAudio()
        self._device = str(device)
        self._clock = clock or MonotonicClock()
        self._intray = Intray(self._clock)
        self._closing = threading.Event()
        self._lost = threading.Event()
        self._away = threading.Event()
        self._told = ''
        self.openings = 0               # how often the device was opened
        self.stuck = 0                  # keepers that never came back from the audio system
        self._busy_since: int | None = None
        self._keeper = threading.current_thread()
        if self._device:
            chosen(self._portaudio.devices(), self._device)

    @property
    def xruns(self) -> int:
        """How often the device lost samples before we got them."""
        return self._intray.xruns

    @property
    def dropped(self) -> int:
        """Samples that nobody took in time."""
        return self._intray.dropped

    def blocks(self) -> Iterator[AudioBlock | EndOfSpeech | Event]:
        """Yield blocks and events until `close`."""
        self._begin_keeping()
        axis = Axis()
        while not self._closing.is_set():
            item = self._intray.take(SILENCE if self._away.is_set() else PATIENCE)
            if isinstance(item, Event):
                yield item
            elif item is not None:
                yield from axis.heard(*item)
            elif self._away.is_set():
                yield from axis.silence(self._clock.now())
            self._replace_stuck()
        # PortAudio may hang in a driver: the keeper is a daemon and may be left behind.
        self._keeper.join(2.0)

    def close(self) -> None:
        """Make `blocks` end."""
        self._closing.set()
        self._lost.set()
        self._intray.wake()

    def _begin_keeping(self) -> None:
        self._busy_since = None
        self._keeper = threading.Thread(target=self._keep, name='microphone', daemon=True)
        self._keeper.start()

    def _replace_stuck(self) -> None:
        """Let silence flow and another keeper try where this one never came back."""
        if self._intray.has_heard and self._intray.quiet_for() > LOST:
            self._away.set()
        since = self._busy_since
        if since is not None and self._clock.now() - since > STUCK and self.stuck < MOST_STUCK:
            self.stuck += 1
            self._away.set()
            self._tell('lost: the audio system does not answer; trying again')
            self._begin_keeping()

    def _keep(self) -> None:
        """Open the device, and again whenever it is lost: the life of a keeper."""
        pause = FIRST_PAUSE
        while self._is_keeper():
            try:
                opened = self._open()
            except AudioError as error:
                self._tell(f'lost: {error}; trying again')
            else:
                pause = FIRST_PAUSE
                self._watch(opened)
                leave(opened)
            if not self._is_keeper():
                return
            self._away.set()
            self._intray.wake()
            self._closing.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            if self._is_keeper():
                self._portaudio.rescan()

    def _open(self) -> Opened:
        self._busy_since = self._clock.now()
        device = chosen(self._portaudio.devices(), self._device)
        self._lost.clear()
        self._intray.begin(device.sample_rate)
        keeper = threading.current_thread()

        def hear(samples: Samples, frames: int, time: Any, status: Any) -> None:
            if keeper is self._keeper:
                self._hear(samples, frames, time, status)

        opened = self._portaudio.open(device, hear, self._lost.set)
        if self._is_keeper():
            self._busy_since = None
            self.openings += 1
            news = 'back' if self.openings > 1 else 'listening'
            self._tell(f'{news}: {device.name} ({device.sample_rate} Hz, '
                       f'{opened.channels} channels)')
        return opened

    def _watch(self, opened: Opened) -> None:
        """Return when the device is lost."""
        while self._is_keeper() and not self._lost.wait(PATIENCE):
            patience = LOST if self._intray.has_heard else SLOW_START
            if self._intray.quiet_for() > patience:
                break
        if self._is_keeper():
            self._tell(f'lost: {opened.name}; looking for it')

    def _is_keeper(self) -> bool:
        """Whether this thread shall go on; one that was given up on must touch nothing."""
        return threading.current_thread() is self._keeper and not self._closing.is_set()

    def _hear(self, samples: Samples, frames: int, time: Any, status: Any) -> None:
        """Copy and hand over; called by PortAudio in a thread that must not wait."""
        now, length = self._clock.now(), frames * 1_000_000_000 // self._intray.sample_rate
        age = int((time.currentTime - time.inputBufferAdcTime) * 1e9)
        # Drivers that do not know when a sample was heard say 0 or nonsense.
        capture = now - (age if length <= age < 500_000_000 else length)
        mono = samples[:, 0] if samples.shape[1] == 1 else samples
        self._away.clear()
        self._intray.put(np.array(mono, np.float32), capture, bool(status.input_overflow))

    def _tell(self, text: str) -> None:
        if text != self._told:          # a device that stays away is news once
            self._told = text
            self._intray.tell(Event('device', text))


class Axis:
    """Numbers samples without a gap, whatever the devices do; pure."""

    def __init__(self) -> None:
        """Begin with sample 0."""
        self._start = 0
        self._sample_rate = 0
        self._channels = 0
        self._until: int | None = None      # ns; what was yielded reaches to here
        self._is_silent = False

    def heard(self, samples: Samples, sample_rate: int, capture_ns: int, lost: int,
              ) -> Iterator[AudioBlock]:
        """Yield samples; `lost` of them before these never came."""
        if self._until is not None and self._is_silent:
            yield from self.silence(capture_ns)
            overlap = (self._until - capture_ns) * sample_rate // 1_000_000_000
            samples = samples[max(0, overlap):]     # silence stands in for these already
            capture_ns += max(0, overlap) * 1_000_000_000 // sample_rate
            lost = 0
            if not len(samples):
                return
        self._is_silent = False
        self._adopt(sample_rate, samples.shape[1] if samples.ndim == 2 else 1)
        self._start += lost
        yield self._block(samples, capture_ns)

    def silence(self, now: int) -> Iterator[AudioBlock]:
        """Yield as much silence as has passed since the last sample."""
        if self._until is None:
            self._until = now
        self._adopt(self._sample_rate or 16000, self._channels or 1)
        self._is_silent = True
        count = (now - self._until) * self._sample_rate // 1_000_000_000
        if count > 0:
            shape = (count,) if self._channels == 1 else (count, self._channels)
            yield self._block(np.zeros(shape, np.float32), self._until)

    def _adopt(self, sample_rate: int, channels: int) -> None:
        if self._sample_rate and sample_rate != self._sample_rate:
            self._start = self._start * sample_rate // self._sample_rate
        self._sample_rate, self._channels = sample_rate, channels

    def _block(self, samples: Samples, capture_ns: int) -> AudioBlock:
        block = AudioBlock(self._start, samples, self._sample_rate, capture_ns)
        self._start += len(samples)
        self._until = capture_ns + len(samples) * 1_000_000_000 // self._sample_rate
        return block


def leave(opened: Opened) -> None:
    """Close a device, or leave it behind: drivers of what is gone may never come back."""
    closing = threading.Thread(target=opened.close, name='microphone closing', daemon=True)
    closing.start()
    closing.join(CLOSING)


def devices() -> list[InputDevice]:
    """Return the audio inputs of this machine."""
    return PortAudio().devices()


def supported_rates(device: InputDevice) -> list[int]:
    """Return the usual sample rates that a device accepts."""
    return PortAudio().supported_rates(device)
