# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""What a microphone hears moves the face as the same speech in a file does."""

import signal
import subprocess
import sys
import time

import numpy as np
from pulse import pulse  # noqa: F401 - a fixture
import pytest
import soundfile

from avatar_bridge.rig import INDEX

PROGRAM = (sys.executable, '-m', 'avatar_bridge')
SECONDS = 4


def rows(path):
    return path.read_bytes().count(b'\n') if path.exists() else 0


def until(path, count, live):
    """Wait until a file that is being written has so many lines."""
    deadline = time.monotonic() + 30
    while rows(path) < count:
        assert live.poll() is None, 'the run ended'
        assert time.monotonic() < deadline, f'{rows(path)} of {count} lines'
        time.sleep(0.1)


def best_fit(heard, expected):
    """Return the correlation where it is greatest; to a quarter frame, as sound has no phase."""
    size, times = len(expected), np.arange(len(heard))
    best = -1.0
    for part in (0.0, 0.25, 0.5, 0.75):
        moved = np.interp(times[:-1] + part, times, heard)
        for start in range(len(moved) - size + 1):
            piece = moved[start:start + size]
            if piece.std() > 1e-6:
                best = max(best, np.corrcoef(piece, expected)[0, 1])
    return best


@pytest.mark.slow
def test_a_face_at_a_microphone_is_that_of_the_file(pulse, speech, tmp_path):  # noqa: F811
    samples, rate = soundfile.read(speech, dtype='float32')
    samples = samples[:SECONDS * rate]
    spoken, offline, out = tmp_path / 's.wav', tmp_path / 'offline.npz', tmp_path / 'mic.csv'
    soundfile.write(spoken, samples, rate)
    subprocess.run([*PROGRAM, 'animate', str(spoken), '-o', str(offline), '--quiet'], check=True)
    with subprocess.Popen([*PROGRAM, 'run', '--source', 'mic', '--quiet', '--sink', f'csv={out}'],
                          env=pulse.environment) as live:
        until(out, 60, live)
        pulse.play(samples, rate)
        until(out, rows(out) + 60 * (SECONDS + 2), live)
        live.send_signal(signal.SIGINT)
        assert live.wait(20) == 0
    titles = out.read_text().splitlines()[0].split(',')
    column = [title.lower() for title in titles].index('jawopen')
    heard = np.array([float(row.split(',')[column]) for row in out.read_text().splitlines()[1:]])
    expected = np.load(offline)['weights'][:, INDEX['jawOpen']]
    assert best_fit(heard, expected) >= 0.98
