# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""
The messages: NVIDIA's stubs, and from field tables what they lack.

The names of packages differ between the generations of the protocol, fields and their numbers do
not; so older and newer clients are understood alike.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from nvidia_ace.animation_pb2 import AnimationData, SkelAnimationHeader
from nvidia_ace.status_pb2 import Status
from nvidia_audio2face_3d.messages_pb2 import (
    END_OF_A2F_AUDIO_PROCESSING,
    A2F3DAnimationDataStream,
    A2F3DAnimationDataStreamHeader,
    AudioWithEmotionStream,
    EmotionAggregate,
    Event,
)

__all__ = [
    'END_OF_A2F_AUDIO_PROCESSING', 'A2F3DAnimationDataStream', 'A2F3DAnimationDataStreamHeader',
    'AnimationData', 'AnimationDataStream', 'AnimationIds', 'AudioStream',
    'AudioWithEmotionStream', 'EmotionAggregate', 'Event', 'HealthCheckRequest',
    'HealthCheckResponse', 'SkelAnimationHeader', 'Status', 'parsed',
]

FACE: Final = '.com.nvidia.ace.services.audio2face_3d.v1.'
OWN: Final = '.avatar_bridge.a2f.'
AUDIO: Final = '.com.nvidia.ace.audio.v1.AudioHeader'
NAMES: Final = '.com.nvidia.ace.animation.v1.SkelAnimationHeader'
TYPES: Final = {
    'text': descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    'number': descriptor_pb2.FieldDescriptorProto.TYPE_DOUBLE,
    'choice': descriptor_pb2.FieldDescriptorProto.TYPE_INT32,   # enumerations travel like these
}

#: Message -> field -> number and type; a type with a dot is another message.
TABLES: Final[dict[str, dict[str, tuple[int, str]]]] = {
    'AnimationIds': {
        'request_id': (1, 'text'), 'stream_id': (2, 'text'), 'target_object_id': (3, 'text')},
    'AudioStreamHeader': {
        'animation_ids': (1, f'{OWN}AnimationIds'), 'audio_header': (2, AUDIO),
        'face_params': (3, f'{FACE}FaceParameters'),
        'emotion_post_processing_params': (4, f'{FACE}EmotionPostProcessingParameters'),
        'blendshape_params': (5, f'{FACE}BlendShapeParameters'),
        'emotion_params': (6, f'{FACE}EmotionParameters')},
    'AudioStream': {
        'audio_stream_header': (1, f'{OWN}AudioStreamHeader'),
        'audio_with_emotion': (2, f'{FACE}AudioWithEmotion')},
    'AnimationDataStreamHeader': {
        'animation_ids': (1, f'{OWN}AnimationIds'), 'source_service_id': (2, 'text'),
        'audio_header': (3, AUDIO), 'skel_animation_header': (4, NAMES),
        'start_time_code_since_epoch': (5, 'number')},
    'AnimationDataStream': {
        'animation_data_stream_header': (1, f'{OWN}AnimationDataStreamHeader'),
        'animation_data': (2, '.com.nvidia.ace.animation.v1.AnimationData'),
        'status': (3, f'.{Status.DESCRIPTOR.full_name}')},
    'HealthCheckRequest': {'service': (1, 'text')},
    'HealthCheckResponse': {'status': (1, 'choice')},
}
#: Messages of which one field at a time is set.
CHOICES: Final = ('AudioStream', 'AnimationDataStream')


def _description() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name='avatar_bridge/a2f.proto', package='avatar_bridge.a2f', syntax='proto3',
        dependency=['nvidia_ace/animation.proto', 'nvidia_ace/audio.proto',
                    'nvidia_ace/status.proto', 'nvidia_audio2face_3d/messages.proto'])
    for name, fields in TABLES.items():
        message = file.message_type.add(name=name)
        if name in CHOICES:
            message.oneof_decl.add(name='stream_part')
        for field, (number, kind) in fields.items():
            entry = message.field.add(
                name=field, number=number,
                label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL)
            if kind in TYPES:
                entry.type = TYPES[kind]
            else:
                entry.type_name = kind
                entry.type = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
            if name in CHOICES:
                entry.oneof_index = 0
    return file


descriptor_pool.Default().Add(_description())


def _made(name: str) -> Any:
    return message_factory.GetMessageClass(
        descriptor_pool.Default().FindMessageTypeByName(f'avatar_bridge.a2f.{name}'))


AnimationIds: Any = _made('AnimationIds')
AudioStream: Any = _made('AudioStream')
AnimationDataStream: Any = _made('AnimationDataStream')
HealthCheckRequest: Any = _made('HealthCheckRequest')
HealthCheckResponse: Any = _made('HealthCheckResponse')


def parsed(kind: Any, data: bytes) -> Any:
    """Return the message in `data`; an empty one where the bytes are none."""
    try:
        return kind.FromString(data)
    except DecodeError:
        return kind()
