# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Voices and their ways of speaking: `python -m model.personalisation library RUN | judge BUNDLE`.

`library` enrols the voices that a run was trained with; their vectors are the styles of its
bundle. `judge` measures what enrolment is worth for voices that no training heard: seconds of one
clip are enrolled, other clips of the voice are animated, and the error against the voice's own
manner is compared with that of the average style.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from fractions import Fraction
import json
from pathlib import Path
import tempfile
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
import soundfile
import torch
from tqdm import tqdm

from avatar_bridge.audio import mel
from avatar_bridge.bundle import Bundle, load_bundle
from avatar_bridge.config import EngineConfig
from avatar_bridge.rig import INDEX
from avatar_bridge.stream.engine import Engine
from avatar_bridge.stream.voice import VoiceEstimate
from model import metrics
from model.data import Entry
from model.metrics import rms
from model.networks import KINDS, make
from model.performers import spoken
from model.teacher import RATE as CURVE_RATE
from model.voice_styles import VoicedCorpus, load_voiced

Array = NDArray[np.float32]
RATE: Final = mel.SAMPLE_RATE
FPS: Final = 60
LONGEST: Final = 30.0           # seconds of a voice that its entry in the library is made of
#: Weights that manners move (`model.voice_styles.in_manner`); the others are alike in all voices.
STYLED: Final = [INDEX[name] for name in INDEX if name.startswith(
    ('jawOpen', 'mouthClose', 'mouthFunnel', 'mouthPucker', 'mouthSmile', 'mouthFrown', 'brow'))]


class Error(NamedTuple):
    """How wrong the STYLED weights are, root mean squares."""

    frames: float               # of every frame: manner and articulation
    manner: float               # of the mean of a clip: how much of each weight somebody uses


class Judgement(NamedTuple):
    """What enrolment is worth for one voice."""

    voice: str
    enrolled: Error             # in the manner of the enrolled seconds
    running: Error              # while the voice is learnt from what is being animated
    average: Error              # in the style `average`
    found: bool                 # of all voices' enrolled seconds, those of this one are nearest


def write_library(run: Path, voices: Mapping[str, Sequence[Array]]) -> None:
    """
    Write `library.json` into the folder of a run: the mean of all vectors, then each voice's.

    :param voices: name -> clips of (n,) samples at 16 kHz
    """
    saved = torch.load(run / 'checkpoint.pt', map_location='cpu', weights_only=True)
    network = make(saved['kind'], KINDS[saved['kind']].config(**saved['config']))
    network.load_state_dict(saved['average'])
    network.eval().requires_grad_(False)
    rows = {name: personal(network, np.concatenate(list(clips)))
            for name, clips in voices.items()}
    rows = {'average': np.mean(list(rows.values()), axis=0), **rows}
    (run / 'library.json').write_text(json.dumps(
        {name: [round(float(value), 6) for value in row] for name, row in rows.items()}))


