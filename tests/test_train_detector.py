# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Telling speech: training shows what will be seen, the last touch fits the network's own head."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from tiny_corpus import plan, write_corpus  # noqa: E402

from avatar_bridge.stream import speech  # noqa: E402
from model import finish as finished  # noqa: E402
from model import train_detector  # noqa: E402
from model.clip_sets import Clip  # noqa: E402
from model.data import load_corpus  # noqa: E402
from model.finish import finish, fit  # noqa: E402
from model.offline import Offline  # noqa: E402
from model.phones import NUMBERED, SILENCE  # noqa: E402
from model.train import train  # noqa: E402
from model.train_detector import (  # noqa: E402
    Heard,
    begun,
    joined,
    learn,
    listen,
    pause,
    placed,
    shares,
    talker,
    talkers,
)

pytestmark = pytest.mark.model


def clip(seed=0):
    """Return a second of which the middle is loud."""
    rng = np.random.default_rng(seed)
    swell = np.where(np.abs(np.arange(16000) - 8000) < 4000, 0.2, 0.002)
    return Clip('c', (swell * rng.standard_normal(16000)).astype(np.float32), ((0.25, 0.75),))


@pytest.mark.parametrize('block', [160, 777, 16000])
def test_training_sees_what_the_detector_sees(block):
    told = np.random.default_rng(1).normal(0, 5, 96)
    shipped = speech.parameters()
    odds, _ = speech.score(listen(clip(), told).seen, np.zeros(shipped.width), shipped)
    detector, found, given = speech.SpeechDetector(), [], 0
    for start in range(0, 16000, block):
        end = min(start + block, 16000)
        ready = max(0, min(96, end // 320 * 2 - 2))         # as tokens of two pieces come
        found.append(detector.push(clip().samples[start:end], told[given:ready]))
        given = ready
    assert np.allclose(np.concatenate(found), odds[speech.DELAY:] - speech.DOUBT)
    assert len(odds) == 98


def test_who_is_told_nothing_hears_at_once():
    detector = speech.SpeechDetector()
    counts = [len(detector.push(piece)) for piece in clip().samples.reshape(100, 160)]
    assert counts == [0, 0] + 98 * [1]


def test_speech_lasts_a_little_once_it_is_sustained():
    odds = speech.SpeechDetector().push(clip().samples)
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


def test_ends_of_phones_count_for_nothing_and_what_is_told_was_a_while_ago():
    heard, late = listen(clip(), np.zeros(98)), speech.DELAY
    assert heard.speech[25 + late:75 + late].all()
    assert heard.speech.sum() == 50
    assert not heard.counts[23 + late:27 + late].any()
    assert heard.counts[30 + late:70 + late].all()


@pytest.fixture
def corpus(tmp_path):
    """Return a corpus whose bursts of noise are sibilants."""
    folder = write_corpus(tmp_path)
    jaw = np.fromfile(folder / 'curves.f16', np.float16).reshape(-1, 52)[:, 0]
    np.where(jaw > 0, NUMBERED.index('sibilant'), NUMBERED.index(SILENCE)).astype(
        np.uint8).tofile(folder / 'phones.u8')
    return load_corpus(folder)


def test_talkers_speak_where_phones_sound(corpus):
    found = talkers(corpus, np.random.default_rng(0))
    assert {one.name for one in found} == {entry.id for entry in corpus.select('train')}
    for entry in corpus.select('train'):
        one = talker(corpus, entry)
        spoken = np.zeros(entry.frames, bool)
        for start, end in one.speech:
            spoken[round(100 * start):round(100 * end)] = True
        assert np.array_equal(spoken, corpus.clip(entry).curves[:, 0] > 0)


def test_the_last_touch_is_half_way_and_tells_who_speaks(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(finished, 'STREAMS', 20)
    monkeypatch.setattr(train_detector, 'placed', lambda clip, *_: clip)
    monkeypatch.setattr(finished, 'STEPS', 400)
    monkeypatch.setattr(finished, 'BATCH', 256)
    for name, seed in (('one', 1), ('two', 2)):
        train(plan(tmp_path, tmp_path / name, seed=seed), device='cpu')
    finish(tmp_path / 'one', tmp_path / 'two', tmp_path / 'out', corpus, share=0.5)
    one, two, out = (torch.load(tmp_path / name / 'checkpoint.pt')['average']
                     for name in ('one', 'two', 'out'))
    for name, value in two.items():
        assert torch.allclose(out[name], (one[name] + value) / 2, atol=1e-6)
    assert {name.split('.')[0] for name in out.keys() - two.keys()} == {'speech'}
    network = Offline(tmp_path / 'out').network
    stream = joined(talkers(corpus, np.random.default_rng(0)), np.random.default_rng(5))
    heard = finished.listen(network, stream)
    with torch.no_grad():
        told = network.speech(torch.from_numpy(heard.seen))[:, 0].numpy() > 0
    assert (told == heard.speech)[heard.counts].mean() > 0.9
    finish(tmp_path / 'one', tmp_path / 'two', tmp_path / 'again', corpus, share=0.5)
    again = torch.load(tmp_path / 'again/checkpoint.pt')['average']
    assert all(torch.equal(again[name], value) for name, value in out.items())
    finish(tmp_path / 'one', tmp_path / 'two', tmp_path / 'whole', corpus)
    whole = torch.load(tmp_path / 'whole/checkpoint.pt')['average']
    assert all(torch.equal(whole[name], value) for name, value in two.items())


def test_new_blocks_say_half_of_what_they_learnt(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(finished, 'STREAMS', 2)
    monkeypatch.setattr(finished, 'STEPS', 1)
    small = plan(tmp_path, tmp_path / 'one')
    train(small, device='cpu')
    deeper = replace(small.live, encoder_blocks=small.live.encoder_blocks + 1)
    train(replace(small, live=deeper, start_from=small.out, out=str(tmp_path / 'two')),
          device='cpu')
    finish(tmp_path / 'one', tmp_path / 'two', tmp_path / 'out', corpus, share=0.5)
    two, out = (torch.load(tmp_path / name / 'checkpoint.pt')['average']
                for name in ('two', 'out'))
    block = f'encoder.blocks.{small.live.encoder_blocks}'
    assert two[f'{block}.down.weight'].any()
    assert torch.allclose(out[f'{block}.down.weight'], two[f'{block}.down.weight'] / 2)
    assert torch.equal(out[f'{block}.up.weight'], two[f'{block}.up.weight'])


def test_strangers_have_no_half_way(corpus, tmp_path):
    train(plan(tmp_path, tmp_path / 'one'), device='cpu')
    saved = torch.load(tmp_path / 'one/checkpoint.pt')
    saved['mean'] += 1
    (tmp_path / 'two').mkdir()
    torch.save(saved, tmp_path / 'two/checkpoint.pt')
    with pytest.raises(SystemExit, match='differ in mean'):
        finish(tmp_path / 'one', tmp_path / 'two', tmp_path / 'out', corpus, share=0.5)


def test_joined_clips_keep_their_times():
    stream = joined([clip(0), clip(1)], np.random.default_rng(0))
    assert len(stream.samples) == 160000
    first, second = stream.speech
    assert first == (0.25, 0.75)
    assert 1.25 <= second[0] < 2.25
    assert second[1] - second[0] == pytest.approx(0.5)


def test_a_speaker_may_come_late(monkeypatch):
    late = joined([clip()], np.random.default_rng(0), 48000)
    assert late.speech == ((3.25, 3.75),)
    assert np.abs(late.samples[:48000]).max() < 0.01 < np.abs(late.samples[52000:60000]).max()
    rng = np.random.default_rng(0)
    pauses = np.array([pause(rng) for _ in range(400)]) / 16000
    assert 0.3 < np.mean(pauses == 0) < 0.5
    assert 0.1 < np.mean(pauses > 1) < 0.3
    assert 5 < pauses.max() < 7
    monkeypatch.setattr(train_detector, 'pause', lambda _: 32000)
    monkeypatch.setattr(train_detector, 'placed', lambda clip, *_: clip)
    begins = [stream.speech[0][0] for stream in train_detector.streams(
        [clip(seed) for seed in range(8)], 40, np.random.default_rng(0))]
    assert {begin > 2 for begin in begins} == {True, False}     # half of them amid speech


def test_a_stream_may_begin_amid_speech():
    later = begun(clip(), 0.4)
    assert np.array_equal(later.samples, clip().samples[6400:])
    assert later.speech == (pytest.approx((0.0, 0.35)),)
    assert len(begun(clip(), 0.9).samples) == 8000
    assert begun(clip(), 0.9).speech == (pytest.approx((0.0, 0.25)),)


def test_one_voice_is_a_background_but_never_alone(monkeypatch):
    second = []

    def second_voice(speaker, others, _):
        second.append(speaker)
        return others[0].samples

    monkeypatch.setattr(train_detector, 'second_voice', second_voice)
    rng, talking = np.random.default_rng(0), [clip(seed) for seed in range(8)]
    spoken, voices = [], []
    for _ in range(60):
        second.clear()
        where = placed(clip(), talking, rng)
        assert len(where.samples) == 16000
        assert where.speech in ((), clip().speech)
        spoken.append(bool(where.speech))
        voices.append(bool(second))
    assert any(voices)
    assert not all(spoken)
    assert all(speech for speech, voice in zip(spoken, voices, strict=True) if voice)
    assert shares(5).tolist() == pytest.approx([0.5, 0.125, 0.125, 0.125, 0.125])
    assert shares(6).tolist() == pytest.approx([0.25, 0.25, 0.125, 0.125, 0.125, 0.125])


def test_a_network_learns_what_can_be_told(monkeypatch):
    monkeypatch.setattr(finished, 'BATCH', 512)
    monkeypatch.setattr(finished, 'STEPS', 150)
    rng = np.random.default_rng(0)
    seen = rng.standard_normal((5000, 160))
    truth = seen[:, 3] + seen[:, 5] > 0
    model = fit([Heard(seen, truth, np.ones(5000, bool))], seed=0)
    with torch.no_grad():
        answers = model(torch.tensor(seen[:1000]).float())[:, 0].numpy() > 0
    assert (answers == truth[:1000]).mean() > 0.9


def test_a_detector_learns_what_it_has_to_remember_and_computes_the_same(monkeypatch):
    monkeypatch.setattr(train_detector, 'EPOCHS', 25)
    monkeypatch.setattr(train_detector, 'BATCH', 8)
    rng = np.random.default_rng(0)
    streams = []
    for _ in range(64):
        seen = rng.standard_normal((60, speech.INPUTS))
        seen[:, 3] = 3 * (rng.random(60) < 0.1)
        truth = np.maximum.accumulate(seen[:, 3]) > 0           # it was there once
        streams.append(Heard(seen, truth, np.ones(60, bool)))
    model = learn(streams[:56], seed=0)
    again = learn(streams[:56], seed=0)
    right = []
    for stream in streams[56:]:
        with torch.no_grad():
            answers = model(torch.tensor(stream.seen[None]).float())[0].numpy()
        shipped = model.parameters_as_shipped()
        odds, _ = speech.score(stream.seen, np.zeros(shipped.width), shipped)
        np.testing.assert_allclose(odds, answers, atol=1e-4)
        right.append((answers > 0) == stream.speech)
    assert np.mean(right) > 0.9
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
