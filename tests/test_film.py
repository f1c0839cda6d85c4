# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""Films are drawn, encoded and decoded again: pictures and sound lie where they belong."""

from fractions import Fraction
import shutil

import av
import numpy as np
import pytest
from small_head import write_head

from avatar_bridge import cli, portrait, rig
from avatar_bridge.clock import ManualClock
from avatar_bridge.errors import SinkError
from avatar_bridge.frames import FaceFrame, StreamInfo, TimedAudio, TimedFrame
from avatar_bridge.sinks import film
from avatar_bridge.sinks.film import FilmRecorder

pytestmark = pytest.mark.egl
RATE = 16000
SECOND = 10**9
BEGAN = 1_700_000_000 * SECOND          # when the stream is first seen
JAW = rig.INDEX['jawOpen']


def info(fps=60):
    return StreamInfo('s', 'default', rig.NAMES, Fraction(fps), Fraction(1, 10), 'live', RATE)


def frame(index, fps=60, jaw=0.0):
    weights = np.zeros(52, np.float32)
    weights[JAW] = jaw
    time = BEGAN + int(index * SECOND / Fraction(fps))
    return TimedFrame(FaceFrame(index, weights), time, time)


def sound(start, count, clicks=()):
    samples = np.zeros(count, np.float32)
    for click in clicks:
        if start <= click < start + count:
            samples[click - start:click - start + 80] = 0.9
    return TimedAudio(start, samples, RATE, 0, BEGAN + start * SECOND // RATE)


def feed(sink, frames, *, fps=60, clicks=(), jaws=()):
    """Give sound before its frames, a twentieth of a second at a time, as a session does."""
    heard = 0
    for index in frames:
        while heard <= index * RATE / fps:
            sink.hear(sound(heard, RATE // 20, clicks))
            heard += RATE // 20
        sink.send(frame(index, fps, jaw=float(index in jaws)))


def seen(path):
    """Return the times of the pictures in seconds and the pictures, grey."""
    with av.open(str(path)) as file:
        pictures = [(float(one.time), one.to_ndarray(format='gray').astype(float))
                    for one in file.decode(video=0)]
    return np.array([time for time, _ in pictures]), np.stack([one for _, one in pictures])


def heard(path):
    """Return the samples of the sound, the first at time 0."""
    with av.open(str(path)) as file:
        pieces = list(file.decode(audio=0))
    assert pieces[0].time == 0
    return np.concatenate([piece.to_ndarray()[0] for piece in pieces])


@pytest.fixture(autouse=True)
def small_head(monkeypatch, tmp_path_factory):
    """Draw an egg: what is tested here does not depend on beauty."""
    path = tmp_path_factory.mktemp('head') / 'egg.glb'
    monkeypatch.setattr(portrait, 'HEAD', write_head(path))


@pytest.fixture
def sink(tmp_path):
    recorder = FilmRecorder(tmp_path / 'face.mp4', size=(96, 96))
    yield recorder
    recorder.close()


def test_clicks_and_jaws_are_in_step_within_20_ms(sink, tmp_path):
    clicks = [RATE // 2, RATE, 3 * RATE // 2]
    sink.open(info())
    feed(sink, range(120), clicks=clicks,
         jaws={start + k for start in (30, 60, 90) for k in range(6)})
    sink.close()
    times, pictures = seen(tmp_path / 'face.mp4')
    away = np.abs(pictures - pictures[0]).mean((1, 2))
    opens = times[1:][(away[1:] > 0.5 * away.max()) & (away[:-1] < 0.5 * away.max())]
    loud = np.flatnonzero(np.abs(heard(tmp_path / 'face.mp4')) > 0.3)
    starts = loud[np.diff(loud, prepend=-RATE) > 800] / RATE
    assert len(opens) == len(starts) == 3
    assert opens == pytest.approx([0.5, 1.0, 1.5], abs=0.001)
    assert np.abs(starts - opens).max() < 0.020


@pytest.mark.parametrize(('fps', 'rate'), [
    (60, 30), (50, 25), (30, 30), (24, 24), (Fraction(30000, 1001), Fraction(30000, 1001))])
def test_frame_k_is_seen_at_k_through_fps(sink, tmp_path, fps, rate):
    sink.open(info(fps))
    feed(sink, range(30), fps=fps)
    sink.close()
    times, _ = seen(tmp_path / 'face.mp4')
    assert times == pytest.approx(np.arange(30 * rate // fps) / float(rate), abs=1e-4)


def test_the_film_plays_anywhere_and_begins_with_its_index(sink, tmp_path):
    sink.open(info())
    feed(sink, range(31))
    sink.close()
    with av.open(str(tmp_path / 'face.mp4')) as file:
        video, audio = file.streams.video[0], file.streams.audio[0]
        assert video.codec_context.name == {'libx264': 'h264'}.get(film.encoder(), 'mpeg4')
        assert video.codec_context.pix_fmt == 'yuv420p'
        assert (video.width, video.height) == (96, 96)
        assert (audio.codec_context.name, audio.rate) == ('aac', RATE)
        assert float(video.duration * video.time_base) == pytest.approx(16 / 30, abs=0.002)
        assert float(audio.duration * audio.time_base) >= 16 / 30 - 0.002
    data = (tmp_path / 'face.mp4').read_bytes()
    assert data.index(b'moov') < data.index(b'mdat')
    assert [path.name for path in tmp_path.iterdir()] == ['face.mp4']


def test_colours_survive(sink, tmp_path):
    sink.open(info())
    feed(sink, range(4))
    drawn = sink._portrait.render(np.zeros(52)).astype(float)
    sink.close()
    with av.open(str(tmp_path / 'face.mp4')) as file:
        shown = next(file.decode(video=0)).reformat(
            format='rgb24', src_colorspace='ITU709', dst_color_range='JPEG').to_ndarray()
    assert np.abs((shown - drawn).mean((0, 1))).max() < 3


def test_what_was_written_before_a_crash_can_be_played(sink, tmp_path):
    sink.open(info())
    feed(sink, range(400))
    shutil.copy(tmp_path / 'face.mp4.part', tmp_path / 'left.mp4')
    assert not (tmp_path / 'face.mp4').exists()
    assert len(seen(tmp_path / 'left.mp4')[0]) >= 60


def test_a_pause_is_a_still_picture_and_silence(sink, tmp_path):
    sink.open(info())
    feed(sink, range(6))
    later = [one._replace(present_ns=one.present_ns + SECOND) for one in map(frame, (6, 7))]
    sink.hear(sound(RATE + 1600, 800, [RATE + 1600]))
    for one in later:
        sink.send(one)
    sink.close()
    times, _ = seen(tmp_path / 'face.mp4')
    assert times == pytest.approx([0, 1 / 30, 2 / 30, 1.1], abs=1e-4)
    loud = np.flatnonzero(np.abs(heard(tmp_path / 'face.mp4')) > 0.3)
    assert loud[0] / RATE == pytest.approx(1.1, abs=0.002)


def test_sound_that_comes_twice_is_cut(sink, tmp_path):
    sink.open(info())
    sink.hear(sound(0, 8000))
    sink.hear(sound(4000, 8000, [9600]))
    sink.send(frame(0))
    sink.close()
    loud = np.flatnonzero(np.abs(heard(tmp_path / 'face.mp4')) > 0.3)
    assert loud[0] / RATE == pytest.approx(0.6, abs=0.002)


def test_pictures_are_left_out_to_keep_up_with_a_clock_and_counted(sink, tmp_path):
    clock = ManualClock()
    sink.follow(clock)
    sink.open(info())
    clock.sleep_until(BEGAN)
    for index in range(40):
        if index == 10:
            clock.sleep_until(BEGAN + SECOND // 2)      # as if one picture had taken so long
        sink.send(frame(index))
    sink.close()
    times, _ = seen(tmp_path / 'face.mp4')
    assert sink.skipped == 4                            # frames 10, 12, 14 and 16
    assert times[5] == pytest.approx(18 / 60, abs=1e-4)
    assert len(times) + sink.skipped == 20


def test_without_a_clock_nothing_is_left_out(sink, tmp_path):
    sink.open(info())
    feed(sink, range(20))
    sink.close()
    assert (len(seen(tmp_path / 'face.mp4')[0]), sink.skipped) == (10, 0)


def test_a_film_without_frames_is_no_file(sink, tmp_path):
    sink.open(info())
    sink.hear(sound(0, 1600))
    sink.close()
    sink.close()
    assert not list(tmp_path.iterdir())


def test_a_second_film_does_not_lie_over_the_first(sink, tmp_path):
    for _ in range(2):
        sink.open(info())
        feed(sink, range(4))
        sink.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ['face-2.mp4', 'face.mp4']


def test_a_place_that_cannot_be_written_to_is_told(tmp_path):
    (tmp_path / 'face.mp4.part').mkdir()
    with pytest.raises(SinkError, match=r'cannot write .*face\.mp4'):
        FilmRecorder(tmp_path / 'face.mp4', size=(32, 32)).open(info())


def test_the_command_makes_a_film_of_a_recording(speech, tmp_path, monkeypatch):
    soundfile = pytest.importorskip('soundfile')
    samples, rate = soundfile.read(speech, frames=24000)
    soundfile.write(tmp_path / 'a.wav', samples, rate)
    monkeypatch.setattr(film, 'SIZE', (96, 96))
    assert cli.main(['animate', str(tmp_path / 'a.wav'), '-o', str(tmp_path / 'a.mp4'),
                     '--quiet']) == 0
    times, pictures = seen(tmp_path / 'a.mp4')
    assert len(times) == 30
    mine, theirs = heard(tmp_path / 'a.mp4')[:16000], samples[::3][:8000]
    shift = np.correlate(np.abs(mine[::2][:8000]), np.abs(theirs), 'full').argmax() - 7999
    assert abs(shift) / 8000 < 0.005
    assert pictures.std(0).max() > 5, 'somebody speaks'
