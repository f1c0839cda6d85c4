# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The microphone: numbering and waiting in the pure parts, capture from a real sound server."""

from __future__ import annotations

import csv
import json
from pathlib import Path
import signal
import subprocess
import sys
import time

import numpy as np
from pulse import pulse  # noqa: F401 - a fixture
import pytest
import soundfile
import soxr

from avatar_bridge import Engine, load_bundle, rig
from avatar_bridge.audio.intake import Intake
from avatar_bridge.clock import ManualClock
from avatar_bridge.errors import AudioError
from avatar_bridge.frames import AudioBlock, Event
from avatar_bridge.sources.devices import InputDevice, chosen
from avatar_bridge.sources.intray import Intray
from avatar_bridge.sources.microphone import Axis

ROOT = Path(__file__).parents[1]
SPEECH = ROOT / 'avatar_bridge/assets/speech.flac'
MS = 1_000_000
INPUTS = [InputDevice(0, 'HDA Intel: ALC (hw:0,0)', 2, 48000, False),
          InputDevice(3, 'Jabra SPEAK 510', 1, 16000, False),
          InputDevice(4, 'Jabra SPEAK 510 USB', 1, 16000, True)]
ONES = np.ones(160, np.float32)


@pytest.mark.parametrize(('wanted', 'index'), [
    ('', 4), ('0', 0), ('hda', 0), ('usb', 4), ('jabra speak 510', 3), ('3', 3)])
def test_a_device_is_found_by_index_name_or_part_of_it(wanted, index):
    assert chosen(INPUTS, wanted).index == index


@pytest.mark.parametrize(('wanted', 'complaint'), [
    ('sony', 'none fits; choose from 0: HDA'), ('jabra', 'several fit; choose from 3: Jabra'),
    ('7', 'none fits')])
def test_a_device_that_is_not_clear_is_refused_with_the_candidates(wanted, complaint):
    with pytest.raises(AudioError, match=complaint):
        chosen(INPUTS, wanted)


def test_no_input_at_all_says_so():
    with pytest.raises(AudioError, match='found no audio input'):
        chosen([], '')


