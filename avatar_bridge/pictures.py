# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Still pictures: decoding those on a head, sheets of many with words, PNG."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
import io
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.errors import HeadError, MissingPackageError

try:
    from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError
except ImportError as missing:          # pragma: no cover
    raise MissingPackageError('pictures need pillow; pip install avatar-bridge[film]'
                              ) from missing

Pixels = NDArray[np.uint8]

LARGEST: Final = 4096           # pixels along an edge of a picture on a head


class Sheet:
    """A picture that others are put on, with words and lines; places are (x, y) from top left."""

    def __init__(self, size: tuple[int, int], color: str = '#202327') -> None:
        """Begin with one colour."""
        self._picture = Image.new('RGB', size, color)
        self._pen = ImageDraw.Draw(self._picture)

    def put(self, pixels: Pixels, place: tuple[int, int]) -> None:
        """Put (h, w, 3) pixels with their top left corner at `place`."""
        self._picture.paste(Image.fromarray(np.ascontiguousarray(pixels)), place)

    def write(self, text: str, place: tuple[float, float], *, size: int = 15,
              color: str = '#e8eaed', anchor: str = 'la') -> None:
        """Write words; `anchor` says which point of them is at `place` (`la`: top left)."""
        self._pen.text(place, text, fill=color, font=font(size), anchor=anchor)

    def fill(self, box: tuple[float, float, float, float], color: str) -> None:
        """Fill left, top, right, bottom."""
        self._pen.rectangle(box, fill=color)

    def line(self, points: NDArray[Any], color: str, width: int = 1) -> None:
        """Draw through (n, 2) places."""
        self._pen.line([tuple(point) for point in points.tolist()], fill=color, width=width)

    def pixels(self) -> Pixels:
        """Return the picture as (h, w, 3)."""
        return np.asarray(self._picture)

    def png(self) -> bytes:
        """Return the bytes of a PNG."""
        whole = io.BytesIO()
        self._picture.save(whole, 'PNG')
        return whole.getvalue()


@lru_cache
def font(size: int) -> Any:
    """Return letters that phones can be written in; the ones that come with matplotlib."""
    found = find_spec('matplotlib')
    if found is not None and found.origin is not None:
        path = Path(found.origin).parent / 'mpl-data' / 'fonts' / 'ttf' / 'DejaVuSans.ttf'
        if path.exists():
            return ImageFont.truetype(str(path), size)
    return ImageFont.load_default(size)


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
