# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""What a client's stream of messages means, and what it is answered; no socket."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from avatar_bridge.a2f.clip import Clip, Pose
from avatar_bridge.a2f.emotions import EMOTIONS
from avatar_bridge.a2f.manner import format_of, listed, manner_of
from avatar_bridge.a2f.messages import (
    END_OF_A2F_AUDIO_PROCESSING,
    A2F3DAnimationDataStream,
    A2F3DAnimationDataStreamHeader,
    AnimationData,
    AnimationDataStream,
    EmotionAggregate,
    Event,
    SkelAnimationHeader,
    Status,
)
from avatar_bridge.errors import AudioError
from avatar_bridge.mappings.layouts import pascal
from avatar_bridge.rig import NAMES
from avatar_bridge.stream.engine import Engine

SHAPES: Final = tuple(map(pascal, NAMES))
SOURCE: Final = 'avatar_bridge'


def answers(parts: Iterable[Any], engine: Engine, now: float) -> Iterator[Any]:
    """
    Yield header, animation, event and status for a stream that begins at `now`, Unix seconds.

    Raises `AudioError` where the client does not keep to the protocol.
    """
    parts = iter(parts)
    header = begun(next(parts, None))
    clip = Clip(engine, format_of(header.audio_header), manner := manner_of(header))
    yield A2F3DAnimationDataStream(animation_data_stream_header=A2F3DAnimationDataStreamHeader(
        audio_header=header.audio_header,
        skel_animation_header=SkelAnimationHeader(blend_shapes=SHAPES),
        start_time_code_since_epoch=now))
    for part in parts:
        kind = part.WhichOneof('stream_part')
        if kind == 'end_of_audio':
            break
        if kind != 'audio_with_emotion':
            raise AudioError(f'expected audio_with_emotion or end_of_audio, got {kind}')
        for emotion in part.audio_with_emotion.emotions:
            clip.emotions.add(emotion.time_code, emotion.emotion)
        for pose in clip.push(part.audio_with_emotion.audio_buffer):
            yield A2F3DAnimationDataStream(animation_data=animation(pose))
    for pose in clip.flush():
        yield A2F3DAnimationDataStream(animation_data=animation(pose))
    yield A2F3DAnimationDataStream(event=Event(event_type=END_OF_A2F_AUDIO_PROCESSING))
    yield A2F3DAnimationDataStream(status=verdict(clip, manner.unheeded))


def begun(first: Any) -> Any:
    """Return the header in a stream's first message."""
    kind = first.WhichOneof('stream_part') if first is not None else 'nothing'
    if kind != 'audio_stream_header':
        raise AudioError(f'expected audio_stream_header first, got {kind}')
    return first.audio_stream_header


def animation(pose: Pose) -> Any:
    """Return a pose as a message."""
    data = AnimationData()
    data.skel_animation.blend_shape_weights.add(time_code=pose.time, values=pose.weights.tolist())
    data.audio.time_code = pose.time
    data.audio.audio_buffer = pose.sound
    aggregate = EmotionAggregate()
    aggregate.a2f_smoothed_output.add(time_code=pose.time).emotion.update(
        zip(EMOTIONS, pose.emotion.tolist(), strict=True))
    data.metadata['emotion_aggregate'].Pack(aggregate)
    return data


def verdict(clip: Clip, unheeded: tuple[str, ...]) -> Any:
    """Return how it went: what was not as it should be is said."""
    notes = []
    if not clip.samples:
        notes.append('no audio came')
    if clip.torn:
        notes.append(f'the last {clip.torn} bytes were not a whole sample')
    code = Status.WARNING if notes else Status.SUCCESS
    if unheeded:
        notes.append(f'not known here: {listed(unheeded)}')
    return Status(code=code, message='; '.join(notes))


def identified(parts: Iterable[Any], ids: Any) -> Iterator[Any]:
    """Yield the answers to a stream with ids as the streams of such ids look; no events."""
    for part in parts:
        kind = part.WhichOneof('stream_part')
        if kind == 'animation_data_stream_header':
            header = part.animation_data_stream_header
            message = AnimationDataStream()
            named = message.animation_data_stream_header
            named.animation_ids.CopyFrom(ids)
            named.source_service_id = SOURCE
            named.audio_header.CopyFrom(header.audio_header)
            named.skel_animation_header.CopyFrom(header.skel_animation_header)
            named.start_time_code_since_epoch = header.start_time_code_since_epoch
            yield message
        elif kind == 'animation_data':
            yield AnimationDataStream(animation_data=part.animation_data)
        elif kind == 'status':
            yield AnimationDataStream(status=part.status)
