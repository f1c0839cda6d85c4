# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
The same words at the same times from somebody else: another pitch, another vocal tract.

Speech is taken apart and put together by WORLD (Morise, Yokomori and Ozawa 2016). Whose lips were
tracked while he spoke then taught lips to every voice that is made of his.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.augment import at_level
from model.metrics import rms

Array = NDArray[np.float64]
SAMPLE_RATE: Final = 16000
PITCHES: Final = (0.75, 2.2)        # of a man's voice: from a low one's to a child's
#: Higher voices have shorter vocal tracts: formants rise as the pitch to this power, about.
FORMANTS_WITH_PITCH: Final = 0.25
SPREAD: Final = 0.05                # of formants around that, as a natural logarithm


class Voice(NamedTuple):
    """How a voice differs, as ratios: of pitch, and of the frequencies of formants."""

    pitch: float
    formants: float


class Speech(NamedTuple):
    """What WORLD finds in speech, every 5 ms."""

    pitch: Array                    # (n,) Hz, 0 where there is none
    envelope: Array                 # (n, bins) power
    noise: Array                    # (n, bins) share of it that has no pitch
    samples: int                    # how many there were
    level: float                    # rms


def draw_voice(rng: np.random.Generator) -> Voice:
    """Draw a voice between a low one and a child's, evenly in octaves."""
    octaves = rng.uniform(*np.log(PITCHES))
    return Voice(float(np.exp(octaves)),
                 float(np.exp(FORMANTS_WITH_PITCH * octaves + rng.normal(0, SPREAD))))


def analyse(samples: NDArray[np.floating]) -> Speech:
    """Take (n,) samples at 16 kHz apart."""
    # Held back until here: only a build with GRID needs it.
    import pyworld

    heard = np.ascontiguousarray(samples, np.float64)
    rough, times = pyworld.dio(heard, SAMPLE_RATE)
    pitch = pyworld.stonemask(heard, rough, times, SAMPLE_RATE)
    return Speech(pitch, pyworld.cheaptrick(heard, pitch, times, SAMPLE_RATE),
                  pyworld.d4c(heard, pitch, times, SAMPLE_RATE), len(heard), rms(heard))


def spoken(speech: Speech, voice: Voice) -> NDArray[np.float32]:
    """Return (n,) samples of the speech in another voice, as long and as loud."""
    import pyworld

    envelope = np.exp(_stretched(np.log(speech.envelope), voice.formants))
    made = pyworld.synthesize(speech.pitch * voice.pitch, envelope,
                              _stretched(speech.noise, voice.formants), SAMPLE_RATE)
    return at_level(made[:speech.samples], speech.level).astype(np.float32)


def _stretched(spectra: Array, ratio: float) -> Array:
    """Return (n, bins) spectra whose shapes lie at `ratio` times their frequencies."""
    bins = np.arange(spectra.shape[1])
    return np.stack([np.interp(bins / ratio, bins, spectrum) for spectrum in spectra])
