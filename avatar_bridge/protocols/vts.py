# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The plug-in API of VTube Studio: requests and answers as JSON text, one of them a message."""

from __future__ import annotations

from collections.abc import Mapping
import json
from typing import Any, Final, NamedTuple

import numpy as np

from avatar_bridge.frames import FaceFrame

PORT: Final = 8001
API: Final = {'apiName': 'VTubeStudioPublicAPI', 'apiVersion': '1.0'}
PLUGIN: Final = {'pluginName': 'avatar_bridge', 'pluginDeveloper': 'avatar_bridge authors'}
DENIED: Final = 50              # id of the error when the user does not allow the plug-in


class Answer(NamedTuple):
    """What VTube Studio said."""

    number: str                 # of the request
    kind: str                   # its messageType
    data: dict[str, Any]

    @property
    def error(self) -> str:
        """What went wrong, '' for nothing."""
        return '' if self.kind != 'APIError' else (
            f'{self.data.get("message", "no reason")} (error {self.data.get("errorID")})')


def request(kind: str, data: Mapping[str, Any], number: int) -> str:
    """Return a request as a message."""
    return json.dumps({**API, 'requestID': str(number), 'messageType': kind, 'data': data},
                      separators=(',', ':'), allow_nan=False)


def answer(text: str) -> Answer:
    """Understand a message; raises `ValueError` where it is not of this API."""
    try:
        found = json.loads(text)
        data = found.get('data') or {}
        if not isinstance(data, dict):
            raise TypeError('data is no object')
        return Answer(str(found['requestID']), str(found['messageType']), data)
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f'expected an answer of VTube Studio ({error!r})') from error


def injection(values: Mapping[str, float], face_found: Mapping[str, bool]) -> dict[str, Any]:
    """Return the data of the request that sets parameters; `face_found` of a whole face only."""
    return {**face_found, 'mode': 'set', 'parameterValues': [
        {'id': name, 'value': round(value, 5)} for name, value in values.items()]}


def creation(name: str) -> dict[str, Any]:
    """Return the data of the request that makes a parameter for a shape of ours."""
    return {'parameterName': name, 'explanation': f'{name} of Apple ARKit, by avatar_bridge',
            'min': 0, 'max': 1, 'defaultValue': 0}


def turned(pose: FaceFrame) -> dict[str, float]:
    """Return the head's parameters, degrees; as in a mirror + is the subject's right, and up."""
    if pose.head is None:
        return {}
    yaw, pitch, roll = np.rad2deg(pose.head).tolist()
    return {'FaceAngleX': -yaw, 'FaceAngleY': pitch, 'FaceAngleZ': -roll}
