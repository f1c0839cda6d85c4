# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Is everything there that the work needs? Each finding comes with what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
import os
from pathlib import Path
import socket
import sys
from typing import Final, NamedTuple

import numpy as np

from avatar_bridge.bundle import load_bundle
from avatar_bridge.clock import MonotonicClock
from avatar_bridge.config import EngineConfig
from avatar_bridge.errors import AvatarBridgeError
from avatar_bridge.sinks.web_address import DEFAULT_PORT
from avatar_bridge.stream.engine import Engine

ZMQ_PORT: Final = 5560
ASSETS: Final = Path(__file__).parent / 'assets'
PAGE: Final = ('web/index.html', 'web/app.js', 'web/style.css', 'head.glb',
               'head_small.glb')


class Finding(NamedTuple):
    """What was found; `essential` ones decide the exit status."""

    subject: str
    good: bool
    text: str
    essential: bool = False


def report(bundle: str) -> int:
    """Print every finding; return 0, or 1 where something essential is missing."""
    findings = list(examine(bundle))
    for finding in findings:
        mark = 'ok' if finding.good else 'FAIL' if finding.essential else 'note'
        print(f'{mark:5}{finding.subject:10}{finding.text}')
    return int(any(finding.essential and not finding.good for finding in findings))


def examine(bundle: str) -> Iterator[Finding]:
    """Yield the findings of this machine."""
    yield Finding('python', sys.version_info >= (3, 10), sys.version.split()[0], essential=True)
    checks: list[tuple[str, bool, Callable[[], str]]] = [
        ('bundle', True, lambda: whole(bundle)), ('backend', True, lambda: compute(bundle)),
        ('torch', False, lambda: compute(bundle, backend='torch')),
        ('port', False, lambda: free_port(ZMQ_PORT, '--sink zmq=tcp://127.0.0.1:PORT')),
        ('viewer', False, viewer), ('audio', False, microphone), ('ros', False, ros)]
    for subject, essential, check in checks:
        try:
            yield Finding(subject, True, check(), essential)
        except (AvatarBridgeError, OSError) as error:
            yield Finding(subject, False, ' '.join(str(error).split()), essential)


def whole(bundle: str) -> str:
    """Return what the bundle is; its hashes were checked."""
    opened = load_bundle(bundle)
    return f'{opened.name}: {len(opened.manifest["files"])} files, hashes right'


def compute(bundle: str, backend: str = 'onnx') -> str:
    """Return how long a hop takes here, and on what."""
    engine, clock = Engine(load_bundle(bundle), EngineConfig(backend=backend)), MonotonicClock()
    where = 'onnx on the CPU' if backend == 'onnx' else f'--backend torch on {cards()}'
    second = np.zeros(engine.sample_rate, np.float32)
    engine.push(second)
    began = clock.now()
    engine.push(second)
    hops = float(engine.spec.fps / engine.spec.hop)
    spent = (clock.now() - began) / 1e6 / hops
    budget = 1000 / hops
    if spent > 0.75 * budget:
        raise AvatarBridgeError(f'{where} takes {spent:.1f} ms for a hop of {budget:.0f} ms; '
                                'choose --steps 1, --profile smooth or a lower --fps')
    return f'{where}: {spent:.1f} ms for a hop of {budget:.0f} ms'


def cards() -> str:
    """Return the device that torch chooses."""
    from avatar_bridge.torch_models import choose_device, described

    return described(choose_device('auto'))


def free_port(port: int, way_out: str) -> str:
    """Return that a default port is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(('127.0.0.1', port))
        except OSError as error:
            raise AvatarBridgeError(f'tcp port {port} is taken ({error.strerror}); stop the other '
                                    f'program or choose {way_out}') from error
    return f'tcp port {port} is free'


def viewer(assets: Path = ASSETS) -> str:
    """Return that the viewer has its package, its files and its port."""
    if find_spec('aiohttp') is None:
        raise AvatarBridgeError('aiohttp is not installed; pip install aiohttp')
    for name in PAGE:
        path = assets / name
        if not path.is_file() or not path.stat().st_size:
            raise AvatarBridgeError(f'{path} is missing; install avatar_bridge again, or in a '
                                    'checkout: git checkout avatar_bridge/assets')
    return f'page and head are there, {free_port(DEFAULT_PORT, "view --port PORT")}'


def microphone() -> str:
    """Return the default audio input."""
    from avatar_bridge.sources.microphone import devices

    inputs = devices()
    if not inputs:
        raise AvatarBridgeError('no audio input; plug in a microphone, or use a file, - or a '
                                'topic as the source')
    default = next((device for device in inputs if device.is_default), inputs[0])
    return f'{len(inputs)} inputs, default {default.name}'


def ros() -> str:
    """Return which ROS 2 there is."""
    for package, remedy in (('rclpy', 'source a ROS 2, or `make demo` installs wheels'),
                            ('avatar_bridge_msgs', '`make demo` builds it, or colcon build in '
                                                   'ros_ws')):
        if find_spec(package) is None:
            raise AvatarBridgeError(f'{package} is not installed; {remedy}')
    reach = os.environ.get('ROS_AUTOMATIC_DISCOVERY_RANGE', 'SUBNET')
    return (f'rclpy and avatar_bridge_msgs, domain {os.environ.get("ROS_DOMAIN_ID", "0")}, '
            f'discovery {reach}')
