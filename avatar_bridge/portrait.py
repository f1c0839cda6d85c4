# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Pictures of a head by OpenGL, without a display and without a GPU (Mesa's llvmpipe)."""

from __future__ import annotations

from collections.abc import Callable
import ctypes
import math
from pathlib import Path
import sys
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from avatar_bridge import rig, shading
from avatar_bridge.errors import HeadError, MissingPackageError
from avatar_bridge.gltf import Floats, Material, read_head
from avatar_bridge.mesh import Mesh
from avatar_bridge.pictures import Pixels, decoded

try:
    import moderngl
except ImportError as missing:          # pragma: no cover
    raise MissingPackageError('portraits need moderngl; pip install avatar-bridge[film]'
                              ) from missing

HEAD: Final = Path(__file__).parent / 'assets' / 'head.glb'
LIBRARIES: Final = 'apt-get install libegl1 libgl1 libgl1-mesa-dri'
#: A picture is drawn this much larger and made smaller, for smooth edges. On a processor that
#: takes two thirds of the time of four samples a pixel (40 against 59 ms of one core, 480 x 480).
FINER: Final = 1.5
VIEW: Final = math.radians(20)  # opening of the lens, from bottom to top
ROOM: Final = 0.06              # of what is seen of the head, that is left free above it
BELOW: Final = 0.95             # of the way from the pivot to the crown, seen below the pivot
FADE: Final = 0.10              # of the picture's height in which the neck fades into the wall
DIRECTIONS: Final = 48          # from which light comes in when openness is found out
SHADE: Final = 256              # pixels along an edge of a picture for that
#: What is only seen when the mouth is open, at times wider than openness is found out at.
INSIDE: Final = ('Teeth', 'Tongue')
LIT: Final = 0.4                # how open it is at least
#: The second pose that openness is found out in: what opens must not stay dark.
MOVING: Final = {'jawOpen': 0.6, 'eyeBlinkLeft': 1.0, 'eyeBlinkRight': 1.0}


class Surface(NamedTuple):
    """How a part takes the light."""

    roughness: float
    through: float              # how much light creeps through, as through skin
    gloss: float


class Piece(NamedTuple):
    """Triangles of one part, ready to be drawn."""

    array: Any
    picture: Any
    program: Any
    values: dict[str, Any]      # of the program's uniforms
    see_through: bool
    two_sided: bool


