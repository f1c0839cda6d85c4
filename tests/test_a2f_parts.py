# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""What the Audio2Face-3D service is made of and needs no gRPC: emotions, and streams that wait."""

from fractions import Fraction
import threading

import numpy as np
import pytest

from avatar_bridge.a2f.emotions import EMOTIONS, EmotionTrack, expression, vector
from avatar_bridge.a2f.exchange import Exchange
from avatar_bridge.errors import AudioError, UsageError
from avatar_bridge.rig import INDEX

PATIENCE = 60           # seconds


def test_emotions_never_part_the_lips():
    everything = expression(np.ones(len(EMOTIONS), np.float32))
    for shape in ('jawOpen', 'mouthFunnel', 'mouthUpperUpLeft', 'mouthLowerDownRight'):
        assert everything[INDEX[shape]] == 0.0


def test_only_the_strongest_emotions_show_and_numbers_that_are_none_do_not():
    track = EmotionTrack(Fraction(60), share=0.5, blend=0.0, transition=0.0, most=1)
    track.add(float('nan'), {'joy': 1.0})
    track.add(0.0, {'anger': 0.4, 'fear': 2.0, 'joy': float('inf')})
    assert np.array_equal(track.next(), 0.5 * vector({'fear': 1.0}))


def test_an_exchange_holds_little_and_lets_go_of_those_who_leave():
    exchange, given = Exchange(), []
    here = threading.Event()

    def endless():
        while True:
            given.append(None)
            yield len(given)

    thread = threading.Thread(
        target=exchange.send, args=('s', endless(), lambda: not here.is_set()))
    thread.start()
    stream = exchange.receive('s', lambda: True)
    assert [next(stream) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(UsageError, match='pulls this stream'):
        next(exchange.receive('s', lambda: True))
    with pytest.raises(UsageError, match='sends this stream'):
        exchange.send('s', [], lambda: True)
    here.set()
    thread.join(PATIENCE)
    assert len(given) < 300
    assert len(list(stream)) == len(given) - 3 - 1      # the last one found no room
    assert not list(exchange.receive('s', lambda: False))


def test_too_many_emotions_ahead_of_time_are_refused(monkeypatch):
    monkeypatch.setattr('avatar_bridge.a2f.emotions.MOST_KEYS', 2)
    track = EmotionTrack(Fraction(60), share=1, blend=0, transition=0, most=3)
    track.add(1.0, {})
    track.add(2.0, {})
    with pytest.raises(AudioError, match='ahead of the audio'):
        track.add(3.0, {})
