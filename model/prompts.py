# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Recorded speech with its phones, to judge by: `python -m model.prompts OUT`.

Debian's recorded telephone prompts (16 kHz, a professional voice) are aligned with their
transcripts by pocketsphinx. A prompt is kept where a phone recogniser that knows nothing of
pocketsphinx hears the same phones at the same time (`Doubt`). p and b end with their burst.

For tests only: CC BY-SA 3.0 does not go together with the weights that we ship, so nothing here is
ever trained on, and nothing of it is committed. Wants apt, dpkg-deb and the extra `judge`.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
import gzip
from itertools import pairwise
import json
from pathlib import Path
import subprocess
import sys
import tempfile
from typing import Any, Final, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray
import soundfile
from tqdm import tqdm

from model import metrics
from model.english_aligner import AlignmentError, EnglishAligner
from model.phone_spikes import PhoneListener, Spike
from model.phones import PARTING, SILENCE, SONORANTS, Phone, burst, sharpness

Array = NDArray[np.float32]

PACKAGES: Final = ('asterisk-core-sounds-en', 'asterisk-core-sounds-en-g722')
VOICE: Final = 'usr/share/asterisk/sounds/en_US_f_Allison'
TEXTS: Final = 'usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz'
SAMPLE_RATE: Final = 16000
LETTERS: Final = 25             # a shorter text has hardly a closure
LONGEST: Final = 20.0           # seconds
#: The recogniser's spikes lie this far behind the middle of a phone: median of 6,751 phones.
SPIKE_LATE: Final = 0.04
APART: Final = 0.06             # seconds that the two may differ, or half of a longer phone
SURE: Final = 0.3               # likelihood of a phone of the lips at its spike
AGREEING: Final = 0.9           # share of a prompt's phones
LIPS: Final = metrics.BILABIALS | metrics.LABIODENTALS


class Doubt(NamedTuple):
    """How far the recogniser disagrees with an alignment."""

    agreeing: float             # share of the phones that it hears where they are said to be
    lips: int                   # phones of the lips that it does not hear there, or hardly

    @property
    def is_small(self) -> bool:
        """Whether the alignment may be trusted."""
        return self.agreeing >= AGREEING and self.lips == 0


def doubt(phones: Sequence[Phone], spikes: Sequence[Spike]) -> Doubt:
    """Hold phones (no pauses) against the spike of each."""
    if len(phones) != len(spikes):
        return Doubt(0.0, 0)
    near = [abs(spike.time - SPIKE_LATE - (phone.start + phone.end) / 2)
            <= max(APART, (phone.end - phone.start) / 2)
            for phone, spike in zip(phones, spikes, strict=True)]
    lips = sum(phone.symbol in LIPS and not (close and spike.likelihood >= SURE)
               for phone, spike, close in zip(phones, spikes, near, strict=True))
    return Doubt(float(np.mean(near)), lips)


def at_bursts(phones: Sequence[Phone], samples: Array) -> list[Phone]:
    """Return the phones with p and b ending where lips part: shortly before their burst."""
    energy = sharpness(samples)
    exact = list(phones)
    for index, (phone, follower) in enumerate(pairwise(phones)):
        if phone.symbol in 'pb' and follower.kind in SONORANTS:
            # The aligner counts the breath behind a p to it: the burst lies 32 ms (p) or 5 ms (b)
            # before the end, the median of 228 and 99.
            end = max(burst(energy, phone.end - 0.05) - PARTING, phone.start + 0.01)
            exact[index] = exact[index]._replace(end=end)
            exact[index + 1] = exact[index + 1]._replace(start=end)
    return exact


def transcripts(path: Path) -> dict[str, str]:
    """Return the text of each prompt."""
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    pairs = (line.partition(': ') for line in lines if not line.startswith(';'))
    return {name: text.strip() for name, colon, text in pairs if colon}


def decode(path: Path) -> Array:
    """Return a G.722 recording as (n,) samples at 16 kHz."""
    with av.open(str(path)) as file:
        pieces = [frame.to_ndarray().reshape(-1) for frame in file.decode(audio=0)]
    return (np.concatenate(pieces) / 32768).astype(np.float32)


def fetch(folder: Path) -> None:
    """Download the packages and unpack them in `folder`; nothing is installed."""
    subprocess.run(['apt-get', 'download', *PACKAGES], cwd=folder, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for package in folder.glob('*.deb'):
        subprocess.run(['dpkg-deb', '-x', package, folder], check=True)


def build(root: Path, out: Path) -> dict[str, Any]:
    """Write the prompts that can be trusted; return what became of them all."""
    out.mkdir(parents=True, exist_ok=True)
    kept: dict[str, list[Phone]] = {}
    fates: Counter[str] = Counter()
    texts = {name: text for name, text in transcripts(root / TEXTS).items()
             if len(text) >= LETTERS and (root / VOICE / f'{name}.g722').is_file()}
    for name, samples, phones, fate in aligned(root / VOICE, texts):
        fates[fate] += 1
        if fate == 'kept':
            name = name.replace('/', '-')
            kept[name] = phones
            soundfile.write(out / f'{name}.flac', samples, SAMPLE_RATE)
    (out / 'phones.json').write_text(json.dumps(
        {name: [[phone.symbol, round(phone.start, 4), round(phone.end, 4)] for phone in phones]
         for name, phones in kept.items()}, ensure_ascii=False))
    spoken = Counter(phone.symbol for phones in kept.values() for phone in phones)
    return {'prompts': dict(fates), 'lips': {symbol: spoken[symbol] for symbol in sorted(LIPS)},
            'licence': 'CC BY-SA 3.0, Allison Smith / Digium: tests only, never training'}


def aligned(folder: Path, texts: Mapping[str, str],
            ) -> Iterator[tuple[str, Array, list[Phone], str]]:
    """Yield name, samples, phones and fate of each prompt."""
    aligner, listener = EnglishAligner(), PhoneListener()
    for name, text in tqdm(sorted(texts.items()), 'aligning', disable=None):
        samples = decode(folder / f'{name}.g722')
        if len(samples) > LONGEST * SAMPLE_RATE:
            yield name, samples, [], 'too long'
            continue
        try:
            phones = aligner.align(text, samples)
        except AlignmentError:
            yield name, samples, [], 'not aligned'
            continue
        said = [phone for phone in phones if phone.kind != SILENCE]
        spikes = listener.hear(samples, [phone.symbol for phone in said])
        fate = 'kept' if doubt(said, spikes).is_small else 'doubtful'
        yield name, samples, at_bursts(phones, samples), fate


def main(argv: Sequence[str] | None = None) -> int:
    """Make the set; 1 and a line on stderr where packages cannot be had."""
    command = argparse.ArgumentParser('python -m model.prompts', description=__doc__)
    command.add_argument('out', type=Path, help='folder, usually runs/prompts')
    command.add_argument('--root', type=Path, metavar='DIR',
                         help='where the packages are unpacked or installed; else they are '
                         'downloaded')
    arguments = command.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory() as folder:
            if arguments.root is None:
                fetch(Path(folder))
            about = build(arguments.root or Path(folder), arguments.out)
    except (OSError, subprocess.CalledProcessError, ImportError) as error:
        print(f'prompts: {error}; expected apt-get, dpkg-deb and pip install "avatar_bridge'
              '[judge]"', file=sys.stderr)
        return 1
    (arguments.out / 'about.json').write_text(json.dumps(about, indent=1))
    print(json.dumps(about, indent=1))
    return 0


if __name__ == '__main__':
    sys.exit(main())
