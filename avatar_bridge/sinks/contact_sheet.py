# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Portraits at chosen times on one sheet, with their times and phones, below the waveform."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.errors import SinkError
from avatar_bridge.frames import Event, FaceFrame, StreamInfo, TimedAudio, TimedFrame
from avatar_bridge.phones import Phone
from avatar_bridge.pictures import Sheet
from avatar_bridge.portrait import Portrait
from avatar_bridge.sinks.journal import unwritable

COLUMNS: Final = 8
ROWS: Final = 4
CELL: Final = 200               # pixels
WHOLE: Final = 272              # of the portrait that a cell is cut out of, forehead to collar
LEFT, TOP = (WHOLE - CELL) // 2, 58
LABEL: Final = 26
STRIP: Final = 120              # height of the waveform
MARGIN: Final = 8
DETAIL: Final = 100             # pieces a second that the waveform is drawn from
SHUT, OPEN, PLAIN = '#ff8f80', '#8ecbff', '#e8eaed'     # closures, vowels, the rest


class Moment(NamedTuple):
    """A frame that is worth a picture, and what is said there."""

    position: int               # in the list of frames
    phone: Phone | None = None


class Loudness(NamedTuple):
    """A piece of sound, a hundred times a second: an hour of it is 6 MB, not 230."""

    present_ns: int
    extremes: NDArray[np.float32]       # (n, 2) lowest and highest sample


