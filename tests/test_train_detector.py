# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Training the speech detector: what it is shown is what it will see, and it learns from it."""

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from avatar_bridge.stream import speech  # noqa: E402
from model import train_detector  # noqa: E402
from model.clip_sets import Clip  # noqa: E402
from model.train_detector import Heard, fit, joined, listen  # noqa: E402

pytestmark = pytest.mark.model


def clip(seed=0):
    """Return a second of which the middle is loud."""
    rng = np.random.default_rng(seed)
    swell = np.where(np.abs(np.arange(16000) - 8000) < 4000, 0.2, 0.002)
    return Clip('c', (swell * rng.standard_normal(16000)).astype(np.float32), ((0.25, 0.75),))


def test_training_sees_what_the_detector_sees():
    odds = speech.score(listen(clip()).seen, speech.parameters())
    assert np.allclose(speech.SpeechDetector().push(clip().samples), odds)
    alone = odds > 0
    held, told = 0, []
    for index, is_speech in enumerate(alone):
        recent = alone[max(0, index - speech.RECENT + 1):index + 1]
        held = speech.HANGOVER + 1 if recent.sum() >= speech.SUSTAINED else max(0, held - 1)
        told.append(bool(is_speech) or held > 0)
    spoken = speech.SpokenTime()
    spoken.push(odds)
    heard = [spoken.heard_between(start, start + 1) for start in range(0, 160 * len(told), 160)]
    assert heard == told


def test_ends_of_words_count_for_nothing():
    heard = listen(clip())
    assert heard.speech[30:70].all()
    assert not heard.speech[:25].any()
    assert not heard.counts[23:28].any()
    assert heard.counts[35:65].all()


def test_joined_clips_keep_their_times():
    stream = joined([clip(0), clip(1)], np.random.default_rng(0))
    assert len(stream.samples) == 160000
    first, second = stream.speech
    assert first == (0.25, 0.75)
    assert 1.25 <= second[0] < 2.25
    assert second[1] - second[0] == pytest.approx(0.5)


def test_a_network_learns_what_can_be_told(monkeypatch):
    monkeypatch.setattr(train_detector, 'BATCH', 512)
    rng = np.random.default_rng(0)
    seen = rng.standard_normal((5000, 160))
    truth = seen[:, 3] + seen[:, 5] > 0
    model = fit([Heard(seen, truth, np.ones(5000, bool))], seed=0)
    with torch.no_grad():
        answers = model(torch.tensor(seen[:1000]).float())[:, 0].numpy() > 0
    assert (answers == truth[:1000]).mean() > 0.9
