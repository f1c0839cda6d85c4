# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""A trained network becomes a bundle: graphs that agree with eager torch, then their manifest."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
import json
from pathlib import Path
import shutil
import tempfile
from typing import Any, Final

from torch import Tensor

from avatar_bridge import rig
from avatar_bridge.audio import mel
from avatar_bridge.bundle import file_hash
from avatar_bridge.manifest import FORMAT
from avatar_bridge.ports import Backend
from model.graph_writer import GraphWriter

TOLERANCE: Final = 1e-4


@dataclass(frozen=True)
class Exportable:
    """A trained network, as far as a bundle of it needs."""

    write: Callable[[GraphWriter], None]        # its graphs
    difference: Callable[[Backend], float]      # the largest between them and eager torch
    manifest: dict[str, Any]                    # what is not the same for every bundle


def write_bundle(network: Exportable, out: Path, backends: tuple[str, ...]) -> float:
    """
    Write the bundle of a network; return the parity reached, the largest of all backends.

    Nothing is written where it is above `TOLERANCE`.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        writer = GraphWriter(folder, backends)
        network.write(writer)
        worst = max(network.difference(backend) for backend in writer.opened())
        if worst > TOLERANCE:
            raise SystemExit(f'not exported: the graphs differ from torch by {worst:.2e}, '
                             f'allowed are {TOLERANCE:.0e}')
        manifest = {
            'format': FORMAT, 'rig': list(rig.NAMES), 'fps': [24, 60],
            'sample_rate': mel.SAMPLE_RATE, 'lookahead_ms': [0, 200], **network.manifest,
            'files': {path.name: file_hash(path) for path in sorted(folder.iterdir())},
        }
        (folder / 'manifest.json').write_text(json.dumps(manifest, indent=1) + '\n')
        out.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.iterdir()):
            shutil.copyfile(path, out / path.name)
    return worst


def rounded(values: Tensor) -> list[float]:
    """Return (n,) numbers as a manifest says them."""
    return [round(float(value), 6) for value in values]


def run_command(export: Callable[[Path, Path, dict[str, Any]], float], description: str | None,
                about: str) -> None:
    """Read the command line of an exporter, export and say what came of it."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('run', type=Path, help='folder of a training run')
    parser.add_argument('out', type=Path, help='folder of the bundle')
    parser.add_argument('--about', type=Path, default=Path('model/configs') / about,
                        help='JSON with name, styles, languages, data and licences')
    arguments = parser.parse_args()
    worst = export(arguments.run, arguments.out, json.loads(arguments.about.read_text()))
    size = sum(path.stat().st_size for path in arguments.out.glob('*')) / 2**20
    print(f'{arguments.out}: {size:.1f} MB, parity {worst:.1e}')
