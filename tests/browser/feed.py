# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""A stream whose every frame and sample the test knows, sent by the real sink."""

from fractions import Fraction
import threading
import time

from avatar_bridge.frames import FaceFrame, StreamInfo, TimedAudio, TimedFrame
from avatar_bridge.rig import NAMES
from avatar_bridge.sinks.web import WebSink

RATE = 16000
BLOCK = 320                     # samples, 20 ms


class Feed:
    """
    Sends `weights(index)` and, where given, `samples(start, count)` when their time has come.

    Frames and sound lie on one axis: frame `index` and sample `index * RATE / fps` belong
    together, as in a session.
    """

    def __init__(self, weights, samples=None, *, fps=60, port=0):
        """Serve on `port`; 0 takes any."""
        self.weights, self.samples, self.fps = weights, samples, fps
        self.sink = WebSink(port=port)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name='feed', daemon=True)

    def __enter__(self):
        """Serve, and begin to send."""
        self.sink.open(StreamInfo('feed', 'default', NAMES, Fraction(self.fps), Fraction(0),
                                  'none', RATE))
        self.address = f'http://127.0.0.1:{self.sink.server.port}/'
        self.start = time.time_ns()
        self._thread.start()
        return self

    def __exit__(self, *_):
        """Stop."""
        self._stop.set()
        self._thread.join()
        self.sink.close()

    def present_ns(self, index):
        """Return when a frame is to be seen."""
        return self.start + index * 1_000_000_000 // self.fps

    def _run(self):
        index = sample = 0
        while not self._stop.wait(max(0.0, (self.present_ns(index) - time.time_ns()) / 1e9)):
            now = time.time_ns()
            while self.samples and (due := self._heard_ns(sample)) <= now:
                self.sink.hear(TimedAudio(sample, self.samples(sample, BLOCK), RATE, due, due))
                sample += BLOCK
            due = self.present_ns(index)
            self.sink.send(TimedFrame(FaceFrame(index, self.weights(index)), due, due))
            index += 1

    def _heard_ns(self, sample):
        return self.start + sample * 1_000_000_000 // RATE
