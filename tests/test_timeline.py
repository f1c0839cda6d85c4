# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

from fractions import Fraction

import pytest

from avatar_bridge.timeline import StreamSpec, Timeline

RATES = [Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(50), Fraction(60)]


@pytest.mark.parametrize('fps', RATES)
def test_samples_and_frames_are_inverse(fps):
    timeline = Timeline(fps=fps)
    for frame in range(1, 2000):
        first = timeline.first_sample(frame)
        assert timeline.complete_frames(first) == frame
        assert timeline.complete_frames(first - 1) == frame - 1
        assert timeline.frames_in(first) in (frame, frame + 1) if first else True


def test_an_hour_at_60_fps_does_not_drift():
    timeline = Timeline()
    assert timeline.first_sample(3600 * 60) == 3600 * 16000
    assert timeline.nanoseconds(3600 * 60) == 3600 * 10**9


@pytest.mark.parametrize(('profile', 'latency'), [((1 / 30, 1 / 30), Fraction(1, 15)),
                                                  ((0.05, 0.05), Fraction(1, 10)),
                                                  ((0.1, 0.1), Fraction(1, 5))])
def test_latency_is_hop_plus_lookahead_at_60_fps(profile, latency):
    spec = StreamSpec.from_seconds(Timeline(), window=0.5, hop=profile[0], lookahead=profile[1])
    assert spec.latency == latency == (spec.hop + spec.lookahead) / spec.fps


@pytest.mark.parametrize('fps', RATES)
@pytest.mark.parametrize('seconds', [1 / 30, 0.05, 0.1])
def test_no_frame_rate_makes_the_latency_longer_than_promised(fps, seconds):
    spec = StreamSpec.from_seconds(Timeline(fps=fps), window=0.5, hop=seconds, lookahead=seconds)
    assert spec.latency <= 2 * seconds + 1e-3
    assert spec.context >= 1


@pytest.mark.parametrize(('hop', 'lookahead', 'fade'), [(0.1, 0.1, 6), (0.05, 0.05, 3),
                                                        (0.05, 0.2, 4), (0.05, 0, 0)])
def test_the_fade_takes_a_look_ahead_about_as_long_as_the_hop(hop, lookahead, fade):
    spec = StreamSpec.from_seconds(Timeline(), window=0.5, hop=hop, lookahead=lookahead)
    assert spec.fade == fade


@pytest.mark.parametrize('cut', [{'hop': 0}, {'hop': 28}, {'lookahead': -1}, {'fade': 4}])
def test_a_cut_that_makes_no_sense_is_refused(cut):
    with pytest.raises(ValueError, match='must'):
        StreamSpec(**cut)
