# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The manifest of a bundle: what it must say before anything is opened."""

from __future__ import annotations

from collections.abc import Collection
import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from avatar_bridge import rig
from avatar_bridge.diffusion.sampler import SCHEDULES
from avatar_bridge.errors import BundleError

FORMAT: Final = 2
DENOISERS: Final = ('live', 'regression', 'diffspeaker', 'diffusiontalker')
GUIDANCE: Final = ('two_pass', 'baked')         # what it costs: a second pass, or nothing
CODES: Final = 'codetalker'                     # the network that speaks in codes
NETWORKS: Final = (*DENOISERS, CODES)


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the checked manifest of the bundle in `path`; raises `BundleError`."""
    try:
        manifest = json.loads((path / 'manifest.json').read_text(encoding='utf-8'))
        check_manifest(manifest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f'{path}: the manifest is not one that this program reads: '
                          f'{error!r}') from error
    return dict(manifest)


def check_manifest(manifest: dict[str, Any]) -> None:
    """Raise ValueError or KeyError where a manifest is not of this format and rig."""
    if manifest['format'] != FORMAT:
        raise ValueError(f'format {manifest["format"]}, expected {FORMAT}')
    if manifest['network'] not in NETWORKS:
        raise ValueError(f'network {manifest["network"]!r}, expected one of {NETWORKS}')
    if tuple(manifest['rig']) != rig.NAMES:
        raise ValueError('the rig is not ARKit-52 in Apple\'s order')
    for key in ('mean', 'deviation'):
        if np.asarray(manifest[key], np.float32).shape != (len(rig.NAMES),):
            raise ValueError(f'{key} has not {len(rig.NAMES)} numbers')
    if len({len(vector) for vector in manifest['styles'].values()}) != 1:
        raise ValueError('styles must be vectors of one length, by name')
    check_steps(manifest)
    check_codes(manifest)
    check_files(manifest['files'])
    for key in ('name', 'fps', 'sample_rate', 'languages', 'data'):
        manifest[key]


def check_codes(manifest: dict[str, Any]) -> None:
    """Raise ValueError or KeyError where a network of codes does not say how it remembers."""
    if manifest['network'] != CODES:
        return
    about = manifest['codes']
    if not about['rest'] or any(not isinstance(code, int) or code < 0 for code in about['rest']):
        raise ValueError(f'codes of rest {about["rest"]}, expected whole numbers')
    if min(about['motion_past'], about['audio_past']) <= 0:
        raise ValueError(f'codes {about}: expected pasts of more than 0 seconds')


def check_files(names: Collection[str]) -> None:
    """Raise ValueError where files could lie outside the bundle's folder."""
    if not names or any('/' in name or '\\' in name for name in names):
        raise ValueError('files must be names in the bundle\'s own folder')


def check_steps(manifest: dict[str, Any]) -> None:
    """Raise ValueError or KeyError where a manifest does not say how to sample."""
    least, most = manifest['steps']
    if not 1 <= least <= manifest['usual_steps'] <= most:
        raise ValueError(f'steps of {least} to {most}, usually {manifest["usual_steps"]}')
    if manifest['network'] in DENOISERS and manifest['schedule'] not in SCHEDULES:
        raise ValueError(f'schedule {manifest["schedule"]!r}, expected one of {(*SCHEDULES,)}')
    manifest.setdefault('past_from_steps')
    if manifest.setdefault('guidance', GUIDANCE[0]) not in GUIDANCE:
        raise ValueError(f'guidance {manifest["guidance"]!r}, expected one of {GUIDANCE}')
    if manifest.setdefault('rungs', 1) < 1:
        raise ValueError(f'{manifest["rungs"]} rungs, expected 1 or more')
    if not 0 <= manifest.setdefault('mouth_noise', 1.0) <= 1:
        raise ValueError(f'mouth_noise {manifest["mouth_noise"]}, expected 0 to 1')
