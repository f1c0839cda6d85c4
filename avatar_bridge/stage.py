# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Sessions that follow one another before the same audience."""

from __future__ import annotations

import json
import threading
from types import TracebackType

from avatar_bridge.compose import compose, desk
from avatar_bridge.config import SessionConfig
from avatar_bridge.errors import AvatarBridgeError
from avatar_bridge.session import Session
from avatar_bridge.sinks.web import WebSink, warn_if_open
from avatar_bridge.sinks.web_address import host_and_port, is_web, origins
from avatar_bridge.sinks.web_guard import line
from avatar_bridge.sinks.web_server import WebServer


class Stage:
    """
    One server, and a session after the other as pages choose another source, style or seed.

    `session` makes each; whoever takes it runs and closes it, and then asks `wait`.
    """

    def __init__(self, config: SessionConfig) -> None:
        """Begin with `config`, one of whose sinks is web."""
        self._config = config
        self._first = config.source
        self._name = next(name for name in config.sinks if is_web(name))
        argument = self._name.partition('=')[2]
        self.server = WebServer(*host_and_port(argument))
        self.server.origins = origins(argument)
        self._session: Session | None = None
        self._change = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> Stage:
        """Start the server; raises `SinkError` where the port is taken."""
        self.server.start()
        warn_if_open(self.server.host)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        """End the server."""
        self.server.stop()

    def session(self) -> Session:
        """
        Return the next session, ready to start; raises an `AvatarBridgeError`.

        It stays muted, and lives as much by itself, as the one before.
        """
        while True:
            with self._lock:
                config = self._config
                self._change.clear()
            session = compose(config, sinks={self._name: WebSink(server=self.server)})
            with self._lock:
                if not self._change.is_set():       # nobody chose something else meanwhile
                    self._introduce(session, config)
                    return session
            session.close()

    def _introduce(self, session: Session, config: SessionConfig) -> None:
        if (before := self._session) is not None:
            session.mute(before.stats.muted)
            session.set_idle(before.idle)
        self._session = session
        self.server.controls = desk(session, config, change=self.change, first=self._first)

    def wait(self, timeout: float) -> bool:
        """Return whether a page asked for another session, waiting at most `timeout` seconds."""
        return self._change.wait(timeout)

    def report(self, error: AvatarBridgeError) -> None:
        """Tell the pages what went wrong."""
        self.server.tell(json.dumps({'type': 'error', 'text': line(str(error))}))

    def change(self, config: SessionConfig) -> None:
        """Go on with `config`: end the session that runs. From any thread."""
        with self._lock:
            self._config = config
            self._change.set()
            if self._session is not None:
                self._session.stop()
