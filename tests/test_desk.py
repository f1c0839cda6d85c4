# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What a page may do to a session: every command, right and wrong."""

from itertools import chain
import json
from pathlib import Path
import time

import msgpack
import numpy as np
import pytest

from avatar_bridge.compose import compose, desk
from avatar_bridge.config import SessionConfig
from avatar_bridge.errors import AudioError, UsageError
from avatar_bridge.rig import INDEX, NAMES
from avatar_bridge.sinks.recorder import NpzRecorder

SPEECH = Path(__file__).parents[1] / 'avatar_bridge' / 'assets' / 'speech.flac'


class Kept:
    """A sink that keeps what it gets."""

    def __init__(self):
        self.frames, self.events = [], []

    def open(self, info):
        self.info = info

    def send(self, frame):
        self.frames.append(frame.frame)

    def hear(self, audio):
        """Ignore sound."""

    def notify(self, event):
        self.events.append(event)

    def close(self):
        """Keep everything."""

    def after(self, count):
        """Return the next `count` frames."""
        start, deadline = len(self.frames), time.monotonic() + 20
        while len(self.frames) < start + count:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return np.stack([frame.weights for frame in self.frames[start:start + count]])


class Live:
    """A session that runs, its desk, and what the desk asked for."""

    def __init__(self):
        self.config = SessionConfig.from_mapping({'source': str(SPEECH), 'idle': 'off'})
        self.sink, self.changes = Kept(), []
        self.session = compose(self.config, sinks={'kept': self.sink})
        self.desk = desk(self.session, self.config, change=self.changes.append)
        self.session.start()


@pytest.fixture(scope='module')
def live():
    made = Live()
    yield made
    made.session.close()


def idle_desk():
    config = SessionConfig.from_mapping({'source': str(SPEECH), 'sink': [], 'idle': 'off'})
    session = compose(config, sinks={'kept': Kept()})
    changes = []
    return desk(session, config, change=changes.append), changes, session


def test_about_is_json_and_names_every_shape_once():
    about = json.loads(json.dumps(idle_desk()[0].about()))
    assert about['names'] == list(NAMES)
    assert sorted(chain(*about['regions'].values())) == sorted(NAMES)


def test_status_is_json_and_says_where_the_session_stands(live):
    live.sink.after(5)
    status = json.loads(json.dumps(live.desk.status(), allow_nan=False))
    assert status['stream'] == live.session.info.stream
    assert status['running'] is True
    assert status['frames'] >= 5
    assert status['fps'] == 60
    assert status['latency_ms'] == pytest.approx(100)
    assert status['source'] == str(SPEECH)
    assert {'id': str(SPEECH), 'name': 'speech.flac'} in status['sources']
    assert {'id': 'mic', 'name': 'microphone'} in status['sources']
    assert status['style'] in status['styles']
    assert isinstance(status['level'], list)
    assert isinstance(status['dropped'], int)
    for key in ('late', 'latency_p50', 'latency_p99', 'rtf', 'muted', 'seed', 'idle', 'gains',
                'bundle', 'version'):
        assert key in status


def test_a_gain_is_seen_in_the_weights(live):
    live.desk.obey({'type': 'gain', 'name': 'all', 'value': 0})
    live.sink.after(12)                     # those that were made before
    assert live.sink.after(6).max() < 1e-3
    live.desk.obey({'type': 'gain', 'name': 'all', 'value': 1})
    live.desk.obey({'type': 'gain', 'name': 'jawOpen', 'value': 0.0})
    live.sink.after(12)
    seen = live.sink.after(30)
    assert seen[:, INDEX['jawOpen']].max() < 1e-3
    assert seen.max() > 0.05
    assert live.desk.status()['gains'] == {'all': 1.0, 'jawOpen': 0.0}
    live.desk.obey({'type': 'gain', 'name': 'jawOpen', 'value': 1.0})


def test_mute_and_flush_reach_the_session(live):
    live.desk.obey({'type': 'mute', 'on': True})
    assert live.desk.status()['muted'] is True
    live.sink.after(12)
    assert live.sink.after(30)[-6:, INDEX['jawOpen']].max() < 0.02
    live.desk.obey({'type': 'mute', 'on': False})
    live.desk.obey({'type': 'flush'})
    live.sink.after(12)
    assert [(event.name, event.detail) for event in live.sink.events] == [
        ('start', live.session.info.stream), ('mute', 'on'), ('mute', 'off'), ('flush', '')]


def test_idle_is_heard_and_bounded(live):
    live.desk.obey({'type': 'idle', 'value': 0.5})
    assert live.desk.status()['idle'] == 0.5
    live.desk.obey({'type': 'idle', 'value': 0})


