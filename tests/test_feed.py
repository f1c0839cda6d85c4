# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Audio pushed from other threads."""

from __future__ import annotations

import threading

import numpy as np

from avatar_bridge.frames import AudioBlock, EndOfSpeech, Event
from avatar_bridge.sources.feed import FeedSource


def block(start, count=160):
    return AudioBlock(start, np.full(count, start, np.float32), 16000)


def test_what_is_pushed_comes_out_in_order_and_then_the_end():
    source = FeedSource()
    source.push(block(0))
    source.end()
    source.notify(Event('device', 'gone'))
    source.push(block(160))
    source.finish()
    items = list(source.blocks())
    assert [type(item) for item in items] == [AudioBlock, EndOfSpeech, Event, AudioBlock]
    assert (items[0].start, items[3].start, source.dropped) == (0, 160, 0)


def test_a_reader_waits_for_what_another_thread_pushes():
    source, got = FeedSource(), []
    reader = threading.Thread(target=lambda: got.extend(source.blocks()))
    reader.start()
    pushers = [threading.Thread(target=lambda: [source.push(block(n)) for n in range(50)])
               for _ in range(4)]
    for thread in pushers:
        thread.start()
    for thread in pushers:
        thread.join()
    source.finish()
    reader.join(5)
    assert len(got) == 200
    assert source.dropped == 0


def test_close_ends_a_waiting_reader_at_once():
    source, got = FeedSource(), []
    reader = threading.Thread(target=lambda: got.extend(source.blocks()))
    reader.start()
    source.close()
    reader.join(5)
    assert not reader.is_alive()
    source.push(block(0))
    assert (got, source.dropped) == ([], 160)


def test_the_oldest_audio_goes_when_nobody_takes_it_and_is_counted():
    source = FeedSource(capacity=0.1)
    for start in range(0, 4800, 160):
        source.push(block(start))
    source.finish()
    starts = [item.start for item in source.blocks()]
    assert starts == list(range(3200, 4800, 160))
    assert source.dropped == 3200


def test_ends_of_speech_survive_when_audio_is_dropped():
    source = FeedSource(capacity=0.01)
    for start in range(0, 800, 160):
        source.push(block(start))
        source.end()
        source.end()
    source.finish()
    items = list(source.blocks())
    assert items.count(EndOfSpeech()) == 5
    assert sum(isinstance(item, AudioBlock) for item in items) == 1