class Portrait:
    """
    Draw a head, `size` = (width, height) pixels.

    The same weights make the same bytes on one machine. To be used by one thread at a time.
    """

    def __init__(self, size: tuple[int, int] = (480, 480), head: Path | str = '') -> None:
        """
        Read the head, ours if none is given.

        Raises `HeadError`, or `MissingPackageError` where OpenGL is missing.
        """
        self.size = size
        fine = (round(FINER * size[0]), round(FINER * size[1]))
        found = read_head(head or HEAD)
        self._mesh = Mesh(found)
        self._pivot = found.pivot
        self._gl = context()
        self._wait = finish_of(self._gl)
        with self._gl:
            self._drawn = self._gl.texture(fine, 4)
            self._drawn.filter = (moderngl.LINEAR, moderngl.LINEAR)
            self._target = self._gl.framebuffer([self._drawn], self._gl.depth_renderbuffer(fine))
            self._flat = self._gl.framebuffer([self._gl.renderbuffer(size, 4)])
            self._skin, self._eye = (
                self._gl.program(shading.VERTEX, f'#version 330\n{kind}\n{shading.FRAGMENT}')
                for kind in ('', '#define EYE'))
            everywhere = self._gl.buffer(np.array([-1, -1, 3, -1, -1, 3], 'f4'))
            self._wall, self._smaller = (
                self._gl.vertex_array(self._gl.program(shading.FLAT_VERTEX, fragment),
                                      [(everywhere, '2f', 'corner')])
                for fragment in (shading.WALL_FRAGMENT, shading.SMALLER_FRAGMENT))
            self._behind = self._gl.texture(fine, 4, wall(fine))
            self._tell('wall', 1)
            self._moving = self._gl.buffer(reserve=24 * len(self._mesh.rest), dynamic=True)
            self._look(fine)
            tints = np.concatenate([part.colors for part in found.parts])
            known = np.concatenate([part.openness for part in found.parts])
            tints[:, 3] = known if len(known) == len(tints) else self._openness()
            for part, start in zip(found.parts, self._mesh.starts, strict=True):
                if part.name.startswith(INSIDE):
                    own = tints[start:start + len(part.positions), 3]
                    own[:] = LIT + (1 - LIT) * own
            uv = np.concatenate([part.uv for part in found.parts])
            still = self._gl.buffer(np.concatenate([uv, tints], 1).astype('f4'))
            self._pieces = [self._piece(part, start, still) for part, start
                            in zip(found.parts, self._mesh.starts, strict=True)]
            self._pieces.sort(key=lambda piece: piece.see_through)

    def render(
        self, weights: NDArray[Any], head: NDArray[Any] | None = None,
        eyes: NDArray[Any] | None = None,       # noqa: ARG002 - the weights say the same
    ) -> Pixels:
        """
        Return (h, w, 3) pixels.

        `weights`: (52,); `head`: yaw, pitch, roll in radians. `eyes` are for heads whose eyes
        have bones; ours looks where the eyeLook weights say.
        """
        with self._gl:
            self._move(weights)
            self._draw(head)
            self._shrink()
            self._wait()
            data = self._flat.read(components=3, alignment=1)
        return np.frombuffer(data, np.uint8).reshape(self.size[1], self.size[0], 3)

    def close(self) -> None:
        """Let go of the graphics memory."""
        self._gl.release()

    def _move(self, weights: NDArray[Any]) -> None:
        weights = np.nan_to_num(np.asarray(weights, np.float32))
        if weights.shape != (len(rig.NAMES),):
            raise HeadError(f'expected {len(rig.NAMES)} weights, got {weights.shape}')
        self._moving.write(np.concatenate(self._mesh.pose(weights), 1))

    def _draw(self, head: NDArray[Any] | None) -> None:
        self._target.use()
        self._target.clear(depth=1.0)
        self._gl.depth_func = '<='
        self._gl.front_face = 'cw'      # the picture is drawn upside down, to be read from the top
        self._behind.use(1)
        self._tell('turn', turned(np.zeros(3) if head is None else head))
        for piece in self._pieces:
            self._gl.enable_only(moderngl.DEPTH_TEST | piece.see_through * moderngl.BLEND
                                 | (not piece.two_sided) * moderngl.CULL_FACE)
            piece.picture.use()
            for name, value in piece.values.items():
                piece.program[name].value = value
            piece.array.render()
        self._gl.enable_only(moderngl.DEPTH_TEST)
        self._wall.render()

    def _shrink(self) -> None:
        self._flat.use()
        self._gl.enable_only(moderngl.NOTHING)
        self._drawn.use()
        self._smaller.render()

    def _tell(self, name: str, value: Any) -> None:
        """Tell every program that wants to know."""
        for program in (self._skin, self._eye, self._wall.program):
            if name in program:
                program[name].value = value

    def _piece(self, part: Any, start: int, still: Any) -> Piece:
        indices = self._gl.buffer((part.triangles + start).astype('i4'))
        surface = surface_of(part.name, part.material)
        program = self._eye if part.name.startswith('Eye') else self._skin
        array = self._gl.vertex_array(
            program, [(self._moving, '3f 3f', 'position', 'normal'),
                            (still, '2f 4f', 'uv', 'tint')], indices)
        material = part.material
        pixels = (decoded(material.picture) if material.picture
                  else np.full((1, 1, 4), 255, np.uint8))
        picture = self._gl.texture(pixels.shape[1::-1], 4, rooted(pixels))
        picture.build_mipmaps()
        picture.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
        values = {
            'base': material.color, 'alpha': material.color[3],
            'surface': (surface.roughness, surface.through),
            'shine': (surface.roughness ** 4, surface.gloss)}
        return Piece(array, picture, program, values, material.see_through, material.two_sided)

    def _look(self, fine: tuple[int, int]) -> None:
        """Put the camera where the whole head and the neck are in the picture."""
        low, high = self._mesh.rest.min(0), self._mesh.rest.max(0)
        crown, pivot = float(high[1]), float(self._pivot[1])
        bottom = max(float(low[1]), pivot - BELOW * (crown - pivot))
        top = crown + ROOM * (crown - bottom)
        away = (top - bottom) / 2 / math.tan(VIEW / 2)
        eye = np.array([0, (top + bottom) / 2, away + (low[2] + high[2]) / 2], np.float32)
        self._tell('camera', camera(eye, self.size))
        self._tell('eye', tuple(eye))
        self._tell('pivot', tuple(self._pivot))
        self._tell('ends', (bottom, bottom + FADE * (top - bottom)))
        self._tell('neck', (float(low[1]), max(pivot, float(low[1]) + 1e-3)))
        up, aside = math.tan(VIEW / 2), math.tan(VIEW / 2) * self.size[0] / self.size[1]
        self._tell('lens', (aside, -up, -2 * aside / fine[0], 2 * up / fine[1]))

    def openness(self) -> Floats:
        """
        Return how much of the room each vertex sees, 0..1, over two poses.

        Half a second's work, which is why a head may bring it along (`_OPENNESS`, one byte).
        """
        with self._gl:
            return self._openness()

    def _openness(self) -> Floats:
        shut = np.zeros(len(rig.NAMES), np.float32)
        moving = shut.copy()
        for name, weight in MOVING.items():
            moving[rig.INDEX[name]] = weight
        seen = [self._seen(*self._mesh.pose(weights)) for weights in (shut, moving)]
        return np.asarray((seen[0] + seen[1]) / 2, np.float32)

    def _seen(self, positions: Floats, normals: Floats) -> Floats:
        """Return how much of the room each vertex sees in one pose: depth from all around."""
        middle = (positions.min(0) + positions.max(0)) / 2
        radius = float(np.linalg.norm(positions - middle, axis=1).max())
        flat = self._gl.buffer(((positions - middle) / radius).astype('f4'))
        depth = self._gl.depth_texture((SHADE, SHADE))
        target = self._gl.framebuffer(depth_attachment=depth)
        program = self._gl.program(shading.DEPTH_VERTEX, shading.DEPTH_FRAGMENT)
        array = self._gl.vertex_array(program, [(flat, '3f', 'position')],
                                      self._gl.buffer(self._mesh.triangles.astype('i4')))
        target.use()
        self._gl.enable_only(moderngl.DEPTH_TEST)
        light = np.zeros(len(positions))
        whole = np.zeros(len(positions))
        for direction in around(DIRECTIONS):
            basis = facing(direction)
            program['turn'].write(np.ascontiguousarray(basis.T, 'f4'))
            target.clear(depth=1.0)
            array.render()
            near = np.frombuffer(depth.read(), np.float32).reshape(SHADE, SHADE)
            across, up, towards = ((positions - middle) / radius @ basis.T).T
            column = np.clip(((across + 1) / 2 * SHADE).astype(int), 0, SHADE - 1)
            row = np.clip(((up + 1) / 2 * SHADE).astype(int), 0, SHADE - 1)
            toward = np.maximum(normals @ direction, 0)
            light += toward * ((1 - towards) / 2 <= near[row, column] + 0.012)
            whole += toward
        for thing in (array, target, depth, flat, program):
            thing.release()
        return np.asarray(light / np.maximum(whole, 1e-6), np.float32)