class ContactSheet:
    """Collect frames and sound; draw when closed."""

    def __init__(self, path: Path | str) -> None:
        """Write to `path` when closed."""
        self._path = Path(path)
        self._part = self._path.with_name(self._path.name + '.part')
        self._info: StreamInfo | None = None
        self._portrait: Portrait | None = None
        self._frames: list[FaceFrame] = []
        self._sound: list[Loudness] = []
        self._phones: tuple[Phone, ...] = ()
        self._undrawn = False

    def recite(self, phones: tuple[Phone, ...]) -> None:
        """Know what is said."""
        self._phones = phones

    def open(self, info: StreamInfo) -> None:
        """See that there is a head to draw and a place to write to; frames so far are kept."""
        self._info = info
        self._portrait = self._portrait or Portrait((WHOLE, WHOLE))
        try:
            self._part.touch()
        except OSError as error:
            raise unwritable(self._path, error) from error

    def send(self, frame: TimedFrame) -> None:
        """Keep one frame."""
        if self._info is None:
            raise SinkError(f'{self._path} is not open')
        self._frames.append(frame.frame)
        self._undrawn = True

    def hear(self, audio: TimedAudio) -> None:
        """Keep sound for the waveform."""
        self._sound.append(loudness(audio))

    def notify(self, event: Event) -> None:
        """Ignore events."""

    def close(self) -> None:
        """Draw and write the sheet, whole or not at all."""
        if self._info is None:
            return
        try:
            if self._undrawn:
                self._part.write_bytes(self._sheet(self._info).png())
                self._part.replace(self._path)
            else:
                self._part.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(self._path, error) from error
        finally:
            portrait, self._portrait = self._portrait, None
            if portrait is not None:
                portrait.close()
        self._undrawn = False

    def _sheet(self, info: StreamInfo) -> Sheet:
        fps = float(info.fps)
        first = self._frames[0].index
        moments = chosen([(frame.index - first) / fps for frame in self._frames], self._phones,
                         COLUMNS * ROWS)
        rows = -(-len(moments) // COLUMNS)
        sheet = Sheet((COLUMNS * CELL, STRIP + rows * (CELL + LABEL)))
        self._strip(sheet, moments, fps)
        for number, moment in enumerate(moments):
            row, column = divmod(number, COLUMNS)
            self._cell(sheet, moment, (column * CELL, STRIP + row * (CELL + LABEL)), fps)
        return sheet

    def _cell(self, sheet: Sheet, moment: Moment, place: tuple[int, int], fps: float) -> None:
        assert self._portrait is not None
        frame = self._frames[moment.position]
        pixels = self._portrait.render(frame.weights, frame.head, frame.eyes)
        sheet.put(pixels[TOP:TOP + CELL, LEFT:LEFT + CELL], place)
        left, top = place[0], place[1] + CELL
        time = (frame.index - self._frames[0].index) / fps
        sheet.write(f'{time:.3f} s', (left + MARGIN, top + 4))
        if moment.phone:
            sheet.write(moment.phone.text, (left + CELL - MARGIN, top + 1), size=20,
                        color=color_of(moment.phone), anchor='ra')

    def _strip(self, sheet: Sheet, moments: Sequence[Moment], fps: float) -> None:
        """Draw the waveform, the phones, and a mark for each picture."""
        count = (self._frames[-1].index - self._frames[0].index + 1) / fps
        width = COLUMNS * CELL - 2 * MARGIN
        scale = width / count
        for phone in self._phones:
            left = MARGIN + phone.start * scale
            right = MARGIN + phone.end * scale
            if phone.is_closure:
                sheet.fill((left, 20, right, STRIP - 26), '#5b2f2f')
            if right - left > 7:
                sheet.write(phone.text, ((left + right) / 2, STRIP - 14), size=12,
                            color=color_of(phone), anchor='mm')
        loud = peaks(self._sound, width, count)
        for column, (low, high) in enumerate(loud.tolist()):
            middle, tall = (STRIP - 6) / 2, (STRIP - 52) / 2
            sheet.fill((MARGIN + column, middle - high * tall, MARGIN + column,
                        middle - low * tall), '#9aa0a6')
        for moment in moments:
            across = MARGIN + (self._frames[moment.position].index - self._frames[0].index) \
                / fps * scale
            sheet.fill((across, 8, across + 1, 18),
                       color_of(moment.phone) if moment.phone else PLAIN)


def chosen(times: Sequence[float], phones: Sequence[Phone], most: int) -> list[Moment]:
    """
    Return which frames (at `times`, seconds) to show, in order: evenly spread over the time.

    Where phones are known each part shows one of its own: a closure and a vowel by turns, so far
    as there are any, each in its middle.
    """
    count = min(most, len(times))
    length = times[-1] + (times[-1] - times[0]) / max(1, len(times) - 1)
    found: dict[int, Moment] = {}
    for part in range(count):
        start, end = part * length / count, (part + 1) * length / count
        phone = phone_of(phones, start, end, part)
        middle = (phone.start + phone.end) / 2 if phone else (start + end) / 2
        index = int(np.abs(np.asarray(times) - middle).argmin())
        said = phone or next((one for one in phones if one.start <= middle < one.end), None)
        found.setdefault(index, Moment(index, said))
    return [found[index] for index in sorted(found)]


def phone_of(phones: Sequence[Phone], start: float, end: float, part: int) -> Phone | None:
    """Return the phone that represents a part of the time: closures and vowels by turns."""
    inside = [phone for phone in phones if start <= (phone.start + phone.end) / 2 < end]
    shut = [phone for phone in inside if phone.is_closure]
    vowels = [phone for phone in inside if phone.is_vowel]
    wanted = (shut or vowels) if part % 2 == 0 else (vowels or shut)
    return max(wanted, key=lambda phone: phone.end - phone.start, default=None)


def loudness(audio: TimedAudio) -> Loudness:
    """Return the extremes of every hundredth of a second."""
    starts = np.arange(0, len(audio.samples), max(1, audio.sample_rate // DETAIL))
    if not len(starts):
        return Loudness(audio.present_ns, np.zeros((0, 2), np.float32))
    return Loudness(audio.present_ns, np.stack(
        [np.minimum.reduceat(audio.samples, starts), np.maximum.reduceat(audio.samples, starts)],
        axis=1))


def peaks(sound: Sequence[Loudness], columns: int, seconds: float) -> NDArray[np.float64]:
    """Return (columns, 2) lowest and highest sample of each column, the loudest being 1."""
    found = np.zeros((columns, 2))
    if not sound:
        return found
    first = sound[0].present_ns
    for piece in sound:
        time = (piece.present_ns - first) / 1e9 + np.arange(len(piece.extremes)) / DETAIL
        column = np.clip((time / seconds * columns).astype(int), 0, columns - 1)
        np.minimum.at(found[:, 0], column, piece.extremes[:, 0])
        np.maximum.at(found[:, 1], column, piece.extremes[:, 1])
    return found / max(1e-3, float(np.abs(found).max()))


def color_of(phone: Phone) -> str:
    """Return what a phone is written in."""
    return SHUT if phone.is_closure else OPEN if phone.is_vowel else PLAIN
