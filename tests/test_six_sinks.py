# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Six sinks of one run: what becomes of three of them is nothing to the others."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import fcntl
import os
from pathlib import Path
import socket
import struct
import subprocess
import sys

from listener import Listener, cut
import numpy as np
from pythonosc.osc_packet import OscPacket

from avatar_bridge.clock import MonotonicClock
from avatar_bridge.compose import compose
from avatar_bridge.config import SessionConfig
from avatar_bridge.sinks import livelink, vmc, vts
from avatar_bridge.sinks.datagrams import REST_FRAMES
from avatar_bridge.sinks.recorder import JsonLinesRecorder
from avatar_bridge.sinks.zeromq import ZeroMqSink

SECONDS, FRAMES = 4.0, 240
LATEST = 1.5                    # seconds; whoever waited for a blocked sink would wait for two
SET_PIPE_SIZE = 1031            # fcntl of Linux that Python knows from 3.10 on, but not everywhere

SUBSCRIBER = """
import sys, time, zmq
from avatar_bridge import wire
socket = zmq.Context().socket(zmq.SUB)
socket.setsockopt(zmq.RCVTIMEO, 20000)
socket.setsockopt(zmq.SUBSCRIBE, b'')
socket.connect(sys.argv[1])
print('ready', flush=True)
while True:
    topic, payload = socket.recv_multipart()
    kind = topic.decode().rsplit('/', 1)[1]
    if kind == 'face':
        print(wire.decode_face(payload).index, time.monotonic_ns())
    elif kind == 'event' and wire.decode_event(payload).name == 'end':
        break
"""


@contextlib.contextmanager
def full_pipe(path: Path) -> Iterator[Path]:
    """Make a file that takes a few frames and then blocks for ever: nobody reads this pipe."""
    os.mkfifo(path)
    end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(end, SET_PIPE_SIZE, 4096)
    yield path
    os.close(end)


def free_port() -> int:
    """Return a TCP port where nobody listens: who connects is refused."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def number(packet: bytes) -> int:
    """Return the frame's number of a Live Link packet."""
    device, = struct.unpack_from('>i', packet, 1)
    subject, = struct.unpack_from('>i', packet, 5 + device)
    return struct.unpack_from('>i', packet, 9 + device + subject)[0]


def index(bundle: bytes) -> int | None:
    """Return the frame's number of a bundle of VMC that tells its time."""
    times = [one.message.params[0] for one in OscPacket(bundle).messages
             if one.message.address == '/VMC/Ext/T']
    return round(times[0] * 60) if times else None


def on_time(indices: list[int], at: list[int]) -> bool:
    """Whether frames came when they were due, as far as the first ones tell."""
    late = np.array(at) / 1e9 - np.array(indices) / 60
    return bool((late - late.min()).max() < LATEST)


def test_three_sinks_that_fail_do_not_touch_the_other_three(tmp_path):
    url = f'ipc://{tmp_path}/face'
    clock = MonotonicClock()
    with full_pipe(tmp_path / 'pipe') as pipe, Listener() as engine, Listener() as avatar, \
            Listener() as first, subprocess.Popen(
                [sys.executable, '-c', SUBSCRIBER, url], text=True,
                stdout=subprocess.PIPE) as subscriber:
        assert subscriber.stdout.readline() == 'ready\n'
        source = cut(tmp_path / 'speech.wav', SECONDS)
        session = compose(SessionConfig(source=str(source)), clock=clock, sinks={
            'engine': livelink.from_argument(f'127.0.0.1:{engine.port}'),
            'avatar': vmc.from_argument(f'127.0.0.1:{avatar.port}'),
            'robot': ZeroMqSink(url),
            'blocked': JsonLinesRecorder(pipe),
            'refused': vts.from_argument(f'127.0.0.1:{free_port()}'),
            'killed': livelink.from_argument(f'127.0.0.1:{first.port}'),
        })
        session.start()
        session.wait(SECONDS / 8)
        first.kill()
        session.wait(SECONDS / 16)
        with Listener(first.port) as second:
            session.wait()
            session.close()
            session.check()
            after = [number(one.data) for one in second.heard()]
        seen = [line.split() for line in subscriber.communicate(timeout=20)[0].splitlines()]
        packets = [(number(one.data), one.at) for one in engine.heard()]
        bundles = [(index(one.data), one.at) for one in avatar.heard()]
    stats = session.stats

    told = [(number, at) for number, at in bundles if number is not None]
    for heard in (packets, told):
        indices, at = zip(*heard, strict=True)
        assert indices == tuple(range(FRAMES + REST_FRAMES))
        assert on_time(indices[:FRAMES], at[:FRAMES])
    indices, at = [int(line[0]) for line in seen], [int(line[1]) for line in seen]
    assert indices == sorted(set(indices))
    assert len(indices) > 0.7 * FRAMES          # ZeroMQ drops what a busy subscriber cannot take
    assert on_time(indices, at)

    assert after == list(range(after[0], FRAMES + REST_FRAMES))
    assert after[0] > FRAMES / 16
    lost, restarts = list(stats.dropped.values()), list(stats.restarts.values())
    assert [lost[place] for place in (0, 1, 2, 5)] == 4 * [0]
    assert [restarts[place] for place in (0, 1, 2, 5)] == 4 * [0]
    for place in (3, 4):            # blocked and refused: tried again and again
        assert lost[place] > 0
        assert restarts[place] > 0