def test_silence_stands_in_for_a_device_and_numbers_have_no_gap():
    axis, blocks = Axis(), []
    blocks += axis.heard(ONES, 16000, 100 * MS, 0)
    blocks += axis.silence(130 * MS)            # the device went at 110 ms
    blocks += axis.silence(150 * MS)
    blocks += axis.heard(ONES, 16000, 160 * MS, 999)
    assert [(block.start, len(block.samples), block.capture_ns // MS) for block in blocks] == [
        (0, 160, 100), (160, 320, 110), (480, 320, 130), (800, 160, 150), (960, 160, 160)]
    assert [float(block.samples[0]) for block in blocks] == [1, 0, 0, 0, 1]


def test_samples_that_silence_stood_in_for_are_left_out():
    axis, blocks = Axis(), []
    blocks += axis.heard(ONES, 16000, 0, 0)
    blocks += axis.silence(100 * MS)
    blocks += axis.heard(ONES, 16000, 50 * MS, 0)       # 50..60 ms: all too late
    blocks += axis.heard(ONES, 16000, 95 * MS, 0)       # 95..105 ms: half
    blocks += axis.heard(ONES, 16000, 90 * MS, 0)       # late, but the device is back
    assert [(block.start, len(block.samples)) for block in blocks] == [
        (0, 160), (160, 1440), (1600, 80), (1680, 160)]


def test_silence_before_anything_was_heard_and_a_device_of_another_rate():
    axis, blocks = Axis(), []
    blocks += axis.silence(1000 * MS)
    blocks += axis.silence(1100 * MS)
    blocks += axis.heard(np.ones((480, 2), np.float32), 48000, 1100 * MS, 0)
    assert [(block.start, block.samples.shape, block.sample_rate) for block in blocks] == [
        (0, (1600,), 16000), (4800, (480, 2), 48000)]


def test_lost_samples_leave_a_hole_in_the_numbers():
    axis = Axis()
    blocks = [*axis.heard(ONES, 16000, 0, 0), *axis.heard(ONES, 16000, 20 * MS, 160)]
    assert [block.start for block in blocks] == [0, 320]


def test_an_intray_that_is_full_drops_the_oldest_and_counts():
    intray = Intray(ManualClock())
    for number in range(600):           # 6 s, room for 5
        intray.put(ONES, number * 10 * MS, False)
    intray.tell(Event('device', 'news'))
    first = intray.take(0)
    assert (first.lost, first.capture_ns, intray.dropped) == (16000, 1000 * MS, 16000)
    assert intray.take(0).lost == 0


def test_an_xrun_is_counted_and_its_length_told():
    intray = Intray(ManualClock())
    intray.put(ONES, 0, False)
    intray.put(ONES, 30 * MS, True)
    assert (intray.take(0).lost, intray.take(0).lost, intray.xruns) == (0, 320, 1)


def test_an_intray_wakes_who_waits_and_knows_how_long_it_was_quiet():
    clock = ManualClock()
    intray = Intray(clock)
    intray.wake()
    assert intray.take(None) is None
    clock.advance(5)
    assert intray.quiet_for() == 5


NO_PORTAUDIO = """
import ctypes.util
ctypes.util.find_library = lambda name: None
from avatar_bridge.errors import MissingPackageError
from avatar_bridge.sources.microphone import Microphone
try:
    Microphone()
except MissingPackageError as error:
    print(error)
"""


def test_without_portaudio_it_says_what_to_install():
    out = subprocess.run([sys.executable, '-c', NO_PORTAUDIO], cwd=ROOT, text=True,
                         capture_output=True, check=True).stdout
    assert 'apt-get install libportaudio2' in out


# Listens for some seconds and prints what it got; the samples go to a file.
LISTENER = """
import json, sys, threading, time
import numpy as np
from avatar_bridge.frames import AudioBlock
from avatar_bridge.sources.microphone import Microphone
source = Microphone(sys.argv[3])
threading.Timer(float(sys.argv[2]), source.close).start()
blocks, rows = [], []
for item in source.blocks():
    if isinstance(item, AudioBlock):
        blocks.append(item)
        rows.append((item.start, len(item.samples), item.capture_ns, time.time_ns()))
        if len(blocks) == 1:
            print('ready', flush=True)
    else:
        print(item.detail, flush=True)
mono = [b.samples if b.samples.ndim == 1 else b.samples.mean(axis=1) for b in blocks]
np.savez(sys.argv[1], samples=np.concatenate(mono), rate=blocks[-1].sample_rate)
print(json.dumps({'rows': rows, 'xruns': source.xruns, 'openings': source.openings}))
"""


def listener(server, path, seconds, device=''):
    return subprocess.Popen([sys.executable, '-c', LISTENER, str(path), str(seconds), device],
                            env=server.environment, cwd=ROOT, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL)


def until(process, word):
    """Read lines until one has `word`."""
    lines = []
    while not lines or word not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], lines
    return lines


def best_fit(heard, played):
    """Return the correlation of `played` with the piece of `heard` that is most like it."""
    size = len(heard) + len(played)
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(played, size)), size)
    shift = int(product[:len(heard) - len(played) + 1].argmax())
    return float(np.corrcoef(heard[shift:shift + len(played)], played)[0, 1])


@pytest.mark.slow
def test_what_is_played_is_heard(pulse, tmp_path):  # noqa: F811
    speech, rate = soundfile.read(SPEECH, dtype='float32', frames=96000)
    process = listener(pulse, tmp_path / 'heard.npz', 9)
    assert until(process, 'ready')[0].startswith('listening: default')
    pulse.play(speech, rate)
    told = json.loads(process.communicate(timeout=30)[0].splitlines()[-1])
    arrays = np.load(tmp_path / 'heard.npz')
    heard = soxr.resample(arrays['samples'], int(arrays['rate']), rate)
    # In pieces: on a busy machine the player may stumble between two of them.
    pieces = [piece for piece in np.array_split(speech, 8) if np.abs(piece).max() > 0.1]
    assert np.median([best_fit(heard, piece) for piece in pieces]) > 0.98
    starts, lengths, captures, arrivals = np.array(told['rows'], np.int64).T
    assert np.array_equal(starts[1:], np.cumsum(lengths)[:-1])
    assert np.median(np.abs(arrivals - captures)) < 200e6
    assert told['xruns'] <= 3


