# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Who speaks: the voices of the synthesisers, which of them no training hears, and drawn lines.

Held out are voices, whole languages and sentences; a clip of `validation` or `test` has a held-out
voice, and its sentence occurs in no other split.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from model import sentences

#: The voices of Kokoro-82M 1.0; the first letter is the language, the second the sex.
KOKORO_VOICES: Final = (
    'af_alloy', 'af_aoede', 'af_bella', 'af_heart', 'af_jessica', 'af_kore', 'af_nicole',
    'af_nova', 'af_river', 'af_sarah', 'af_sky', 'am_adam', 'am_echo', 'am_eric', 'am_fenrir',
    'am_liam', 'am_michael', 'am_onyx', 'am_puck', 'am_santa', 'bf_alice', 'bf_emma',
    'bf_isabella', 'bf_lily', 'bm_daniel', 'bm_fable', 'bm_george', 'bm_lewis', 'ef_dora',
    'em_alex', 'em_santa', 'ff_siwis', 'hf_alpha', 'hf_beta', 'hm_omega', 'hm_psi', 'if_sara',
    'im_nicola', 'jf_alpha', 'jf_gongitsune', 'jf_nezumi', 'jf_tebukuro', 'jm_kumo', 'pf_dora',
    'pm_alex', 'pm_santa', 'zf_xiaobei', 'zf_xiaoni', 'zf_xiaoxiao', 'zf_xiaoyi', 'zm_yunjian',
    'zm_yunxi', 'zm_yunxia', 'zm_yunyang',
)
FLITE_VOICES: Final = ('awb', 'kal16', 'rms', 'slt')
HELD_OUT_VOICES: Final = {
    'validation': ('af_sky', 'bm_lewis', 'hf_alpha', 'hf_beta', 'hm_omega', 'hm_psi'),
    'test': ('af_nova', 'am_liam', 'bf_alice', 'bm_daniel', 'em_santa', 'im_nicola', 'pm_alex',
             'zf_xiaoni', 'zm_yunxi', 'jf_alpha', 'jf_gongitsune', 'jf_nezumi', 'jf_tebukuro',
             'jm_kumo', 'rms'),
}
#: Share of each language among the clips of a split; a language with no training share is unheard.
SHARES: Final = {
    'train': {'en': 3.0, 'es': 1.0, 'fr': 1.0, 'it': 1.0, 'pt': 1.0, 'zh': 1.0, 'de': 0.7},
    'validation': {'en': 1.0, 'es': 0.5, 'fr': 0.5, 'hi': 1.0},
    'test': {'en': 1.0, 'es': 0.5, 'it': 0.5, 'pt': 0.5, 'zh': 0.5, 'ja': 1.0},
}
SPLITS: Final = {'train': 0.86, 'validation': 0.06, 'test': 0.08}
ACCENTS: Final = {'en': 'en-us', 'pt': 'pt-br'}
#: First letters of the voices that grew up with a language; German has none.
NATIVE: Final = {'en': 'ab', 'es': 'e', 'fr': 'f', 'hi': 'h', 'it': 'i', 'ja': 'j', 'pt': 'p',
                 'zh': 'z', 'de': 'abf'}
FOREIGN: Final = 0.35           # of the voices speak a language they did not grow up with
MIXED: Final = 0.45             # of the voices are blends of two
BRITISH: Final = 0.7            # of the lines of voices that grew up in Britain
FLITE_SHARE: Final = 0.25       # of the English lines
SPEEDS: Final = (0.75, 1.35)


class Line(NamedTuple):
    """What is to be said, by whom and how fast."""

    id: str
    split: str
    synthesiser: str
    lang: str
    voice: str
    voice2: str                 # the other voice of a blend
    mix: float                  # share of `voice`; 1.0 is that voice alone
    speed: float
    text: str


def line(seed: int, number: int) -> Line:
    """Return line `number` of a corpus; no line depends on another."""
    rng = np.random.default_rng([seed, number])
    split = _draw(SPLITS, rng)
    language = _draw(SHARES[split], rng)
    words = sentences.text(language, rng)
    while sentences.split_of(words) != split:
        words = sentences.text(language, rng)
    speed = round(float(rng.uniform(*SPEEDS)), 2)
    if language == 'en' and rng.random() < FLITE_SHARE and (voices := allowed(
            FLITE_VOICES, split)):
        voice = str(rng.choice(voices))
        return Line(name(seed, number), split, 'flite', 'en-us', voice, voice, 1.0, speed, words)
    voice, other, mix = _blend(language, split, rng)
    lang = ACCENTS.get(language, language)
    if language == 'en' and voice[0] == 'b' and rng.random() < BRITISH:
        lang = 'en-gb'
    return Line(name(seed, number), split, 'kokoro', lang, voice, other, mix, speed, words)


def name(seed: int, number: int) -> str:
    """Return the id of a line."""
    return f'{seed}_{number:05d}'


def _draw(shares: dict[str, float], rng: np.random.Generator) -> str:
    weights = np.array(list(shares.values()))
    return list(shares)[int(rng.choice(len(shares), p=weights / weights.sum()))]


def _blend(language: str, split: str, rng: np.random.Generator) -> tuple[str, str, float]:
    """Return two voices and the share of the first; both are of the split."""
    every = allowed(KOKORO_VOICES, split)
    native = [voice for voice in every if voice[0] in NATIVE[language]] or every
    voice = str(rng.choice(every if rng.random() < FOREIGN else native))
    if rng.random() >= MIXED:
        return voice, voice, 1.0
    return voice, str(rng.choice(every)), round(float(rng.uniform(0.5, 0.9)), 2)


def allowed(voices: tuple[str, ...], split: str) -> list[str]:
    """Return those voices that a split may use."""
    return [voice for voice in voices if split_of_voices(voice) == split]


def split_of_voices(*voices: str) -> str:
    """Return the split that voices, blended, belong to: one held-out voice holds out the clip."""
    for split, held in HELD_OUT_VOICES.items():
        if set(voices) & set(held):
            return split
    return 'train'


def split_of_row(row: dict[str, Any]) -> str:
    """Return the split of a row; one from before there were splits goes by the voices heard."""
    heard = [row['voice'], *([row['voice2']] if row['mix'] < 1 else [])]
    return str(row.get('split') or split_of_voices(*heard))
