# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""The messages of the Audio2Face-3D service: golden bytes, and a way there and back."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

if not os.environ.get('AVATAR_BRIDGE_REQUIRE_CLIENTS'):
    pytest.importorskip('nvidia_audio2face_3d', reason='the stubs are not installed')

from nvidia_ace.status_pb2 import Status
from nvidia_audio2face_3d import messages_pb2 as nvidia

from avatar_bridge.a2f.clip import Pose
from avatar_bridge.a2f.conversation import animation
from avatar_bridge.a2f.emotions import EMOTIONS
from avatar_bridge.a2f.messages import AnimationDataStream, AnimationIds, AudioStream


def test_messages_that_the_stubs_lack_lie_where_the_field_tables_say():
    ids = b'\n\x01r\x12\x01s\x1a\x01t'
    assert AnimationIds(request_id='r', stream_id='s', target_object_id='t'
                        ).SerializeToString() == ids
    pcm16 = b'\x10\x01\x18\x80\x7d\x20\x10'       # one channel, 16000 Hz, 16 bits
    asking = AudioStream.FromString(b'\n\x14\n\x09' + ids + b'\x12\x07' + pcm16)
    assert asking.audio_stream_header.animation_ids.stream_id == 's'
    assert asking.audio_stream_header.audio_header.samples_per_second == 16000
    answer = AnimationDataStream(status=Status(code=Status.ERROR, message='x'))
    assert answer.SerializeToString() == b'\x1a\x05\x08\x03\x12\x01x'
    answer.animation_data_stream_header.start_time_code_since_epoch = 1.0
    assert answer.SerializeToString() == b'\n\x09)' + bytes(6) + b'\xf0\x3f'


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 1e6), st.lists(st.floats(-100, 100, width=32), min_size=52, max_size=52),
       st.lists(st.floats(0, 1, width=32), min_size=10, max_size=10), st.binary(max_size=99))
def test_a_pose_survives_the_way(time, values, emotion, heard):
    pose = Pose(time, np.array(values, np.float32), np.array(emotion, np.float32), heard)
    seen = nvidia.A2F3DAnimationDataStream.FromString(nvidia.A2F3DAnimationDataStream(
        animation_data=animation(pose)).SerializeToString()).animation_data
    shapes, aggregate = seen.skel_animation.blend_shape_weights, nvidia.EmotionAggregate()
    assert seen.metadata['emotion_aggregate'].Unpack(aggregate)
    felt = aggregate.a2f_smoothed_output[0]
    assert (shapes[0].time_code, seen.audio.time_code, felt.time_code) == (time, time, time)
    assert (list(shapes[0].values), seen.audio.audio_buffer) == (values, heard)
    assert [felt.emotion[name] for name in EMOTIONS] == emotion
