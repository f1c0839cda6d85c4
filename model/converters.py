# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What is made of one file of sound: features, and curves that a model or the teacher gives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
import hashlib
import os
from pathlib import Path
import tempfile
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from avatar_bridge.audio import mel
from avatar_bridge.bundle import file_hash, find_bundle, load_bundle
from avatar_bridge.config import EngineConfig
from avatar_bridge.errors import AvatarBridgeError
from avatar_bridge.stream.engine import Engine
from model.datasets.recording import DatasetError, Recording
from model.datasets.sound import read_sound

TOKENS_A_SECOND: Final = 50
PIECE: Final = 30               # seconds that an encoder takes at once
FITTED: Final = Path(__file__).parent / 'configs' / 'teacher.json'

Array = NDArray[np.floating]
Row = dict[str, Any]
Maker = Callable[[Path, NDArray[np.int16]], dict[str, Array]]


class Source(NamedTuple):
    """A file of sound; `id` is its path in the corpus without the suffix."""

    id: str
    path: str


@dataclass(frozen=True)
class ConvertConfig:
    """What to make of every file."""

    out: str
    features: str = 'mel'       # `mel`, an encoder's folder or hub id, or `none`
    labels: str = 'none'        # `teacher`, a bundle's name or folder, or `none`
    fps: int = 60               # of a bundle's labels; the teacher gives 100
    seed: int = 0

    def __post_init__(self) -> None:
        """Check that there is something to do."""
        if self.features == self.labels == 'none':
            raise ValueError('nothing to do: neither features nor labels were asked for')
        if not 24 <= self.fps <= 60:
            raise ValueError(f'fps must lie in [24, 60], got {self.fps}')

    def facts(self) -> dict[str, Any]:
        """Return everything that the bytes of a converted file follow from."""
        facts = {name: value for name, value in asdict(self).items() if name != 'out'}
        if self.labels == 'teacher':
            facts['teacher'] = file_hash(FITTED)
        elif self.labels != 'none':
            facts['bundle'] = file_hash(find_bundle(self.labels) / 'manifest.json')
        return {'format': 1, **facts}


class Converter:
    """Converts one file after the other; made once in each process that works."""

    def __init__(self, config: ConvertConfig) -> None:
        """Load what the configuration names."""
        self._out = Path(config.out)
        self._makers: list[Maker] = []
        if config.features == 'mel':
            self._makers.append(mel_features)
        elif config.features != 'none':
            self._makers.append(encoder_features(config.features))
        if config.labels == 'teacher':
            self._makers.append(teacher_labels)
        elif config.labels != 'none':
            self._makers.append(bundle_labels(config))

    def __call__(self, source: Source) -> Row:
        """Write a file's arrays; return its row of the manifest, with `error` if it failed."""
        try:
            samples = read_sound(Path(source.path))
            arrays = {name: array for make in self._makers
                      for name, array in make(Path(source.path), samples).items()}
        except (AvatarBridgeError, DatasetError, ValueError) as error:
            return {'id': source.id, 'error': f'{type(error).__name__}: {error}'}
        path = self._out / f'{source.id}.npz'
        write_npz(path, arrays)
        return {'id': source.id, 'seconds': round(len(samples) / mel.SAMPLE_RATE, 3),
                'sha256': hashlib.sha256(path.read_bytes()).hexdigest(),
                'shapes': {name: list(array.shape) for name, array in arrays.items()
                           if array.ndim}}


def write_npz(path: Path, arrays: dict[str, Array]) -> None:
    """Write arrays so that there is the whole file or none; the same arrays, the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two machines of a cluster may write one file: each its own half.
    handle, half = tempfile.mkstemp(suffix='.half', dir=path.parent)
    try:
        with os.fdopen(handle, 'wb') as file:
            np.savez(file, allow_pickle=False, **arrays)
        os.replace(half, path)
    except BaseException:
        os.unlink(half)
        raise


def mel_features(_: Path, samples: NDArray[np.int16]) -> dict[str, Array]:
    """Return the (n, 80) log-mel that our own encoder hears, 100 a second."""
    heard = samples.astype(np.float32) / 32768
    features, _tail = mel.log_mel(heard, np.zeros(mel.HISTORY, np.float32))
    return {'features': features.astype(np.float16),
            'features_rate': np.float64(mel.SAMPLE_RATE / mel.STRIDE)}


def encoder_features(source: str) -> Maker:
    """Return what gives the (n, width) tokens of an encoder of transformers, 50 a second."""
    # Held back until here: features of our own need neither.
    import torch

    from model.speech_encoders import SpeechEncoder, pad

    torch.set_num_threads(1)                    # a process a core
    encoder = SpeechEncoder(source, 1).eval()
    encoder.into = torch.nn.Identity()          # what was pre-trained, not what is to be learnt

    def make(_: Path, samples: NDArray[np.int16]) -> dict[str, Array]:
        heard = torch.from_numpy(samples.astype(np.float32) / 32768)
        with torch.inference_mode():
            tokens = [encoder(pad(piece[None]), [])[0][0].numpy()
                      for piece in heard.split(PIECE * mel.SAMPLE_RATE)]
        return {'features': np.concatenate(tokens).astype(np.float16),
                'features_rate': np.float64(TOKENS_A_SECOND)}

    return make


def bundle_labels(config: ConvertConfig) -> Maker:
    """Return what gives the (n, 52) weights that a bundle streams."""
    engine = Engine(load_bundle(config.labels),
                    EngineConfig(fps=Fraction(config.fps), seed=config.seed, idle='off'))

    def make(_: Path, samples: NDArray[np.int16]) -> dict[str, Array]:
        engine.reset()
        frames = engine.push(samples.astype(np.float32) / 32768) + engine.flush()
        return {'weights': np.stack([frame.weights for frame in frames]).astype(np.float16),
                'fps': np.float64(config.fps)}

    return make


def teacher_labels(path: Path, samples: NDArray[np.int16]) -> dict[str, Array]:
    """Return the (n, 52) weights of the teacher for the phones of the TextGrid beside a file."""
    # Held back until here: without them a worker starts in a fifth of the time.
    from model.data import RATE, recorded_clips
    from model.datasets.text_grid import read_phones

    spoken = Recording(path.stem, 'train', '', '', samples,
                       phones=read_phones(path.with_suffix('.TextGrid')))
    return {'weights': np.concatenate([clip.faces[0] for _, clip in recorded_clips(spoken)]),
            'fps': np.float64(RATE)}
