# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
The promised figures, measured on this machine: `avatar-bridge bench`.

Everything runs in processes of its own, as it would in earnest; nothing is estimated.
"""

from __future__ import annotations

from collections.abc import Iterator
import json
import math
import os
from pathlib import Path
import resource
import subprocess
import sys
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple
import wave

import numpy as np

from avatar_bridge.audio.intake import Intake
from avatar_bridge.bundle import Bundle, load_bundle
from avatar_bridge.clock import MonotonicClock
from avatar_bridge.config import FPS, PROFILES, EngineConfig
from avatar_bridge.errors import MissingPackageError, UsageError
from avatar_bridge.frames import AudioBlock, Samples
from avatar_bridge.ports import Backend
from avatar_bridge.stream.engine import Engine

SPEECH: Final = Path(__file__).parent / 'assets' / 'speech.flac'
PROGRAM: Final = (sys.executable, '-m', 'avatar_bridge')
SAMPLE_RATE: Final = 16000
REPEATS: Final = 3              # of figures that one run cannot give
IMPORT: Final = """
import sys, time
began = time.perf_counter()
import avatar_bridge
alone = time.perf_counter() - began
from avatar_bridge import Engine, Session, load_bundle
print(alone, time.perf_counter() - began, 'torch' in sys.modules)
"""


class Figure(NamedTuple):
    """One measured figure and its promise."""

    name: str
    value: float | None             # none: it could not be measured
    unit: str
    promise: float | None = None    # none: it explains another figure
    why: str = ''                   # it could not

    @property
    def is_met(self) -> bool | None:
        """Whether the promise was kept, if there is one."""
        if self.promise is None or self.value is None:
            return None
        return self.value <= self.promise

    def line(self) -> str:
        """Return the figure as a line of the table."""
        if self.value is None:
            return f'{self.name:58}unmeasured: {self.why}'
        verdict = '' if self.promise is None else (
            f'promised {self.promise:g}  {"met" if self.is_met else "MISSED"}')
        return f'{self.name:58}{self.value:9.2f} {self.unit:5} {verdict}'.rstrip()


class Live(NamedTuple):
    """What a run in real time showed."""

    index: Any                      # of each frame that the subscriber received
    beyond: Any                     # latency of each beyond the algorithmic one, ms
    latency_ms: float               # the algorithmic one
    memory: list[float]             # MB, four times a second


def report(*, as_json: bool) -> int:
    """Measure and print; return 0, also where a promise was missed: it is said."""
    load = os.getloadavg()[0]
    figures = list(measure())
    latencies = {name: float(Engine(load_bundle(), EngineConfig(profile=name)).latency) * 1000
                 for name in PROFILES}
    if as_json:
        print(json.dumps({'figures': [{**figure._asdict(), 'met': figure.is_met}
                                      for figure in figures],
                          'algorithmic_latency_ms': latencies, 'load_before': load,
                          'cores': os.cpu_count()}, indent=1))
        return 0
    for figure in figures:
        print(figure.line())
    for name, latency in latencies.items():
        print(f'algorithmic latency, {name:37}{latency:9.0f} ms')
    print(f'load average before: {load:.1f} on {os.cpu_count()} cores')
    return 0


def measure() -> Iterator[Figure]:
    """Yield every figure; those of a card where there is one."""
    samples = speech()
    with TemporaryDirectory() as folder:
        copy = Path(folder) / 'speech.wav'
        write_wav(copy, samples)
        shipped, aligned = live_run(SPEECH), live_run(copy)
    yield from end_to_end(shipped, math.ceil(FPS * len(samples) / SAMPLE_RATE))
    # A hop is five whole blocks of such a file, so that no frame waits for the block behind it.
    for percent in (50, 99):
        yield Figure(f'  of the same speech at 16 kHz, p{percent}',
                     float(np.percentile(aligned.beyond, percent)), 'ms')
    yield Figure('compute per second of audio, one core (goal 0.10)', rtf(samples), 's', 0.25)
    yield from hops(samples)
    half = len(shipped.memory) // 2
    yield Figure('memory of the process', max(shipped.memory), 'MB', 350.0)
    yield Figure('growth of memory in the second half of the run',
                 shipped.memory[-1] - shipped.memory[half], 'MB', 2.0)
    alone, whole, torch = import_time()
    yield Figure('import of avatar_bridge', alone, 's', 0.3)
    yield Figure('  with Engine, Session and load_bundle', whole, 's')
    yield Figure('torch imported with it', float(torch), '', 0.0)


def end_to_end(live: Live, expected: int) -> Iterator[Figure]:
    """Yield latencies: of all frames, and of those that must wait for their last sample."""
    firsts = live.beyond[live.index % Engine(load_bundle()).spec.hop == 0]
    for percent, promise in ((50, 8.0), (99, 20.0)):
        yield Figure(f'end to end beyond the algorithmic latency, p{percent}',
                     float(np.percentile(live.beyond, percent)), 'ms', promise)
    for percent in (50, 99):
        yield Figure(f'  of the first frames of hops, p{percent}',
                     float(np.percentile(firsts, percent)), 'ms')
    yield Figure(f'frames of {expected} that the subscriber missed',
                 expected - len(live.index), '', 0.0)
    if live.index[0] == 0:
        yield Figure('first frame after the first sample',
                     float(live.beyond[0]) + live.latency_ms, 'ms', 150.0)


def speech() -> Samples:
    """Return the bundled speech at 16 kHz."""
    from avatar_bridge.sources.file import FileSource

    intake = Intake()
    pieces = [intake.push(block) for block in FileSource(SPEECH).blocks()
              if isinstance(block, AudioBlock)]
    return np.concatenate([*pieces, intake.flush()])


def live_run(path: Path) -> Live:
    """Run a file in real time into a ZeroMQ subscriber in another process."""
    from avatar_bridge.subscriber import latencies

    with TemporaryDirectory() as folder:
        url, out = f'ipc://{folder}/bench.ipc', Path(folder) / 'received.npz'
        with subprocess.Popen([sys.executable, '-m', 'avatar_bridge.subscriber', url, str(out)],
                              stdout=subprocess.DEVNULL) as subscriber:
            run = subprocess.Popen([*PROGRAM, 'run', '--source', str(path), '--sink',
                                    f'zmq={url}', '--quiet'])
            memory = watched_memory(run)
            if run.returncode or subscriber.wait(20):
                raise RuntimeError('the measured run failed')
        with np.load(out) as stored:
            return Live(stored['index'], latencies(stored), float(stored['latency_ms']), memory)


def write_wav(path: Path, samples: Samples) -> None:
    """Write 16 kHz mono, 16 bit."""
    with wave.open(str(path), 'wb') as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.clip(np.rint(samples * 32767), -32768, 32767).astype('<i2').tobytes())


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
    """Return CPU time for each second of audio, `live` at 60 fps, one thread: the median run."""
    engine, clock = Engine(load_bundle()), MonotonicClock()
    engine.push(samples[:SAMPLE_RATE])
    spent = []
    for _ in range(REPEATS):
        engine.reset()
        began = clock.process()
        for start in range(0, len(samples), 320):
            engine.push(samples[start:start + 320])
        spent.append((clock.process() - began) * SAMPLE_RATE / len(samples) / 1e9)
    return float(np.median(spent))


class StepByStep(Bundle):
    """A bundle whose hops a card does step by step, for comparison."""

    def backend(self, config: EngineConfig) -> Backend:
        """Return what opens its programs."""
        from avatar_bridge.torch_models import Eager, TorchBackend

        return TorchBackend(self.path, config.device, worker=Eager)


def hops(samples: Samples) -> Iterator[Figure]:
    """Yield the time of a hop on each backend and device, and why there is none."""
    bundle = load_bundle()
    stepwise = StepByStep(bundle.path, bundle.manifest)
    cpu = EngineConfig(backend='torch', device='cpu')
    card = EngineConfig(backend='torch', device='cuda')
    for name, opened, config, promise in (
            ('onnx, one core', bundle, EngineConfig(), None),
            ('torch on the CPU', bundle, cpu, None),
            ('torch on CUDA, eager', stepwise, card, None),
            ('torch on CUDA, captured graph', bundle, card, 3.0)):
        try:
            engine = Engine(opened, config)
        except MissingPackageError:
            yield Figure(f'hop, {name}', None, 'ms', promise, 'no torch')
        except UsageError:
            yield Figure(f'hop, {name}', None, 'ms', promise, 'no CUDA')
        else:
            yield Figure(f'hop, {name}', hop_time(engine, samples), 'ms', promise)


def hop_time(engine: Engine, samples: Samples) -> float:
    """Return milliseconds from the last sample of a hop to its frames, at the median."""
    clock, spent = MonotonicClock(), []
    size = engine.spec.timeline.first_sample(engine.spec.hop)
    for start in range(0, len(samples) - size + 1, size):
        began = clock.now()
        if engine.push(samples[start:start + size]):
            spent.append((clock.now() - began) / 1e6)
    return float(np.median(spent[len(spent) // 4:]))        # the first ones warm up


def import_time() -> tuple[float, float, bool]:
    """Return seconds for the package, for its public names too, and whether torch came along."""
    answers = [subprocess.run([sys.executable, '-c', IMPORT], capture_output=True, text=True,
                              check=True).stdout.split() for _ in range(REPEATS)]
    alone, whole = (float(np.median([float(answer[column]) for answer in answers]))
                    for column in (0, 1))
    return alone, whole, any(answer[2] == 'True' for answer in answers)
