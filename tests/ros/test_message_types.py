# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The messages are a border: a change here is a change of version, and breaks recorded bags."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

PACKAGE = Path(__file__).resolve().parents[2] / 'ros_ws' / 'src' / 'avatar_bridge_msgs'
HASHES = {
    'AudioChunk': '6a7f586bd0df3a815fee481cdd95b34f7f0a0c350eda4ff2fb9164e3bf3c0b67',
    'AudioLevel': '98d8c20aab7eda3ba7963dc77cb7a26dba71fd33a298988485d19c4e61cba674',
    'BlendshapeFrame': '54cdffc15444649ea3027f2cc286b6befbcdce340faabbfd0315b896dd652bae',
    'BlendshapeLayout': 'a766864dc518f3800565f9e320bba476efab7a6b2aadd982a4316e82775974aa',
}


@pytest.mark.parametrize('name', HASHES)
def test_the_type_hash_is_that_of_version_1(name):
    store = get_typestore(Stores.ROS2_KILTED)
    full = f'avatar_bridge_msgs/msg/{name}'
    store.register(get_types_from_msg((PACKAGE / 'msg' / f'{name}.msg').read_text(), full))
    assert store.hash_rihs01(full) == 'RIHS01_' + HASHES[name]


def test_every_message_is_pinned():
    assert {path.stem for path in (PACKAGE / 'msg').glob('*.msg')} == set(HASHES)


@pytest.mark.ros
@pytest.mark.parametrize('name', HASHES)
def test_the_compiled_messages_have_this_hash(node, name):
    import avatar_bridge_msgs.msg

    node.create_publisher(getattr(avatar_bridge_msgs.msg, name), 'pinned', 1)
    [publisher] = node.get_publishers_info_by_topic('pinned')
    if not hasattr(publisher, 'topic_type_hash'):
        pytest.skip('this ROS has no type hashes (they came after Humble)')
    assert bytes(publisher.topic_type_hash.value).hex() == HASHES[name]


def test_both_packages_have_one_version():
    ours = ElementTree.parse(PACKAGE.parents[2] / 'package.xml').findtext('version')
    assert ElementTree.parse(PACKAGE / 'package.xml').findtext('version') == ours