def context() -> Any:
    """Return an OpenGL context without a window; raises `MissingPackageError`."""
    try:
        if sys.platform == 'linux':
            settings: dict[str, Any] = {'backend': 'egl', 'libgl': 'libGL.so.1',
                                        'libegl': 'libEGL.so.1'}
            return moderngl.create_context(standalone=True, **settings)
        return moderngl.create_context(standalone=True)
    except Exception as error:          # the library raises bare Exception
        raise MissingPackageError(f'pictures need OpenGL 3.3, here: {error}; {LIBRARIES}'
                                  ) from error


def finish_of(gl: Any) -> Callable[[], Any]:
    """Return what waits until all is drawn; other threads may run meanwhile, where that works."""
    if sys.platform == 'linux':
        # A context's own `finish` holds the lock of the interpreter: 20 ms a picture.
        return ctypes.CDLL('libGL.so.1').glFinish
    finish: Callable[[], Any] = gl.finish
    return finish


def surface_of(name: str, material: Material) -> Surface:
    """Return how a part with this name takes the light."""
    if name.startswith('Eye') and 'brow' not in name.lower():
        return Surface(0.18, 0.25, 1.0)
    if name.startswith('Teeth'):
        return Surface(0.30, 0.35, 0.8)
    if name.startswith('Tongue'):
        return Surface(0.38, 1.0, 0.8)
    if name.startswith(('Hair', 'Lashes', 'Brow')):
        return Surface(0.55, 0.1, 0.4)
    if name.startswith(('Shirt', 'Cloth')):
        return Surface(0.9, 0.1, 0.3)
    return Surface(min(max(material.roughness, 0.42), 0.62), 1.0, 0.75)


