# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
What a plug-in meets in VTube Studio, made of the package websockets; also a process of its own.

It knows the API as its page describes it: it asks a user, gives a token, knows parameters and
answers everything.
"""

from __future__ import annotations

import json
import sys
import threading
import time

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

DEFAULTS = ('MouthOpen', 'MouthSmile', 'MouthX', 'Brows', 'BrowLeftY', 'BrowRightY', 'EyeOpenLeft',
            'EyeOpenRight', 'EyeLeftX', 'EyeLeftY', 'EyeRightX', 'EyeRightY', 'CheekPuff',
            'TongueOut', 'FaceAngleX', 'FaceAngleY', 'FaceAngleZ')
TOKEN = 'a secret'


class Stranger(Exception):
    """Something that the API does not allow."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number = number


class VTubeStudio:
    """Serve on a port of 127.0.0.1; `allow` is what the user clicks, when he does."""

    def __init__(self, port: int = 0, *, allow: bool = True) -> None:
        self.click = threading.Event()
        self.click.set()
        self.allow = allow
        self.frames: list[tuple[float, dict]] = []  # time, data of each injection
        self.created: list[dict] = []
        self.asked = 0                              # how often the user was
        self.known = {TOKEN}
        self._server = serve(self._serve, '127.0.0.1', port)
        self.port = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self._open: set = set()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.quit()

    def quit(self):
        """End, as a program does that is closed."""
        self._server.shutdown()
        for connection in list(self._open):
            connection.socket.close()
        self._thread.join(5)

    def settle(self):
        """Return once everything is read that was sent by those who hung up."""
        self.wait_for(lambda: not self._open)

    def wait_for(self, condition, seconds=10):
        """Return once `condition` holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def _serve(self, connection):
        self._open.add(connection)
        session = {'in': False}
        try:
            for text in connection:
                asked = json.loads(text)
                assert (asked['apiName'], asked['apiVersion']) == ('VTubeStudioPublicAPI', '1.0')
                assert 0 < len(asked['requestID']) <= 64
                kind = asked['messageType']
                try:
                    answered = getattr(self, f'_{kind}')(asked['data'], session)
                    kind = kind.replace('Request', 'Response')
                except Stranger as stranger:
                    answered = {'errorID': stranger.number, 'message': str(stranger)}
                    kind = 'APIError'
                connection.send(json.dumps({
                    'apiName': 'VTubeStudioPublicAPI', 'apiVersion': '1.0', 'timestamp': 1,
                    'messageType': kind, 'requestID': asked['requestID'], 'data': answered}))
        except (ConnectionClosed, OSError):
            pass
        finally:
            self._open.discard(connection)

    def _AuthenticationTokenRequest(self, data, _session):
        assert 3 <= len(data['pluginName']) <= 32
        assert 3 <= len(data['pluginDeveloper']) <= 32
        self.asked += 1
        self.click.wait(20)
        if not self.allow:
            raise Stranger(50, 'User has denied API access for your plugin.')
        self.known.add(TOKEN)
        return {'authenticationToken': TOKEN}

    def _AuthenticationRequest(self, data, session):
        session['in'] = data['authenticationToken'] in self.known
        return {'authenticated': session['in'], 'reason': ''}

    def _InputParameterListRequest(self, _data, session):
        self._check(session)
        return {'defaultParameters': [{'name': name, 'value': 0} for name in DEFAULTS],
                'customParameters': [{'name': one['parameterName']} for one in self.created]}

    def _ParameterCreationRequest(self, data, session):
        self._check(session)
        name = data['parameterName']
        if name in DEFAULTS or not 4 <= len(name) <= 32 or not name.isalnum():
            raise Stranger(352, f'{name} is no name for a parameter')
        assert len(data['explanation']) < 256
        self.created.append(data)
        return {'parameterName': name}

    def _InjectParameterDataRequest(self, data, session):
        self._check(session)
        names = {*DEFAULTS, *(one['parameterName'] for one in self.created)}
        for one in data['parameterValues']:
            if one['id'] not in names:
                raise Stranger(453, f'Parameter {one["id"]} not found')
            assert -1e6 <= one['value'] <= 1e6
        self.frames.append((time.monotonic(), data))
        return {}

    @staticmethod
    def _check(session):
        if not session['in']:
            raise Stranger(8, 'This request requires authentication')


def values(data):
    """Return the parameters of an injection."""
    return {one['id']: one['value'] for one in data['parameterValues']}


if __name__ == '__main__':
    with VTubeStudio() as studio:
        print(studio.port, flush=True)
        sys.stdin.readline()
        studio.settle()
        for at, injected in studio.frames:
            print(json.dumps([at, values(injected)]))
