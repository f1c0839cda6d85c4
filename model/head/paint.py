# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The pictures of skin, eyes and hair, painted by rule; sRGB, rows from the top."""

from __future__ import annotations

from dataclasses import dataclass
import io
from typing import Final

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.spatial import cKDTree

from model.head import eyes
from model.head.source import Points

SKIN: Final = np.array([210, 163, 137.0])
BLUSH: Final = np.array([200, 122, 104.0])
SOCKET: Final = np.array([172, 120, 98.0])
LIP: Final = np.array([174, 84, 82.0])
LIP_DARK: Final = np.array([140, 60, 60.0])
MOUTH: Final = np.array([120, 44, 44.0])
HAIR: Final = np.array([66, 46, 36.0])
SCALP: Final = np.array([92, 66, 52.0])
IRIS: Final = np.array([104, 124, 112.0])
IRIS_INNER: Final = np.array([150, 120, 74.0])
ENAMEL: Final = np.array([238, 230, 216.0])
GUM: Final = np.array([176, 92, 92.0])
ARCH: Final = 1.75              # radians
UPPER_TEETH: Final = (0.0, 0.20, 0.36, 0.54, 0.74, 0.96, 1.25, 1.6, 2.0)
LOWER_TEETH: Final = (0.0, 0.13, 0.27, 0.44, 0.63, 0.84, 1.15, 1.5, 2.0)
SCLERA: Final = np.array([236, 230, 226.0])


@dataclass(frozen=True)
class Landmarks:
    """Spots on the left half of the resting face, dm: (3,) points."""

    eye: Points
    nose: Points
    lips: Points
    brow: Points        # (k, 2) x and y from its inner to its outer end


def encoded(picture: Points, *, quality: int = 88) -> bytes:
    """Return an (h, w, 3) picture of 0..255 as JPEG."""
    data = io.BytesIO()
    Image.fromarray(np.clip(np.round(picture), 0, 255).astype(np.uint8)).save(
        data, 'JPEG', quality=quality, subsampling=0, optimize=True)
    return data.getvalue()


def noise(rng: np.random.Generator, shape: tuple[int, int], blur: float,
          mode: str = 'reflect') -> Points:
    """Return smooth noise of unit deviation whose spots are `blur` texels wide."""
    field = ndimage.gaussian_filter(rng.standard_normal(shape), blur, mode=mode)
    return field / field.std()


def blob(at: Points, centre: Points, widths: tuple[float, float, float]) -> Points:
    """Return 1 at `centre`, falling off like a bell of these half-widths (dm), on both sides."""
    x = np.abs(at[..., 0]) - centre[0]
    y, z = at[..., 1] - centre[1], at[..., 2] - centre[2]
    return np.exp(-((x / widths[0]) ** 2 + (y / widths[1]) ** 2 + (z / widths[2]) ** 2) / 2)


def beside(spot: Points, x: float, y: float, z: float) -> Points:
    """Return the place that lies (x, y, z) dm from a spot."""
    return spot + np.array([x, y, z])


def mix(picture: Points, colour: Points, share: Points) -> Points:
    """Return the picture with `share` (h, w) of a colour over it."""
    return picture + share[..., None] * (colour - picture)


