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
from typing import Final, NamedTuple

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


class Judgement(NamedTuple):
    """What enrolment is worth for one voice; errors are root mean squares of weights."""

    voice: str
    enrolled: float             # error in the manner of the enrolled seconds
    running: float              # error while the voice is learnt from what is being animated
    average: float              # error in the style `average`
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
          ) -> float:
    """Return the root mean square error of the STYLED weights, animated in a style."""
    engine = Engine(bundle, EngineConfig(style=style, steps=steps, fps=Fraction(FPS)))
    wrong = []
    for entry in entries:
        clip = corpus.clip(entry)
        made = spoken(engine, clip.samples.astype(np.float32) / 32768)
        truth = metrics.at_times(np.asarray(clip.curves, np.float32),
                                 np.arange(len(made)) / FPS, fps=CURVE_RATE)
        wrong.append((made - truth)[:, STYLED] ** 2)
    return float(np.sqrt(np.concatenate(wrong).mean()))


def nearest(first: Array, again: Array) -> NDArray[np.bool_]:
    """Return for each row of `again` whether, of all rows of `first`, its own is the nearest."""
    middle = first.mean(axis=0)
    cosines = unit(again - middle) @ unit(first - middle).T
    return cosines.argmax(axis=1) == np.arange(len(first))


def unit(rows: Array) -> Array:
    """Return the rows, of length 1 each."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def table(found: Sequence[Judgement]) -> str:
    """Return the judgements as a Markdown table, and what they amount to."""
    lines = ['| voice | enrolled | running | average | own vector nearest |',
             '|---|---|---|---|---|']
    lines += [f'| {row.voice} | {row.enrolled:.4f} | {row.running:.4f} | {row.average:.4f} | '
              f'{"yes" if row.found else "no"} |' for row in found]
    better = sum(row.enrolled < row.average for row in found)
    means = [float(np.mean([row[column] for row in found])) for column in (1, 2, 3)]
    lines.append(f'| mean of {len(found)} | {means[0]:.4f} | {means[1]:.4f} | {means[2]:.4f} | '
                 f'{np.mean([row.found for row in found]):.0%} |')
    lines.append(f'\nEnrolment is better than the average style for {better} of {len(found)} '
                 'voices that no training heard.')
    return '\n'.join(lines)


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
        arguments.json.write_text(json.dumps([row._asdict() for row in found], indent=1))


if __name__ == '__main__':
    main()
