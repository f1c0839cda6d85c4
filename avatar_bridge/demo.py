# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
The main job, shown: `make demo`.

The bundled speech goes, paced in real time, over the topic `audio` to the node; its frames go
over a ROS topic and over ZeroMQ to subscribers in processes of their own. Without ROS 2 the
program runs the ZeroMQ path alone and says so. What came over ZeroMQ becomes a film of the face.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from importlib.util import find_spec
import json
import math
import os
from pathlib import Path
import signal
import subprocess
import sys
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, Final, NamedTuple

import numpy as np

from avatar_bridge.config import FPS
from avatar_bridge.errors import HeadError, MissingPackageError, SinkError
from avatar_bridge.frames import AudioBlock, FaceFrame, StreamInfo, TimedAudio, TimedFrame
from avatar_bridge.rig import INDEX, NAMES
from avatar_bridge.sinks.web_address import DEFAULT_PORT
from avatar_bridge.sources.file import FileSource
from avatar_bridge.subscriber import latencies

ASSETS: Final = Path(__file__).parent / 'assets'
SPEECH: Final = ASSETS / 'speech.flac'
OUT: Final = Path('out')
CURVES: Final = ('jawOpen', 'mouthClose', 'mouthPucker', 'mouthFunnel', 'mouthStretchLeft')
SECOND: Final = 1_000_000_000
PATIENCE: Final = 60            # seconds that a process may take to end


class Received(NamedTuple):
    """What one subscriber received."""

    name: str
    stored: Any


