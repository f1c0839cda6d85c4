# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What a session counts, as a diagnostic status; pure but for the message classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from avatar_bridge.session import Stats

#: Counters that should not grow, and what it means when they do.
TROUBLES = {
    'late': 'frames come too late', 'speculative': 'compute is too slow, frames are guessed',
    'dropped': 'a sink loses frames', 'restarts': 'a sink failed and was opened again',
    'nonfinite': 'the audio has values that are no numbers', 'gaps': 'audio is missing',
    'xruns': 'the audio device lost audio',
    'missed': 'more audio waits than can be kept',
    'refused': 'audio messages cannot be understood',
}


def total(value: Any) -> float:
    """Return a counter, or the sum of those of all sinks."""
    return float(sum(value.values()) if isinstance(value, Mapping) else value)


def status(name: str, hardware: str, *, state: str, counters: Mapping[str, Any],
           before: Mapping[str, Any]) -> DiagnosticStatus:
    """Return OK, or WARN with what grew since `before`; ERROR where there is a problem."""
    message = DiagnosticStatus(name=name, hardware_id=hardware, message=state)
    grown = [meaning for key, meaning in TROUBLES.items()
             if total(counters.get(key, 0)) > total(before.get(key, 0))]
    problem = counters.get('problem', '')
    message.level = DiagnosticStatus.OK
    if grown:
        message.level = DiagnosticStatus.WARN
        message.message = '; '.join(grown)
    if problem:
        message.level = DiagnosticStatus.ERROR
        message.message = problem
    message.values = [KeyValue(key=key, value=shown(value)) for key, value in counters.items()]
    return message


def counters_of(stats: Stats | None, **more: Any) -> dict[str, Any]:
    """Return everything that is counted, by name."""
    return {**({} if stats is None else asdict(stats)), **more}


def shown(value: Any) -> str:
    """Return a value as text."""
    if isinstance(value, Mapping):
        return ', '.join(f'{key}: {shown(item)}' for key, item in value.items())
    if isinstance(value, tuple):
        return ', '.join(map(shown, value))
    return f'{value:.3f}' if isinstance(value, float) else str(value)
