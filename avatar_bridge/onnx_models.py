# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Networks through ONNX Runtime on the CPU: the default backend. State in, state out."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
import math
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import onnxruntime

from avatar_bridge.audio import mel
from avatar_bridge.errors import BundleError
from avatar_bridge.frames import AudioWindow, Samples, State, Weights
from avatar_bridge.timeline import StreamSpec

TOKEN: Final = 2 * mel.STRIDE   # samples between tokens
MEMORY: Final = 0.25            # seconds of tokens kept before a window's first frame
LEAD: Final = 0.01              # seconds that poses are ahead; the shaper takes it back
UNSEEN: Final = -1e4            # attention bias of what must not be seen or heard


class Heard(NamedTuple):
    """The condition: what every denoising step of one window is given."""

    heard: Weights              # (1, layers, tokens, 2 width) keys and values
    motion: Weights             # (1, heads, frames, frames) bias: which frames see which
    audio: Weights              # (1, heads, frames, 1 + tokens) bias: which tokens they hear


class OnnxDenoiser:
    """
    The exported network `live`.

    `listen.onnx` and `align.onnx` run once per hop, `denoise.onnx` once per step.
    """

    def __init__(self, folder: Path, spec: StreamSpec, *, style: int = 0) -> None:
        """Load the graphs from `folder`; raises `BundleError` where they cannot be run."""
        self._spec = spec
        self._style = np.array([style], np.int64)
        self._listen = open_graph(folder / 'listen.onnx')
        self._caches = [node for node in self._listen.get_inputs() if node.name != 'features']
        self._keep = math.ceil((spec.window / spec.fps + Fraction(MEMORY)) * mel.SAMPLE_RATE
                               / TOKEN) + 1
        sizes = {'frames': spec.window, 'tokens': self._keep, 'heard': self._keep + 1}
        self._align = open_graph(folder / 'align.onnx', sizes)
        self._denoise = open_graph(folder / 'denoise.onnx', sizes)

    def initial_state(self) -> State:
        """Return the state after a second of silence: an empty room, not an unknown one."""
        silence = float(mel.log_compress(np.zeros(1, np.float32))[0])
        state: State = {
            'caches': {node.name: np.full(node.shape, silence if node.name == 'cache_0' else 0.0,
                                          np.float32) for node in self._caches},
            'tail': np.zeros(mel.HISTORY, np.float32),
            'features': np.zeros((0, mel.BANDS), np.float32),
            'heard': None,
            'tokens': -self._keep,          # index of the next token; token 0 ends at TOKEN
        }
        return self._hear(np.zeros(self._keep * TOKEN, np.float32), state)

    def listen(self, audio: AudioWindow, state: State) -> tuple[Heard, State]:
        """Return the condition for this window and the state with its samples heard."""
        state = self._hear(audio.samples, state)
        return self._condition(audio, state), state

    def deaf(self, condition: Heard) -> Heard:
        """Return the condition with every token beyond hearing."""
        unheard = condition.audio.copy()
        unheard[..., 1:] = UNSEEN
        return condition._replace(audio=unheard)

    def denoise(self, noisy: Weights, timesteps: Weights, condition: Heard) -> Weights:
        """Estimate the clean (frames, 52) coefficients."""
        inputs = {'noisy': noisy[None], 'timesteps': timesteps[None], 'style': self._style,
                  **condition._asdict()}
        clean: Weights = self._denoise.run(['clean'], inputs)[0][0]
        return clean

    def _hear(self, samples: Samples, state: State) -> State:
        features, tail = mel.log_mel(samples, state['tail'])
        features = np.concatenate([state['features'], features])
        tokens = len(features) // 2
        if not tokens:
            return {**state, 'tail': tail, 'features': features}
        heard, *caches = self._listen.run(None, {
            'features': features[None, :2 * tokens], **state['caches']})
        if state['heard'] is not None:
            heard = np.concatenate([state['heard'], heard], axis=2)
        names = (node.name for node in self._caches)
        return {'caches': dict(zip(names, caches, strict=True)), 'tail': tail,
                'features': features[2 * tokens:], 'heard': heard[:, :, -self._keep:],
                'tokens': state['tokens'] + tokens}

    def _condition(self, audio: AudioWindow, state: State) -> Heard:
        spec, heard = self._spec, state['heard']
        frames = np.arange(audio.frames)
        blocks = (audio.first_frame + frames) // spec.hop
        # The last frames of the window lie beyond the hop that becomes final: one block with it.
        newest = (audio.first_frame + audio.frames - spec.lookahead - 1) // spec.hop
        blocks = np.minimum(blocks, newest) - newest
        ends = (newest + blocks + 1) * spec.hop + spec.lookahead - audio.first_frame
        # Exact in integers, so that the thousandth second is heard like the first.
        oldest = Fraction((state['tokens'] - heard.shape[2] + 1) * TOKEN, mel.SAMPLE_RATE)
        oldest -= audio.first_frame / spec.fps
        token_times = float(oldest) + np.arange(heard.shape[2]) * (TOKEN / mel.SAMPLE_RATE)
        fps = float(spec.fps)
        rows = {'times': frames / fps + LEAD, 'blocks': blocks, 'horizons': ends / fps,
                'token_times': token_times}
        return Heard(heard, *self._align.run(['motion', 'audio'], {
            name: row.astype(np.float32)[None] for name, row in rows.items()}))


def open_graph(path: Path, sizes: Mapping[str, int] | None = None) -> Any:
    """
    Return an ONNX Runtime session on one thread; small graphs are slower on two.

    `sizes` fixes dynamic axes by name, which lets the runtime fold their arithmetic away (a sixth
    of a denoising step).
    """
    options = onnxruntime.SessionOptions()
    for axis, size in (sizes or {}).items():
        options.add_free_dimension_override_by_name(axis, size)
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            str(path), options, providers=['CPUExecutionProvider'])
    except Exception as error:          # onnxruntime raises types of its own without a base
        raise BundleError(f'{path} cannot be run: {error}') from error
