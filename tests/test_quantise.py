# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

onnx = pytest.importorskip('onnx')
pytest.importorskip('torch')

from avatar_bridge import load_bundle  # noqa: E402
from avatar_bridge.bench import speech  # noqa: E402
from avatar_bridge.config import EngineConfig  # noqa: E402
from avatar_bridge.errors import UsageError  # noqa: E402
from avatar_bridge.inspection import describe  # noqa: E402
from avatar_bridge.onnx_models import OnnxGraph  # noqa: E402
from avatar_bridge.stream.engine import Engine  # noqa: E402
from model.quantise import large_products, quantise, widen  # noqa: E402

pytestmark = pytest.mark.model


@pytest.fixture(scope='module')
def variant(tmp_path_factory):
    folder = tmp_path_factory.mktemp('int8')
    quantise(load_bundle(), folder)
    return load_bundle(folder)


def graphs(bundle):
    return {name: bundle.path / name for name in bundle.manifest['files']
            if name.endswith('.onnx')}


def test_the_variant_says_what_it_is_and_is_half_as_large(variant):
    assert variant.name == 'live-int8'
    assert 'int8 parameters' in describe(variant)
    sizes = [sum(path.stat().st_size for path in graphs(bundle).values())
             for bundle in (variant, load_bundle())]
    assert sizes[0] < 0.6 * sizes[1]


def test_large_products_are_rounded_and_nothing_else(variant, tmp_path):
    for name, path in graphs(load_bundle()).items():
        widen(path, tmp_path / name)
        chosen = large_products(tmp_path / name)
        kinds = [node.op_type for node in onnx.load(graphs(variant)[name]).graph.node]
        assert kinds.count('MatMulInteger') == len(chosen)
        assert 'ConvInteger' not in kinds
    assert graphs(variant)['align.onnx'].read_bytes() == graphs(
        load_bundle())['align.onnx'].read_bytes()


def test_widening_changes_no_number(tmp_path):
    path = graphs(load_bundle())['listen.onnx']
    widen(path, tmp_path / 'wide.onnx')
    before, after = OnnxGraph(path), OnnxGraph(tmp_path / 'wide.onnx')
    rng = np.random.default_rng(0)
    inputs = {name: rng.standard_normal([8 if not isinstance(size, int) else size
                                         for size in shape], np.float32)
              for name, shape in before.inputs.items()}
    for one, other in zip(before(inputs).values(), after(inputs).values(), strict=True):
        assert np.array_equal(one, other)


def test_the_face_stays_nearly_the_same(variant):
    voice = speech()[8000:28000]
    float32, int8 = (np.stack([frame.weights for frame in Engine(
        bundle, EngineConfig(steps=1, idle='off')).push(voice)])
        for bundle in (load_bundle(), variant))
    assert 0 < np.abs(int8 - float32).max() < 0.05
    assert np.abs(int8 - float32).mean() < 0.001


def test_it_is_for_the_cpu(variant):
    with pytest.raises(UsageError, match='no programs'):
        Engine(variant, EngineConfig(backend='torch'))
