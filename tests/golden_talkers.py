# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""
Make `tests/golden/diffspeaker` and `tests/golden/diffusiontalker`: tiny bundles and their frames.

    PYTHONPATH=. python tests/golden_talkers.py

The networks are random, so their faces are of no use; that the same frames come out of the same
samples is. A change there is a change of what bundles mean: make them anew only with a new format
version.
"""

from pathlib import Path
import tempfile

from golden_codetalker import golden_frames, keep_graphs
import numpy as np

GOLDEN = Path(__file__).parent / 'golden'
ABOUT = {'version': '0', 'styles': ['neutral'], 'languages': ['none'], 'data': [],
         'licence': 'Apache-2.0'}
SIZES = {'width': 32, 'heads': 4, 'layers': 1, 'feed_forward': 48, 'encoder_blocks': 1}
VOICE = {'voice_width': 16, 'voice_blocks': 1, 'pieces': 2, 'piece': 8, 'personal': 12}
KINDS = {'diffspeaker': SIZES, 'diffusiontalker': {**SIZES, **VOICE}}


def voice(seed, seconds=2.0):
    """Return (n,) samples of noise whose colour is the seed's."""
    rng = np.random.default_rng(seed)
    colour = np.fft.irfft(np.exp(rng.standard_normal(9)), 32)
    noise = rng.standard_normal(int(16000 * seconds))
    return (0.05 * np.convolve(noise, colour, 'same')).astype(np.float32)


def write_run(folder, kind):
    """Write the checkpoint of a network in which nothing hides behind zeros."""
    import torch

    from model import networks

    torch.manual_seed(0)
    network = networks.make(kind, networks.KINDS[kind].config(**KINDS[kind]))
    for parameter in network.requires_grad_(False).parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    folder.mkdir()
    torch.save({'kind': kind, 'config': KINDS[kind], 'step': 0, 'average': network.state_dict(),
                'mean': torch.full((52,), 0.2), 'deviation': torch.full((52,), 0.1)},
               folder / 'checkpoint.pt')


def make(kind):
    """Export, run, write."""
    from model.export import export
    from model.personalisation import write_library

    with tempfile.TemporaryDirectory() as temporary:
        run = Path(temporary) / 'run'
        write_run(run, kind)
        if kind == 'diffusiontalker':
            write_library(run, {'ann': [voice(0)], 'bob': [voice(1), voice(2)]})
        export(run, GOLDEN / kind, {**ABOUT, 'name': f'tiny-{kind}'})
    keep_graphs(GOLDEN / kind)
    np.save(GOLDEN / kind / 'frames.npy', golden_frames(GOLDEN / kind))


if __name__ == '__main__':
    for each in KINDS:
        make(each)
