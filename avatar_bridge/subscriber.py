# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
A ZeroMQ subscriber as a program: `python -m avatar_bridge.subscriber URL OUT.npz`.

It prints `listening` once the meta arrived, receives until the event `end` and stores what
came and when. Bench and demo measure with it; it also shows how a client reads the wire.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
import sys
from typing import Any

import numpy as np
import zmq

from avatar_bridge import wire
from avatar_bridge.clock import MonotonicClock
from avatar_bridge.rig import INDEX

REPORT = 30             # frames between two lines about how it goes


@dataclass
class Reception:
    """What a subscriber received."""

    latency_ms: float = 0.0                             # the algorithmic one, as meta has it
    faces: list[wire.FaceMessage] = field(default_factory=list)
    arrivals: list[int] = field(default_factory=list)   # ns since the Unix epoch, one a face

    def status(self) -> str:
        """Return the figures of the newest frame in one line."""
        face = self.faces[-1]
        latency = (self.arrivals[-1] - face.capture_ns) / 1e6
        return (f'{len(self.faces)} frames  latency {latency:.1f} ms  '
                f'jawOpen {face.weights[INDEX["jawOpen"]]:.2f}')

    def store(self, path: Path) -> None:
        """Write indices, times (ns), weights and angles of the head to an npz file."""
        np.savez(path, latency_ms=self.latency_ms, arrival=np.array(self.arrivals, np.int64),
                 index=np.array([face.index for face in self.faces], np.int64),
                 capture=np.array([face.capture_ns for face in self.faces], np.int64),
                 weights=np.array([face.weights for face in self.faces], np.float32),
                 head=np.array([np.zeros(3) if face.head is None else face.head
                                for face in self.faces], np.float32).reshape(-1, 3))


def receive(url: str) -> Reception:
    """Receive until the stream ends; raises zmq.Again after ten seconds without a message."""
    clock, reception = MonotonicClock(), Reception()
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.setsockopt(zmq.RCVHWM, 1000)     # a late frame is measured, not dropped here
        socket.setsockopt(zmq.RCVTIMEO, 10_000)
        socket.subscribe(b'ab/1/')
        socket.setsockopt(zmq.RECONNECT_IVL, 10)    # ms; found before the first frame
        socket.connect(url)
        while True:
            topic, payload = socket.recv_multipart()
            arrival = clock.now()
            if not take(reception, topic, payload, arrival):
                return reception
            if reception.arrivals and len(reception.arrivals) % REPORT == 0:
                print(reception.status(), flush=True)


def take(reception: Reception, topic: bytes, payload: bytes, arrival: int) -> bool:
    """Understand one message; False is the end of the stream."""
    _, kind = wire.parse_topic(topic)
    if kind == 'face':
        reception.faces.append(wire.decode_face(payload))
        reception.arrivals.append(arrival)
    elif kind == 'meta':
        if not reception.latency_ms:
            print('listening', flush=True)
        reception.latency_ms = wire.decode_meta(payload).latency_ms
    elif kind == 'event':
        return wire.decode_event(payload).name != 'end'
    return True


def latencies(stored: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return each frame's end-to-end latency beyond the algorithmic one, ms."""
    beyond: np.ndarray[Any, np.dtype[np.float64]] = (
        (stored['arrival'] - stored['capture']) / 1e6 - stored['latency_ms'])
    return beyond


if __name__ == '__main__':
    receive(sys.argv[1]).store(Path(sys.argv[2]))
