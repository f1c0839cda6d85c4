# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""OSC bytes: golden ones, and python-osc as the reader that knows nothing of ours."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from pythonosc.osc_message import OscMessage
from pythonosc.osc_packet import OscPacket

from avatar_bridge.protocols.osc import BUNDLE, LARGEST, bundles, message

TEXTS = st.text(st.characters(codec='utf-8', exclude_characters='\0'), max_size=40)
ARGUMENTS = st.lists(TEXTS | st.booleans() | st.integers(-2**31, 2**31 - 1)
                     | st.floats(width=32, allow_nan=False), max_size=8)


def test_the_bytes_of_a_message_are_those_of_the_specification():
    assert message('/VMC/Ext/Blend/Val', 'JawOpen', 0.5) == bytes.fromhex(
        '2f564d432f4578742f426c656e642f56616c0000 2c736600 4a61774f70656e00 3f000000')
    assert message('/a', 1000, -1) == b'/a\0\0,ii\0' + bytes.fromhex('000003e8 ffffffff')
    assert message('/abc') == b'/abc\0\0\0\0,\0\0\0'
    assert message('/b', True, False) == b'/b\0\0,TF\0'


def test_the_bytes_of_a_bundle_are_those_of_the_specification():
    (bundle,) = bundles([message('/a'), message('/b', True)])
    assert bundle == (b'#bundle\0\0\0\0\0\0\0\0\1' + b'\0\0\0\x08/a\0\0,\0\0\0'
                      + b'\0\0\0\x08/b\0\0,T\0\0')
    assert bundles([]) == []


@given(ARGUMENTS)
@settings(max_examples=200, deadline=None)
def test_python_osc_reads_what_we_write(arguments):
    read = OscMessage(message('/VMC/Ext/Thing', *arguments))
    assert read.address == '/VMC/Ext/Thing'
    assert read.params == arguments
    assert [type(value) for value in read.params] == [type(value) for value in arguments]


@given(st.lists(TEXTS.map(lambda text: text * 3), max_size=80))
@settings(max_examples=100, deadline=None)
def test_bundles_are_small_and_keep_every_message_in_its_order(texts):
    made = bundles(message('/m', text) for text in texts)
    assert all(bundle.startswith(BUNDLE) and len(bundle) <= LARGEST for bundle in made)
    assert [one.message.params[0] for bundle in made
            for one in OscPacket(bundle).messages] == texts
