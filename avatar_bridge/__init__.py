# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Speech in, moving face out; the public names are looked up when they are first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avatar_bridge.bundle import load_bundle
    from avatar_bridge.frames import AudioBlock, FaceFrame
    from avatar_bridge.session import Session
    from avatar_bridge.stream.engine import Engine

    __version__: str

__all__ = ['AudioBlock', 'Engine', 'FaceFrame', 'Session', '__version__', 'load_bundle']

_HOMES = {
    'AudioBlock': 'avatar_bridge.frames',
    'Engine': 'avatar_bridge.stream.engine',
    'FaceFrame': 'avatar_bridge.frames',
    'Session': 'avatar_bridge.session',
    'load_bundle': 'avatar_bridge.bundle',
}


def __getattr__(name: str) -> Any:
    """Import the module of a public name late: `import avatar_bridge` alone stays cheap."""
    if name == '__version__':
        return _version()
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(_HOMES[name]), name)


def _version() -> str:
    """Return the installed version; in a bare checkout the one in package.xml."""
    metadata = import_module('importlib.metadata')
    try:
        return str(metadata.version(__name__))
    except metadata.PackageNotFoundError:
        manifest = import_module('pathlib').Path(__file__).parents[1] / 'package.xml'
        tree = import_module('xml.etree.ElementTree').parse(manifest)
        return str(tree.getroot().findtext('version'))
