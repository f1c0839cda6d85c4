# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""Names to adapters, configs to sessions."""

from pathlib import Path

import numpy as np
import pytest

from avatar_bridge import rig
from avatar_bridge.compose import (
    SINKS,
    SOURCES,
    Adapter,
    checked_path,
    compose,
    find,
    idle_amount,
    open_sink,
    sink_for,
)
from avatar_bridge.config import SessionConfig
from avatar_bridge.errors import BundleError, MissingPackageError, UsageError
from avatar_bridge.frames import AudioBlock


class Tone:
    """A quarter of a second of a tone, as a source."""

    def blocks(self):
        samples = np.sin(np.arange(4000, dtype=np.float32) / 10)
        for start in range(0, 4000, 400):
            yield AudioBlock(start, samples[start:start + 400], 16000)

    def close(self):
        """End by itself."""


class Collected:
    """A sink that keeps what it gets."""

    def __init__(self):
        self.info, self.frames, self.events = None, [], []

    def open(self, info):
        self.info = info

    def send(self, frame):
        self.frames.append(frame)

    def hear(self, audio):
        """Not for this one."""

    def notify(self, event):
        self.events.append(event.name)

    def close(self):
        """Nothing is held."""


@pytest.mark.parametrize('adapter', [*SINKS.values(), *SOURCES.values()],
                         ids=[*SINKS, *SOURCES])
def test_the_table_names_things_that_exist(adapter):
    assert callable(find(adapter))


@pytest.mark.parametrize(('text', 'message'), [
    ('zmg', 'did you mean zmq'),
    ('csv', 'expected csv=FILE'),
    ('npz=', 'expected npz=FILE'),
    ('jsonl=/no/such/folder/a.jsonl', 'no folder /no/such/folder'),
    ('zmq=localhost', 'tcp://ADDRESS:PORT'),
    ('ros', 'avatar_node'),
    ('', 'expected one of zmq'),
])
def test_a_wrong_sink_is_refused_with_the_way_out(text, message):
    with pytest.raises(UsageError, match=message):
        open_sink(text)


@pytest.mark.parametrize('suffix', ['.csv', '.npz', '.jsonl', '.mcap', '.mp4', '.png', '.CSV'])
def test_the_suffix_chooses_the_writer(suffix, tmp_path):
    path = tmp_path / f'face{suffix}'
    assert sink_for(path) == f'{suffix[1:].lower()}={path}'
    assert hasattr(open_sink(sink_for(path)), 'send')


def test_an_unknown_suffix_is_refused():
    with pytest.raises(UsageError, match=r'\.csv, \.npz, .*\.png; did you mean \.csv'):
        sink_for(Path('face.cvs'))


def test_a_word_that_is_no_source_is_refused():
    with pytest.raises(UsageError, match='expected mic, mic:DEVICE, - or an audio file'):
        checked_path('mik')


def test_a_missing_package_is_named():
    with pytest.raises(MissingPackageError, match='pip install nowhere_to_be_found'):
        find(Adapter('nowhere_to_be_found:Sink'))


def test_a_bundle_that_does_not_exist_is_refused_before_anything_starts():
    with pytest.raises(BundleError, match='no bundle'):
        compose(SessionConfig(bundle='lives'), source=Tone(), sinks={'own': Collected()})


def test_given_parts_are_used_and_told_apart_from_named_ones(tmp_path):
    config = SessionConfig(pace='max', avatar='robot', sinks=('own', f'csv={tmp_path}/face.csv'))
    sink = Collected()
    compose(config, source=Tone(), sinks={'own': sink}).run()
    assert (sink.info.avatar, sink.info.bundle) == ('robot', 'live')
    assert [frame.frame.index for frame in sink.frames] == list(range(15))
    assert len((tmp_path / 'face.csv').read_text().splitlines()) == 16
    assert sink.events == ['start', 'end']


def test_offline_the_same_work_has_the_same_stream_id():
    def info(**options):
        config = SessionConfig.from_mapping({'pace': 'max', **options})
        return compose(config, source=Tone(), sinks={'own': Collected()}).info.stream

    assert info() == info(quiet=True) != info(seed=3)
    assert info(pace='real') != info(pace='real')


def test_a_file_is_animated_by_its_name(tmp_path):
    config = SessionConfig(
        source='avatar_bridge/assets/speech.flac', pace='max',
        sinks=(f'npz={tmp_path}/face.npz',))
    compose(config).run()
    assert np.load(tmp_path / 'face.npz')['weights'].shape[1] == 52


@pytest.mark.parametrize(('values', 'amount'), [
    ({'source': 'mic'}, 1.0), ({'source': 'mic:3'}, 1.0), ({'source': 'mic', 'idle': 'off'}, 0.0),
    ({'source': 'mic', 'pace': 'max'}, 0.0), ({'source': 'talk.wav'}, 0.0), ({'source': '-'}, 0.0),
    ({'source': 'talk.wav', 'idle': 'on'}, 1.0), ({'source': 'topic'}, 0.0),
    ({'source': 'topic', 'idle': 'on'}, 1.0), ({'source': 'bag:take'}, 0.0),
])
def test_idle_life_is_for_microphones_unless_told_otherwise(values, amount):
    assert idle_amount(SessionConfig.from_mapping(values)) == amount


def test_a_session_lives_as_its_config_says():
    sinks = {}
    for idle in ('auto', 'on'):
        sinks[idle] = Collected()
        config = SessionConfig.from_mapping({'pace': 'max', 'source': '-', 'idle': idle})
        compose(config, source=Tone(), sinks={'all': sinks[idle]}).run()
    off, on = ([frame.frame for frame in sinks[idle].frames] for idle in ('auto', 'on'))
    assert [frame.head for frame in off] == [None] * 15
    assert all(frame.head.shape == (3,) and frame.eyes.shape == (4,) for frame in on)
    mouth = list(rig.MOUTH)
    assert all(np.array_equal(one.weights[mouth], other.weights[mouth])
               for one, other in zip(off, on, strict=True))
