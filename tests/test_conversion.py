# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""A corpus is converted to the same bytes by whoever does it, however often it was stopped."""

import json
import os
import secrets

import numpy as np
import pytest
import soundfile

from model import convert as program
from model.convert import convert, main, on_processes, on_ray, sources_in
from model.converters import ConvertConfig, Converter, write_npz

#: Ray and transformers take half a minute to start: AVATAR_BRIDGE_CONVERT=1 pytest FILE.
on_request = pytest.mark.skipif('AVATAR_BRIDGE_CONVERT' not in os.environ,
                                reason='half a minute; set AVATAR_BRIDGE_CONVERT to run it')

GRID = '''File type = "ooTextFile"
Object class = "TextGrid"

0
{end}
<exists>
1
"IntervalTier"
"phones"
0
{end}
3
0
0.3
""
0.3
0.6
"AA1"
0.6
{end}
""
'''


@pytest.fixture
def folder(tmp_path):
    """Write five short files of noise, two of them in a folder, with TextGrids."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(['a.wav', 'b.flac', 'c.wav', 'anna/a.wav', 'anna/d.wav']):
        path = tmp_path / 'in' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * rng.standard_normal(16000 + 800 * number), 16000)
        path.with_suffix('.TextGrid').write_text(GRID.format(end=1.0 + 0.05 * number))
    return tmp_path / 'in'


def files_of(out):
    """Return every file by name; journals are empty when a run is over."""
    return {path.relative_to(out).as_posix(): path.read_bytes()
            for path in sorted(out.rglob('*')) if path.is_file()}


def one_process(config, sources):
    return on_processes(config, sources, 1)


def test_features_and_labels_are_made_of_every_file(folder, tmp_path):
    assert main([str(folder), '--out', str(tmp_path / 'out'), '--labels', 'teacher']) == 0
    manifest = json.loads((tmp_path / 'out' / 'manifest.json').read_text())
    assert [row['id'] for row in manifest['files']] == ['a', 'anna/a', 'anna/d', 'b', 'c']
    assert manifest['files'][3]['shapes'] == {'features': [105, 80], 'weights': [105, 52]}
    assert manifest['made']['labels'] == 'teacher'
    with np.load(tmp_path / 'out' / 'anna' / 'd.npz', allow_pickle=False) as file:
        assert (file['features'].shape, file['weights'].shape) == ((120, 80), (120, 52))
        assert (file['features_rate'], file['fps']) == (100, 100)
        assert file['weights'][45].max() > 0.1
        assert abs(float(file['features'].mean())) < 1.5


def test_a_bundle_gives_the_frames_that_it_streams(folder, tmp_path):
    config = ConvertConfig(str(tmp_path / 'out'), 'none', 'live', 25)
    sources = sources_in(folder)[:2]
    convert(config, sources, one_process)
    with np.load(tmp_path / 'out' / 'a.npz') as file:
        assert file['weights'].shape == (25, 52)
        first = file['weights']
    # What a file becomes does not depend on the files before it.
    row = Converter(ConvertConfig(str(tmp_path / 'alone'), 'none', 'live', 25))(sources[1])
    assert row == convert(config, sources, one_process)[sources[1].id]
    assert np.isfinite(first).all()


@on_request
@pytest.mark.model
def test_an_encoder_of_transformers_gives_its_tokens(folder, tmp_path):
    transformers = pytest.importorskip('transformers')
    tiny = transformers.HubertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        conv_dim=(8,) * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2)
    transformers.HubertModel(tiny).save_pretrained(tmp_path / 'hubert')
    convert(ConvertConfig(str(tmp_path / 'out'), str(tmp_path / 'hubert')),
            sources_in(folder)[:1], one_process)
    with np.load(tmp_path / 'out' / 'a.npz') as file:
        assert (file['features'].shape, file['features_rate']) == ((50, 16), 50)
        assert file['features'].std() > 0.1


def test_a_stopped_run_goes_on_to_the_same_bytes(folder, tmp_path):
    sources = sources_in(folder)
    whole = ConvertConfig(str(tmp_path / 'whole'))
    convert(whole, sources, one_process)

    def stopped(config, missing):
        yield from on_processes(config, missing[:2], 1)
        Converter(config)(missing[2])               # written, but nobody heard of it
        raise KeyboardInterrupt

    cut = ConvertConfig(str(tmp_path / 'cut'))
    with pytest.raises(KeyboardInterrupt):
        convert(cut, sources, stopped)
    with (tmp_path / 'cut' / 'rows.jsonl').open('a') as file:
        file.write('{"id": "b", "sec')              # killed in the middle of a line
    asked = []

    def counted(config, missing):
        asked.extend(missing)
        return one_process(config, missing)

    convert(cut, sources, counted)
    assert len(asked) == 3
    assert files_of(tmp_path / 'cut') == files_of(tmp_path / 'whole')
    convert(cut, sources, counted)
    assert len(asked) == 3                          # nothing is made twice


def test_several_processes_make_the_bytes_of_one(folder, tmp_path):
    sources = sources_in(folder)
    convert(ConvertConfig(str(tmp_path / 'one')), sources, one_process)
    convert(ConvertConfig(str(tmp_path / 'two')), sources,
            lambda config, missing: on_processes(config, missing, 2))
    assert files_of(tmp_path / 'two') == files_of(tmp_path / 'one')


def test_parts_are_the_whole(folder, tmp_path):
    for index in range(3):
        assert main([str(folder), '--out', str(tmp_path / 'out'), '--part', f'{index}/3']) == 0
    rows = [row['id'] for path in (tmp_path / 'out').glob('manifest_*.json')
            for row in json.loads(path.read_text())['files']]
    assert sorted(rows) == ['a', 'anna/a', 'anna/d', 'b', 'c']
    assert len(list((tmp_path / 'out').rglob('*.npz'))) == 5


def test_what_cannot_be_read_is_said_and_tried_again(folder, tmp_path, capsys):
    good = (folder / 'c.wav').read_bytes()
    (folder / 'c.wav').write_bytes(b'no sound')
    arguments = [str(folder), '--out', str(tmp_path / 'out')]
    assert main(arguments) == 1
    assert 'convert: c: DatasetError' in capsys.readouterr().err
    assert len(list((tmp_path / 'out').rglob('*.npz'))) == 4
    (folder / 'c.wav').write_bytes(good)
    assert main(arguments) == 0
    assert not list((tmp_path / 'out').rglob('*.half'))


def test_a_folder_is_made_with_one_configuration_by_one_run(folder, tmp_path, capsys):
    arguments = [str(folder), '--out', str(tmp_path / 'out')]
    assert main(arguments) == 0
    assert main([*arguments, '--labels', 'teacher']) == 1
    assert 'was made with' in capsys.readouterr().err
    ledger = program.Ledger(tmp_path / 'out', ConvertConfig(str(tmp_path / 'out')).facts())
    assert main(arguments) == 1
    assert 'another run' in capsys.readouterr().err
    ledger.close()


@pytest.mark.parametrize(('arguments', 'reason'), [
    (['--features', 'none'], 'nothing to do'), (['--workers', '0'], 'workers'),
    (['--labels', 'nobody'], 'no bundle'), (['--fps', '5'], 'fps'),
])
def test_wrong_use_is_refused_in_a_line(folder, tmp_path, capsys, arguments, reason):
    assert main([str(folder), '--out', str(tmp_path / 'out'), *arguments]) == 1
    assert reason in capsys.readouterr().err


def test_two_files_that_would_be_one_are_refused(folder):
    soundfile.write(folder / 'a.flac', np.zeros(160), 16000)
    with pytest.raises(ValueError, match=r'both become a\.npz'):
        sources_in(folder)


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    with pytest.raises(ValueError, match='Object'):
        write_npz(tmp_path / 'x.npz', {'a': np.zeros(3), 'b': np.array([{}], object)})
    assert not list(tmp_path.iterdir())


@on_request
@pytest.mark.filterwarnings('ignore::DeprecationWarning', 'ignore::ResourceWarning')  # Ray's own
def test_ray_makes_the_bytes_of_one_process(folder, tmp_path, monkeypatch):
    monkeypatch.setenv('RAY_AUTH_MODE', 'token')            # else it leaves one in the home folder
    monkeypatch.setenv('RAY_AUTH_TOKEN', secrets.token_hex(32))
    sources = sources_in(folder)
    convert(ConvertConfig(str(tmp_path / 'one')), sources, one_process)
    convert(ConvertConfig(str(tmp_path / 'ray')), sources,
            lambda config, missing: on_ray(config, missing, 2, ''))
    assert files_of(tmp_path / 'ray') == files_of(tmp_path / 'one')
