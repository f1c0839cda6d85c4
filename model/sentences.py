# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Sentences to be spoken, grown from the grammars in `model/texts`; one seed, one sentence."""

from __future__ import annotations

from functools import cache
import hashlib
from importlib import import_module
from pathlib import Path
import re
import sys
from typing import Final

import numpy as np

FOLDER: Final = Path(__file__).parent / 'texts'
LANGUAGES: Final = tuple(sorted(path.stem for path in FOLDER.glob('*.toml')))
#: How often a kind of sentence is drawn.
KINDS: Final = {'short': 0.12, 'statement': 0.42, 'question': 0.14, 'exclamation': 0.1,
                'long': 0.22}
JOINED: Final = 0.3             # of the texts that are not long have a second sentence, or more
#: Of a thousand sentences, how many no training may hear.
HELD_OUT: Final = {'validation': 60, 'test': 80}

Grammar = dict[str, dict[str, list[str]]]


@cache
def grammar(language: str) -> Grammar:
    """Return the forms and words of a language."""
    toml = import_module('tomllib' if sys.version_info >= (3, 11) else 'tomli')
    return toml.loads((FOLDER / f'{language}.toml').read_text(encoding='utf-8'))


def text(language: str, rng: np.random.Generator) -> str:
    """Return one to three sentences; most are one."""
    kinds = list(KINDS)
    kind = kinds[int(rng.choice(len(kinds), p=list(KINDS.values())))]
    sentences = [sentence(language, kind, rng)]
    # A lone word is no second of sound: a short answer always has a sentence behind it.
    while kind != 'long' and len(sentences) < 3 and (
            (kind == 'short' and len(sentences) == 1) or rng.random() < JOINED):
        sentences.append(sentence(language, str(rng.choice(['statement', 'question'])), rng))
    return ' '.join(sentences)


def sentence(language: str, kind: str, rng: np.random.Generator) -> str:
    """Return one sentence of a kind; its first letter is a capital one where there are any."""
    rules = grammar(language)
    grown = re.sub(r'\{(\w+)\}', lambda found: _one(rules['words'][found[1]], rng),
                   _one(rules['forms'][kind], rng))
    return grown[0].upper() + grown[1:]


def _one(choices: list[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


def split_of(sentences: str) -> str:
    """Return 'train', 'validation' or 'test': the words decide, in every run and every corpus."""
    bucket = int.from_bytes(hashlib.sha256(sentences.encode()).digest()[:4], 'big') % 1000
    if bucket < HELD_OUT['validation']:
        return 'validation'
    return 'test' if bucket < sum(HELD_OUT.values()) else 'train'
