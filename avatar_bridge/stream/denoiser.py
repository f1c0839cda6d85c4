# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The network inside a diffusion model as a stream hears it. State in, state out."""

from __future__ import annotations

from fractions import Fraction
import math
from typing import Any, Final, NamedTuple

import numpy as np

from avatar_bridge.audio import mel
from avatar_bridge.audio.hearing import TOKEN, Hearing, token_delays
from avatar_bridge.frames import AudioWindow, State, Weights
from avatar_bridge.ports import Backend
from avatar_bridge.timeline import StreamSpec

MEMORY: Final = 0.25            # seconds of tokens kept before a window's first frame
LEAD: Final = 0.01              # seconds that poses are ahead; the shaper takes it back
UNSEEN: Final = -1e4            # attention bias of what must not be seen or heard


class Heard(NamedTuple):
    """The condition: what every denoising step of one window is given."""

    heard: Weights              # (1, layers, tokens, 2 width) keys and values
    motion: Weights             # (1, heads, frames, frames) bias: which frames see which
    audio: Weights              # (1, heads, frames, 1 + tokens) bias: which tokens they hear
    style: Weights              # (1, style width) the way of speaking
    step_size: Weights          # (1,) noise time between evaluations
    guidance: Weights           # (1,) its scale


class StreamDenoiser:
    """
    An exported network that denoises windows of frames.

    Graphs `listen` and `align` run once per hop, `denoise` once per step.
    """

    def __init__(self, backend: Backend, spec: StreamSpec, *, style: Weights) -> None:
        """Open the graphs; `style` is (style width,), the way of speaking."""
        self._spec = spec
        self._style = np.asarray(style, np.float32)[None]
        self._keep = tokens_kept(spec)
        self._hearing = Hearing(backend('listen'), self._keep)
        sizes = {'frames': spec.window, 'tokens': self._keep, 'heard': self._keep + 1}
        self._align = backend('align', sizes)
        self._denoise = backend('denoise', sizes)

    def initial_state(self) -> State:
        """Return the state after a while of silence: an empty room, not an unknown one."""
        return self._hearing.initial_state()

    def listen(self, audio: AudioWindow, state: State) -> tuple[Heard, State]:
        """Return the condition for this window and the state with its samples heard."""
        state = self._hearing.hear(audio.samples, state)
        heard = state['heard']
        rows = cut(self._spec, audio, state['tokens'], self._keep)
        aligned = self._align({name: row[None] for name, row in rows.items()})
        return Heard(heard, aligned['motion'], aligned['audio'], self._style, scalar(1.0),
                     scalar(1.0)), state

    def spoken(self, state: State) -> Weights | None:
        """Return log odds of speech in what was newly heard, where the network tells."""
        return None if state['speech'] is None else np.asarray(state['speech'])

    def deaf(self, condition: Heard) -> Heard:
        """Return the condition with every token beyond hearing."""
        unheard = condition.audio.copy()
        unheard[..., 1:] = UNSEEN
        return condition._replace(audio=unheard)

    def told(self, condition: Heard, *, step_size: float, guidance: float) -> Heard:
        """Return the condition of somebody who knows how he is sampled."""
        return condition._replace(step_size=scalar(step_size), guidance=scalar(guidance))

    def denoise(self, noisy: Weights, timesteps: Weights, condition: Heard) -> Weights:
        """Estimate the clean (frames, 52) coefficients."""
        inputs = {'noisy': noisy[None], 'timesteps': timesteps[None], **condition._asdict()}
        clean: Weights = self._denoise(inputs)['clean'][0]
        return clean


def scalar(value: float) -> Weights:
    """Return (1,) float32."""
    return np.array([value], np.float32)


def tokens_kept(spec: StreamSpec) -> int:
    """Return how many tokens of the past a window can hear."""
    return math.ceil((spec.window / spec.fps + Fraction(MEMORY)) * mel.SAMPLE_RATE / TOKEN) + 1


def cut(spec: StreamSpec, audio: AudioWindow, next_token: int, tokens: int) -> dict[str, Any]:
    """
    Return where the frames of a window and the last `tokens` tokens lie, float32, for `align`.

    :returns: times (frames,), blocks (frames,), horizons (frames,) and token_times (tokens,);
        seconds from the window's first frame
    """
    frames = np.arange(audio.frames)
    blocks = (audio.first_frame + frames) // spec.hop
    # The last frames of the window lie beyond the hop that becomes final: one block with it.
    newest = (audio.first_frame + audio.frames - spec.lookahead - 1) // spec.hop
    blocks = np.minimum(blocks, newest) - newest
    ends = (newest + blocks + 1) * spec.hop + spec.lookahead - audio.first_frame
    fps = float(spec.fps)
    rows: dict[str, Any] = {
        'times': frames / fps + LEAD, 'blocks': blocks, 'horizons': ends / fps,
        'token_times': token_delays(next_token, tokens, audio.first_frame / spec.fps)}
    return {name: row.astype(np.float32) for name, row in rows.items()}
