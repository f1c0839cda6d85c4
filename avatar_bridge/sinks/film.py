# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Frames and their sound to a film of the head: H.264 and AAC in an mp4.

The film is written in pieces that can be played even where the program was killed, and put in
its final order and place when it is complete.
"""

from __future__ import annotations

from fractions import Fraction
import logging
import math
from pathlib import Path
from typing import Any, Final

import numpy as np

from avatar_bridge.errors import MissingPackageError, SinkError
from avatar_bridge.frames import Event, Samples, StreamInfo, TimedAudio, TimedFrame
from avatar_bridge.portrait import Portrait
from avatar_bridge.ports import Clock
from avatar_bridge.sinks.journal import unwritable

try:
    import av
    from av.video.reformatter import ColorRange, Colorspace
except ImportError as missing:          # pragma: no cover
    raise MissingPackageError('films need PyAV; pip install avatar-bridge[film]') from missing

log = logging.getLogger(__name__)

SECOND: Final = 1_000_000_000
TICKS: Final = 90_000           # of the film's time a second; 24, 25, 30, 50, 60 all fit
SMOOTH: Final = 40              # frames a second above which every other one is enough
SIZE: Final = (480, 480)        # pixels
#: Encoders by preference, with what makes them small, good and quick.
ENCODERS: Final[dict[str, dict[str, str]]] = {
    'libx264': {'crf': '20', 'preset': 'veryfast'},
    'libopenh264': {},
    'mpeg4': {'qscale': '4'},
}
BIT_RATE: Final = 2_000_000     # of encoders that know no constant quality
#: How a film lies on the disk until it is complete: in pieces of a second, each out at once.
IN_PIECES: Final = {'movflags': 'frag_keyframe+delay_moov+default_base_moof',
                    'frag_duration': '1000000', 'flush_packets': '1'}
SOUND_BIT_RATE: Final = 96_000
JITTER: Final = SECOND // 50    # that sound may be off its place before silence or a cut mends it
LATE: Final = SECOND // 5       # behind the clock after which pictures are left out
OTHER_TIME: Final = 3600 * SECOND       # farther behind, presentation times are of no clock


class FilmRecorder:
    """
    Draw every frame (every other one of 60 a second) and record the sound.

    Time begins with whatever comes first. Everything is drawn and written in `send`: the caller
    waits, unless `follow` told to keep up with a clock; then pictures are `skipped`.
    """

    def __init__(self, path: Path | str, *, size: tuple[int, int] | None = None) -> None:
        """Write to `path` when opened."""
        self.skipped = 0                # pictures that were left out for lack of time
        self._path = Path(path)
        self._size = size or SIZE
        self._clock: Clock | None = None
        self._portrait: Portrait | None = None
        self._film: Film | None = None
        self._written = 0               # films

    def follow(self, clock: Clock) -> None:
        """Keep up with `clock`, in whose time frames are to be seen."""
        self._clock = clock

    def open(self, info: StreamInfo) -> None:
        """Begin a film; a second one gets a name of its own. Raises `SinkError`."""
        self.close()
        self._portrait = Portrait(self._size)
        path = self._path
        if self._written:
            path = path.with_name(f'{path.stem}-{self._written + 1}{path.suffix}')
        self._film = Film(path, size=self._size, fps=info.fps, sample_rate=info.sample_rate)

    def send(self, frame: TimedFrame) -> None:
        """Draw one frame."""
        if self._film is None or self._portrait is None:
            raise SinkError(f'{self._path} is not open')
        if not self._film.wants(frame.frame.index):
            return
        if self._clock and LATE < self._clock.now() - frame.present_ns < OTHER_TIME:
            self.skipped += 1
            self._film.skip(frame.frame.index)
            return
        pixels = self._portrait.render(frame.frame.weights, frame.frame.head, frame.frame.eyes)
        self._film.see(pixels, frame.frame.index, frame.present_ns)

    def hear(self, audio: TimedAudio) -> None:
        """Record sound."""
        if self._film is None:
            raise SinkError(f'{self._path} is not open')
        self._film.hear(audio)

    def notify(self, event: Event) -> None:
        """Ignore events."""

    def close(self) -> None:
        """Complete the film."""
        portrait, self._portrait = self._portrait, None
        if portrait is not None:
            portrait.close()
        film, self._film = self._film, None
        if film is not None:
            self._written += film.close()


class Film:
    """One file and its two streams."""

    def __init__(self, path: Path, *, size: tuple[int, int], fps: Fraction,
                 sample_rate: int) -> None:
        """Create the file; raises `SinkError`."""
        self._path = path
        self._part = path.with_name(path.name + '.part')
        self._stride = 2 if fps > SMOOTH else 1
        self._rate = fps / self._stride
        self._next = 0                  # index of the next frame to be seen
        self._zero: int | None = None   # ns
        self._shown = -1                # ticks of the newest picture
        self._heard = 0                 # samples so far
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._part.open('wb').close()       # the library opens it late
            self._file = av.open(str(self._part), 'w', format='mp4', options=IN_PIECES)
            self._video = self._video_stream(size)
            self._audio = self._file.add_stream('aac', rate=sample_rate, layout='mono',
                                                bit_rate=SOUND_BIT_RATE)
        except (OSError, av.FFmpegError) as error:
            raise failed(path, error) from error

    def wants(self, index: int) -> bool:
        """Return whether frame `index` is to be a picture."""
        return index >= self._next

    def skip(self, index: int) -> None:
        """Go without frame `index`: the picture before it stays."""
        self._next = (index // self._stride + 1) * self._stride

    def see(self, pixels: Any, index: int, present_ns: int) -> None:
        """Add (h, w, 3) pixels, seen from `present_ns` on."""
        self.skip(index)
        ticks = self._since(present_ns, TICKS)
        if ticks <= self._shown:
            return
        self._shown = ticks
        picture = av.VideoFrame.from_ndarray(pixels, 'rgb24').reformat(
            format='yuv420p', dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
        picture.pts, picture.time_base = ticks, Fraction(1, TICKS)
        self._write(self._video, picture)

    def hear(self, audio: TimedAudio) -> None:
        """Add sound where it belongs: what is missing is silence, what is twice is cut."""
        samples = audio.samples
        missing = self._since(audio.present_ns, audio.sample_rate) - self._heard
        if abs(missing) > JITTER * audio.sample_rate // SECOND:
            if missing > 0:
                self._sound(np.zeros(missing, np.float32))
            samples = samples[max(0, -missing):]
        self._sound(samples)

    def close(self) -> int:
        """Complete the file; return how many films there are now: 1, or 0 for want of frames."""
        try:
            if self._shown < 0:
                self._file.close()
                self._part.unlink(missing_ok=True)
                return 0
            end = (self._shown + math.ceil(TICKS / self._rate)) * self._audio.rate // TICKS
            self._sound(np.zeros(max(0, end - self._heard), np.float32))
            for stream in (self._video, self._audio):
                self._file.mux(stream.encode(None))
            self._file.close()
            rearranged(self._part, self._path)
        except (OSError, av.FFmpegError) as error:
            raise failed(self._path, error) from error
        return 1

    def _video_stream(self, size: tuple[int, int]) -> Any:
        name = encoder()
        stream: Any = self._file.add_stream(name, rate=self._rate, options=ENCODERS[name])
        stream.width, stream.height = size
        stream.pix_fmt = 'yuv420p'
        stream.time_base = stream.codec_context.time_base = Fraction(1, TICKS)
        stream.codec_context.gop_size = 60
        if name != 'libx264':
            stream.bit_rate = BIT_RATE
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1    # BT.709
        context.color_range = 1                                                 # of television
        return stream

    def _since(self, present_ns: int, rate: int) -> int:
        """Return a time as a count of 1 / rate from the beginning of the film."""
        if self._zero is None:
            self._zero = present_ns
        return round((present_ns - self._zero) * rate / SECOND)

    def _sound(self, samples: Samples) -> None:
        if not len(samples):
            return
        sound = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples[None], np.float32), format='fltp', layout='mono')
        sound.sample_rate = self._audio.rate
        sound.pts, sound.time_base = self._heard, Fraction(1, self._audio.rate)
        self._heard += len(samples)
        self._write(self._audio, sound)

    def _write(self, stream: Any, frame: Any) -> None:
        try:
            self._file.mux(stream.encode(frame))
        except (OSError, av.FFmpegError) as error:
            raise failed(self._path, error) from error


def encoder() -> str:
    """Return the best encoder that there is."""
    for name in ENCODERS:
        if name in av.codecs_available:
            try:
                av.Codec(name, 'w')
            except ValueError:
                continue
            return name
    raise SinkError(f'films need one of the encoders {", ".join(ENCODERS)}, which this PyAV '
                    'lacks; pip install av brings a PyAV that has them')


def rearranged(part: Path, path: Path) -> None:
    """Copy the packets of `part` into a file that begins with its index, and rename that."""
    whole = part.with_name(path.name + '.whole')
    with av.open(str(part)) as old, av.open(
            str(whole), 'w', format='mp4', options={'movflags': 'faststart'}) as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                new.mux(packet)
    whole.replace(path)
    part.unlink()


def failed(path: Path, error: Exception) -> SinkError:
    """Return what to tell about a film that cannot be written."""
    if isinstance(error, OSError):
        return unwritable(path, error)
    return SinkError(f'cannot write {path}: {error}')
