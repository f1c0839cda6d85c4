# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Point the CMake exports of the ROS wheels at this environment.

The wheels name the include folders of the machine that built them; CMake refuses folders that do
not exist. Run by the environment's own python after every installation of ROS wheels; a second
run changes nothing.
"""

from __future__ import annotations

from pathlib import Path
import sys
import sysconfig

import numpy

BUILDER = '/opt/python/cp311-cp311'
PATHS = {               # longest first: the last is the beginning of the others
    f'{BUILDER}/lib/python3.11/site-packages/numpy/_core/include': numpy.get_include(),
    f'{BUILDER}/include/python3.11': sysconfig.get_path('include'),
    BUILDER: sys.prefix,
}


def corrected(text: str) -> str:
    """Return `text` with the builder's folders replaced by this environment's."""
    for there, here in PATHS.items():
        text = text.replace(there, here)
    return text


def main() -> None:
    """Correct every CMake file of the environment."""
    for folder in ('share', 'lib/cmake'):
        for path in Path(sys.prefix, folder).rglob('*.cmake'):
            text = path.read_text()
            if (new := corrected(text)) != text:
                path.write_text(new)


if __name__ == '__main__':
    main()
