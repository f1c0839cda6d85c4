# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""Bundles that learn from voices: enrolment from a recording, and while somebody speaks."""

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip('torch')

from avatar_bridge.bundle import load_bundle, read_sound  # noqa: E402
from avatar_bridge.config import EngineConfig  # noqa: E402
from avatar_bridge.errors import AudioError, UsageError  # noqa: E402
from avatar_bridge.onnx_models import OnnxBackend  # noqa: E402
from avatar_bridge.stream.engine import Engine  # noqa: E402
from avatar_bridge.stream.voice import VoiceEstimate  # noqa: E402
from model.export import export  # noqa: E402
from model.networks import make  # noqa: E402
from model.personalisation import write_library  # noqa: E402
from model.talker_denoiser import TalkerConfig  # noqa: E402

pytestmark = pytest.mark.model
CONFIG = TalkerConfig(width=32, heads=2, layers=1, feed_forward=48, encoder_blocks=1,
                      voice_width=16, voice_blocks=1, pieces=2, piece=8, personal=12)
ABOUT = {'name': 'tiny', 'version': '0', 'styles': [], 'languages': ['en'], 'data': [],
         'licence': 'Apache-2.0'}


def saved_run(folder):
    """Write a checkpoint of a network in which nothing hides behind zeros."""
    torch.manual_seed(0)
    network = make('diffusiontalker', CONFIG).requires_grad_(False)
    for parameter in network.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    folder.mkdir()
    torch.save({'kind': 'diffusiontalker', 'config': vars(CONFIG), 'step': 1,
                'average': network.state_dict(), 'mean': torch.zeros(52),
                'deviation': torch.full((52,), 0.1)}, folder / 'checkpoint.pt')
    return network


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp('voices')
    saved_run(folder / 'run')
    write_library(folder / 'run', {'ann': [sound(0)], 'bob': [sound(1), sound(2)]})
    assert export(folder / 'run', folder / 'tiny', ABOUT) < 1e-4
    return load_bundle(folder / 'tiny')


def sound(seed, seconds=2.0):
    rng = np.random.default_rng(seed)
    colour = np.fft.irfft(np.exp(rng.standard_normal(9)), 32)
    noise = rng.standard_normal(int(16000 * seconds))
    return (0.05 * np.convolve(noise, colour, 'same')).astype(np.float32)


@pytest.fixture(scope='module')
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp('recording') / 'ann.wav'
    soundfile.write(path, np.stack([sound(5)] * 2, 1), 16000, subtype='FLOAT')
    return path


def spoken(bundle, block=32000, **settings):
    engine = Engine(bundle, EngineConfig(steps=2, **settings))
    samples = sound(9)
    frames = [frame for start in range(0, len(samples), block)
              for frame in engine.push(samples[start:start + block])]
    return np.stack([frame.weights for frame in frames + engine.flush()])


def test_the_library_begins_with_the_average(bundle):
    assert bundle.styles == ['average', 'ann', 'bob']
    rows = np.array([bundle.manifest['styles'][name] for name in bundle.styles])
    assert np.allclose(rows[0], rows[1:].mean(axis=0), atol=1e-5)
    assert np.abs(rows[1] - rows[2]).max() > 0.01


def test_without_a_library_nothing_is_exported(tmp_path):
    saved_run(tmp_path / 'run')
    with pytest.raises(SystemExit, match='personalisation library'):
        export(tmp_path / 'run', tmp_path / 'tiny', ABOUT)


def test_a_recording_is_a_way_of_speaking(bundle, recording):
    enrolled = spoken(bundle, style=str(recording))
    assert enrolled.shape == (120, 52)
    assert np.abs(enrolled - spoken(bundle, style='average')).max() > 1e-3
    backend = OnnxBackend(bundle.path)
    style = bundle.style(str(recording), backend)
    assert style.shape == (12,)
    assert np.abs(style - VoiceEstimate(backend('enrol')).enrol(sound(5))).max() < 1e-4


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
    voice = VoiceEstimate(OnnxBackend(bundle.path)('enrol'))
    state = voice.initial_state()
    assert voice.hear(np.zeros(100, np.float32), state)['style'] is None
    samples, first = sound(3, 3.0), None
    for start in range(0, 48000, 800):
        state = voice.hear(samples[start:start + 800], state)
        first = state['style'] if first is None else first
    whole = voice.enrol(samples)
    assert np.abs(state['style'][0] - whole).max() < 1e-4
    assert np.abs(first[0] - whole).max() > 0.01


def test_a_flush_forgets_the_voice(bundle):
    engine = Engine(bundle, EngineConfig(steps=1))
    samples = sound(9)
    first = np.stack([frame.weights for frame in engine.push(samples) + engine.flush()])
    again = np.stack([frame.weights for frame in engine.push(samples) + engine.flush()])
    assert np.abs(first - again).max() < 0.2    # noise goes on by frame, who speaks begins anew


def test_a_recording_is_heard_at_the_rate_of_the_network(tmp_path):
    soundfile.write(tmp_path / 'x.wav', sound(5).repeat(3), 48000)
    heard = read_sound(str(tmp_path / 'x.wav'), 16000)
    assert abs(len(heard) - 32000) <= 1
    assert np.sqrt((heard**2).mean()) == pytest.approx(np.sqrt((sound(5)**2).mean()), rel=0.1)
