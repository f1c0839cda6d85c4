# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Synthesisers that tell when each phone sounds: Kokoro-82M through ONNX Runtime, and flite.

A synthesiser is a callable, `Line -> Spoken`; `corpus.py` knows no more of it than that.
"""

from __future__ import annotations

from collections.abc import Callable
import json
from pathlib import Path
import re
import shutil
import subprocess
import tempfile
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly
import soundfile

from model.transcription import TranscriptionError, transcribe
from model.voices import Line

SAMPLE_RATE: Final = 16000
Timed = tuple[str, float, float]        # symbol, start and end in seconds


class Spoken(NamedTuple):
    """What a synthesiser made of a line."""

    samples: NDArray[np.float32]        # (n,) at SAMPLE_RATE
    phones: list[Timed]                 # as declared; <s> and </s> are the silent ends


Synthesiser = Callable[[Line], Spoken]


class SynthesiserError(Exception):
    """A synthesiser is missing, or a line is not for it; the message says what to do."""


class Kokoro:
    """Kokoro-82M; its durations are read from inside the graph, 25 ms each."""

    TAP: Final = '/encoder/Clip_output_0'
    SAMPLE_RATE: Final = 24000
    TOKENS: Final = 508                 # of one utterance, at most

    def __init__(self, folder: Path) -> None:
        """Load what `python -m model.corpus fetch` left in `folder`."""
        # Held back until here: tests and flite do without it.
        import onnxruntime

        if not (folder / 'kokoro.onnx').exists():
            raise SynthesiserError(f'no voices in {folder}: python -m model.corpus fetch '
                                   f'--voices {folder}')
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1     # a process a core
        self._session = onnxruntime.InferenceSession(
            folder / 'kokoro.onnx', options, providers=['CPUExecutionProvider'])
        self._vocabulary: dict[str, int] = json.loads((folder / 'vocabulary.json').read_text())
        self._folder = folder

    def __call__(self, line: Line) -> Spoken:
        """Speak a line."""
        symbols = [symbol for symbol in transcribe(line.text, line.lang)
                   if symbol in self._vocabulary]
        if not 0 < len(symbols) <= self.TOKENS:
            raise SynthesiserError(f'{len(symbols)} symbols are no utterance')
        samples, lengths = self._session.run(['audio', self.TAP], {
            'tokens': np.array([[0, *(self._vocabulary[symbol] for symbol in symbols), 0]]),
            'style': self._style(line, len(symbols)),
            'speed': np.array([line.speed], np.float32),
        })
        samples, lengths = np.ravel(samples), np.ravel(lengths)
        ends = np.cumsum(lengths) / lengths.sum() * len(samples) / self.SAMPLE_RATE
        starts = np.concatenate([[0.0], ends[:-1]])
        named = zip(['<s>', *symbols, '</s>'], starts.tolist(), ends.tolist(), strict=True)
        return Spoken(resample_poly(samples, 2, 3).astype(np.float32), list(named))

    def _style(self, line: Line, symbols: int) -> NDArray[np.float32]:
        """Return the (1, 256) style of the line's blend of voices for this many symbols."""
        first, second = self._voice(line.voice), self._voice(line.voice2)
        return (line.mix * first + (1 - line.mix) * second)[symbols - 1][None].astype(np.float32)

    def _voice(self, name: str) -> NDArray[np.float32]:
        return np.fromfile(self._folder / 'voices' / f'{name}.bin', np.float32).reshape(-1, 256)


#: Flite's phones in Kokoro's spelling; several symbols share the time of one.
ARPABET: Final = {
    'aa': 'ɑ', 'ae': 'æ', 'ah': 'ʌ', 'ao': 'ɔ', 'aw': 'W', 'ax': 'ə', 'ay': 'I', 'b': 'b',
    'ch': 'ʧ', 'd': 'd', 'dh': 'ð', 'dx': 'ɾ', 'eh': 'ɛ', 'er': 'ɜɹ', 'ey': 'A', 'f': 'f',
    'g': 'ɡ', 'hh': 'h', 'hv': 'h', 'ih': 'ɪ', 'ix': 'ᵻ', 'iy': 'i', 'jh': 'ʤ', 'k': 'k', 'l': 'l',
    'm': 'm', 'n': 'n', 'ng': 'ŋ', 'ow': 'O', 'oy': 'Y', 'p': 'p', 'pau': ',', 'r': 'ɹ', 's': 's',
    'sh': 'ʃ', 't': 't', 'th': 'θ', 'uh': 'ʊ', 'uw': 'u', 'v': 'v', 'w': 'w', 'y': 'j', 'z': 'z',
    'zh': 'ʒ', 'axr': 'əɹ', 'el': 'əl', 'em': 'm', 'en': 'n', 'nx': 'n',
}
#: Flite prints no stress. A full vowel gets the mark of the secondary one.
FULL: Final = 'ɑæʌɔWIɛɜAiOYu'


def flite(line: Line) -> Spoken:
    """Speak an English line with flite, whose phone ends are exact."""
    program = shutil.which('flite')
    if program is None:
        raise SynthesiserError('flite is not installed: apt install flite')
    with tempfile.NamedTemporaryFile(suffix='.wav') as file:
        printed = subprocess.run(
            [program, '-voice', line.voice, '--setf', f'duration_stretch={1 / line.speed:.3f}',
             '-psdur', '-t', line.text, '-o', file.name],
            check=True, capture_output=True, text=True).stdout
        samples, sample_rate = soundfile.read(file.name, dtype='float32')
    if sample_rate != SAMPLE_RATE:
        raise SynthesiserError(f'flite voice {line.voice} speaks at {sample_rate} Hz')
    return Spoken(samples, from_flite(printed))


def from_flite(printed: str) -> list[Timed]:
    """Return the phones of what `flite -psdur` printed: `pau:0.119 hh:0.212 ...`, ends."""
    phones: list[Timed] = []
    start = 0.0
    for name, edge in re.findall(r'(\w+):([\d.]+)', printed):
        if name not in ARPABET:
            raise SynthesiserError(f'flite phone {name} is unknown')
        symbols, end = ARPABET[name], float(edge)
        if symbols[0] in FULL:
            phones.append(('ˌ', start, start))
        width = (end - start) / len(symbols)
        phones += [(symbol, start + index * width, start + (index + 1) * width)
                   for index, symbol in enumerate(symbols)]
        start = end
    if not phones:
        raise SynthesiserError('flite said nothing')
    return [('<s>', *phones[0][1:]), *phones[1:-1], ('</s>', *phones[-1][1:])]


def load_synthesisers(folder: Path) -> dict[str, Synthesiser]:
    """Return every synthesiser by the name that lines use."""
    return {'kokoro': Kokoro(folder), 'flite': flite}


#: What may go wrong with one line and leave the others alone.
LINE_ERRORS: Final = (SynthesiserError, TranscriptionError, subprocess.CalledProcessError,
                      soundfile.LibsndfileError)
