# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What the tests share: the speech file, and which tests this machine can run."""

from importlib.util import find_spec
import os
from pathlib import Path
import shutil
import signal

import pytest

ROOT = Path(__file__).resolve().parent.parent
SPEECH = ROOT / 'avatar_bridge' / 'assets' / 'speech.flac'

#: Files whose tests need the machine for themselves; all others may run beside each other.
TIMED = {
    'test_demo.py', 'test_end_to_end.py', 'test_microphone.py', 'test_six_sinks.py',
    'test_timing.py', 'test_topics.py',
}

#: Tests of several real programs at once: on a shared machine one of them may come too late.
#: Such a test is tried once more, and the summary says so; twice wrong is wrong.
TWICE = ('timed', 'ros', 'browser', 'slow')

os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
os.environ.setdefault('ROS_LOG_DIR', str(ROOT / 'build' / 'ros_log'))
# Started with `&` from a script, SIGINT is ignored here and in every program that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope='session')
def speech():
    """Return the path of the speech that comes with the package."""
    return SPEECH


def _missing(marker):
    """Return why tests with this marker cannot run here, or nothing."""
    needed = {'ros': ('rclpy', 'avatar_bridge_msgs'), 'model': ('torch',), 'gpu': ('torch',)}
    for package in needed.get(marker, ()):
        if find_spec(package) is None:
            return f'{package} is not installed: make test'
    if marker == 'egl':
        return _no_pictures()
    if marker == 'browser':
        return _no_browser()
    if marker == 'gpu':
        import torch

        return '' if torch.cuda.is_available() else 'no CUDA device'
    return ''


def _no_pictures():
    """Return why nothing can be drawn here, or nothing."""
    from avatar_bridge.errors import MissingPackageError

    try:
        from avatar_bridge.portrait import context

        context().release()
    except MissingPackageError as error:
        return str(error)
    return ''


def _no_browser():
    """Return what the viewer's tests lack here, or nothing."""
    for package in ('playwright', 'aiohttp'):
        if find_spec(package) is None:
            return f'{package} is not installed: make test'
    if not (shutil.which('chromium') or shutil.which('chromium-browser')):
        return 'Chromium is not installed: apt-get install chromium'
    return ''


def pytest_itemcollected(item):
    """Mark what keeps real time, before -m chooses."""
    if item.path.name in TIMED:
        item.add_marker(pytest.mark.timed)


@pytest.hookimpl(trylast=True)      # folders below mark their tests first
def pytest_collection_modifyitems(items):
    """Skip what cannot run and say why; where it must be able to, that is an error."""
    for item in items:
        if any(item.get_closest_marker(marker) for marker in TWICE):
            item.add_marker(pytest.mark.flaky(reruns=1))
    for marker in ('ros', 'model', 'gpu', 'egl', 'browser'):
        chosen = [item for item in items if item.get_closest_marker(marker)]
        if not chosen or not (reason := _missing(marker)):
            continue
        if os.environ.get(f'AVATAR_BRIDGE_REQUIRE_{marker.upper()}'):
            raise pytest.UsageError(f'AVATAR_BRIDGE_REQUIRE_{marker.upper()} is set, but '
                                    f'{reason}')
        for item in chosen:
            item.add_marker(pytest.mark.skip(reason=reason))
