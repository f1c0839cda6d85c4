# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What a bundle is, in words: `avatar-bridge inspect`."""

from __future__ import annotations

from avatar_bridge.bundle import Bundle
from avatar_bridge.config import PROFILES, EngineConfig
from avatar_bridge.stream.engine import Engine


def describe(bundle: Bundle) -> str:
    """Return the bundle's network, limits, latencies, data, licences and hashes, a line each."""
    about = bundle.manifest
    size = sum((bundle.path / name).stat().st_size for name in about['files'])
    lowest, highest = about['fps']
    rows = [
        ('bundle', f'{bundle.name} {about.get("version", "")}, {bundle.path}'),
        ('network', f'{about["network"]}, {about.get("parameters", 0):,} parameters, '
                    f'{size / 2**20:.1f} MB'),
        *([('numbers', str(about['numbers']))] if 'numbers' in about else []),
        ('rig', f'ARKit, {len(about["rig"])} blendshapes'),
        ('audio', f'{bundle.sample_rate} Hz'),
        ('frames', f'{lowest} to {highest} a second, {about["steps"][0]} to {about["steps"][1]} '
                   f'steps, usually {about["usual_steps"]}'),
        *((f'latency {name}', latency(bundle, name)) for name in PROFILES),
        ('styles', ', '.join(bundle.styles)),
        ('languages', ', '.join(about['languages'])),
        *(('data', f'{entry["name"]} ({entry["licence"]})') for entry in about['data']),
        ('licence', str(about.get('licence', 'not stated'))),
        *(('SHA-256', f'{digest}  {name}') for name, digest in about['files'].items()),
    ]
    return '\n'.join(f'{name + ":":16}{text}' for name, text in rows)


def latency(bundle: Bundle, profile: str) -> str:
    """Return the algorithmic latency of a profile at 60 fps."""
    spec = Engine(bundle, EngineConfig(profile=profile)).spec
    return (f'{float(spec.latency) * 1000:.0f} ms at {float(spec.fps):g} fps '
            f'(hop {spec.hop}, look-ahead {spec.lookahead} frames)')
