# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
Bundles: exported networks with a manifest that says what they are.

A bundle is a folder: `manifest.json` and the files whose SHA-256 it names. Nothing is pickled.
Whatever is unknown, altered or of the wrong shape is refused before anything starts.
"""

from __future__ import annotations

from dataclasses import dataclass
import hashlib
from pathlib import Path
from typing import Any, Final

import numpy as np

from avatar_bridge.audio.intake import Intake
from avatar_bridge.codebook_model import CodebookFaceModel, Memory
from avatar_bridge.config import EngineConfig
from avatar_bridge.diffusion.face_model import DiffusionFaceModel, Sampling
from avatar_bridge.diffusion.rolling import RollingFaceModel, ladder_spec
from avatar_bridge.errors import BundleError, MissingPackageError, UsageError
from avatar_bridge.frames import AudioBlock, Samples, Weights
from avatar_bridge.manifest import CODES, read_manifest
from avatar_bridge.ports import Backend, Denoiser, FaceModel
from avatar_bridge.stream.denoiser import StreamDenoiser
from avatar_bridge.stream.voice import PersonalDenoiser, VoiceEstimate
from avatar_bridge.timeline import StreamSpec

SHIPPED: Final = Path(__file__).parent / 'bundles'
SHOWN: Final = 8                # styles that a message names
MOST_STYLE: Final = 1.5         # how far beyond a style one may go


@dataclass(frozen=True)
class Bundle:
    """An opened bundle whose hashes were right."""

    path: Path
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the bundle."""
        return str(self.manifest['name'])

    @property
    def sample_rate(self) -> int:
        """Samples a second that the network hears."""
        return int(self.manifest['sample_rate'])

    @property
    def mean(self) -> Weights:
        """(52,) mean of each weight."""
        return np.asarray(self.manifest['mean'], np.float32)

    @property
    def deviation(self) -> Weights:
        """(52,) standard deviation of each weight."""
        return np.asarray(self.manifest['deviation'], np.float32)

    @property
    def styles(self) -> list[str]:
        """Names of the styles; the first is the default."""
        return list(self.manifest['styles'])

    def face_model(self, spec: StreamSpec, config: EngineConfig) -> FaceModel:
        """Return the network behind the FaceModel port."""
        lowest, highest = self.manifest['fps']
        if not lowest <= spec.fps <= highest:
            raise UsageError(f'bundle {self.name} makes {lowest} to {highest} frames a second, '
                             f'{float(spec.fps):g} were asked for')
        least, most = self.manifest['steps']
        if config.steps and not least <= config.steps <= most:
            raise UsageError(f'bundle {self.name} takes {least} to {most} steps, {config.steps} '
                             'were asked for')
        if self.manifest['network'] == CODES:
            return self._codebook_model(spec, config)
        sampling = Sampling.from_manifest(self.manifest)
        kind = RollingFaceModel if sampling.rungs > 1 else DiffusionFaceModel
        denoiser = self.denoiser(ladder_spec(spec, sampling.rungs), config)
        return kind(denoiser, spec, steps=config.steps, seed=config.seed,
                    guidance_scale=config.guidance, sampling=sampling)

    def denoiser(self, spec: StreamSpec, config: EngineConfig) -> Denoiser:
        """Return the network; one that enrols listens to who speaks, unless told a style."""
        backend = self.backend(config)
        spoken = StreamDenoiser(backend, spec, style=self.style(config.style, backend))
        if not self.enrols or config.style:
            return spoken
        return PersonalDenoiser(spoken, VoiceEstimate(backend('enrol')))

    def _codebook_model(self, spec: StreamSpec, config: EngineConfig) -> CodebookFaceModel:
        if config.guidance != 1.0:
            raise UsageError(f'bundle {self.name} has no guidance; {config.guidance:g} was asked '
                             'for, 1 is off')
        backend = self.backend(config)
        return CodebookFaceModel(backend, spec, style=self.style(config.style, backend),
                                 memory=Memory.from_manifest(self.manifest))

    def backend(self, config: EngineConfig) -> Backend:
        """Return what opens the graphs; raises where the backend or device is not to be had."""
        if config.backend == 'onnx':
            if config.device.startswith('cuda'):
                raise UsageError(f'device {config.device}: the backend onnx runs on the CPU; '
                                 'choose --backend torch')
            from avatar_bridge.onnx_models import OnnxBackend

            return OnnxBackend(self.path)
        if not any(name.endswith('.pt2') for name in self.manifest['files']):
            raise UsageError(f'bundle {self.name} holds no programs for the backend torch; export '
                             'it again, or choose --backend onnx')
        try:
            from avatar_bridge.torch_models import TorchBackend
        except ModuleNotFoundError as error:
            raise MissingPackageError('the backend torch needs torch, which is not installed; '
                                      "pip install 'avatar_bridge[torch]', or choose --backend "
                                      'onnx') from error
        return TorchBackend(self.path, config.device)

    @property
    def enrols(self) -> bool:
        """Whether the network can learn how somebody speaks from his voice."""
        return any(Path(name).stem == 'enrol' for name in self.manifest['files'])

    def style(self, name: str, backend: Backend) -> Weights:
        """
        Return the (style width,) vector of a style, or of who speaks in an audio file.

        `NAME:X` goes X of the way from the first style to that one: 0.5 half of it, 1.2 beyond.
        """
        if (name or self.styles[0]) in self.styles:
            return np.asarray(self.manifest['styles'][name or self.styles[0]], np.float32)
        base, colon, amount = name.rpartition(':')
        if colon and base in self.styles:
            first, wanted = self.style('', backend), self.style(base, backend)
            return first + style_amount(amount) * (wanted - first)
        known = ', '.join(self.styles[:SHOWN]) + (', ...' if len(self.styles) > SHOWN else '')
        if not Path(name).suffix:
            raise UsageError(f'bundle {self.name} has the styles {known}; {name!r} was asked for')
        if not self.enrols:
            raise UsageError(f'bundle {self.name} does not learn from voices, so it takes no '
                             f'recording as style; it has the styles {known}; {name!r} was asked '
                             'for')
        try:
            return VoiceEstimate(backend('enrol')).enrol(read_sound(name, self.sample_rate))
        except ValueError as error:
            raise UsageError(f'style {name}: {error}') from error