def wall(size: tuple[int, int]) -> bytes:
    """Return the pixels behind the head: grey, lit from the upper left."""
    across, down = np.meshgrid(*((np.arange(count) + 0.5) / count for count in size))
    away = np.clip(np.hypot(across - 0.42, down - 0.40) / 1.05, 0, 1)
    near = (1 - away * away * (3 - 2 * away)) ** 2
    dark, bright = np.array([58, 62, 69.0]), np.array([150, 155, 161.0])
    # A gradient shows bands once it is compressed; a step of noise hides them.
    grain = np.random.default_rng(0).random((*near.shape, 1))
    pixels = np.full((*near.shape, 4), 255, np.uint8)
    pixels[..., :3] = dark + near[..., None] * (bright - dark) + grain
    return pixels.tobytes()


def rooted(pixels: Pixels) -> bytes:
    """Return sRGB pixels as square roots of linear ones, so that the shader can square them."""
    level = np.arange(256) / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    table = np.round(255 * np.sqrt(linear)).astype(np.uint8)
    rooted = pixels.copy()
    rooted[..., :3] = table[pixels[..., :3]]
    return rooted.tobytes()


def camera(eye: Floats, size: tuple[int, int]) -> tuple[float, ...]:
    """Return the matrix, by columns, of a lens at `eye` that looks along -z; row 0 is the top."""
    near, far = 0.05, 10.0
    scale = 1 / math.tan(VIEW / 2)
    lens = np.array([
        [scale * size[1] / size[0], 0, 0, 0],
        [0, -scale, 0, 0],
        [0, 0, (near + far) / (near - far), 2 * near * far / (near - far)],
        [0, 0, -1, 0]])
    move = np.eye(4)
    move[:3, 3] = -eye
    return tuple((lens @ move).T.ravel().tolist())


def turned(head: NDArray[Any]) -> tuple[float, ...]:
    """Return the rotation, by columns; yaw, pitch, roll in radians (+: left, up, to the left)."""
    yaw, pitch, roll = np.nan_to_num(np.asarray(head, float))
    around_y = np.array([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0],
                         [-math.sin(yaw), 0, math.cos(yaw)]])
    around_x = np.array([[1, 0, 0], [0, math.cos(pitch), math.sin(pitch)],
                         [0, -math.sin(pitch), math.cos(pitch)]])
    around_z = np.array([[math.cos(roll), math.sin(roll), 0],
                         [-math.sin(roll), math.cos(roll), 0], [0, 0, 1]])
    return tuple((around_y @ around_x @ around_z).T.ravel().tolist())


def around(count: int) -> Floats:
    """Return (count, 3) directions, evenly spread (a Fibonacci spiral)."""
    height = 1 - (2 * np.arange(count) + 1) / count
    angle = np.pi * (1 + 5 ** 0.5) * np.arange(count)
    width = np.sqrt(1 - height ** 2)
    return np.stack([width * np.cos(angle), height, width * np.sin(angle)], 1).astype(np.float32)


def facing(direction: Floats) -> Floats:
    """Return the rotation after which `direction` looks to +z."""
    side = np.cross([0, 1, 0] if abs(direction[1]) < 0.9 else [1, 0, 0], direction)
    side /= np.linalg.norm(side)
    return np.asarray([side, np.cross(direction, side), direction], np.float32)
