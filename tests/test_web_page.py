# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The page that is served is the one that its sources make."""

from hashlib import sha256
from pathlib import Path
import re

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / 'avatar_bridge' / 'web'
BUILT = ROOT / 'avatar_bridge' / 'assets' / 'web'


def test_the_built_page_belongs_to_its_sources():
    told = sha256()
    names = [f'src/{path.name}' for path in sorted((SOURCES / 'src').iterdir())]
    for name in [*names, 'package.json']:
        told.update(name.encode())
        told.update((SOURCES / name).read_bytes())
    assert (BUILT / 'sources.sha256').read_text().strip() == told.hexdigest(), \
        'run: cd avatar_bridge/web && npm install && npm run build'


@pytest.mark.parametrize('name', ['index.html', 'style.css', 'icon.svg'])
def test_plain_files_are_copied(name):
    assert (BUILT / name).read_bytes() == (SOURCES / 'src' / name).read_bytes()


def test_the_page_names_nobody_else():
    for name in ('index.html', 'style.css'):
        assert not re.search(r'(https?:)?//\w', (BUILT / name).read_text().replace('w3.org', ''))


def test_what_is_bundled_is_named_with_its_licence():
    notices = (BUILT / 'LICENSES.txt').read_text()
    for package in ('three', '@pixiv/three-vrm', '@msgpack/msgpack'):
        assert re.search(rf'^{package} \d+\.\d+\.\d+ \((MIT|ISC)\)$', notices, re.MULTILINE)
    assert 'Permission is hereby granted' in notices
    assert 'Permission to use' in notices
