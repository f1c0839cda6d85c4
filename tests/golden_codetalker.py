# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""
Make `tests/golden/codetalker`, a tiny bundle, and the frames that it must produce.

    PYTHONPATH=. python tests/golden_codetalker.py

A codebook and a query are trained for seconds on the corpus of `tiny_corpus.py`. What they learn
is of no use; that the same frames come out of the same samples is. A change there is a change of
what bundles mean: make it anew only with a new format version.
"""

from importlib.resources import files
import json
from pathlib import Path
import tempfile

import numpy as np

from avatar_bridge import Engine, load_bundle
from avatar_bridge.bundle import read_sound

GOLDEN = Path(__file__).parent / 'golden' / 'codetalker'
ABOUT = {'name': 'tiny-codetalker', 'version': '0', 'styles': ['neutral'], 'languages': ['none'],
         'data': [], 'licence': 'Apache-2.0'}


def golden_samples():
    """Return the first two seconds of the bundled speech, 16 kHz."""
    return read_sound(str(files('avatar_bridge') / 'assets' / 'speech.flac'), 16000)[:32000]


def golden_frames(folder, config=None):
    """Return the (120, 52) weights that the bundle in `folder` makes of the samples."""
    engine = Engine(load_bundle(folder), config)
    frames = engine.push(golden_samples()) + engine.flush()
    return np.stack([frame.weights for frame in frames])


def keep_graphs(folder):
    """Take the programs of the backend torch out of a bundle, which halves its size."""
    path = folder / 'manifest.json'
    manifest = json.loads(path.read_text())
    manifest['files'] = {name: digest for name, digest in manifest['files'].items()
                         if name.endswith('.onnx')}
    path.write_text(json.dumps(manifest, indent=1) + '\n')
    for program in folder.glob('*.pt2'):
        program.unlink()


def make():
    """Train, export, run, write."""
    from tiny_corpus import BATCH, write_corpus

    from model.code_query import QueryConfig
    from model.codebook import CodebookConfig
    from model.export_codes import export
    from model.train_codebook import CodebookTrainConfig
    from model.train_codebook import train as train_codebook
    from model.train_query import QueryTrainConfig, train

    with tempfile.TemporaryDirectory() as temporary:
        corpus, codebook, run = (Path(temporary) / name for name in ('corpus', 'codebook', 'run'))
        corpus.mkdir()
        write_corpus(corpus)
        book = CodebookConfig(width=24, blocks=1, components=4, code_width=6, codebook_size=32)
        query = QueryConfig(width=24, heads=4, layers=1, feed_forward=32, encoder_blocks=1)
        train_codebook(CodebookTrainConfig(str(corpus), str(codebook), steps=200, warm_up=10,
                                           learning_rate=4e-3, network=book, batch=BATCH),
                       device='cpu')
        train(QueryTrainConfig(str(corpus), str(codebook), str(run), steps=200, warm_up=10,
                               own_from=60, learning_rate=4e-3, network=query, batch=BATCH),
              device='cpu')
        export(run, GOLDEN, ABOUT)
    keep_graphs(GOLDEN)
    np.save(GOLDEN / 'frames.npy', golden_frames(GOLDEN))


if __name__ == '__main__':
    make()
