# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The picture follows the frames: every shape, and pixels where the mouth is."""

from io import BytesIO

from feed import Feed
import numpy as np
from PIL import Image
import pytest

from avatar_bridge.head import load_head
from avatar_bridge.rig import INDEX, NAMES

AA = {'jawOpen': 0.6, 'mouthLowerDownLeft': 0.3, 'mouthLowerDownRight': 0.3,
      'mouthUpperUpLeft': 0.2, 'mouthUpperUpRight': 0.2}


def waves(index):
    """Return (52,) weights that tell frames and shapes apart."""
    phase = index / 20 + np.arange(52) * 0.37
    return (0.5 + 0.5 * np.sin(phase)).astype(np.float32)


def pose(**weights):
    """Return (52,) weights."""
    told = np.zeros(52, np.float32)
    for name, weight in weights.items():
        told[INDEX[name]] = weight
    return told


def test_all_52_influences_follow_the_frames(visit):
    with Feed(waves) as feed:
        page = visit(feed.address, allowed=('ERR_CONNECTION_REFUSED',))
        page.until("state.shown.length > 3")
        seen = []
        for _ in range(20):
            state = page.state()
            seen.append(state['index'])
            assert sorted(state['influences']) == sorted(NAMES)
            influences = np.array([state['influences'][name] for name in NAMES])
            distance = [np.abs(influences - waves(state['index'] + off)).max()
                        for off in (-1, 0, 1)]
            assert min(distance) < 1e-6
            page.page.wait_for_timeout(40)
    assert len(set(seen)) > 5


def photograph(page, box):
    """Return (height, width, 3) float pixels of a box (left, top, right, bottom)."""
    left, top, right, bottom = box
    shot = page.page.screenshot(clip={'x': left, 'y': top, 'width': right - left,
                                      'height': bottom - top})
    return np.asarray(Image.open(BytesIO(shot)).convert('RGB'), float)


def project(page, points):
    """Return (n, 2) places on the page of (n, 3) points of the head."""
    canvas = page.page.locator('#face').bounding_box()
    matrix = np.array(page.state()['camera']).reshape(4, 4).T
    clip = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    plane = clip[:, :2] / clip[:, 3:]
    return np.column_stack([canvas['x'] + canvas['width'] * (1 + plane[:, 0]) / 2,
                            canvas['y'] + canvas['height'] * (1 - plane[:, 1]) / 2])


@pytest.fixture
def stirred():
    """Return a feed that rests until told to say aa."""
    told = {'weights': pose()}
    with Feed(lambda _: told['weights'], fps=30) as feed:
        feed.wear = lambda weights: told.update(weights=weights)
        yield feed


def test_aa_opens_the_mouth_in_the_picture(visit, stirred, tmp_path):
    page = visit(stirred.address, allowed=('ERR_CONNECTION_REFUSED',))
    page.until("state.pictures > 5 && state.state === 'live'")
    page.page.wait_for_timeout(300)
    head = load_head()
    lips = head.vertices(pose(**AA)[None])[0][head.groups['inner_lips']]
    outer = head.vertices(pose(**AA)[None])[0][head.groups['outer_lips']]
    places = project(page, outer)
    box = (*(places.min(0) - 6), *(places.max(0) + 6))
    at_rest = photograph(page, box)
    again = photograph(page, box)
    stirred.wear(pose(**AA))
    page.until("state.influences.jawOpen > 0.59")
    page.page.wait_for_timeout(400)
    open_wide = photograph(page, box)
    assert np.abs(at_rest - again).mean() < 2
    assert np.abs(at_rest - open_wide).mean() > 8

    inner = project(page, lips) - box[:2]
    x = int(inner[:, 0].mean())
    gap = slice(int(inner[:, 1].min()) + 1, int(inner[:, 1].max()))
    assert gap.stop - gap.start >= 8                    # pixels between the lips
    skin = np.median(open_wide[:4].mean(2))
    hollow = open_wide[gap, x - 2:x + 3].mean((1, 2))
    assert hollow.min() < 0.6 * skin                    # the mouth is dark inside
    page.page.screenshot(path=tmp_path / 'aa.png')


def test_the_face_comes_to_rest_when_the_stream_stops(visit):
    with Feed(lambda _: pose(jawOpen=0.7)) as feed:
        page = visit(feed.address, allowed=('WebSocket',))
        page.until("state.influences && state.influences.jawOpen > 0.6")
    state = page.until("state.state === 'lost' && state.influences.jawOpen === 0")
    assert not any(state['influences'].values())