def style_amount(text: str) -> np.float32:
    """Return how much of a style is wanted; raises `UsageError`."""
    try:
        amount = float(text)
    except ValueError:
        amount = float('nan')
    if not 0 <= amount <= MOST_STYLE:
        raise UsageError(f'style: expected NAME:X with X from 0 to {MOST_STYLE:g}, got {text!r}')
    return np.float32(amount)


def load_bundle(name: str | Path = 'live') -> Bundle:
    """
    Open a shipped bundle by name or any by its folder.

    Raises `BundleError` where the folder is no bundle, is altered or does not fit this program.
    """
    path = find_bundle(name)
    manifest = read_manifest(path)
    for file, expected in manifest['files'].items():
        if (found := file_hash(path / file)) != expected:
            raise BundleError(f'{path / file}: its SHA-256 begins with {found[:12]}, the manifest '
                              f'says {expected[:12]}; the bundle was altered or cut short: '
                              'get it again')
    return Bundle(path, manifest)


def read_sound(path: str, sample_rate: int) -> Samples:
    """Return an audio file as (n,) mono samples at `sample_rate`; raises `AudioError`."""
    from avatar_bridge.sources.file import FileSource

    intake = Intake(sample_rate)
    heard = [intake.push(block) for block in FileSource(path).blocks()
             if isinstance(block, AudioBlock)]
    return np.concatenate([*heard, intake.flush()])


def find_bundle(name: str | Path) -> Path:
    """Return the folder of a shipped bundle, or `name` itself where it is a folder."""
    shipped = SHIPPED / str(name)
    if Path(name).name == str(name) and (shipped / 'manifest.json').is_file():
        return shipped
    if (Path(name) / 'manifest.json').is_file():
        return Path(name)
    known = sorted(path.parent.name for path in SHIPPED.glob('*/manifest.json'))
    raise BundleError(f'no bundle {str(name)!r}: expected one of {", ".join(known) or "(none)"} '
                      'or a folder with a manifest.json')


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    if not path.is_file():
        raise BundleError(f'{path} is missing; get the bundle again')
    with path.open('rb') as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
