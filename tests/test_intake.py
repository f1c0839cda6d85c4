# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from avatar_bridge.audio.intake import Intake
from avatar_bridge.errors import AudioError
from avatar_bridge.frames import AudioBlock


def block(samples, *, start=0, rate=16000):
    return AudioBlock(start, np.asarray(samples, np.float32), rate)


def test_not_a_number_becomes_silence_and_is_counted():
    intake = Intake()
    out = intake.push(block([0.1, np.nan, np.inf, -np.inf, 0.2]))
    assert out.tolist() == pytest.approx([0.1, 0.0, 0.0, 0.0, 0.2])
    assert intake.nonfinite == 3


def test_clipping_passes_and_is_counted():
    intake = Intake()
    assert intake.push(block([0.5, 1.0, -1.0])).tolist() == [0.5, 1.0, -1.0]
    assert intake.clipped == 2


def test_channels_are_mixed_or_chosen():
    stereo = np.array([[0.2, 0.4], [0.6, 0.0]], np.float32)
    assert Intake().push(block(stereo)).tolist() == pytest.approx([0.3, 0.3])
    assert Intake(channel=1).push(block(stereo)).tolist() == pytest.approx([0.4, 0.0])
    with pytest.raises(AudioError, match='channel 2'):
        Intake(channel=2).push(block(stereo))


def test_a_short_gap_is_filled_with_silence():
    intake = Intake()
    intake.push(block(np.ones(100) * 0.1))
    out = intake.push(block(np.ones(10) * 0.1, start=150))
    assert len(out) == 60
    assert intake.gaps == 50
    assert not out[:50].any()


def test_another_rate_in_mid_stream_loses_nothing():
    intake = Intake()
    out = [intake.push(block(np.zeros(4800), rate=48000)),
           intake.push(block(np.zeros(1600), rate=16000)), intake.flush()]
    assert sum(map(len, out)) == 3200


@pytest.mark.parametrize('rate', [0, 100, 10**6])
def test_an_impossible_rate_is_refused(rate):
    with pytest.raises(AudioError, match='sample rate'):
        Intake().push(block([0.0], rate=rate))


def test_the_level_is_in_dbfs():
    intake = Intake()
    intake.push(block(np.full(1000, 0.1)))
    assert intake.level == pytest.approx((-20.0, -20.0), abs=0.01)
