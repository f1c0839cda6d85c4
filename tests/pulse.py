# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
A private PulseAudio with a null sink, whose monitor is a microphone for tests.

In a test file: `from pulse import pulse` and take the fixture; give `pulse.environment` to the
process that listens, and `pulse.play(samples, rate)`.
"""

from __future__ import annotations

import ctypes.util
import os
from pathlib import Path
import shutil
import subprocess
import tempfile
import time

import numpy as np
import pytest

CONFIGURATION = """\
load-module module-native-protocol-unix
load-module module-null-sink sink_name=vs rate=48000
set-default-sink vs
set-default-source vs.monitor
"""
ALSA = """\
</usr/share/alsa/alsa.conf>
pcm.!default { type pulse }
ctl.!default { type pulse }
"""
PLUGIN = 'alsa-lib/libasound_module_pcm_pulse.so'


def missing():
    """Return what this machine lacks for the test, or ''."""
    for program in ('pulseaudio', 'pactl', 'pacat'):
        if shutil.which(program) is None:
            return f'{program} (apt-get install pulseaudio pulseaudio-utils)'
    if ctypes.util.find_library('portaudio') is None:
        return 'PortAudio (apt-get install libportaudio2)'
    if not list(Path('/usr/lib').glob(f'*/{PLUGIN}')) + list(Path('/usr/lib64').glob(PLUGIN)):
        return "ALSA's PulseAudio plugin (apt-get install libasound2-plugins)"
    return ''


class Pulse:
    """A sound server of our own; `start` and `kill` are plugging in and pulling the plug."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ('home', 'run'):
            (folder / name).mkdir(mode=0o700)
        (folder / 'pulse.conf').write_text(CONFIGURATION)
        (folder / 'alsa.conf').write_text(ALSA)
        self._server: subprocess.Popen | None = None
        self._players: list[subprocess.Popen] = []
        self.environment = {
            **os.environ, 'HOME': str(folder / 'home'), 'XDG_RUNTIME_DIR': str(folder / 'run'),
            'PULSE_SERVER': f'unix:{folder}/run/pulse/native',
            'ALSA_CONFIG_PATH': str(folder / 'alsa.conf'),
        }

    def start(self) -> None:
        """Plug the microphone in."""
        self._server = subprocess.Popen(
            ['pulseaudio', '-n', '-F', str(self._folder / 'pulse.conf'), '--daemonize=no',
             '--exit-idle-time=-1', '--use-pid-file=no', '--resample-method=speex-float-10'],
            env=self.environment, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while subprocess.run(['pactl', 'info'], env=self.environment, check=False,
                             capture_output=True).returncode:
            assert time.monotonic() < deadline, 'PulseAudio did not start'
            time.sleep(0.1)

    def kill(self) -> None:
        """Pull the plug."""
        for process in (*self._players, self._server):
            if process is not None:
                process.kill()
                process.wait()
        self._players, self._server = [], None

    def play(self, samples: np.ndarray, sample_rate: int) -> None:
        """Begin to play mono samples; what listens hears them."""
        path = self._folder / 'play.s16'
        path.write_bytes(np.rint(np.clip(samples, -1, 1) * 32767).astype('<i2').tobytes())
        with path.open('rb') as data:
            self._players.append(subprocess.Popen(
                ['pacat', '--device=vs', '--format=s16le', f'--rate={sample_rate}',
                 '--channels=1', '--latency-msec=300'], stdin=data, env=self.environment))


@pytest.fixture
def pulse():
    """A running sound server with a microphone that hears what is played."""
    if reason := missing():
        pytest.skip(f'needs {reason}')
    # Not tmp_path: the path of a Unix socket has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix='pulse') as folder:
        server = Pulse(Path(folder))
        server.start()
        yield server
        server.kill()
