# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The protocols of the house: who can stand in for whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from avatar_bridge.frames import (
    AudioBlock,
    AudioWindow,
    EndOfSpeech,
    Event,
    FrameWindow,
    State,
    StreamInfo,
    TimedAudio,
    TimedFrame,
    Weights,
)
from avatar_bridge.timeline import StreamSpec

if TYPE_CHECKING:
    from avatar_bridge.config import EngineConfig


class AudioSource(Protocol):
    """Audio from somewhere; one consumer, one pass."""

    def blocks(self) -> Iterator[AudioBlock | EndOfSpeech | Event]:
        """
        Yield blocks until the stream ends; blocks the caller while there is nothing to hear.

        A live source yields `Event` for what happens to the device and never raises for it.
        Raises `AudioError` where the audio cannot be read at all.
        """
        ...

    def close(self) -> None:
        """Make `blocks` end soon; may be called from another thread, and twice."""
        ...


class FaceModel(Protocol):
    """One window in, one window of frames out; the caller keeps the state."""

    spec: StreamSpec
    steps: int                      # sampler steps a hop; may be changed between predictions

    def initial_state(self) -> State:
        """Return the state before the first sample: silence, a face at rest."""
        ...

    def nearest_steps(self, wanted: int) -> int:
        """Return the steps nearest to `wanted` that the network can; 0 is what it does best."""
        ...

    def predict(
        self, audio: AudioWindow, known: Weights, state: State,
    ) -> tuple[FrameWindow, State]:
        """
        Return the window's coefficients and the new state.

        `known`: (context, 52) standardised coefficients of the frames that are final already.
        """
        ...


class ModelBundle(Protocol):
    """An exported network and what is needed to use it."""

    @property
    def sample_rate(self) -> int:
        """Samples a second that the network hears."""
        ...

    @property
    def mean(self) -> Weights:
        """(52,) mean of each weight; with `deviation` it standardises coefficients."""
        ...

    @property
    def deviation(self) -> Weights:
        """(52,) standard deviation of each weight."""
        ...

    def face_model(self, spec: StreamSpec, config: EngineConfig) -> FaceModel:
        """Return the network, ready to predict windows cut as `spec` says."""
        ...


class Graph(Protocol):
    """An exported function of a network, whatever runs it."""

    @property
    def inputs(self) -> Mapping[str, Sequence[Any]]:
        """Shape of each input by name; a dimension that may vary is no integer."""
        ...

    def __call__(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs by name, in order; inputs that it does not have are ignored."""
        ...


class Backend(Protocol):
    """What opens the graphs of a bundle."""

    def __call__(self, name: str, sizes: Mapping[str, int] | None = None) -> Graph:
        """
        Open a graph by its name, without suffix; `sizes` fixes dimensions that may vary.

        Raises `BundleError` where it cannot be run.
        """
        ...


class Denoiser(Protocol):
    """The network inside a DiffusionFaceModel."""

    def initial_state(self) -> State:
        """Return the state before the first sample."""
        ...

    def listen(self, audio: AudioWindow, state: State) -> tuple[Any, State]:
        """Return the condition for this window and the new state; once per hop."""
        ...

    def spoken(self, state: State) -> Weights | None:
        """Return log odds of speech in what was newly heard, as `FrameWindow.speech`."""
        ...

    def deaf(self, condition: Any) -> Any:
        """Return the condition of somebody who hears nothing, for guidance."""
        ...

    def told(self, condition: Any, *, step_size: float, guidance: float) -> Any:
        """
        Return the condition of somebody who knows how he is sampled; many do not care.

        `step_size`: noise time between evaluations; `guidance`: its scale, 1 is none.
        """
        ...

    def denoise(self, noisy: Weights, timesteps: Weights, condition: Any) -> Weights:
        """Estimate the clean (frames, 52) from noisy ones at (frames,) noise times; pure."""
        ...


class FrameSink(Protocol):
    """Somewhere for frames to go. Called by one thread; quick, or it raises `SinkError`."""

    def open(self, info: StreamInfo) -> None:
        """Get ready; raises `SinkError` where that fails."""
        ...

    def send(self, frame: TimedFrame) -> None:
        """Take one frame."""
        ...

    def hear(self, audio: TimedAudio) -> None:
        """Take the sound that goes with the frames; most sinks ignore it."""
        ...

    def notify(self, event: Event) -> None:
        """Take an event; most sinks ignore it."""
        ...

    def close(self) -> None:
        """Write out what is left and let go; may be called twice."""
        ...


class Controls(Protocol):
    """What somebody who watches a session may do with it; from any thread."""

    def about(self) -> Mapping[str, Any]:
        """Return what never changes: version, names, regions."""
        ...

    def status(self) -> Mapping[str, Any]:
        """Return where the session stands, as JSON can say it."""
        ...

    def obey(self, command: Mapping[str, Any]) -> None:
        """Do what `command['type']` says; raises an `AvatarBridgeError` where that cannot be."""
        ...

    def animate(self, audio: bytes) -> bytes:
        """Return the frames of an audio file's bytes, as msgpack; raises `AudioError`."""
        ...

    def recording(self, name: str, content: bytes) -> bytes:
        """Return the frames of a recording's bytes, as msgpack; raises `AudioError`."""
        ...


class Clock(Protocol):
    """Time as an argument."""

    def now(self) -> int:
        """Return nanoseconds since the Unix epoch; never jumps back."""
        ...

    def sleep_until(self, deadline: int) -> None:
        """Return at `deadline` (nanoseconds) or soon after."""
        ...
