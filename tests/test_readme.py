# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""The README is true: its Python runs, its tree is the tree, its options exist."""

from pathlib import Path
import re
import shlex

import pytest

from avatar_bridge.cli import parser

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / 'README.md').read_text(encoding='utf-8')
BLOCKS = re.findall(r'```(\w*)\n(.*?)```', TEXT, re.DOTALL)


@pytest.mark.parametrize('code', [code for language, code in BLOCKS if language == 'python'])
def test_the_python_of_the_readme_runs(code):
    exec(compile(code, 'README.md', 'exec'), {})


@pytest.mark.parametrize('line', re.findall(r'^avatar-bridge (?:run|animate|replay).*$', TEXT,
                                            re.MULTILINE))
def test_the_commands_of_the_readme_are_understood(line):
    parser().parse_args(shlex.split(line, comments=True)[1:])


def test_the_tree_of_the_readme_is_the_tree():
    tree = next(code for _, code in BLOCKS if code.startswith('avatar_bridge/'))
    folder, listed = Path(), set()
    for line in tree.splitlines():
        name = line.split()[0]
        if not line.startswith(' '):
            folder = Path(name)
        elif name.endswith('.py'):
            listed.add(str(folder / name))
    real = {str(path.relative_to(ROOT)) for top in ('avatar_bridge', 'model')
            for path in (ROOT / top).rglob('*.py') if path.name != '__init__.py'}
    assert listed == real


@pytest.mark.parametrize('link', re.findall(r'\]\(([^)]+)\)', TEXT))
def test_the_links_of_the_readme_lead_somewhere(link):
    assert (ROOT / link).exists()
