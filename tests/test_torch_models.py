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
from avatar_bridge.bench import hops  # noqa: E402
from avatar_bridge.bench import speech as bundled_speech  # noqa: E402
from avatar_bridge.bundle import SHIPPED  # noqa: E402
from avatar_bridge.config import EngineConfig  # noqa: E402
from avatar_bridge.diffusion.face_model import DiffusionFaceModel  # noqa: E402
from avatar_bridge.errors import BundleError, MissingPackageError, UsageError  # noqa: E402
from avatar_bridge.frames import AudioWindow  # noqa: E402
from avatar_bridge.programs import read_program  # noqa: E402
from avatar_bridge.stream.denoiser import StreamDenoiser  # noqa: E402
from avatar_bridge.stream.engine import Engine  # noqa: E402
from avatar_bridge.timeline import StreamSpec  # noqa: E402
from avatar_bridge.torch_models import Eager, Recorded, TorchBackend, likeness  # noqa: E402

pytestmark = pytest.mark.model
LIVE = SHIPPED / 'live'
SPEC = StreamSpec(window=15)


@pytest.fixture(scope='module')
def voice():
    return bundled_speech()[8000:22000]


def frames(voice, block=800, bundle='live', **options):
    engine = Engine(load_bundle(bundle), EngineConfig(idle='off', **options))
    found = [frame for start in range(0, len(voice), block)
             for frame in engine.push(voice[start:start + block])] + engine.flush()
    return np.stack([frame.weights for frame in found])


@pytest.mark.parametrize('options', [
    {'steps': 1}, {'steps': 2, 'guidance': 1.5}, {'steps': 4},
    {'bundle': 'diffspeaker', 'steps': 3}, {'bundle': 'codetalker'}, {'bundle': 'diffusiontalker'},
], ids=str)
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
    altered(LIVE / 'align.pt2', tmp_path / 'align.pt2', member, change)
    with pytest.raises(BundleError, match=match):
        TorchBackend(tmp_path, 'cpu')('align')


def test_a_program_cut_short_is_refused(tmp_path):
    short = tmp_path / 'align.pt2'
    short.write_bytes((LIVE / 'align.pt2').read_bytes()[:-100])
    with pytest.raises(BundleError, match=r'align\.pt2'):
        read_program(short)


@pytest.fixture
def align():
    return TorchBackend(LIVE, 'cpu')('align')


ROWS = dict(zip(('times', 'blocks', 'horizons', 'token_times'),
                np.random.default_rng(0).random((4, 1, 9), np.float32), strict=True))


def test_a_graph_gives_what_numpy_can_go_on_with(align):
    motion, audio = align(ROWS).values()
    numbers = np.asarray(align(ROWS)['motion'])
    assert numbers.dtype == np.float32
    assert motion.shape == (1, 4, 9, 9)
    assert audio.argmax() == np.asarray(audio).argmax()
    assert np.array_equal(np.exp(motion), np.exp(numbers))
    assert np.array_equal(motion[numbers > 0], numbers[numbers > 0])
    assert np.allclose(np.stack([motion, motion])[1] / 2, numbers * 0.5)
    with pytest.raises(AttributeError):
        _ = motion.clone


def test_only_asking_for_numbers_computes_and_nothing_twice():
    jobs = []

    class Counting(Eager):
        def __call__(self, job):
            jobs.append(job)
            return super().__call__(job)

    graph = TorchBackend(LIVE, 'cpu', worker=Counting)('align')
    motion, audio = graph(ROWS).values()
    changed = audio.copy()
    changed[..., 1:] = -7.0
    total = np.concatenate([motion, audio], axis=3)[0] - 2.0 * np.ones(19, np.float32) + motion[
        ..., :1][0]
    del motion
    assert not jobs
    found = np.asarray(total)
    assert found.shape == (4, 9, 19)
    assert (np.asarray(changed)[..., 1:] == -7.0).all()
    assert not (np.asarray(audio) == -7.0).any()
    assert len(jobs) == 1
    assert len(jobs[0].wanted) == 3             # nobody can ask for `motion` any more


def test_what_is_noted_does_not_change_with_its_arrays(align):
    rows = {name: row.copy() for name, row in ROWS.items()}
    expected = np.asarray(align(ROWS)['motion'])
    later = align(rows)['motion']
    rows['times'] += 1.0
    rows['blocks'][:] = 0.0
    assert np.array_equal(later, expected)


def test_a_hop_is_one_job_whose_likeness_comes_again(voice):
    likenesses = []

    class Watching(Eager):
        def __call__(self, job):
            likenesses.append(likeness(job))
            return super().__call__(job)

    denoiser = StreamDenoiser(TorchBackend(LIVE, 'cpu', worker=Watching), SPEC,
                              style=next(iter(load_bundle().manifest['styles'].values())))
    model = DiffusionFaceModel(denoiser, SPEC, steps=2, guidance_scale=1.5)
    state, known = model.initial_state(), np.zeros((SPEC.context, 52), np.float32)
    for hop in range(8):
        window = AudioWindow(800 * hop, voice[800 * hop:800 * (hop + 1)], 3 * hop, SPEC.window)
        _, state = model.predict(window, known, state)
    assert len(likenesses) == 8
    assert len(set(likenesses)) == 3            # the first, and hops of two and of three tokens


def test_bench_measures_hops_and_says_what_it_cannot_measure(voice):
    figures = list(hops(voice))
    assert [figure.name for figure in figures] == [
        'hop, onnx, one core', 'hop, torch on the CPU', 'hop, torch on CUDA, eager',
        'hop, torch on CUDA, captured graph']
    assert all(figure.value > 0 for figure in figures[:2])
    if not torch.cuda.is_available():
        assert figures[3].line().endswith('unmeasured: no CUDA')
        assert figures[3].is_met is None


@pytest.mark.gpu
@pytest.mark.parametrize('options', [{'steps': 1}, {'steps': 2, 'guidance': 1.5}], ids=str)
def test_a_card_makes_the_same_frames(voice, options):
    expected = frames(voice, **options)
    found = frames(voice, backend='torch', device='cuda', **options)
    assert np.abs(found - expected).max() < 1e-4
    again = frames(voice, 7001, backend='torch', device='cuda', **options)
    assert np.abs(found - again).max() < 1e-5


@pytest.mark.gpu
def test_a_recording_is_what_it_records():
    step_by_step = TorchBackend(LIVE, 'cuda', worker=Eager)('align')
    recorded = TorchBackend(LIVE, 'cuda', worker=Recorded)('align')
    for shift in (0.0, 0.5, 1.0):               # the first records, the others replay
        rows = {**ROWS, 'times': ROWS['times'] + np.float32(shift)}
        for one, other in zip(step_by_step(rows).values(), recorded(rows).values(), strict=True):
            assert np.allclose(one, other, atol=1e-6)
