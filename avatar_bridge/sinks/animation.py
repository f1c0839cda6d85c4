# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Takes as animation files of other programs: `FILE`, or `FILE?option=value`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
import re
from typing import Final

from avatar_bridge.config import nearest
from avatar_bridge.errors import HeadError, UsageError
from avatar_bridge.formats.audio2face import table
from avatar_bridge.formats.glb import AnimatedHead
from avatar_bridge.formats.openfacefx import track
from avatar_bridge.formats.unity import clip
from avatar_bridge.formats.usda import stage
from avatar_bridge.gltf import read_head
from avatar_bridge.sinks.take import TakeRecorder

ASSETS: Final = Path(__file__).parents[1] / 'assets'
HEAD: Final = ASSETS / 'head.glb'
SMALL_HEAD: Final = ASSETS / 'head_small.glb'   # USD is text: the other would be 6.8 MB of it


def glb(argument: str) -> TakeRecorder:
    """Understand `FILE?head=MY.glb`: an animation in a copy of that head, or of ours."""
    path, value = place('glb', argument, 'head')
    head = Path(value or HEAD)
    try:
        return TakeRecorder(path, AnimatedHead(head.read_bytes()).encode)
    except (HeadError, OSError) as error:
        raise unusable('glb', head, error) from error


def usda(argument: str) -> TakeRecorder:
    """Understand `FILE?head=MY.glb`: a UsdSkel character made of that head, or of ours."""
    path, value = place('usda', argument, 'head')
    head = Path(value or SMALL_HEAD)
    try:
        return TakeRecorder(path, partial(stage, read_head(head)))
    except HeadError as error:
        raise unusable('usda', head, error) from error


def anim(argument: str) -> TakeRecorder:
    """Understand `FILE?path=BODY/FACE`: a clip for the renderer at that path in Unity."""
    path, value = place('anim', argument, 'path')
    return TakeRecorder(path, partial(clip, path=value))


def openfacefx(argument: str) -> TakeRecorder:
    """Understand `FILE`: an OpenFaceFX track."""
    return TakeRecorder(place('track', argument)[0], track)


def a2f(argument: str) -> TakeRecorder:
    """Understand `FILE`: a table of frames as clients of Audio2Face-3D write it."""
    return TakeRecorder(place('a2f', argument)[0], table)


def place(sink: str, argument: str, option: str = '') -> tuple[Path, str]:
    """Return the file and what follows `?option=`; raises `UsageError`."""
    found = re.fullmatch(r'(.*?)(?:\?(\w+)=(.*))?', argument, re.DOTALL)
    assert found is not None, 'the pattern matches everything'
    name, given, value = found.groups(default='')
    if not name:
        raise UsageError(f'sink {sink}: expected {sink}=FILE, got {sink}')
    if given != option and given:
        raise UsageError(f'sink {sink}: expected {option or "nothing"} after the ?, got '
                         f'{given!r}{nearest(given, [option])}')
    folder = Path(name).absolute().parent
    if not folder.is_dir():
        raise UsageError(f'sink {sink}: there is no folder {folder}; make it first')
    return Path(name), value


def unusable(sink: str, head: Path, error: Exception) -> HeadError:
    """Return what to tell about a head that cannot be animated."""
    reason = error.strerror or error if isinstance(error, OSError) else error
    return HeadError(f'sink {sink}: {head}: {reason}')
