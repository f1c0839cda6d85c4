# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The same head with a quarter of the triangles, for pages that draw without a GPU."""

from __future__ import annotations

from dataclasses import replace
import io
from typing import Final

import numpy as np
from PIL import Image

from model.head import lips, paint
from model.head.build import Head
from model.head.decimate import decimated
from model.head.gltf import Material
from model.head.graph import Graph
from model.head.part import Part
from model.head.source import Points

TRIANGLES: Final = {'Face': 3500, 'Hair': 560, 'HairKnot': 220, 'Shirt': 260, 'Tongue': 240,
                    'EyeLeft': 220, 'EyeRight': 220, 'TeethUpper': 150, 'TeethLower': 150,
                    'Lashes': 368}
PICTURES: Final = {'skin': 1024, 'eye': 256, 'hair': 512, 'teeth': 256}    # texels


def small(head: Head) -> Head:
    """Return the head in about 5,900 triangles; the nodes, shapes and names are the same."""
    parts = tuple(decimated(part, TRIANGLES[part.name], _importance(part, head))
                  for part in head.parts)
    return replace(head, parts=parts, materials={
        name: _shrunk(material, PICTURES[name]) if name in PICTURES else material
        for name, material in head.materials.items()})


def _importance(part: Part, head: Head) -> Points:
    """Return the (n,) weight of each vertex: lids and lips count most, ears and neck least."""
    if part.name != 'Face':
        return np.ones(len(part.positions))
    graph = Graph(part)
    mouth = part.positions[graph.rows(np.array([lips.UPPER_MID]))[0]]
    eye = head.part('EyeLeft').origin
    near = (paint.blob(part.positions, eye, (0.2, 0.12, 0.3))
            + paint.blob(part.positions, mouth, (0.3, 0.15, 0.3)))
    return 0.15 + 0.35 * (part.positions[:, 2] > 0.5) + 12 * near


def _shrunk(material: Material, longest: int) -> Material:
    with Image.open(io.BytesIO(material.picture)) as picture:
        scale = longest / max(picture.size)
        size = (round(picture.width * scale), round(picture.height * scale))
        less = picture.resize(size, Image.Resampling.LANCZOS)
    return replace(material, picture=paint.encoded(np.asarray(less, float), quality=82))
