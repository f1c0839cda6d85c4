# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""A Chromium for the tests of a file, pages that may do nothing improper, viewers to look at."""

from pathlib import Path
import re
import signal
import subprocess
import sys
import wave

import numpy as np
import pytest
from visit import Visit, chromium

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(items):
    """Mark what lies here: it is skipped where there is no Chromium."""
    for item in items:
        if item.path.parent == HERE:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope='module')
def playwright():
    """Return what starts browsers; its event loop runs as long as it lives."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope='module')
def browser(playwright):
    """Return a headless Chromium that draws with its processor."""
    with chromium(playwright) as browser:
        yield browser


@pytest.fixture
def visit(browser):
    """
    Return a function: address -> `Visit`, a page of its own context.

    At the end no page may have complained, nor have asked anybody but this machine.
    """
    visits = []

    def begin(address, **options):
        visits.append(Visit(browser, address, **options))
        return visits[-1]

    yield begin
    for one in visits:
        one.close()
    for one in visits:
        assert one.foreign == []
        assert one.complaints == []


class Viewer:
    """The program `avatar-bridge view`."""

    def __init__(self, source, *options, port=0):
        """Start it and wait for its address."""
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'avatar_bridge', 'view', '--source', str(source), '--quiet',
             '--port', str(port), *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.address = re.search(r'http://\S+/', line)[0]
        self.port = int(self.address.rsplit(':')[-1].rstrip('/'))

    def end(self, number=signal.SIGINT):
        """End it and wait."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(20)
        self.process.stdout.close()


@pytest.fixture(scope='module')
def long_speech(speech, tmp_path_factory):
    """Return a file with five minutes of speech."""
    import soundfile

    samples, rate = soundfile.read(speech, dtype='float32')
    path = tmp_path_factory.mktemp('speech') / 'long.wav'
    soundfile.write(path, np.resize(samples, 300 * rate), rate)
    return path


@pytest.fixture(scope='module')
def viewer(long_speech):
    """Return a viewer that animates a long speech, shared by the tests of a file."""
    viewer = Viewer(long_speech)
    yield viewer
    viewer.end()


@pytest.fixture
def viewers():
    """Return a function that starts viewers: (source, *options, port) -> `Viewer`."""
    started = []

    def start(*arguments, **options):
        started.append(Viewer(*arguments, **options))
        return started[-1]

    yield start
    for one in started:
        one.end(signal.SIGKILL)


@pytest.fixture
def words(speech, tmp_path):
    """Return a WAV file with two seconds of speech."""
    import soundfile

    samples, rate = soundfile.read(speech, dtype='int16', frames=2 * 16000)
    path = tmp_path / 'words.wav'
    with wave.open(str(path), 'wb') as file:
        file.setparams((1, 2, rate, 0, 'NONE', ''))
        file.writeframes(samples.tobytes())
    return path
