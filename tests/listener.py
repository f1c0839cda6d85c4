# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What an engine would hear: a UDP port in another process that writes down what comes when."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
import socket
import subprocess
import sys
import tempfile
from typing import NamedTuple

import soundfile

import avatar_bridge
from avatar_bridge.compose import compose
from avatar_bridge.config import SessionConfig
from avatar_bridge.ports import FrameSink

SPEECH = Path(avatar_bridge.__file__).parent / 'assets' / 'speech.flac'
PROGRAM = '''
import contextlib, socket, sys, time
SO_RCVBUFFORCE = 33     # beyond the system's limit where we may, so that a busy machine loses none
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
    for option in (socket.SO_RCVBUF, SO_RCVBUFFORCE):
        with contextlib.suppress(OSError):
            ear.setsockopt(socket.SOL_SOCKET, option, 1 << 22)
    ear.bind(('127.0.0.1', int(sys.argv[1])))
    print(ear.getsockname()[1], flush=True)
    heard = []
    while (datagram := ear.recv(65536)) != b'enough':
        heard.append((time.monotonic_ns(), datagram.hex()))
for line in heard:
    print(*line)
'''


class Heard(NamedTuple):
    """One datagram."""

    at: int                         # ns of the machine's monotonic clock
    data: bytes


class Listener:
    """Listen on a port of 127.0.0.1, on any free one by default."""

    def __init__(self, port: int = 0) -> None:
        """Start the process and wait until it listens."""
        self._process = subprocess.Popen([sys.executable, '-c', PROGRAM, str(port)], text=True,
                                         stdout=subprocess.PIPE)
        self.port = int(self._process.stdout.readline())

    def __enter__(self) -> Listener:
        """Return the listener itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Make sure that the process is gone."""
        self.kill()

    def heard(self) -> list[Heard]:
        """Return everything that was sent so far, in the order of arrival, and end."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as voice:
            voice.sendto(b'enough', ('127.0.0.1', self.port))
        lines = self._process.communicate(timeout=20)[0].split()
        return [Heard(int(at), bytes.fromhex(data))
                for at, data in zip(lines[::2], lines[1::2], strict=True)]

    def kill(self) -> None:
        """End it without a word."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


def cut(path: Path, seconds: float) -> Path:
    """Write the beginning of our speech to `path`."""
    samples, rate = soundfile.read(SPEECH, dtype='float32')
    soundfile.write(path, samples[:int(seconds * rate)], rate)
    return path


def speak(sinks: Mapping[str, FrameSink], seconds: float = 2.0) -> None:
    """Animate the beginning of our speech for `sinks`, in real time."""
    with tempfile.TemporaryDirectory() as folder:
        source = cut(Path(folder) / 'speech.wav', seconds)
        compose(SessionConfig(source=str(source)), sinks=sinks).run()