@pytest.mark.parametrize('command', [
    {'type': 'nothing'}, {'type': 'gian'}, {'type': ''}, {'type': 'status'},
    {'type': 'gain'}, {'type': 'gain', 'name': 'jawOpen'}, {'type': 'gain', 'value': 1},
    {'type': 'gain', 'name': 'jawOpn', 'value': 1}, {'type': 'gain', 'name': [], 'value': 1},
    {'type': 'gain', 'name': 'all', 'value': '1'}, {'type': 'gain', 'name': 'all', 'value': True},
    {'type': 'gain', 'name': 'all', 'value': -0.1}, {'type': 'gain', 'name': 'all', 'value': 4.1},
    {'type': 'gain', 'name': 'all', 'value': float('inf')},
    {'type': 'gain', 'name': 'all', 'value': float('nan')},
    {'type': 'gain', 'name': 'all', 'value': 10**400},
    {'type': 'gain', 'name': 'all', 'value': [1]}, {'type': 'gain', 'name': 'x' * 999, 'value': 1},
    {'type': 'mute'}, {'type': 'mute', 'on': 1}, {'type': 'mute', 'on': 'true'},
    {'type': 'idle'}, {'type': 'idle', 'value': 1.6}, {'type': 'idle', 'value': None},
    {'type': 'idle', 'value': -1e-9},
    {'type': 'seed'}, {'type': 'seed', 'value': 1.5}, {'type': 'seed', 'value': -1},
    {'type': 'seed', 'value': True}, {'type': 'seed', 'value': float('inf')},
    {'type': 'seed', 'value': 10**400}, {'type': 'seed', 'value': []},
    {'type': 'style'}, {'type': 'style', 'name': 'no such'}, {'type': 'style', 'name': []},
    {'type': 'style', 'name': '/etc/passwd'}, {'type': 'source'}, {'type': 'source', 'id': []},
    {'type': 'source', 'id': {}}, {'type': 'source', 'id': '/etc/passwd'},
    {'type': 'source', 'id': 'mic:999'}, {'type': 'source', 'id': '-'},
], ids=range(42))
def test_what_makes_no_sense_is_refused_in_one_line(live, command):
    before = live.desk.status()['gains']
    with pytest.raises(UsageError) as refused:
        live.desk.obey(command)
    assert '\n' not in str(refused.value)
    assert not live.changes
    assert live.desk.status()['gains'] == before


def test_choices_follow_each_other_and_keep_what_was_set():
    table, changes, session = idle_desk()
    table.obey({'type': 'gain', 'name': 'jawOpen', 'value': 0.5})
    table.obey({'type': 'seed', 'value': 5})
    table.obey({'type': 'style', 'name': table.status()['styles'][0]})
    table.obey({'type': 'source', 'id': 'mic'})
    assert [change.engine.seed for change in changes] == [5, 5, 5]
    assert all(change.engine.gains == {'jawOpen': 0.5} for change in changes)
    assert [change.source for change in changes] == [str(SPEECH), str(SPEECH), 'mic']
    session.close()


def test_who_cannot_change_sessions_says_so():
    _, _, session = idle_desk()
    config = SessionConfig.from_mapping({'source': str(SPEECH)})
    with pytest.raises(UsageError, match='avatar-bridge view'):
        desk(session, config).obey({'type': 'seed', 'value': 5})
    session.close()


def test_the_page_may_press_everything_after_the_end():
    table, _, session = idle_desk()
    session.start()
    session.close()
    for number in range(200):                   # more than anybody would queue
        table.obey({'type': 'mute', 'on': number % 2 == 0})
    table.obey({'type': 'flush'})
    assert table.status()['running'] is False


@pytest.mark.slow
def test_an_upload_is_what_animate_writes(tmp_path):
    config = SessionConfig.from_mapping({
        'source': str(SPEECH), 'pace': 'max', 'sink': [f'npz={tmp_path / "take.npz"}']})
    with compose(config) as session:
        session.run()
    table, _, other = idle_desk()
    take = msgpack.unpackb(table.animate(SPEECH.read_bytes()))
    with np.load(tmp_path / 'take.npz') as arrays:
        assert take['weights'] == arrays['weights'].tobytes()
        assert take['flags'] == arrays['flags'].tobytes()
    assert take['names'] == list(NAMES)
    assert (take['fps'], take['sample_rate'], take['note']) == (60.0, 16000, '')
    assert take['head'] is None
    frames = len(take['flags'])
    assert len(take['pcm']) / 2 / 16000 == pytest.approx(frames / 60, abs=0.02)
    other.close()


@pytest.mark.slow
def test_an_upload_lives_as_much_as_the_session():
    table, _, session = idle_desk()
    table.obey({'type': 'idle', 'value': 1})
    take = msgpack.unpackb(table.animate(SPEECH.read_bytes()))
    frames = len(take['flags'])
    assert len(take['head']) == 12 * frames
    assert len(take['eyes']) == 16 * frames
    assert np.frombuffer(take['head'], '<f4').any()
    session.close()


def test_of_a_cut_upload_everything_readable_is_used(tmp_path):
    import soundfile

    path = tmp_path / 'hum.wav'
    soundfile.write(path, 0.2 * np.sin(np.arange(16000) / 20), 16000)
    table, _, session = idle_desk()
    take = msgpack.unpackb(table.animate(path.read_bytes()[:16044]))
    assert len(take['flags']) == 30
    assert take['note'].startswith('the file was cut short: 0.50 s')
    session.close()


@pytest.mark.parametrize('audio', [b'', b'\0', b'RIFF', b'x' * 10_000, SPEECH.read_bytes()[:40]])
def test_an_upload_that_is_no_audio_is_refused_in_one_line(audio):
    table, _, session = idle_desk()
    with pytest.raises(AudioError, match=r'^the file') as refused:
        table.animate(audio)
    assert '\n' not in str(refused.value)
    session.close()


def test_an_upload_that_is_too_long_is_refused(monkeypatch):
    from avatar_bridge import compose as home

    monkeypatch.setattr(home, 'LONGEST', 1)
    table, _, session = idle_desk()
    with pytest.raises(AudioError, match='at most 1 s'):
        table.animate(SPEECH.read_bytes())
    session.close()


def test_a_recording_comes_back(tmp_path):
    sink = NpzRecorder(tmp_path / 'take.npz')
    table, _, session = idle_desk()
    sink.open(session.info)
    sink.close()
    with pytest.raises(AudioError, match='no frames'):
        table.recording('take.npz', (tmp_path / 'take.npz').read_bytes())
    session.close()
