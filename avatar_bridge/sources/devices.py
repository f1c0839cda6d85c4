# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Audio inputs through PortAudio; the only place that knows `sounddevice`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import threading
from typing import Any

from avatar_bridge.errors import AudioError, MissingPackageError

BLOCKS_PER_SECOND = 100
LATENCY = 0.03                  # seconds; with 'low' PulseAudio's ALSA plugin stalls (measured)
MOST_CHANNELS = 8
USUAL_RATES = (8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000, 192000)

# PortAudio's list of devices is one for the process and made when it is initialised; it can be
# made anew only while no stream is open.
_lock = threading.Lock()
_streams: set[int] = set()


@dataclass(frozen=True)
class InputDevice:
    """An audio input."""

    index: int
    name: str
    channels: int
    sample_rate: int            # Hz, the one that it prefers
    is_default: bool


class Opened:
    """A device that is being listened to."""

    def __init__(self, device: InputDevice, channels: int) -> None:
        """Count as listening from now on: no rescan meanwhile, not even while it is opened."""
        self.name = device.name
        self.channels = channels
        self.stream: Any = None
        with _lock:
            _streams.add(id(self))

    def close(self) -> None:
        """Stop listening; never raises, the device may be gone."""
        if self.stream is not None:
            self.stream.close(ignore_errors=True)
        with _lock:
            _streams.discard(id(self))


class PortAudio:
    """The library, found when it is asked for."""

    def __init__(self) -> None:
        """Raise `MissingPackageError` where something is not installed."""
        try:
            import sounddevice
        except ImportError as error:
            raise MissingPackageError('microphones need sounddevice; pip install sounddevice'
                                      ) from error
        except OSError as error:
            raise MissingPackageError(
                'microphones need the system library PortAudio, which sounddevice did not find; '
                'apt-get install libportaudio2 (or the like of your system)') from error
        self._library: Any = sounddevice

    def devices(self) -> list[InputDevice]:
        """Return what can be listened to."""
        with _lock:
            listed = self._library.query_devices()
            default = self._library.default.device[0]
        return [
            InputDevice(index, item['name'], item['max_input_channels'],
                        round(item['default_samplerate']), index == default)
            for index, item in enumerate(listed) if item['max_input_channels'] > 0
        ]

    def rescan(self) -> None:
        """Look for devices that came or went, unless somebody in this process is listening."""
        with _lock:
            if not _streams:
                self._library._terminate()
                self._library._initialize()

    def open(
        self, device: InputDevice, callback: Callable[..., None], finished: Callable[[], None],
    ) -> Opened:
        """Start to listen; raises `AudioError`."""
        # More are offered by virtual devices only, which make them up.
        channels = device.channels if device.channels <= MOST_CHANNELS else 1
        opened = Opened(device, channels)
        try:
            opened.stream = self._library.InputStream(
                device=device.index, channels=channels, samplerate=device.sample_rate,
                blocksize=max(1, device.sample_rate // BLOCKS_PER_SECOND), latency=LATENCY,
                dtype='float32', callback=callback, finished_callback=finished)
            opened.stream.start()
        except self._library.PortAudioError as error:
            opened.close()
            raise AudioError(f'{device.name} cannot be opened ({_one_line(error)}); is another '
                             'program using it?') from error
        return opened

    def supported_rates(self, device: InputDevice) -> list[int]:
        """Return the usual sample rates that a device accepts."""
        return [rate for rate in USUAL_RATES if self._accepts(device, rate)]

    def _accepts(self, device: InputDevice, rate: int) -> bool:
        try:
            self._library.check_input_settings(device=device.index, samplerate=rate, channels=1)
        except self._library.PortAudioError:
            return False
        return True


def chosen(inputs: Sequence[InputDevice], wanted: str) -> InputDevice:
    """Return the device with this index or with this in its name; '' for the default."""
    if not inputs:
        raise AudioError('expected a microphone, found no audio input on this machine; plug one '
                         'in, or start the sound server')
    if not wanted:
        return next((device for device in inputs if device.is_default), inputs[0])
    found = [device for device in inputs if wanted == str(device.index)]
    for same in (str.__eq__, str.__contains__):
        found = found or [device for device in inputs
                          if same(device.name.lower(), wanted.lower())]
    if len(found) != 1:
        listed = ', '.join(f'{device.index}: {device.name}' for device in found or inputs)
        problem = 'several fit' if found else 'none fits'
        raise AudioError(f'expected the index or a part of the name of one audio input, got '
                         f'{wanted!r}: {problem}; choose from {listed}')
    return found[0]


def _one_line(error: Exception) -> str:
    return ' '.join(str(error).split())
