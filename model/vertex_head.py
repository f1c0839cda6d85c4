# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
The linear head of a set of meshes: vertices become coefficients, and coefficients vertices.

A basis of principal components of the offsets from the speaker's face at rest, fitted block by
block, so that a set larger than the memory will do. Coefficients have unit variance: the networks
denoise them like any others. VOCASET and BIWI have different meshes and so a head each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
FLOOR: Final = 1e-5             # of the largest deviation; what is less is rounding


@dataclass(frozen=True)
class VertexHead:
    """A mesh's basis, and the regions of the mesh that metrics ask for."""

    mean: Array                 # (vertices * 3,) of the offsets
    basis: Array                # (components, vertices * 3), orthonormal rows
    deviations: Array           # (components,) of the offsets along the rows
    regions: Mapping[str, NDArray[np.int64]] = field(
        default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        """Check that the parts belong together."""
        components, width = self.basis.shape
        if self.mean.shape != (width,) or self.deviations.shape != (components,) or width % 3:
            raise ValueError(f'mean {self.mean.shape}, basis {self.basis.shape} and deviations '
                             f'{self.deviations.shape} are not of one mesh')
        for name, region in self.regions.items():
            if region.size and not 0 <= region.min() <= region.max() < width // 3:
                raise ValueError(f'region {name} has vertex {region.max()}, the mesh '
                                 f'{width // 3}')

    def encode(self, vertices: Array, neutral: Array) -> Array:
        """Return (frames, components) coefficients of (frames, vertices, 3)."""
        offsets = (vertices - neutral).reshape(len(vertices), -1) - self.mean
        return (offsets @ self.basis.T / self.deviations).astype(np.float32)

    def decode(self, coefficients: Array, neutral: Array) -> Array:
        """Return the (frames, vertices, 3) of (frames, components) coefficients."""
        offsets = (coefficients * self.deviations) @ self.basis + self.mean
        return (offsets.reshape(len(coefficients), -1, 3) + neutral).astype(np.float32)

    def save(self, path: Path) -> None:
        """Write an npz that holds arrays alone."""
        regions = {f'region.{name}': region for name, region in self.regions.items()}
        np.savez(path, mean=self.mean, basis=self.basis, deviations=self.deviations, **regions)


def load_head(path: Path) -> VertexHead:
    """Read what `save` wrote."""
    with np.load(path, allow_pickle=False) as file:
        regions = {name.removeprefix('region.'): file[name] for name in file.files
                   if name.startswith('region.')}
        return VertexHead(file['mean'], file['basis'], file['deviations'], regions)


def fit(offsets: Iterable[Array], components: int,
        regions: Mapping[str, NDArray[np.int64]] = MappingProxyType({})) -> VertexHead:
    """
    Return the head that explains blocks of (frames, vertices, 3) offsets from the rest best.

    Each block is merged into the decomposition of those before it (Ross et al. 2008); what is cut
    off at `components` after each is all that is lost against one decomposition of the whole.
    """
    count, mean, scaled = 0, np.zeros(0), np.zeros((0, 0))     # scaled: values times rows
    for block in offsets:
        rows = block.reshape(len(block), -1).astype(np.float64)
        if not len(rows):
            continue
        total = count + len(rows)
        own = rows.mean(axis=0)
        pieces = [rows - own]
        if count:
            shift = np.sqrt(count * len(rows) / total) * (mean - own)
            pieces = [scaled, *pieces, shift[None]]
        mean = own if not count else mean + (own - mean) * (len(rows) / total)
        scaled, count = _principal(np.concatenate(pieces), components), total
    if count <= 1:
        raise ValueError(f'{count} frames are no set to fit a head to')
    lengths = np.linalg.norm(scaled, axis=1)
    kept = lengths > FLOOR * max(lengths.max(), np.finfo(float).tiny)
    return VertexHead(mean.astype(np.float32), (scaled[kept] / lengths[kept, None]).astype('f4'),
                      (lengths[kept] / np.sqrt(count)).astype(np.float32), dict(regions))


def _principal(rows: NDArray[np.float64], components: int) -> NDArray[np.float64]:
    """Return the first principal directions of (n, width) rows, each times its singular value."""
    # Far fewer rows than coordinates: the small (n, n) problem has the same answer.
    values, vectors = np.linalg.eigh(rows @ rows.T)
    order = np.argsort(values)[::-1][:components]
    directions = vectors[:, order].T @ rows
    # eigh chooses signs freely; the largest coordinate of each direction is made positive.
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1)
    return directions * np.where(largest < 0, -1.0, 1.0)
