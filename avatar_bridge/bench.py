# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
The promised figures, measured on this machine: `avatar-bridge bench`.

Everything runs in processes of its own, as it would in earnest; nothing is estimated.
"""

from __future__ import annotations

from collections.abc import Iterator
import json
import os
from pathlib import Path
import resource
import subprocess
import sys
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import numpy as np

from avatar_bridge.audio.intake import Intake
from avatar_bridge.bundle import load_bundle
from avatar_bridge.clock import MonotonicClock
from avatar_bridge.config import PROFILES, EngineConfig
from avatar_bridge.frames import AudioBlock, Samples
from avatar_bridge.stream.engine import Engine

SPEECH: Final = Path(__file__).parent / 'assets' / 'speech.flac'
PROGRAM: Final = (sys.executable, '-m', 'avatar_bridge')
REPEATS: Final = 3              # of figures that one run cannot give
IMPORT: Final = """
import sys, time
began = time.perf_counter()
import avatar_bridge
print(time.perf_counter() - began, 'torch' in sys.modules)
"""


class Figure(NamedTuple):
    """One measured figure and its promise."""

    name: str
    value: float
    unit: str
    promise: float

    @property
    def is_met(self) -> bool:
        """Whether the promise was kept."""
        return self.value <= self.promise


def report(*, as_json: bool) -> int:
    """Measure and print; return 0, also where a promise was missed: it is said."""
    figures = list(measure())
    latencies = {name: float(Engine(load_bundle(), EngineConfig(profile=name)).latency) * 1000
                 for name in PROFILES}
    if as_json:
        print(json.dumps({'figures': [{**figure._asdict(), 'met': figure.is_met}
                                      for figure in figures],
                          'algorithmic_latency_ms': latencies}, indent=1))
        return 0
    for figure in figures:
        print(f'{figure.name:58}{figure.value:9.2f} {figure.unit:5} promised {figure.promise:g}'
              f'  {"met" if figure.is_met else "MISSED"}')
    for name, latency in latencies.items():
        print(f'algorithmic latency, {name:37}{latency:9.0f} ms')
    return 0


def measure() -> Iterator[Figure]:
    """Yield every figure that needs no GPU."""
    beyond, memory, growth = live_run()
    yield Figure('end to end beyond the algorithmic latency, p50',
                 float(np.percentile(beyond, 50)), 'ms', 8.0)
    yield Figure('end to end beyond the algorithmic latency, p99',
                 float(np.percentile(beyond, 99)), 'ms', 20.0)
    samples = speech()
    yield Figure('compute per second of audio, one core (goal 0.10)', rtf(samples), 's', 0.25)
    yield Figure('first frame after the first sample',
                 min(first_frame(samples) for _ in range(REPEATS)), 'ms', 150.0)
    yield Figure('memory of the process', memory, 'MB', 350.0)
    yield Figure('growth of memory in the second half of the run', growth, 'MB', 2.0)
    seconds, torch = import_time()
    yield Figure('import of avatar_bridge', seconds, 's', 0.3)
    yield Figure('torch imported with it', float(torch), '', 0.0)


def speech() -> Samples:
    """Return the bundled speech at 16 kHz."""
    from avatar_bridge.sources.file import FileSource

    intake = Intake()
    pieces = [intake.push(block) for block in FileSource(SPEECH).blocks()
              if isinstance(block, AudioBlock)]
    return np.concatenate([*pieces, intake.flush()])


def live_run() -> tuple[Any, float, float]:
    """
    Run the bundled speech in real time into a ZeroMQ subscriber in another process.

    :returns: latency of each frame beyond the algorithmic one (ms), peak memory (MB), growth (MB)
    """
    from avatar_bridge.subscriber import latencies

    with TemporaryDirectory() as folder:
        url, out = f'ipc://{folder}/bench.ipc', Path(folder) / 'received.npz'
        with subprocess.Popen([sys.executable, '-m', 'avatar_bridge.subscriber', url, str(out)],
                              stdout=subprocess.DEVNULL) as subscriber:
            run = subprocess.Popen([*PROGRAM, 'run', '--source', str(SPEECH), '--sink',
                                    f'zmq={url}', '--quiet'])
            memory = watched_memory(run)
            if run.returncode or subscriber.wait(20):
                raise RuntimeError('the measured run failed')
        with np.load(out) as stored:
            beyond = latencies(stored)
    half = len(memory) // 2
    return beyond, max(memory), max(0.0, memory[-1] - memory[half]) if memory else 0.0


def watched_memory(run: subprocess.Popen[bytes]) -> list[float]:
    """Wait for a process; return its resident memory, MB, four times a second while it worked."""
    seen = []
    status = Path(f'/proc/{run.pid}/statm')
    page = os.sysconf('SC_PAGE_SIZE')
    while True:
        try:
            run.wait(0.25)
            break
        except subprocess.TimeoutExpired:
            if status.exists():
                seen.append(int(status.read_text().split()[1]) * page / 2**20)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return [value for value in seen if value > 1.0][:-1] or [peak]


def rtf(samples: Samples) -> float:
    """Return CPU time for each second of audio, `live` at 60 fps, one thread."""
    engine, clock = Engine(load_bundle()), MonotonicClock()
    engine.push(samples[:16000])
    best = float('inf')
    for _ in range(REPEATS):
        engine.reset()
        began = clock.process()
        for start in range(0, len(samples), 320):
            engine.push(samples[start:start + 320])
        best = min(best, (clock.process() - began) * 16000 / len(samples) / 1e9)
    return best


def first_frame(samples: Samples) -> float:
    """Return milliseconds from the first sample to the first frame of a loaded engine."""
    engine, clock = Engine(load_bundle()), MonotonicClock()
    began, heard = clock.now(), 0
    while True:
        heard += 160
        clock.sleep_until(began + heard * 1_000_000_000 // 16000)
        if engine.push(samples[heard - 160:heard]):
            return (clock.now() - began) / 1e6


def import_time() -> tuple[float, bool]:
    """Return the shortest import of a few fresh interpreters, and whether it brought torch."""
    answers = [subprocess.run([sys.executable, '-c', IMPORT], capture_output=True, text=True,
                              check=True).stdout.split() for _ in range(REPEATS)]
    return min(float(seconds) for seconds, _ in answers), any(
        torch == 'True' for _, torch in answers)
