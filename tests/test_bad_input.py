# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""Contract 9: nothing crashes, nothing is silently wrong, nothing already made is lost."""

import shutil

import numpy as np
import pytest
import soundfile
import soxr

from avatar_bridge.bundle import SHIPPED
from avatar_bridge.cli import main
from avatar_bridge.compose import compose
from avatar_bridge.config import SessionConfig
from avatar_bridge.rig import INDEX

JAW = INDEX['jawOpen']


@pytest.fixture(scope='module')
def sentence():
    """Return two seconds of the speech in the package, and their rate."""
    path = SHIPPED.parent / 'assets' / 'speech.flac'
    rate = soundfile.info(path).samplerate
    return soundfile.read(path, frames=2 * rate, dtype='float32')[0], rate


def animate(path, *options):
    """Run the verb; return its exit status and the weights it wrote, (frames, 52)."""
    out = path.with_suffix('.npz')
    status = main(['animate', str(path), '-o', str(out), '--quiet', *options])
    return status, np.load(out)['weights'] if out.exists() else None


@pytest.fixture(scope='module')
def reference(sentence, tmp_path_factory):
    path = tmp_path_factory.mktemp('reference') / 'clean.wav'
    soundfile.write(path, *sentence, subtype='FLOAT')
    return animate(path)[1]


def alike(weights, reference):
    return np.corrcoef(weights[:, JAW], reference[:, JAW])[0, 1]


def one_line(capsys, *words):
    """Check that there is one line on stderr, with these words in it."""
    said = capsys.readouterr().err
    assert said.count('\n') == 1
    for word in words:
        assert word in said


@pytest.mark.parametrize(('rate', 'channels', 'subtype'), [
    (8000, 1, 'PCM_16'), (11025, 1, 'PCM_U8'), (16000, 1, 'PCM_16'), (22050, 2, 'PCM_24'),
    (44100, 2, 'PCM_16'), (48000, 8, 'FLOAT'), (96000, 1, 'PCM_32'), (192000, 2, 'DOUBLE')])
def test_any_rate_channels_and_format_give_the_same_face(
        sentence, reference, tmp_path, rate, channels, subtype):
    samples = soxr.resample(*sentence, rate)
    path = tmp_path / 'in.wav'
    soundfile.write(path, np.repeat(samples[:, None], channels, axis=1), rate, subtype=subtype)
    status, weights = animate(path)
    assert (status, weights.shape) == (0, reference.shape)
    assert alike(weights, reference) > 0.95


def test_a_channel_can_be_chosen(sentence, reference, tmp_path):
    samples, rate = sentence
    path = tmp_path / 'in.wav'
    soundfile.write(path, np.stack([np.zeros_like(samples), samples], axis=1), rate,
                    subtype='FLOAT')
    assert np.allclose(animate(path, '--channel', '1')[1], reference, atol=1e-5)
    assert animate(path, '--channel', '0')[1][:, JAW].max() < 0.02


def test_a_channel_that_is_not_there_is_refused(sentence, tmp_path, capsys):
    path = tmp_path / 'in.wav'
    soundfile.write(path, *sentence)
    assert animate(path, '--channel', '3')[0] == 1
    one_line(capsys, 'channel 3', 'mix')


def test_a_constant_offset_does_not_matter(sentence, reference, tmp_path):
    path = tmp_path / 'in.wav'
    soundfile.write(path, sentence[0] + 0.2, sentence[1], subtype='FLOAT')
    assert alike(animate(path)[1], reference) > 0.95


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_silence_and_counted(sentence, tmp_path, bad):
    samples = sentence[0].copy()
    samples[10000:10100] = bad
    path = tmp_path / 'in.wav'
    soundfile.write(path, samples, sentence[1], subtype='FLOAT')
    config = SessionConfig.from_mapping({
        'source': str(path), 'pace': 'max', 'sink': f'npz={tmp_path / "out.npz"}'})
    session = compose(config)
    session.run()
    assert session.stats.nonfinite == 100
    assert np.isfinite(np.load(tmp_path / 'out.npz')['weights']).all()


