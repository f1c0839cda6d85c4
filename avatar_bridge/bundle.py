# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Bundles: exported networks with a manifest that says what they are.

A bundle is a folder: `manifest.json` and the files whose SHA-256 it names. Nothing is pickled.
Whatever is unknown, altered or of the wrong shape is refused before anything starts.
"""

from __future__ import annotations

from dataclasses import dataclass
import hashlib
import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from avatar_bridge import rig
from avatar_bridge.config import EngineConfig
from avatar_bridge.diffusion.face_model import DiffusionFaceModel
from avatar_bridge.errors import BundleError, UsageError
from avatar_bridge.frames import Weights
from avatar_bridge.ports import FaceModel
from avatar_bridge.timeline import StreamSpec

FORMAT: Final = 1
SHIPPED: Final = Path(__file__).parent / 'bundles'
NETWORKS: Final = ('live',)


@dataclass(frozen=True)
class Bundle:
    """An opened bundle whose hashes were right."""

    path: Path
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the bundle."""
        return str(self.manifest['name'])

    @property
    def sample_rate(self) -> int:
        """Samples a second that the network hears."""
        return int(self.manifest['sample_rate'])

    @property
    def mean(self) -> Weights:
        """(52,) mean of each weight."""
        return np.asarray(self.manifest['mean'], np.float32)

    @property
    def deviation(self) -> Weights:
        """(52,) standard deviation of each weight."""
        return np.asarray(self.manifest['deviation'], np.float32)

    @property
    def styles(self) -> list[str]:
        """Names of the styles; the first is the default."""
        return list(self.manifest['styles'])

    def face_model(self, spec: StreamSpec, config: EngineConfig) -> FaceModel:
        """Return the network behind the FaceModel port."""
        lowest, highest = self.manifest['fps']
        if not lowest <= spec.fps <= highest:
            raise UsageError(f'bundle {self.name} makes {lowest} to {highest} frames a second, '
                             f'{float(spec.fps):g} were asked for')
        if config.backend != 'onnx':
            raise UsageError(f'bundle {self.name} holds graphs for the backend onnx; '
                             f'{config.backend} was asked for')
        from avatar_bridge.onnx_models import OnnxDenoiser

        denoiser = OnnxDenoiser(self.path, spec, style=self.style_index(config.style))
        return DiffusionFaceModel(denoiser, spec, steps=config.steps, seed=config.seed,
                                  guidance_scale=config.guidance)

    def style_index(self, style: str) -> int:
        """Return the index of a style; the empty name is the default."""
        if not style:
            return 0
        if style not in self.styles:
            raise UsageError(f'bundle {self.name} has the styles {", ".join(self.styles)}; '
                             f'{style!r} was asked for')
        return self.styles.index(style)


def load_bundle(name: str | Path = 'live') -> Bundle:
    """
    Open a shipped bundle by name or any by its folder.

    Raises `BundleError` where the folder is no bundle, is altered or does not fit this program.
    """
    path = find_bundle(name)
    manifest = read_manifest(path)
    for file, expected in manifest['files'].items():
        if (found := file_hash(path / file)) != expected:
            raise BundleError(f'{path / file}: its SHA-256 begins with {found[:12]}, the manifest '
                              f'says {expected[:12]}; the bundle was altered or cut short: '
                              'get it again')
    return Bundle(path, manifest)


def find_bundle(name: str | Path) -> Path:
    """Return the folder of a shipped bundle, or `name` itself where it is a folder."""
    shipped = SHIPPED / str(name)
    if Path(name).name == str(name) and (shipped / 'manifest.json').is_file():
        return shipped
    if (Path(name) / 'manifest.json').is_file():
        return Path(name)
    known = sorted(path.parent.name for path in SHIPPED.glob('*/manifest.json'))
    raise BundleError(f'no bundle {str(name)!r}: expected one of {", ".join(known) or "(none)"} '
                      'or a folder with a manifest.json')


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the checked manifest of the bundle in `path`."""
    try:
        manifest = json.loads((path / 'manifest.json').read_text(encoding='utf-8'))
        check_manifest(manifest)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f'{path}: the manifest is not one that this program reads: '
                          f'{error!r}') from error
    return dict(manifest)


def check_manifest(manifest: dict[str, Any]) -> None:
    """Raise ValueError or KeyError where a manifest is not format 1 for this rig."""
    if manifest['format'] != FORMAT:
        raise ValueError(f'format {manifest["format"]}, expected {FORMAT}')
    if manifest['network'] not in NETWORKS:
        raise ValueError(f'network {manifest["network"]!r}, expected one of {NETWORKS}')
    if tuple(manifest['rig']) != rig.NAMES:
        raise ValueError('the rig is not ARKit-52 in Apple\'s order')
    for key in ('mean', 'deviation'):
        if np.asarray(manifest[key], np.float32).shape != (len(rig.NAMES),):
            raise ValueError(f'{key} has not {len(rig.NAMES)} numbers')
    if not manifest['files'] or any('/' in name or '\\' in name for name in manifest['files']):
        raise ValueError('files must be names in the bundle\'s own folder')
    for key in ('name', 'fps', 'sample_rate', 'styles', 'steps', 'languages', 'data'):
        manifest[key]


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    if not path.is_file():
        raise BundleError(f'{path} is missing; get the bundle again')
    with path.open('rb') as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
