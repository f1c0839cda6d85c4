# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Still pictures: decoding, labelled drawing, PNG."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.errors import HeadError, MissingPackageError

try:
    from PIL import Image, UnidentifiedImageError
except ImportError as missing:          # pragma: no cover
    raise MissingPackageError('pictures need pillow; pip install avatar-bridge[film]'
                              ) from missing

Pixels = NDArray[np.uint8]

LARGEST: Final = 4096           # pixels along an edge of a picture on a head


def decoded(data: bytes) -> Pixels:
    """Return an encoded picture as (h, w, 4); raises `HeadError`."""
    try:
        picture = Image.open(io.BytesIO(data))
        if max(picture.size) > LARGEST:
            raise HeadError(f'a picture of {picture.size[0]} x {picture.size[1]} pixels is on '
                            f'the head; expected at most {LARGEST}')
        return np.asarray(picture.convert('RGBA'))
    except (OSError, UnidentifiedImageError, ValueError) as error:
        raise HeadError(f'a picture on the head cannot be decoded: {error}') from error


def save_png(path: Path, pixels: Pixels) -> None:
    """Write (h, w, 3) pixels."""
    Image.fromarray(pixels).save(path, 'PNG', optimize=False)