def main() -> int:
    """Run the demo; return 1 where a frame was lost."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)      # so that nothing is left behind
    OUT.mkdir(exist_ok=True)
    expected = math.ceil(FileSource(SPEECH).duration * FPS)
    with TemporaryDirectory() as folder:
        if find_spec('rclpy') and find_spec('avatar_bridge_msgs'):
            received = with_ros(Path(folder))
        else:
            print('no ROS 2 here: the ZeroMQ path alone (make help tells more)')
            received = without_ros(Path(folder))
    draw(received[0].stored, OUT / 'demo.png')
    lost = [summary(path, expected) for path in received]
    pictures = [OUT / 'demo.png', *film(received[-1].stored, OUT / 'demo.mp4')]
    print(f'see {OUT / "demo.csv"} (Live Link Face CSV),', ' and '.join(map(str, pictures)))
    command = os.path.relpath(Path(sys.executable).with_name('avatar-bridge'))
    print(f'the same live: {command} view --source {os.path.relpath(SPEECH)}\n'
          f'and in a browser: http://127.0.0.1:{DEFAULT_PORT}')
    return int(any(lost))


def with_ros(folder: Path) -> list[Received]:
    """Speaker -> topic -> node -> topic and ZeroMQ -> listener and subscriber."""
    os.environ.update(ROS_AUTOMATIC_DISCOVERY_RANGE='LOCALHOST',
                      ROS_DOMAIN_ID=str(1 + os.getpid() % 100))
    url = f'ipc://{folder}/demo.ipc'
    parameters = {'autostart': 'true', 'source': 'topic',
                  'sink': f"['ros', 'zmq={url}', 'csv={OUT / 'demo.csv'}']"}
    words = [word for name, value in parameters.items() for word in ('-p', f'{name}:={value}')]
    with ExitStack() as stack:
        subscriber = stack.enter_context(process('subscriber', url, folder / 'zmq.npz'))
        node = stack.enter_context(process('ros.node', '--ros-args', *words))
        listener = stack.enter_context(process('ros.listener', folder / 'ros.npz'))
        until_listening(listener)
        until_listening(subscriber)
        print('node, ROS subscriber and ZeroMQ subscriber are up; speaking', flush=True)
        speaker = stack.enter_context(process('ros.speaker', SPEECH))
        show(subscriber, speaker)       # the listener would wait for a speaker that failed
        finish(listener)
        node.send_signal(signal.SIGINT)
        finish(node)
        finish(subscriber)
    return [Received('ROS topic', np.load(folder / 'ros.npz')),
            Received('ZeroMQ', np.load(folder / 'zmq.npz'))]


def without_ros(folder: Path) -> list[Received]:
    """File -> session -> ZeroMQ -> subscriber."""
    url = f'ipc://{folder}/demo.ipc'
    with ExitStack() as stack:
        subscriber = stack.enter_context(process('subscriber', url, folder / 'zmq.npz'))
        run = stack.enter_context(process(
            '__main__', 'run', '--quiet', '--source', SPEECH, '--sink', f'zmq={url}', '--sink',
            f'csv={OUT / "demo.csv"}'))
        show(subscriber, run)
        finish(subscriber)
    return [Received('ZeroMQ', np.load(folder / 'zmq.npz'))]


@contextmanager
def process(module: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Start a module of ours; end it on the way out if it is still there."""
    started = subprocess.Popen(
        [sys.executable, '-m', f'avatar_bridge.{module}', *map(str, arguments)], text=True,
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        yield started
    finally:
        if started.poll() is None:
            started.kill()
        started.wait()
        if started.stdout:
            started.stdout.close()


def until_listening(program: subprocess.Popen[str]) -> None:
    """Wait until a subscriber has found what it subscribes to."""
    assert program.stdout is not None
    if program.stdout.readline().strip() != 'listening':
        raise SystemExit(f'demo: a process ended before it began: {program.args!r}')


def finish(program: subprocess.Popen[str]) -> None:
    """Wait for a process that should end by itself and well."""
    if program.wait(PATIENCE):
        raise SystemExit(f'demo: status {program.returncode} from {program.args!r}')


def show(subscriber: subprocess.Popen[str], until: subprocess.Popen[str]) -> None:
    """Show the subscriber's figures in one line until another process has ended."""
    Thread(target=relay, args=(subscriber.stdout,), daemon=True).start()
    finish(until)
    print()


def relay(lines: Iterable[str]) -> None:
    """Print what a process says, each line over the one before: a thread's life."""
    end = '\r' if sys.stdout.isatty() else '\n'
    for line in lines:
        print(line.strip().ljust(60), end=end, flush=True)


def summary(path: Received, expected: int) -> int:
    """Print what came over one path; return how many frames are missing or were repeated."""
    index = path.stored['index']
    lost = len(set(range(expected)) ^ set(index.tolist())) + len(index) - len(set(index.tolist()))
    p50, p99 = np.percentile(latencies(path.stored), [50, 99]) if len(index) else (0.0, 0.0)
    latency = float(path.stored['latency_ms'])
    print(f'{path.name:10}{len(index)} of {expected} frames, {lost} lost; latency p50 '
          f'{latency + p50:.1f} ms, p99 {latency + p99:.1f} ms ({latency:.0f} ms algorithmic)')
    return lost


def film(stored: Any, path: Path) -> list[Path]:
    """Film the face as it was received, with the speech; return the films, none without OpenGL."""
    try:
        from avatar_bridge.sinks.film import FilmRecorder

        source, recorder = FileSource(SPEECH), FilmRecorder(path)
        recorder.open(StreamInfo('demo', 'default', NAMES, FPS, Fraction(0), '',
                                 source.sample_rate))
        print(f'drawing {path}', flush=True)
        for block in source.blocks():
            if isinstance(block, AudioBlock):
                recorder.hear(TimedAudio(
                    block.start, block.samples.reshape(len(block.samples), -1).mean(1),
                    block.sample_rate, 0,
                    block.start * SECOND // block.sample_rate))
        for index, weights, head in zip(stored['index'].tolist(), stored['weights'],
                                        stored['head'], strict=True):
            recorder.send(TimedFrame(FaceFrame(index, weights, head=head), 0,
                                     math.floor(index * SECOND / FPS)))
        recorder.close()
    except (HeadError, MissingPackageError, SinkError) as error:
        print(f'no film: {error}')
        return []
    return [path]


def draw(stored: Any, path: Path) -> None:
    """Draw the curves of the mouth over the waveform, with the phones."""
    import matplotlib as mpl

    mpl.use('Agg')
    from matplotlib import pyplot

    source = FileSource(SPEECH)
    samples = np.concatenate([block.samples for block in source.blocks()
                              if isinstance(block, AudioBlock)])
    about = json.loads((ASSETS / 'speech.json').read_text(encoding='utf-8'))
    rows = math.ceil(source.duration / 5)
    figure, axes = pyplot.subplots(rows, 1, figsize=(16, 3.2 * rows), layout='constrained')
    times = stored['index'] / float(FPS)
    for row, axis in enumerate(np.atleast_1d(axes)):
        axis.plot(np.arange(len(samples)) / source.sample_rate, 0.25 * samples - 0.3,
                  color='0.6', linewidth=0.4)
        for name in CURVES:
            axis.plot(times, stored['weights'][:, INDEX[name]], label=name)
        for phone, start, end in about['phones']:
            if phone in 'pbm':
                axis.axvspan(start, end, color='tab:red', alpha=0.12)
            if 5 * row <= start < 5 * row + 5:
                axis.text((start + end) / 2, 0.62, phone, ha='center', fontsize=8)
        axis.set(xlim=(5 * row, 5 * row + 5), ylim=(-0.6, 0.7), ylabel='weight')
    np.atleast_1d(axes)[0].legend(loc='lower right', ncols=len(CURVES), fontsize=8)
    np.atleast_1d(axes)[-1].set_xlabel('seconds; p, b and m are shaded')
    figure.savefig(path, dpi=100)


if __name__ == '__main__':
    sys.exit(main())
