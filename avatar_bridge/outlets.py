# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The sinks of one stream: opened together, told goodbye and closed whatever one of them does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from avatar_bridge.frames import Event, StreamInfo
from avatar_bridge.ports import FrameSink
from avatar_bridge.pump import Overflow, Pump

CLOSING: Final = 5.0            # seconds that a sink may take for its last frames
WRITING: Final = 60.0           # the same for a file that gets everything


class Losses(NamedTuple):
    """What became of the frames, by the name of the sink."""

    dropped: Mapping[str, int]
    restarts: Mapping[str, int]
    errors: Mapping[str, str]       # the newest failure of those that had one


class Outlets:
    """A pump for each sink; one that writes all it has at the end says how long by `closing`."""

    def __init__(self, sinks: Sequence[FrameSink], overflow: Overflow) -> None:
        """Make the pumps; nothing is opened yet."""
        self.pumps = [Pump(sink, overflow=overflow) for sink in sinks]
        patience = CLOSING if overflow is Overflow.DROP_OLDEST else WRITING
        self._patience = [max(patience, getattr(sink, 'closing', 0.0)) for sink in sinks]

    def open(self, info: StreamInfo) -> None:
        """Open all of them; where one cannot, none stays open and `SinkError` is raised."""
        opened = []
        try:
            for pump in self.pumps:
                pump.open(info)
                opened.append(pump)
        except BaseException:
            for pump in opened:
                pump.close()
            raise

    def close(self, failure: BaseException | None) -> Iterable[Exception]:
        """Say goodbye, and why if it is a `failure`; close them all and yield what went wrong."""
        last = [Event('error', str(failure))] if failure is not None else []
        for pump, patience in zip(self.pumps, self._patience, strict=True):
            try:
                for event in (*last, Event('end')):
                    pump.notify(event)
                pump.close(patience)
            except Exception as error:
                yield error

    @property
    def losses(self) -> Losses:
        """The figures of this moment."""
        stats = {f'{number} {pump.name}' if len(self.pumps) > 1 else pump.name: pump.stats
                 for number, pump in enumerate(self.pumps)}
        return Losses({name: sink.dropped for name, sink in stats.items()},
                      {name: sink.restarts for name, sink in stats.items()},
                      {name: sink.last_error for name, sink in stats.items() if sink.last_error})
