# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Write the tree of README.md anew from the docstrings: `python tests/readme_tree.py`."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAMES = 28                      # characters of the column of names
WORDS = 70                      # characters of what stands beside it
OTHERS = {
    'avatar_bridge/web/': 'the page in JavaScript; npm run build puts it into assets/web',
    'clients/': 'the other ends: Unity, C++, Godot, three.js, Blender',
    'launch/': 'launch files',
    'config/': 'default parameters of the node',
    'ros_ws/src/': 'the messages, and a link to this package for colcon',
    'tests/': 'one file for each module, border tests; ros/ needs rclpy, browser/ Chromium,'
              ' clients/ compilers',
    'docs/': 'architecture, glossary, decisions, results, pages for users',
}


def tree() -> Iterator[str]:
    """Yield the lines of the tree: folders of python files, then the others."""
    for top in ('avatar_bridge', 'model'):
        for folder in sorted(path.parent for path in (ROOT / top).rglob('__init__.py')):
            yield row(f'{folder.relative_to(ROOT)}/', first_words(folder / '__init__.py'))
            for path in sorted(folder.glob('*.py')):
                if path.name != '__init__.py':
                    yield row(f'    {path.name}', first_words(path))
    yield from (row(name, text) for name, text in OTHERS.items())


def row(name: str, text: str) -> str:
    """Return a line."""
    return name.ljust(NAMES) + text


def first_words(path: Path) -> str:
    """Return what the first lines of a docstring say, short enough for a line."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8'))) or ''
    text = text.strip().split('\n\n')[0].replace('\n', ' ').rstrip('.')
    for end in (': `python', '; ', ': '):
        if len(text) > WORDS - 2:
            text = text.split(end)[0]
    if len(text) > WORDS:
        text = text[:WORDS].rsplit(' ', 1)[0].rstrip(',;:')
    return text.replace('`', '')


def main() -> None:
    """Replace the tree."""
    readme = ROOT / 'README.md'
    text = readme.read_text(encoding='utf-8')
    start = text.index('```\navatar_bridge/  ') + len('```\n')
    end = text.index('```', start)
    readme.write_text(text[:start] + '\n'.join(tree()) + '\n' + text[end:], encoding='utf-8')


if __name__ == '__main__':
    main()
