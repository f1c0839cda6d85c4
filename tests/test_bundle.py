# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

from itertools import islice
import json
import shutil

import numpy as np
import pytest

from avatar_bridge import load_bundle
from avatar_bridge.bundle import SHIPPED, read_sound
from avatar_bridge.config import EngineConfig
from avatar_bridge.errors import BundleError, UsageError
from avatar_bridge.rig import INDEX
from avatar_bridge.stream.engine import Engine

SPEECH = SHIPPED.parent / 'assets' / 'speech.flac'
NAMES = ('codetalker', 'diffspeaker', 'diffusiontalker', 'live')


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(SHIPPED / 'live', tmp_path / 'mine')


def rewrite(folder, **changes):
    path = folder / 'manifest.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize('name', NAMES)
def test_a_shipped_bundle_is_whole_and_licensed(name):
    bundle = load_bundle(name)
    assert {path.name for path in bundle.path.iterdir()} == {
        'README.md', 'manifest.json', *bundle.manifest['files']}
    assert bundle.manifest['licence']
    assert bundle.manifest['data']
    assert all(entry['licence'] for entry in bundle.manifest['data'])


def test_shipped_bundles_are_small():
    sizes = {name: sum(path.stat().st_size for path in (SHIPPED / name).iterdir())
             for name in NAMES}
    assert sizes.pop('live') < 25 * 2**20
    assert 0 < sum(sizes.values()) < 25 * 2**20


@pytest.mark.parametrize('name', NAMES)
def test_a_shipped_bundle_speaks_and_comes_to_rest(name, speech):
    bundle = load_bundle(name)
    assert bundle.manifest['name'] == name
    engine = Engine(bundle, EngineConfig(idle='off'))
    quiet = np.zeros(16000, np.float32)
    blocks = read_sound(str(speech), 16000)[8000:40000], quiet
    frames = [frame for block in blocks for frame in engine.push(block)]
    jaw = np.array([frame.weights[INDEX['jawOpen']] for frame in frames])
    assert jaw.max() > 0.15
    assert jaw.std() > 0.03
    assert jaw[-15:].max() < 0.05


def test_a_bundle_is_a_folder_that_can_be_moved(copy):
    frames = Engine(load_bundle(copy)).push(np.zeros(16000, np.float32))
    assert len(frames) == 57


@pytest.mark.parametrize('change', [
    {'format': 1}, {'network': 'other'}, {'rig': ['jawOpen']}, {'mean': [0.0]},
    {'schedule': 'sine'}, {'guidance': 'free'}, {'rungs': 0}, {'mouth_noise': 1.5},
    {'styles': ['neutral']}, {'styles': {'a': [0.0], 'b': []}}, {'steps': [2, 8]}, {'files': {}},
    {'files': {'../listen.onnx': ''}}, {'fps': None}])
def test_a_foreign_manifest_is_refused(copy, change):
    if change == {'fps': None}:
        manifest = json.loads((copy / 'manifest.json').read_text())
        del manifest['fps']
        (copy / 'manifest.json').write_text(json.dumps(manifest))
    else:
        rewrite(copy, **change)
    with pytest.raises(BundleError, match='manifest'):
        load_bundle(copy)


def test_an_altered_graph_is_refused(copy):
    with (copy / 'denoise.onnx').open('ab') as file:
        file.write(b'!')
    with pytest.raises(BundleError, match='SHA-256'):
        load_bundle(copy)


def test_a_missing_graph_is_refused(copy):
    (copy / 'listen.onnx').unlink()
    with pytest.raises(BundleError, match='missing'):
        load_bundle(copy)


def test_no_json_is_refused(copy):
    (copy / 'manifest.json').write_bytes(b'\x00\xff')
    with pytest.raises(BundleError, match='manifest'):
        load_bundle(copy)


def test_an_unknown_name_is_told_what_there_is():
    with pytest.raises(BundleError, match='live'):
        load_bundle('lvie')


@pytest.mark.parametrize('config', [EngineConfig(style='opera'), EngineConfig(steps=9)])
def test_what_the_bundle_cannot_do_is_refused(config):
    with pytest.raises(UsageError, match='bundle live'):
        Engine(load_bundle('live'), config)


@pytest.fixture
def two_styles(copy):
    """Return a bundle with a second way of speaking, made up."""
    first, = islice(load_bundle(copy).manifest['styles'].values(), 1)
    rewrite(copy, styles={'neutral': first, 'bold': [value + 1.0 for value in first]})
    return load_bundle(copy)


@pytest.mark.parametrize(('name', 'amount'), [
    ('', 0), ('neutral', 0), ('bold', 1), ('bold:0', 0), ('bold:0.25', 0.25), ('bold:1.5', 1.5)])
def test_a_style_is_taken_in_part_or_overdone(two_styles, name, amount):
    first, wanted = (two_styles.style(name, None) for name in ('neutral', name))
    assert np.allclose(wanted - first, amount, atol=1e-6)


@pytest.mark.parametrize('name', ['bold:', 'bold:-0.1', 'bold:1.6', 'bold:nan', 'bold:half',
                                  'bald:0.5'])
def test_an_amount_of_a_style_out_of_range_is_refused(two_styles, name):
    with pytest.raises(UsageError, match='style'):
        two_styles.style(name, None)


def test_the_shipped_styles_open_the_mouth_as_their_names_say():
    bundle, speech = load_bundle('live'), read_sound(str(SPEECH), 16000)[:4 * 16000]

    def opening(style):
        frames = Engine(bundle, EngineConfig(style=style)).push(speech)
        return np.percentile([frame.weights[INDEX['jawOpen']] for frame in frames], 90)

    names = ('mumbling', 'mumbling:0.5', 'neutral', 'articulate:0.5', 'articulate', 'shouting')
    openings = [opening(name) for name in names]
    assert (np.diff(openings) > 0.01).all()