def personal(network: torch.nn.Module, samples: Array) -> Array:
    """Return the personal vector of who speaks in (n,) samples."""
    features, _ = mel.log_mel(samples, np.zeros(mel.HISTORY, np.float32))
    heard = torch.from_numpy(features[None, :len(features) // 2 * 2])
    return network.enrol(heard, network.strange())[0].personal[0].numpy()


def samples_of(corpus: VoicedCorpus, entry: Entry) -> Array:
    """Return the (n,) samples of a clip in [-1, 1]."""
    return corpus.clip(entry).samples.astype(np.float32) / 32768


def library_voices(corpus: VoicedCorpus) -> dict[str, list[Array]]:
    """Return up to LONGEST seconds of each training voice that is no blend."""
    voices = {}
    for voice, entries in sorted(corpus.voices.items()):
        if '+' not in voice:
            ends = np.cumsum([entry.samples for entry in entries]) / RATE
            enough = int(np.searchsorted(ends, LONGEST)) + 1
            voices[voice] = [samples_of(corpus, entry) for entry in entries[:enough]]
    return voices


def judge(bundle: Bundle, corpus: VoicedCorpus, *, seconds: float = 5.0, clips: int = 2,
          steps: int = 0) -> list[Judgement]:
    """
    Return what enrolling `seconds` of each held-out voice that is no blend is worth.

    :param clips: of each voice that are animated; another one is enrolled
    :param steps: of the sampler; 0 is the bundle's usual
    """
    voice = VoiceEstimate(bundle.backend(EngineConfig())('enrol'))
    first, again, rows = [], [], []
    for name, entries in tqdm(held_out(corpus, seconds).items(), unit='voice', leave=False):
        heard = [samples_of(corpus, entry)[:int(seconds * RATE)] for entry in entries[:2]]
        first.append(voice.enrol(heard[0]))
        again.append(voice.enrol(heard[1]))
        with tempfile.TemporaryDirectory() as folder:
            recording = Path(folder) / 'voice.wav'
            soundfile.write(recording, heard[0], RATE, subtype='FLOAT')
            rows.append((name, *(error(bundle, style, steps, corpus, entries[1:1 + clips])
                                 for style in (str(recording), '', 'average'))))
    return [Judgement(*row, bool(found)) for row, found in
            zip(rows, nearest(np.stack(first), np.stack(again)), strict=True)]


def held_out(corpus: VoicedCorpus, seconds: float) -> dict[str, list[Entry]]:
    """Return the clips, longest first, of held-out voices that are no blends and long enough."""
    voices = {name: sorted(entries, key=lambda entry: -entry.samples)
              for name, entries in corpus.held_out().items() if '+' not in name}
    return {name: entries for name, entries in voices.items()
            if entries[0].samples >= seconds * RATE}


def error(bundle: Bundle, style: str, steps: int, corpus: VoicedCorpus, entries: Sequence[Entry],
          ) -> Error:
    """Return how wrong clips of one voice are, animated in a style."""
    engine = Engine(bundle, EngineConfig(style=style, steps=steps, fps=Fraction(FPS)))
    wrong = []
    for entry in entries:
        clip = corpus.clip(entry)
        made = spoken(engine, clip.samples.astype(np.float32) / 32768)
        truth = metrics.at_times(np.asarray(clip.curves, np.float32),
                                 np.arange(len(made)) / FPS, fps=CURVE_RATE)
        wrong.append((made - truth)[:, STYLED])
    means = np.stack([clip.mean(axis=0) for clip in wrong])
    return Error(rms(np.concatenate(wrong)), rms(means))


def nearest(first: Array, again: Array) -> NDArray[np.bool_]:
    """Return for each row of `again` whether, of all rows of `first`, its own is the nearest."""
    middle = first.mean(axis=0)
    cosines = unit(again - middle) @ unit(first - middle).T
    return cosines.argmax(axis=1) == np.arange(len(first))


def unit(rows: Array) -> Array:
    """Return the rows, of length 1 each."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def plain(row: Judgement) -> dict[str, Any]:
    """Return a judgement as JSON has it."""
    return {name: value._asdict() if isinstance(value, Error) else value
            for name, value in row._asdict().items()}


def table(found: Sequence[Judgement]) -> str:
    """Return the judgements as a Markdown table, and what they amount to."""
    names = [f'{style}, {kind}' for kind in Error._fields
             for style in ('enrolled', 'running', 'average')]
    lines = [f'| voice | {" | ".join(names)} | own vector nearest |', '|---' * 8 + '|']
    errors = np.array([[row.enrolled, row.running, row.average] for row in found])
    for row, each in zip(found, errors, strict=True):
        lines.append(_line(row.voice, each, 'yes' if row.found else 'no'))
    share = np.mean([row.found for row in found])
    lines.append(_line(f'mean of {len(found)}', errors.mean(axis=0), f'{share:.0%}'))
    better = (errors[:, 0] < errors[:, 2]).sum(axis=0)
    lines.append(f'\nOf {len(found)} voices that no training heard, enrolment is better than the '
                 f'average style for {better[0]} by all frames, for {better[1]} by the manner.')
    return '\n'.join(lines)


def _line(name: str, errors: NDArray[np.floating], last: str) -> str:
    """Return a row of the table; `errors` are (styles, kinds)."""
    return f'| {name} | {" | ".join(f"{value:.4f}" for value in errors.T.flat)} | {last} |'


def main() -> None:
    """Read the command line."""
    command = argparse.ArgumentParser('python -m model.personalisation', description=__doc__)
    verbs = command.add_subparsers(dest='verb', required=True)
    library = verbs.add_parser('library', help='enrol the voices that a run was trained with')
    library.add_argument('run', type=Path, help='folder of the training run')
    judging = verbs.add_parser('judge', help='measure what enrolment is worth')
    judging.add_argument('bundle', help='bundle folder')
    judging.add_argument('--seconds', type=float, default=5.0, help='of a voice that are enrolled')
    judging.add_argument('--clips', type=int, default=2, help='of each voice that are animated')
    judging.add_argument('--steps', type=int, default=0, help='of the sampler; 0: the usual')
    judging.add_argument('--json', type=Path, help='write the figures there')
    for verb in (library, judging):
        verb.add_argument('--corpus', type=Path, default=Path('runs/corpus3'))
        verb.add_argument('--voices', type=Path, default=Path('runs/voices3.json'))
    arguments = command.parse_args()
    corpus = load_voiced(arguments.corpus, arguments.voices)
    if arguments.verb == 'library':
        write_library(arguments.run, library_voices(corpus))
        return
    found = judge(load_bundle(arguments.bundle), corpus, seconds=arguments.seconds,
                  clips=arguments.clips, steps=arguments.steps)
    print(table(found))
    if arguments.json:
        arguments.json.write_text(json.dumps([plain(row) for row in found], indent=1))


if __name__ == '__main__':
    main()
