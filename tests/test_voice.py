# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""Bundles that learn from voices: enrolment from a recording, and while somebody speaks."""

import json

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip('torch')

from golden_codetalker import golden_frames  # noqa: E402
from golden_talkers import ABOUT, GOLDEN, voice, write_run  # noqa: E402
from tiny_corpus import write_corpus  # noqa: E402

from avatar_bridge.bundle import load_bundle, read_sound  # noqa: E402
from avatar_bridge.config import EngineConfig  # noqa: E402
from avatar_bridge.errors import AudioError, UsageError  # noqa: E402
from avatar_bridge.onnx_models import OnnxBackend  # noqa: E402
from avatar_bridge.stream.engine import Engine  # noqa: E402
from avatar_bridge.stream.voice import VoiceEstimate  # noqa: E402
from model.export import export  # noqa: E402
from model.personalisation import judge, nearest, plain, table, write_library  # noqa: E402
from model.voice_styles import load_voiced  # noqa: E402

pytestmark = pytest.mark.model


@pytest.fixture(scope='module')
def bundle():
    return load_bundle(GOLDEN / 'diffusiontalker')


@pytest.fixture(scope='module')
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp('recording') / 'ann.wav'
    soundfile.write(path, np.stack([voice(5)] * 2, 1), 16000, subtype='FLOAT')
    return path


def spoken(bundle, block=32000, **settings):
    engine = Engine(bundle, EngineConfig(steps=2, **settings))
    samples = voice(9)
    frames = [frame for start in range(0, len(samples), block)
              for frame in engine.push(samples[start:start + block])]
    return np.stack([frame.weights for frame in frames + engine.flush()])


def test_the_golden_bundle_makes_the_golden_frames(bundle):
    frames = np.load(bundle.path / 'frames.npy')
    assert np.allclose(golden_frames(bundle.path), frames, atol=1e-4)


def test_the_library_begins_with_the_average(bundle, tmp_path):
    write_run(tmp_path / 'run', 'diffusiontalker')
    write_library(tmp_path / 'run', {'ann': [voice(0)], 'bob': [voice(1), voice(2)]})
    library = json.loads((tmp_path / 'run' / 'library.json').read_text())
    assert list(library) == bundle.styles == ['average', 'ann', 'bob']
    assert np.allclose(library['average'], np.mean([library['ann'], library['bob']], axis=0),
                       atol=1e-5)
    # As torch says it, so says the graph.
    enrolled = VoiceEstimate(OnnxBackend(bundle.path)('enrol')).enrol(voice(0))
    assert np.allclose(enrolled, library['ann'], atol=5e-3)     # the graph stores 16 bits
    assert np.abs(np.subtract(library['ann'], library['bob'])).max() > 0.05


def test_without_a_library_nothing_is_exported(tmp_path):
    write_run(tmp_path / 'run', 'diffusiontalker')
    with pytest.raises(SystemExit, match='personalisation library'):
        export(tmp_path / 'run', tmp_path / 'tiny', {**ABOUT, 'name': 'tiny'})
    assert not (tmp_path / 'tiny').exists()


def test_a_recording_is_a_way_of_speaking(bundle, recording):
    enrolled = spoken(bundle, style=str(recording))
    assert enrolled.shape == (120, 52)
    assert np.abs(enrolled - spoken(bundle, style='average')).max() > 1e-3
    backend = OnnxBackend(bundle.path)
    style = bundle.style(str(recording), backend)
    assert style.shape == (12,)
    assert np.abs(style - VoiceEstimate(backend('enrol')).enrol(voice(5))).max() < 1e-4


@pytest.mark.parametrize(('samples', 'reason'), [
    (np.full(8000, 0.1, np.float32), '0.5 s of sound'), (np.zeros(32000, np.float32), 'silence')])
def test_what_tells_nothing_of_a_voice_is_refused(bundle, tmp_path, samples, reason):
    soundfile.write(tmp_path / 'x.wav', samples, 16000)
    with pytest.raises(UsageError, match=reason):
        spoken(bundle, style=str(tmp_path / 'x.wav'))


def test_a_bundle_without_enrolment_refuses_a_recording(recording):
    with pytest.raises(UsageError, match=r'live does not learn .* neutral'):
        Engine(load_bundle('live'), EngineConfig(style=str(recording)))


def test_unknown_styles_and_files_are_refused(bundle):
    with pytest.raises(UsageError, match='average, ann, bob'):
        spoken(bundle, style='carl')
    with pytest.raises(AudioError, match=r'carl\.wav'):
        spoken(bundle, style='carl.wav')


def test_a_stream_learns_who_speaks_whatever_its_blocks(bundle):
    whole = spoken(bundle)
    for block in (160, 997, 4096):
        assert np.abs(spoken(bundle, block) - whole).max() < 1e-5
    assert np.abs(whole - spoken(bundle, style='average')).max() > 1e-3


def test_the_estimate_while_speaking_becomes_that_of_the_whole(bundle):
    estimate = VoiceEstimate(OnnxBackend(bundle.path)('enrol'))
    state = estimate.initial_state()
    assert estimate.hear(np.zeros(100, np.float32), state)['style'] is None
    samples, first = voice(3, 3.0), None
    for start in range(0, 48000, 800):
        state = estimate.hear(samples[start:start + 800], state)
        first = state['style'] if first is None else first
    whole = estimate.enrol(samples)
    assert np.abs(state['style'][0] - whole).max() < 1e-4
    assert np.abs(first[0] - whole).max() > 0.01


def test_a_flush_forgets_the_voice(bundle):
    engine = Engine(bundle, EngineConfig(steps=1))
    samples = voice(9)
    first = np.stack([frame.weights for frame in engine.push(samples) + engine.flush()])
    again = np.stack([frame.weights for frame in engine.push(samples) + engine.flush()])
    assert np.abs(first - again).max() < 0.2    # noise goes on by frame, who speaks begins anew


def test_a_recording_is_heard_at_the_rate_of_the_network(tmp_path):
    soundfile.write(tmp_path / 'x.wav', voice(5).repeat(3), 48000)
    heard = read_sound(str(tmp_path / 'x.wav'), 16000)
    assert abs(len(heard) - 32000) <= 1
    assert np.sqrt((heard**2).mean()) == pytest.approx(np.sqrt((voice(5)**2).mean()), rel=0.1)


def test_the_nearest_voice_is_looked_for_about_the_mean():
    first = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]) + 10
    again = np.array([[1.0, 0.1], [0.1, 1.0], [0.0, 1.1]]) + 10
    assert nearest(first, again).tolist() == [True, True, False]


def test_enrolment_is_judged_on_voices_that_no_training_heard(bundle, tmp_path):
    write_corpus(tmp_path)
    told = json.loads((tmp_path / 'voices.json').read_text())
    for clip, voice_of_clip in (('0', 'h'), ('2', 'h'), ('3', 'i'), ('5', 'i'), ('4', 'h+i@0.5')):
        told['clips'][clip].update(voice=voice_of_clip, split='test')
    (tmp_path / 'voices.json').write_text(json.dumps(told))
    corpus = load_voiced(tmp_path, tmp_path / 'voices.json')
    found = judge(bundle, corpus, seconds=1.5, clips=1, steps=1)
    assert [row.voice for row in found] == ['h', 'i']       # no blends, nobody trained with
    assert all(0 < error.manner <= error.frames < 1 for row in found for error in row[1:4])
    assert len({row.enrolled for row in found} | {row.average for row in found}) == 4
    assert '| mean of 2 |' in table(found)
    assert json.loads(json.dumps(plain(found[0])))['running'] == found[0].running._asdict()
