# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Each of the 52 shapes alone, in one picture: `python -m model.shapes_sheet OUT.png`.

The last cells show what shapes do together: lips that a jaw leaves shut, a smile, a vowel.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from avatar_bridge import rig
from avatar_bridge.pictures import Sheet
from avatar_bridge.portrait import HEAD, Portrait

TOGETHER = {
    'at rest': {},
    'jawOpen + mouthClose': {'jawOpen': 0.6, 'mouthClose': 0.6},
    'm': {'jawOpen': 0.15, 'mouthClose': 0.15, 'mouthPressLeft': 0.4, 'mouthPressRight': 0.4,
          'mouthRollLower': 0.3, 'mouthRollUpper': 0.3},
    'aa': {'jawOpen': 0.55, 'mouthLowerDownLeft': 0.3, 'mouthLowerDownRight': 0.3,
           'mouthUpperUpLeft': 0.15, 'mouthUpperUpRight': 0.15},
    'iy': {'jawOpen': 0.12, 'mouthStretchLeft': 0.4, 'mouthStretchRight': 0.4,
           'mouthSmileLeft': 0.3, 'mouthSmileRight': 0.3, 'mouthUpperUpLeft': 0.2,
           'mouthUpperUpRight': 0.2, 'mouthLowerDownLeft': 0.3, 'mouthLowerDownRight': 0.3},
    'uw': {'jawOpen': 0.15, 'mouthPucker': 0.7, 'mouthFunnel': 0.3},
    'a real smile': {name + side: weight for side in ('Left', 'Right') for name, weight in (
        ('mouthSmile', 0.7), ('cheekSquint', 0.5), ('eyeSquint', 0.4), ('mouthDimple', 0.2))},
    'eyes shut': {'eyeBlinkLeft': 1.0, 'eyeBlinkRight': 1.0},
}
COLUMNS = 10
CELL = 240                      # pixels
LABEL = 24


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('output', type=Path, metavar='OUT.png')
    parser.add_argument('head', type=Path, nargs='?', default=HEAD, metavar='HEAD.glb')
    parser.add_argument('--yaw', type=float, default=0.0, help='of the head, degrees (0)')
    parser.add_argument('--cell', type=int, default=CELL, help=f'pixels ({CELL})')
    arguments = parser.parse_args()
    cell = arguments.cell
    poses = {name: {name: 1.0} for name in rig.NAMES} | TOGETHER
    portrait = Portrait((cell, cell), arguments.head)
    turn = np.radians([arguments.yaw, 0, 0])
    sheet = Sheet((COLUMNS * cell, -(-len(poses) // COLUMNS) * (cell + LABEL)))
    for number, (name, shapes) in enumerate(poses.items()):
        row, column = divmod(number, COLUMNS)
        weights = np.zeros(len(rig.NAMES), np.float32)
        for shape, weight in shapes.items():
            weights[rig.INDEX[shape]] = weight
        place = (column * cell, row * (cell + LABEL))
        sheet.put(portrait.render(weights, turn), place)
        sheet.write(name, (place[0] + 6, place[1] + cell + 3))
    arguments.output.write_bytes(sheet.png())


if __name__ == '__main__':
    main()
