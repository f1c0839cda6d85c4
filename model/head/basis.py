# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The vertex basis: the vertices of the skin that stood in the base mesh, lips and upper face."""

from __future__ import annotations

from collections.abc import Mapping
import io
from typing import Final
import zipfile

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.rig import NAMES
from model.head.build import LIP_RINGS, Head
from model.head.gltf import PER_DM
from model.head.graph import Graph
from model.head.lips import CORNER, LOWER, LOWER_MID, UPPER, UPPER_MID, both_sides
from model.head.part import Part
from model.head.source import Indices

EYES_FROM: Final = 0.17         # dm above the pivot: the upper face begins
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


def packed_head(head: Head) -> bytes:
    """Return the basis of a head."""
    face = head.part('Face')
    return packed(face, groups(face, head.mesh.mirror), head.mesh.mirror)


def groups(face: Part, mirror: Indices) -> dict[str, Indices]:
    """
    Return vertices of the base mesh by name.

    Outer lips are the red, from the touching line outwards; the upper face is brows, lids,
    forehead and what is between them (everything in front above the nostrils' wings).
    """
    kept = np.unique(face.weld[face.weld < len(mirror)])
    graph = Graph(face)
    rows = graph.rows(kept)
    at = face.positions[rows]
    inner = np.unique(np.concatenate([both_sides(of, mirror) for of in (
        UPPER, LOWER, (CORNER, LOWER_MID))]))
    near = graph.rings(graph.nodes(inner), 2 * LIP_RINGS)[rows] <= LIP_RINGS
    upper = (at[:, 1] > EYES_FROM) & (at[:, 2] > 0.35)
    return {'inner_lips': inner, 'outer_lips': np.setdiff1d(kept[near], inner),
            'upper_face': kept[upper], 'inner_lip_upper_mid': np.array([UPPER_MID]),
            'inner_lip_lower_mid': np.array([LOWER_MID])}


def packed(face: Part, groups: Mapping[str, Indices], mirror: Indices) -> bytes:
    """
    Return the .npz of the vertices in `groups` (numbers in the base mesh).

    Positions are 16-bit steps of 10 um, as in the glTF file; the same input, the same bytes.
    """
    wanted = np.unique(np.concatenate(list(groups.values())))
    wanted = np.unique(np.concatenate([wanted, mirror[wanted]]))
    order = np.argsort(face.weld, kind='stable')
    rows = order[np.searchsorted(face.weld[order], wanted)]
    zero = np.zeros_like(face.positions)
    deltas = np.stack([_steps(face.deltas.get(name, zero)[rows]) for name in NAMES])
    arrays = {'neutral': _steps(face.positions[rows]), 'deltas': deltas,
              'mirror': np.searchsorted(wanted, mirror[wanted]).astype(np.int32)}
    arrays |= {f'group_{name}': np.searchsorted(wanted, of).astype(np.int32)
               for name, of in groups.items()}
    return _zipped(arrays)


def _steps(lengths: NDArray[np.float64]) -> NDArray[np.int16]:
    return np.round(lengths * PER_DM).astype(np.int16)


def _zipped(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """Return an .npz without the date of its making."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, 'w') as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            info = zipfile.ZipInfo(f'{name}.npy', _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, member.getvalue(), compresslevel=9)
    return target.getvalue()