def step(values: Points, low: float, high: float) -> Points:
    """Return a soft step from 0 at `low` to 1 at `high`."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def skin(at: Points, lip: Points, hair: Points, inner: Points, marks: Landmarks) -> Points:
    """
    Return the skin's picture from (h, w, 3) places `at`.

    `lip` is 1 at the touching lips and 0 at the edge of the red, `hair` the depth into the hair
    (dm, negative outside), `inner` 1 inside the mouth; all (h, w).
    """
    size = at.shape[:2]
    rng = np.random.default_rng(52)
    picture = np.broadcast_to(SKIN, (*size, 3)).copy()
    red = (0.50 * blob(at, beside(marks.nose, 0.36, -0.02, -0.25), (0.15, 0.13, 0.3))
           + 0.32 * blob(at, marks.nose, (0.10, 0.09, 0.12))
           + 0.10 * blob(at, beside(marks.lips, 0.0, -0.22, 0.0), (0.14, 0.09, 0.3))
           + 0.5 * step(np.abs(at[..., 0]), 0.66, 0.76) * step(-at[..., 1], -0.55, -0.4))
    picture = mix(picture, BLUSH, np.clip(red, 0, 0.6))
    shadow = (0.30 * blob(at, beside(marks.eye, -0.05, -0.10, 0.05), (0.15, 0.05, 0.3))
              + 0.45 * blob(at, beside(marks.eye, 0.0, 0.06, 0.05), (0.17, 0.055, 0.3)))
    picture = mix(picture, SOCKET, np.clip(shadow, 0, 0.6))
    fade = (1 - step(lip, -0.02, 0.05))[..., None]
    tone = (1.6 * noise(rng, size, 90) + 1.3 * noise(rng, size, 24)
            + 1.1 * noise(rng, size, 5) + 1.0 * noise(rng, size, 1.0))
    # texels are long outside the face: grain would show as streaks there
    fine = 1 - step(np.abs(at[..., 0]), 0.5, 0.66)
    fine *= step(at[..., 1], -0.72, -0.52) * (1 - step(at[..., 1], 0.6, 0.75))
    fine *= step(at[..., 2], 0.3, 0.5)
    picture += (fine * tone)[..., None] * [1.0, 1.15, 1.2] * (0.4 + 0.6 * fade)
    picture = _lips(picture, lip, at[..., 1] - marks.lips[1], rng)
    picture = _brows(picture, at, marks.brow, rng)
    picture = _lashline(picture, at, marks)
    wisps = noise(rng, size, 3) + 0.7 * noise(rng, size, 9)
    root = step(hair + 0.022 * wisps, -0.075, 0.045)
    picture = mix(picture, SCALP + 6 * noise(rng, size, 2)[..., None], root)
    return mix(picture, MOUTH, inner)


def _lips(picture: Points, lip: Points, height: Points, rng: np.random.Generator) -> Points:
    lines = noise(rng, (1, lip.shape[1]), 2.2)[0] * 0.05
    edge = step(lip + 0.35 * lines, -0.1, 0.1)
    # the lower lip faces the light, the upper one does not: paint evens them out
    under = (1 - step(height, -0.03, 0.02))[..., None]
    body = LIP * (1.06 + under * [-0.12, -0.30, -0.26])
    body += (4 * noise(rng, lip.shape, 8) + 80 * lines)[..., None]
    picture = mix(picture, body, 0.9 * edge)
    return mix(picture, LIP_DARK, 0.5 * step(lip, 0.8, 1.0))


def _brows(picture: Points, at: Points, brow: Points, rng: np.random.Generator) -> Points:
    """Paint hairs along the brows; every hair has its partner on the other side."""
    size = at.shape[0]
    front = at[..., 2] > 0.55
    near = front & (np.abs(at[..., 1] - brow[:, 1].mean()) < 0.3)
    rows, columns = np.nonzero(near)
    tree = cKDTree(at[rows, columns, :2])
    along = np.linspace(0, 1, len(brow))
    hairs = Image.new('L', (size, size), 0)
    pen = ImageDraw.Draw(hairs)
    for _ in range(520):
        t = rng.beta(1.15, 1.25)
        thick = 0.034 * (1 - t) ** 0.55 * min(1, 0.55 + 2.2 * t)
        root = np.array([np.interp(t, along, brow[:, 0]), np.interp(t, along, brow[:, 1])])
        root[1] += thick * rng.uniform(-1, 0.8)
        lean = np.radians(np.interp(t, (0, 0.1, 0.45, 1), (62, 38, 12, -32)) + rng.normal(0, 6))
        length = rng.uniform(0.042, 0.07) * (1 - 0.35 * t)
        bend = np.radians(-16)
        points = [root]
        for k in range(4):
            turn = lean + bend * k / 3
            points.append(points[-1] + length / 4 * np.array([np.cos(turn), np.sin(turn)]))
        ink = int(rng.uniform(110, 215))
        for side in (1, -1):
            found = tree.query(np.array(points) * [side, 1])[1]
            line = [(float(columns[i]), float(rows[i])) for i in found]
            pen.line(line[:3], fill=ink, width=3 if size > 1500 else 2)
            pen.line(line[2:], fill=ink, width=2 if size > 1500 else 1)
    ink = ndimage.gaussian_filter(np.asarray(hairs, float) / 255, 0.8)
    wash = ndimage.gaussian_filter(ink, 9)
    return mix(mix(picture, HAIR, 0.45 * np.clip(wash, 0, 1)), HAIR * 0.6, 0.95 * ink)


def _lashline(picture: Points, at: Points, marks: Landmarks) -> Points:
    """Darken the edge of the lids, where lashes grow, and redden the inner corner."""
    ball = np.linalg.norm(np.stack([np.abs(at[..., 0]), at[..., 1], at[..., 2]], -1) - marks.eye,
                          axis=-1)
    edge = 1 - step(ball, 0.158, 0.170)
    inner = blob(at, beside(marks.eye, -0.15, -0.03, 0.08), (0.02, 0.03, 0.1))
    upper = step(at[..., 1] - marks.eye[1], -0.03, 0.0)
    picture = mix(picture, np.array([150, 92, 82.0]), 0.7 * edge * (1 - upper))
    picture = mix(picture, np.array([58, 36, 32.0]), 0.9 * upper * (1 - step(ball, 0.162, 0.174)))
    return mix(picture, np.array([196, 120, 112.0]), 0.5 * inner)


def eye(size: int = 512) -> Points:
    """Return the picture of an eye, polar: the axis in the middle."""
    rng = np.random.default_rng(7)
    y, x = (np.mgrid[:size, :size] + 0.5) / size - 0.5
    radius = np.hypot(x, y) * 2 * eyes.EDGE         # radians from the axis
    turn = np.arctan2(y, x)
    fibre = noise(rng, (1, 720), 2.0, 'wrap')[0]
    fine = noise(rng, (1, 720), 0.7, 'wrap')[0]
    spot = ((turn / (2 * np.pi) + 0.5) * 719).astype(int)
    picture = np.broadcast_to(SCLERA, (size, size, 3)).copy()
    picture = mix(picture, np.array([214, 176, 166.0]), 0.55 * step(radius, 0.62, 1.15))
    picture += 2 * noise(rng, (size, size), 6)[..., None]
    r = radius / eyes.IRIS
    inside = 1 - step(r, 0.95, 1.06)
    shine = 1 + 0.13 * (fibre[spot] * (1 - r) + 0.8 * fine[spot])
    iris = IRIS * shine[..., None]
    warm = 1 - step(r + 0.05 * fibre[spot], 0.42, 0.66)
    iris = mix(iris, IRIS_INNER * shine[..., None], 0.75 * warm)
    iris *= (0.86 + 0.34 * step(y, -0.08, 0.08))[..., None]      # light falls in from above
    limbal = step(r, 0.74, 0.98)
    iris = mix(iris, np.array([30, 34, 36.0]), 0.8 * limbal)
    pupil = 1 - step(r, 0.34, 0.40)
    iris = mix(iris, np.array([8, 7, 8.0]), pupil)
    return mix(picture, iris, inside)


def teeth(size: int = 512) -> Points:
    """
    Return both rows of teeth: upper ones in the upper half, lower ones below, edges in the middle.

    Across, the picture spans `ARCH` radians on either side of the middle.
    """
    rng = np.random.default_rng(3)
    y, x = (np.mgrid[:size // 2, :size] + 0.5) / [[[size // 2]], [[size]]]
    turn = np.abs(2 * x - 1) * ARCH
    lower = y > 0.5
    depth = np.where(lower, 2 * y - 1, 1 - 2 * y)       # 0 at the biting edge, 1 in the gum
    picture = np.broadcast_to(ENAMEL, (*x.shape, 3)).copy()
    picture += 3 * noise(rng, x.shape, 12)[..., None]
    picture = mix(picture, ENAMEL * [0.93, 0.97, 1.02], 0.6 * (1 - step(depth, 0.0, 0.12)))
    line = np.full(x.shape, 0.58)
    for row, edges in ((~lower, UPPER_TEETH), (lower, LOWER_TEETH)):
        ends = np.array(edges)
        tooth = np.clip(np.searchsorted(ends, turn) - 1, 0, len(ends) - 2)
        place = (turn - ends[tooth]) / (ends[tooth + 1] - ends[tooth])      # 0..1 in its tooth
        width = ends[tooth + 1] - ends[tooth]
        between = 1 - step(np.minimum(place, 1 - place) * width, 0.0, 0.022)
        picture = mix(picture, np.array([120, 84, 70.0]), row * 0.75 * between)
        line = np.where(row, 0.62 - 0.14 * (2 * place - 1) ** 2, line)
    return mix(picture, GUM, step(depth, line - 0.02, line + 0.03))


def lashes(size: int = 512) -> bytes:
    """
    Return hairs that stand on the lower edge, as PNG with transparency.

    The left half is for upper lids, the right half, thin and short, for lower ones.
    """
    rng = np.random.default_rng(5)
    big = 4
    wide, high = size * big, size * big // 4
    ink = Image.new('L', (wide, high), 0)
    pen = ImageDraw.Draw(ink)
    for half, count, tall, thick in ((0.0, 70, 0.85, 11.0), (0.5, 44, 0.5, 5.0)):
        for at in np.linspace(0.005, 0.495, count):
            along = at / 0.5
            x = (half + at + rng.normal(0, 0.0015)) * wide
            length = high * rng.uniform(0.75, 1.1) * tall * (0.45 + 0.55 * min(1, 2 * along))
            length *= min(1.0, (1 - along) / 0.1)
            lean = (0.15 + 0.9 * along + rng.normal(0, 0.15)) * wide / 90
            for k in range(14):
                one, other = k / 14, (k + 1) / 14
                pen.line([(x + lean * one ** 2, high - length * one),
                          (x + lean * other ** 2, high - length * other)],
                         fill=255, width=max(1, round(thick * (1 - 0.85 * one))))
    alpha = ink.resize((size, size // 4), Image.Resampling.LANCZOS)
    picture = Image.merge('RGBA', [Image.new('L', alpha.size, tone) for tone in (34, 26, 24)]
                          + [alpha])
    data = io.BytesIO()
    picture.save(data, 'PNG', optimize=True)
    return data.getvalue()


def strands(size: tuple[int, int] = (512, 1024)) -> Points:
    """Return hair combed along the columns; the picture wraps from right to left."""
    rng = np.random.default_rng(11)
    field = np.zeros(size)
    for width, drift, share in ((0.7, 40, 0.8), (1.6, 90, 0.8), (6, 160, 0.45), (24, 200, 0.35)):
        layer = ndimage.gaussian_filter(rng.standard_normal(size), (drift, width),
                                        mode=('reflect', 'wrap'))
        field += share * layer / layer.std()
    field /= field.std()
    return HAIR * (1 + 0.16 * field)[..., None] + np.array([9, 6, 3.0]) * np.clip(
        field - 0.8, 0, None)[..., None]