@pytest.mark.slow
def test_a_microphone_that_is_pulled_out_and_put_back_is_heard_again(pulse, tmp_path):  # noqa: F811
    process = listener(pulse, tmp_path / 'heard.npz', 13)
    until(process, 'ready')
    pulse.kill()
    assert until(process, 'lost')[-1].startswith('lost: default')
    until(process, 'trying again')
    time.sleep(0.5)
    pulse.start()
    until(process, 'back: ')
    time.sleep(0.5)
    pulse.play(np.float32(0.5 * np.sin(np.arange(48000 * 20) * 0.05)), 48000)
    told = json.loads(process.communicate(timeout=30)[0].splitlines()[-1])
    samples = np.load(tmp_path / 'heard.npz')['samples']
    assert np.abs(samples[-4800:]).max() > 0.3
    starts, lengths, captures, _ = np.array(told['rows'], np.int64).T
    assert np.array_equal(starts[1:], np.cumsum(lengths)[:-1])
    # Silence filled the time in between: the stream is as long as the time that passed.
    passed = (captures[-1] - captures[0]) / 1e9
    assert abs(starts[-1] / 44100 - passed) < 0.3
    assert told['openings'] == 2


@pytest.mark.slow
def test_an_unknown_device_is_refused_before_anything_starts(pulse, tmp_path):  # noqa: F811
    process = subprocess.run(
        [sys.executable, '-c', LISTENER, str(tmp_path / 'x'), '1', 'sony'], text=True, cwd=ROOT,
        env=pulse.environment, capture_output=True, check=False)
    assert "got 'sony': none fits; choose from" in process.stderr


@pytest.mark.slow
def test_without_any_device_silence_flows_in_real_time(pulse, tmp_path):  # noqa: F811
    pulse.kill()
    process = listener(pulse, tmp_path / 'x.npz', 2)
    assert 'found no audio input' in until(process, 'no audio')[-1]
    process.communicate(timeout=20)
    samples = np.load(tmp_path / 'x.npz')['samples']
    assert 0.7 * 16000 < len(samples) < 2.1 * 16000
    assert not samples.any()


def jaw(path):
    """Return the jawOpen column of a Live Link CSV."""
    rows = csv.DictReader(path.read_text(encoding='utf-8').splitlines())
    return np.array([float(row['JawOpen']) for row in rows])


def command(*arguments):
    return [sys.executable, '-m', 'avatar_bridge', *map(str, arguments), '--quiet']


def jaws_of_a_file(speech, rate):
    """Yield the jaw for a file, its beginning moved over the hop of 50 ms in steps of 10 ms."""
    for milliseconds in range(0, 50, 10):
        silence = np.zeros(rate * milliseconds // 1000, np.float32)
        intake, engine = Intake(16000), Engine(load_bundle('live'))
        heard = intake.push(AudioBlock(0, np.concatenate([silence, speech]), rate))
        frames = engine.push(np.concatenate([heard, intake.flush()])) + engine.flush()
        yield np.array([frame.weights[rig.INDEX['jawOpen']] for frame in frames])


def likeness(heard, expected):
    """Return the correlation where `expected` is most like a part of `heard`."""
    return max(np.corrcoef(heard[place:place + len(expected)], expected)[0, 1]
               for place in range(len(heard) - len(expected) + 1))


@pytest.mark.slow
def test_the_face_follows_a_microphone_as_it_follows_the_file(pulse, tmp_path):  # noqa: F811
    speech, rate = soundfile.read(SPEECH, dtype='float32', frames=6 * 24000)
    live = tmp_path / 'live.csv'
    process = subprocess.Popen(command('run', '--source', 'mic', '--sink', f'csv={live}'),
                               cwd=ROOT, env=pulse.environment, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not live.is_file() or live.read_bytes().count(b'\n') < 60:    # a second was heard
        assert time.monotonic() < deadline
        time.sleep(0.1)
    pulse.play(speech, rate)
    time.sleep(len(speech) / rate + 1.5)
    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate(timeout=20)
    assert process.returncode == 0, complaints
    heard = jaw(live)
    # Speech begins anywhere in a hop there, and what a frame knows of its future hangs on that:
    # whole frames alone align a file against itself, 12.5 ms later, to no more than 0.977. And a
    # sound server under load may leave a gap: of three pieces of two seconds, one may hold it.
    best = np.max([[likeness(heard, expected[start:start + 120]) for start in (30, 120, 220)]
                   for expected in jaws_of_a_file(speech, rate)], axis=0)
    assert np.median(best) >= 0.97
