# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
When a frame was heard and when it is due: pure arithmetic on the times that blocks came.

Times are nanoseconds of the session's clock. Positions count from the start of a segment, the
audio between two ends of speech; frame indices count on over all of them.
"""

from __future__ import annotations

from fractions import Fraction
import math
from typing import Final, NamedTuple, Protocol

MILLISECOND: Final = 1_000_000
SECOND: Final = 1_000_000_000

#: A frame is to be seen this long after it is due: what compute, jitter and the way may take.
MARGIN: Final = 30 * MILLISECOND
#: How much of a block's length that margin covers; longer blocks delay what is due by the rest.
BLOCK: Final = 10 * MILLISECOND
#: A source that is later than this stood still; one that is earlier is faster than real time.
STALL: Final = 250 * MILLISECOND
#: How fast due times follow a source without capture times, seconds a second: quickly to blocks
#: that come late, hardly to early ones, since it may be faster than real time.
RISE: Final = Fraction(1, 20)
FALL: Final = Fraction(1, 2000)
#: With capture times: both ways the same, so to the median; what is later the margin covers.
DRIFT: Final = Fraction(1, 100)
#: A first block that was late must not delay the rest for long.
SETTLING: Final = 2 * SECOND
#: Capture times farther than this from the arrival are of another clock.
OLDEST: Final = 10 * SECOND
NEWEST: Final = SECOND


class Sound(NamedTuple):
    """Where a block lies in its segment and when it came."""

    position: int
    length: int
    arrival: int
    capture: int | None = None      # when its first sample was heard


class Schedule(Protocol):
    """Times of frames (by index) and of sound (by position)."""

    def heard(self, sound: Sound) -> None:
        """Take note of a block; the first one of a segment says when the segment began."""
        ...

    def restart(self, index: int) -> None:
        """Begin a new segment with frame `index`."""
        ...

    def forget(self, index: int, now: int) -> None:
        """Begin a new segment whose frame `index` is due `now`: frames before it were dropped."""
        ...

    def due(self, index: int) -> int:
        """Return when to hand frame `index` over; 0 is at once."""
        ...

    def times(self, index: int) -> tuple[int, int]:
        """Return when frame `index` was heard and when it is to be seen."""
        ...

    def sound_times(self, position: int) -> tuple[int, int, int]:
        """Return when sound at `position` was heard, is due and is to be heard again."""
        ...


class _Frames:
    """The map from frame index to position in the segment."""

    def __init__(self, fps: Fraction, latency: Fraction) -> None:
        self.fps = fps
        self.latency = math.floor(latency * SECOND)
        self.first = 0

    def position(self, index: int) -> int:
        return math.floor((index - self.first) * SECOND / self.fps)


class FixedSchedule:
    """As fast as possible: times depend on the audio alone, so twice the same run is the same."""

    def __init__(self, fps: Fraction, latency: Fraction) -> None:
        """Time starts with the first capture time, or at 0."""
        self._frames = _Frames(fps, latency)
        self._epoch: int | None = None
        self._next = 0

    def heard(self, sound: Sound) -> None:
        """Anchor the segment at its first block."""
        if self._epoch is None:
            self._epoch = (self._next if sound.capture is None
                           else sound.capture - sound.position)

    def restart(self, index: int) -> None:
        """Begin a new segment where the old one ended."""
        self._next = self.times(index)[0]
        self._epoch = None
        self._frames.first = index

    def forget(self, index: int, now: int) -> None:     # noqa: ARG002 - a Schedule
        """Begin a new segment where the old one was cut."""
        self.restart(index)

    def due(self, index: int) -> int:       # noqa: ARG002 - a Schedule
        """Return 0: at once."""
        return 0

    def times(self, index: int) -> tuple[int, int]:
        """Return when frame `index` was heard and when it is to be seen."""
        captured, _, seen = self.sound_times(self._frames.position(index))
        return captured, seen

    def sound_times(self, position: int) -> tuple[int, int, int]:
        """Return when sound at `position` was heard, is due (at once) and heard again."""
        epoch = self._next if self._epoch is None else self._epoch
        return epoch + position, 0, epoch + position + self._frames.latency + MARGIN


class LiveSchedule:
    """
    In real time: a frame is due one latency after its sound arrived.

    The segment is anchored at its first block. Later blocks tell whether the source's clock runs
    differently or the way got longer: due times follow slowly, and at once when the source stood
    still. Frames are never dropped for it.
    """

    def __init__(self, fps: Fraction, latency: Fraction) -> None:
        """Know nothing until the first block."""
        self._frames = _Frames(fps, latency)
        self._arrived: int | None = None        # due times count from here
        self._captured = 0                      # capture times count from here
        self._earliest: int | None = None       # the segment before is not over until then

    def heard(self, sound: Sound) -> None:
        """Anchor the segment, or follow its source."""
        capture = sound.capture
        if capture is not None and not -OLDEST <= capture - sound.arrival <= NEWEST:
            capture = None
        arrived = sound.arrival - sound.position - min(sound.length, BLOCK)
        if self._arrived is None:
            self._arrived = arrived if self._earliest is None else max(arrived, self._earliest)
            self._captured = (sound.arrival - sound.length if capture is None
                              else capture) - sound.position
        elif capture is None:
            self._follow(arrived - self._arrived, sound.length)
        else:
            self._follow_stamped(arrived - self._arrived, sound,
                                 capture - sound.position - self._captured)

    def _follow(self, late: int, length: int) -> None:
        change = late if late > STALL else 0
        if -STALL <= late <= STALL:
            change = slowly(late, rise=length * RISE, fall=length * FALL)
        assert self._arrived is not None
        self._arrived += change
        self._captured += change

    def _follow_stamped(self, late: int, sound: Sound, error: int) -> None:
        """Go by the capture times where sound is missing: a late arrival may be our own doing."""
        assert self._arrived is not None
        if error > STALL:
            self._captured += error
            self._arrived += error
        elif error >= -STALL:               # below, the stamps of a source ahead of time
            most = sound.length * (RISE if sound.position < SETTLING else DRIFT)
            self._captured += slowly(error, rise=most, fall=most)
            self._arrived += slowly(late, rise=most, fall=most)

    def restart(self, index: int) -> None:
        """Begin a new segment; its first frame is not due before the old one is over."""
        length = self._frames.position(index)
        began = self._earliest if self._arrived is None else self._arrived
        if began is not None:
            self._earliest = began + length
        self._captured += length
        self._arrived = None
        self._frames.first = index

    def forget(self, index: int, now: int) -> None:
        """Begin a new segment whose frame `index` is due `now`."""
        self.restart(index)
        self._earliest = self._captured = now - self._frames.latency

    def due(self, index: int) -> int:
        """Return when to hand frame `index` over."""
        return self.sound_times(self._frames.position(index))[1]

    def times(self, index: int) -> tuple[int, int]:
        """Return when frame `index` was heard and when it is to be seen."""
        captured, _, seen = self.sound_times(self._frames.position(index))
        return captured, seen

    def sound_times(self, position: int) -> tuple[int, int, int]:
        """Return when sound at `position` was heard, is due and is to be heard again."""
        arrived = self._arrived if self._arrived is not None else self._earliest or 0
        due = arrived + position + self._frames.latency
        return self._captured + position, due, due + MARGIN


def slowly(error: int, *, rise: Fraction, fall: Fraction) -> int:
    """Return by how much an anchor that is `error` too early moves: at most `rise` or `fall`."""
    return max(-math.floor(fall), min(math.floor(rise), error))
