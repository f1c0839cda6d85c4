# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
An AnimationClip of Unity (`.anim`), as its editor writes it: YAML with curves of blend shapes.

Weights are percent there. A curve is bound to the renderer by its path below the Animator.
"""

from __future__ import annotations

from collections.abc import Iterator
import json
import re
from typing import Final

import numpy as np

from avatar_bridge.formats.motion import Floats, Motion, knots
from avatar_bridge.rig import NAMES

TOLERANCE: Final = 0.2          # percent, between two keys
LINEAR: Final = 69              # tangents of a key: straight to both sides, and independent
RENDERER: Final = 137           # Unity's number of the class SkinnedMeshRenderer
HEAD: Final = '''\
%YAML 1.1
%TAG !u! tag:unity3d.com,2011:
--- !u!74 &7400000
AnimationClip:
  m_ObjectHideFlags: 0
  m_CorrespondingSourceObject: {fileID: 0}
  m_PrefabInstance: {fileID: 0}
  m_PrefabAsset: {fileID: 0}
  m_Name: NAME
  serializedVersion: 6
  m_Legacy: 0
  m_Compressed: 0
  m_UseHighQualityCurve: 1
  m_RotationCurves: []
  m_CompressedRotationCurves: []
  m_EulerCurves: []
  m_PositionCurves: []
  m_ScaleCurves: []
'''
FOOT: Final = '''\
  m_EulerEditorCurves: []
  m_HasGenericRootTransform: 0
  m_HasMotionFloatCurves: 0
  m_Events: []
'''
SETTINGS: Final = '''\
  m_PPtrCurves: []
  m_SampleRate: RATE
  m_WrapMode: 0
  m_Bounds:
    m_Center: {x: 0, y: 0, z: 0}
    m_Extent: {x: 0, y: 0, z: 0}
  m_ClipBindingConstant:
    genericBindings: []
    pptrCurveMapping: []
  m_AnimationClipSettings:
    serializedVersion: 2
    m_AdditiveReferencePoseClip: {fileID: 0}
    m_AdditiveReferencePoseTime: 0
    m_StartTime: 0
    m_StopTime: STOP
    m_OrientationOffsetY: 0
    m_Level: 0
    m_CycleOffset: 0
    m_HasAdditiveReferencePose: 0
    m_LoopTime: 0
    m_LoopBlend: 0
    m_LoopBlendOrientation: 0
    m_LoopBlendPositionY: 0
    m_LoopBlendPositionXZ: 0
    m_KeepOriginalOrientation: 0
    m_KeepOriginalPositionY: 1
    m_KeepOriginalPositionXZ: 0
    m_HeightFromFeet: 0
    m_Mirror: 0
'''


def clip(motion: Motion, path: str = '') -> bytes:
    """Return the file; `path` leads from the Animator to the renderer, empty: the same object."""
    times, percents = motion.times, 100.0 * motion.weights.astype(float)
    curves = ''.join(
        _curve(name, times[kept], curve[kept], path) for name, curve, kept
        in zip(NAMES, percents.T, knots(times, percents, TOLERANCE), strict=True))
    stop = float(motion.times[-1]) if len(motion.index) else 0.0
    settings = SETTINGS.replace('RATE', _number(float(motion.fps))).replace('STOP', _number(stop))
    # The editor draws and edits the second list, players use the first.
    return (HEAD.replace('NAME', _text(motion.name)) + '  m_FloatCurves:\n' + curves + settings
            + '  m_EditorCurves:\n' + curves + FOOT).encode()


def _curve(shape: str, times: Floats, values: Floats, path: str) -> str:
    keys = ''.join(_keys(times, values))
    return (f'  - curve:\n      serializedVersion: 2\n      m_Curve:{keys or " []"}\n'
            '      m_PreInfinity: 2\n      m_PostInfinity: 2\n      m_RotationOrder: 4\n'
            f'    attribute: blendShape.{shape}\n    path: {_text(path)}\n'
            f'    classID: {RENDERER}\n    script: {{fileID: 0}}\n')


def _keys(times: Floats, values: Floats) -> Iterator[str]:
    slopes = np.zeros(len(values) + 1)                      # before and after each key
    slopes[1:-1] = np.diff(values) / np.diff(times)
    for time, value, before, after in zip(times.tolist(), values.tolist(), slopes[:-1].tolist(),
                                          slopes[1:].tolist(), strict=True):
        yield (f'\n      - serializedVersion: 3\n        time: {_number(time)}\n'
               f'        value: {_number(value)}\n        inSlope: {_number(before)}\n'
               f'        outSlope: {_number(after)}\n        tangentMode: {LINEAR}\n'
               '        weightedMode: 0\n        inWeight: 0.33333334\n'
               '        outWeight: 0.33333334')


def _number(value: float) -> str:
    """Return a plain decimal."""
    text = f'{value:.6f}'.rstrip('0').rstrip('.')
    return '0' if text == '-0' else text


def _text(value: str) -> str:
    """Return a name as YAML has it: quoted where it might mean something else."""
    return value if re.fullmatch(r'[A-Za-z_][\w/ -]*\w|', value) else json.dumps(value)