def test_clipping_is_passed_and_counted(sentence, reference, tmp_path):
    path = tmp_path / 'in.wav'
    soundfile.write(path, np.clip(sentence[0] * 8, -1, 1), sentence[1], subtype='FLOAT')
    config = SessionConfig.from_mapping({
        'source': str(path), 'pace': 'max', 'sink': f'npz={tmp_path / "out.npz"}'})
    session = compose(config)
    session.run()
    assert session.stats.clipped > 100
    assert alike(np.load(tmp_path / 'out.npz')['weights'], reference) > 0.7


@pytest.mark.parametrize(('name', 'content'), [
    ('empty.wav', b''), ('text.wav', b'this is no audio at all\n' * 50), ('noise.flac', b'fLaC!!'),
    ('none.mp3', bytes(5000))])
def test_what_is_no_audio_is_refused_in_one_line(tmp_path, capsys, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    status, _ = animate(path)
    assert status == 1
    one_line(capsys, name, 'expected')


def test_a_missing_file_and_a_folder_are_refused(tmp_path, capsys):
    assert main(['animate', str(tmp_path / 'none.wav'), '-o', str(tmp_path / 'a.npz')]) == 1
    one_line(capsys, 'none.wav', 'no such file')
    assert main(['animate', str(tmp_path), '-o', str(tmp_path / 'a.npz')]) == 1
    one_line(capsys, 'folder')


def test_of_a_file_that_was_cut_short_everything_readable_is_used(
        sentence, reference, tmp_path, capsys):
    path = tmp_path / 'cut.wav'
    soundfile.write(path, *sentence, subtype='FLOAT')
    content = path.read_bytes()
    path.write_bytes(content[:len(content) * 3 // 4])
    status, weights = animate(path)
    assert status == 1
    one_line(capsys, 'cut short')
    assert 89 <= len(weights) <= 91
    assert np.allclose(weights[:80], reference[:80], atol=1e-5)


def test_what_is_no_bag_is_refused(tmp_path, capsys):
    (tmp_path / 'bag').mkdir()
    for path in (tmp_path / 'bag', tmp_path / 'none.mcap'):
        assert main(['replay', str(path), '-o', str(tmp_path / 'a.npz')]) == 1
        one_line(capsys, path.name)


@pytest.mark.parametrize(('arguments', 'words'), [
    (['--stpes', '2'], ['--steps']),
    (['--steps', '51'], ['from 0 to 50']),
    (['--fps', '61'], ['from 24 to 60']),
    (['--profile', 'slow'], ['fast, live or smooth']),
    (['--gain', 'jawOpne=2'], ['jawOpen']),
    (['--style', 'opera'], ['opera']),
])
def test_wrong_options_are_refused_with_the_way_out(tmp_path, capsys, arguments, words):
    path = tmp_path / 'in.wav'
    soundfile.write(path, np.zeros(1000), 16000)
    try:
        status = animate(path, *arguments)[0]
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    one_line(capsys, *words)
    assert not (tmp_path / 'in.npz').exists()


@pytest.mark.parametrize('damage', ['graph', 'manifest', 'foreign', 'missing'])
def test_a_bundle_that_is_not_whole_is_refused_before_anything_starts(tmp_path, capsys, damage):
    bundle = shutil.copytree(SHIPPED / 'live', tmp_path / 'mine')
    if damage == 'graph':
        graph = next(bundle.glob('*.onnx'))
        graph.write_bytes(graph.read_bytes()[:-100])
    elif damage == 'manifest':
        (bundle / 'manifest.json').write_text('{"format": 1}')
    elif damage == 'foreign':
        (bundle / 'manifest.json').write_text('PK\x03\x04')
    else:
        shutil.rmtree(bundle)
    path = tmp_path / 'in.wav'
    soundfile.write(path, np.zeros(1000), 16000)
    assert animate(path, '--bundle', str(bundle))[0] == 1
    one_line(capsys, 'mine')
    assert not (tmp_path / 'in.npz').exists()


def test_an_output_that_cannot_be_written_is_refused(tmp_path, capsys):
    path = tmp_path / 'in.wav'
    soundfile.write(path, np.zeros(1000), 16000)
    assert main(['animate', str(path), '-o', str(tmp_path / 'no' / 'a.npz')]) == 2
    one_line(capsys, 'folder')
    assert main(['animate', str(path), '-o', str(tmp_path / 'a.gif')]) == 2
    one_line(capsys, '.csv')
