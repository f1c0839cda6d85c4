# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Frames are not queued, and sound and picture come together; from timestamps in the page."""

import os
import time

from feed import BLOCK, RATE, Feed
import numpy as np
import pytest

from avatar_bridge.rig import INDEX

EVERY = 45                      # frames between two clicks: 0.75 s
#: Of a page that is watched for a queue; what grows by a hundredth is seen then, too.
SECONDS = int(os.environ.get('AVATAR_BRIDGE_VIEWER_SECONDS', '25'))
OPEN = 20                       # frames for which the jaw is open
JUDGED = 3000                   # ms at the end


def impulses(index):
    """Return (52,) weights: the jaw opens with each click."""
    weights = np.zeros(52, np.float32)
    weights[INDEX['jawOpen']] = index % EVERY < OPEN
    return weights


def clicks(start, count):
    """Return samples with a click exactly where a frame opens the jaw."""
    places = np.arange(start, start + count) % (EVERY * RATE // 60)
    return np.where(places < 16, 0.5, 0.0).astype(np.float32)


def heard_at(state, present):
    """Return when sound of `present` leaves the loudspeaker, ms of the page's clock."""
    output = state['output']
    piece = max((piece for piece in state['scheduled'] if piece['present'] <= present + 1e-3),
                key=lambda piece: piece['present'])
    start = piece['start'] + (present - piece['present']) / 1000
    if output['performanceTime'] > 0:
        return output['performanceTime'] + 1000 * (start - output['contextTime'])
    return output['at'] + 1000 * (start - output['context'])


def offsets(state):
    """
    Return how many ms each of the last pictures comes after the sound that belongs to it.

    Where the sound stands on the page's clock is known for the end only. A loaded machine's sound
    stops for a moment now and then; earlier pictures were in time with what was heard then.
    """
    newest = max(shown['at'] for shown in state['shown'])
    first = state['scheduled'][1]['present']
    last = state['scheduled'][-1]['present'] + 1000 * BLOCK / RATE
    return np.array([shown['at'] - heard_at(state, shown['present']) for shown in state['shown']
                     if first <= shown['present'] < last and shown['index'] % EVERY < OPEN
                     and shown['at'] > newest - JUDGED])


def test_clicks_are_heard_when_the_jaw_opens(visit):
    with Feed(impulses, clicks) as feed:
        page = visit(feed.address, allowed=('ERR_CONNECTION_REFUSED',))
        page.until("state.sound === 'running' && state.pictures > 10", 30)
        page.page.wait_for_timeout(6000)
        state = page.state()
    apart = offsets(state)
    print(f'{len(apart)} pictures, median {np.median(apart):.1f} ms, 5 to 95 % '
          f'{np.percentile(apart, [5, 95]).round(1)}')
    assert len(apart) >= 5
    assert abs(np.median(apart)) <= 20
    assert np.mean(np.abs(apart) <= 20) >= 0.8


def watch(page, seconds):
    """Return the ages, ms, of the frames in the pictures of the next `seconds`."""
    time.sleep(max(0.0, seconds - 3))
    page.page.wait_for_timeout(3000)
    state = page.state()
    newest = max(shown['at'] for shown in state['shown'])
    return state, np.array([shown['age'] for shown in state['shown']
                            if shown['at'] > newest - 3000])


@pytest.mark.slow
def test_frames_are_not_queued(visit):
    with Feed(impulses) as feed:
        page = visit(feed.address, allowed=('ERR_CONNECTION_REFUSED',))
        page.until("state.pictures > 3", 30)
        state, ages = watch(page, SECONDS)
        newest = (time.time_ns() - feed.start) / 1e9 * feed.fps
    print(f'{len(ages)} pictures in 3 s, age median {np.median(ages):.0f} ms, '
          f'95 % {np.percentile(ages, 95):.0f} ms')
    assert len(ages) >= 15                          # it is alive
    assert np.median(ages) <= 100
    assert ages[-1] <= 100
    assert newest - state['index'] < 30
    assert state['received'] + 4 >= state['pictures']
