# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

import json
import shutil
import sys
from zipfile import ZipFile

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from avatar_bridge import load_bundle  # noqa: E402
from avatar_bridge.bench import speech as bundled_speech  # noqa: E402
from avatar_bridge.bundle import SHIPPED  # noqa: E402
from avatar_bridge.config import EngineConfig  # noqa: E402
from avatar_bridge.errors import BundleError, MissingPackageError, UsageError  # noqa: E402
from avatar_bridge.programs import read_program  # noqa: E402
from avatar_bridge.stream.engine import Engine  # noqa: E402
from avatar_bridge.torch_models import Packed, TorchGraph  # noqa: E402

pytestmark = pytest.mark.model
LIVE = SHIPPED / 'live'
CPU = torch.device('cpu')


@pytest.fixture(scope='module')
def voice():
    return bundled_speech()[8000:22000]


def frames(voice, block=800, **options):
    engine = Engine(load_bundle(), EngineConfig(idle='off', **options))
    found = [frame for start in range(0, len(voice), block)
             for frame in engine.push(voice[start:start + block])] + engine.flush()
    return np.stack([frame.weights for frame in found])


@pytest.mark.parametrize('options', [{'steps': 1}, {'steps': 2, 'guidance': 1.5}, {'steps': 4}],
                         ids=str)
def test_both_backends_make_the_same_frames(voice, options):
    expected = frames(voice, **options)
    assert expected.max() > 0.2
    found = frames(voice, backend='torch', device='cpu', **options)
    assert np.abs(found - expected).max() < 1e-4


def test_frames_do_not_depend_on_the_block_size(voice):
    options = {'backend': 'torch', 'device': 'cpu', 'steps': 2, 'profile': 'fast'}
    assert np.array_equal(frames(voice, 592, **options), frames(voice, 7001, **options))


@pytest.mark.parametrize(('options', 'match'), [
    ({'backend': 'onnx', 'device': 'cuda'}, 'backend torch'),
    ({'backend': 'torch', 'device': 'cuda:77'}, 'device cuda:77')])
def test_a_device_that_is_not_to_be_had_is_refused(options, match):
    with pytest.raises(UsageError, match=match):
        Engine(load_bundle(), EngineConfig(**options))


def test_a_missing_torch_is_said_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, 'torch', None)
    monkeypatch.delitem(sys.modules, 'avatar_bridge.torch_models')
    with pytest.raises(MissingPackageError, match=r'^the backend torch needs torch.*pip install'):
        Engine(load_bundle(), EngineConfig(backend='torch'))


def test_a_bundle_without_programs_is_told_so(tmp_path):
    folder = shutil.copytree(LIVE, tmp_path / 'old')
    manifest = json.loads((folder / 'manifest.json').read_text())
    for name in [name for name in manifest['files'] if name.endswith('.pt2')]:
        del manifest['files'][name]
    (folder / 'manifest.json').write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match='no programs'):
        Engine(load_bundle(folder), EngineConfig(backend='torch'))


@pytest.mark.parametrize('path', sorted(LIVE.glob('*.pt2')), ids=lambda path: path.stem)
def test_nothing_is_pickled_and_no_path_is_left_in_a_program(path):
    with ZipFile(path) as archive:
        files = {name.partition('/')[2]: archive.read(name) for name in archive.namelist()}
    assert files['data/sample_inputs/model.pt'] == b''
    assert not any(b'"use_pickle": true' in content for content in files.values())
    assert b'.py' not in files['models/model.json']


def altered(path, out, member, change):
    """Write a copy of an archive in which one JSON file is changed."""
    with ZipFile(path) as before, ZipFile(out, 'w') as after:
        for name in before.namelist():
            content = before.read(name)
            if name.endswith(member):
                value = json.loads(content)
                change(value)
                content = json.dumps(value).encode()
            after.writestr(name, content)
    return out


def call(target):
    def change(model):
        model['graph_module']['graph']['nodes'][0]['target'] = target
    return change


def pickled(config):
    next(iter(config['config'].values()))['use_pickle'] = True


def strange(model):
    model['graph_module']['graph']['nodes'][0]['inputs'][0]['arg'] = {'as_graph': {}}


def newer(model):
    model['schema_version']['major'] += 1


@pytest.mark.parametrize(('member', 'change', 'match'), [
    ('models/model.json', call('torch.ops.aten.from_file.default'), 'from_file'),
    ('models/model.json', call('torch.hub.load'), r'hub\.load'),
    ('models/model.json', call('torch.ops.aten.__class__.mro'), 'may call'),
    ('models/model.json', strange, 'as_graph'),
    ('models/model.json', newer, 'schema'),
    ('model_weights_config.json', pickled, 'pickled'),
])
def test_what_a_foreign_program_wants_beyond_arithmetic_is_refused(tmp_path, member, change,
                                                                   match):
    path = altered(LIVE / 'align.pt2', tmp_path / 'align.pt2', member, change)
    with pytest.raises(BundleError, match=match):
        TorchGraph(path, CPU)


def test_a_program_cut_short_is_refused(tmp_path):
    short = tmp_path / 'align.pt2'
    short.write_bytes((LIVE / 'align.pt2').read_bytes()[:-100])
    with pytest.raises(BundleError, match=r'align\.pt2'):
        read_program(short)


def test_what_is_packed_comes_out_again():
    tensors = {'a': torch.rand(2, 3), 'none': torch.rand(0, 52), 'b': torch.rand(4)}
    packed = Packed.of(tensors)
    assert packed.row.shape == (10,)
    for name, tensor in packed.tensors().items():
        assert torch.equal(tensor, tensors[name])
