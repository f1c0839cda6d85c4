# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""A ROS domain for each test, and programs that run beside it."""

from itertools import count
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import pytest

HERE = Path(__file__).resolve().parent
_numbers = count()


@pytest.fixture
def domain(monkeypatch):
    """Return a domain id of this test's own, which its child processes inherit."""
    worker = os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw')
    number = 1 + (2 * (os.getpid() // 2 + next(_numbers)) + int(worker) % 2) % 100
    monkeypatch.setenv('ROS_DOMAIN_ID', str(number))
    monkeypatch.setenv('ROS_PYTHON_CHECK_FIELDS', '1')
    return number


@pytest.fixture
def node(domain):
    """Return a node of this process, in a domain of its own; `spin` it to hear."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node('tester', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    node.spin = lambda: executor.spin_once(timeout_sec=0.02)
    yield node
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a python program; at the end all are interrupted."""
    running = []

    def run(*arguments, name='program'):
        log = (tmp_path / f'{name}{len(running)}.log').open('w+')
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)], stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True)
        process.log = lambda: Path(log.name).read_text()
        running.append((process, log))
        return process

    yield run
    for process, log in running:
        stop(process)
        log.close()


def stop(process):
    """Interrupt a program as Ctrl-C does; return its exit status."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        return process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f'still alive 15 s after Ctrl-C:\n{process.log()}') from None


def wait_until(condition, seconds=15.0, message='it did not happen'):
    """Return what `condition` returns as soon as that is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(0.02)
    raise AssertionError(f'{message} within {seconds} s')
