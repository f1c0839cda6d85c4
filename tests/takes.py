# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""A take whose poses are known, and what others' programs for files need here."""

from fractions import Fraction
import os
from pathlib import Path

import numpy as np
import pygltflib as gl
import pytest

from avatar_bridge.frames import FaceFrame, Flags, StreamInfo, TimedFrame
from avatar_bridge.rig import NAMES

ROOT = Path(__file__).resolve().parents[1]
COUNT = 90
INFO = StreamInfo('run', 'robot', NAMES, Fraction(60), Fraction(0), 'live', 16000)


def weights_of(count=COUNT, seed=3):
    """Return (count, 52) weights that come and go, with rests between."""
    rng = np.random.default_rng(seed)
    waves = np.sin(np.arange(count)[:, None] / rng.uniform(2, 9, 52) + rng.uniform(0, 6, 52))
    return np.clip(waves, 0, 1).astype(np.float32)


def turns_of(count=COUNT):
    """Return (count, 3) yaw, pitch, roll of a head and (count, 4) of eyes."""
    waves = np.sin(np.arange(count)[:, None] / (7, 11, 13, 5, 6, 5, 6)) * 0.4
    return waves[:, :3].astype(np.float32), waves[:, 3:].astype(np.float32)


def recorded(sink, count=COUNT, *, turned=False, info=INFO, seed=3):
    """Give a sink the take."""
    weights, (head, eyes) = weights_of(count, seed), turns_of(count)
    sink.open(info)
    for index in range(count):
        turns = (head[index], eyes[index]) if turned else ()
        sink.send(TimedFrame(FaceFrame(index, weights[index], Flags.SPEECH, *turns), 0, 0))
    sink.close()
    return weights, head


def lacking(reason):
    """Skip, or fail where clients must be tested."""
    if os.environ.get('AVATAR_BRIDGE_REQUIRE_CLIENTS'):
        pytest.fail(f'AVATAR_BRIDGE_REQUIRE_CLIENTS is set, but {reason}')
    pytest.skip(reason)


def accessor(file, number):
    """Return an accessor of floats, read by the rules of glTF."""
    found = file.accessors[number]
    view = file.bufferViews[found.bufferView]
    width = {'SCALAR': 1, 'VEC4': 4}[found.type]
    data = file.binary_blob()[view.byteOffset:view.byteOffset + view.byteLength]
    assert len(data) == 4 * found.count * width
    return np.frombuffer(data, '<f4').reshape(found.count, width)


def moved(path):
    """Return times, the weights of each mesh by its targets' names, and rotations by node."""
    file = gl.GLTF2().load(str(path))
    clip = file.animations[0]
    weights, turns = {}, {}
    for channel in clip.channels:
        sampler, node = clip.samplers[channel.sampler], file.nodes[channel.target.node]
        times, output = accessor(file, sampler.input)[:, 0], accessor(file, sampler.output)
        if channel.target.path == 'weights':
            names = file.meshes[node.mesh].extras['targetNames']
            weights[node.name] = dict(zip(names, output.reshape(len(times), -1).T, strict=True))
        else:
            turns[node.name] = output
    return times, weights, turns
