# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Sound of any file, rate and number of channels as 16 kHz mono."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
import soundfile

from avatar_bridge.audio.intake import Intake
from avatar_bridge.frames import AudioBlock
from model.datasets.recording import DatasetError

SAMPLE_RATE: Final = 16000
SUFFIXES: Final = ('.wav', '.flac', '.opus', '.ogg', '.mp3')


def read_sound(path: Path) -> NDArray[np.int16]:
    """Return a file's sound, (n,) at 16 kHz."""
    try:
        samples, sample_rate = soundfile.read(path, dtype='float32', always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        what = str(error) if path.exists() else 'no such file'
        raise DatasetError(path, expected='sound', found=what) from error
    return at_16_khz(samples, sample_rate)


def at_16_khz(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.int16]:
    """Return (n,) or (n, channels) samples in [-1, 1] as (m,) 16-bit samples at 16 kHz."""
    intake = Intake(SAMPLE_RATE)
    block = AudioBlock(0, samples.reshape(len(samples), -1), sample_rate)
    heard = np.concatenate([intake.push(block), intake.flush()])
    return np.clip(np.round(heard * 32767), -32768, 32767).astype(np.int16)


def sound_of(path: Path) -> Path:
    """Return the sound with the name of `path` beside it, whatever its suffix."""
    for suffix in SUFFIXES:
        if (sound := path.with_suffix(suffix)).is_file():
            return sound
    raise DatasetError(path.with_suffix('.wav'), expected=f'the sound of {path.name}',
                       found='no such file')
