# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

import json
import math

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from avatar_bridge import rig  # noqa: E402
from model.batches import BatchConfig, draw  # noqa: E402
from model.condition import Condition  # noqa: E402
from model.data import Entry  # noqa: E402
from model.personal_losses import (  # noqa: E402
    audio_feature_loss,
    info_nce,
    personal_enhancer_loss,
)
from model.personaliser import Personaliser, StatisticsPool  # noqa: E402
from model.talker_denoiser import TalkerConfig, TalkerDenoiser  # noqa: E402
from model.train import TrainConfig, start, update  # noqa: E402
from model.voice_measures import measures  # noqa: E402
from model.voice_styles import Manner, in_manner, load_voiced, manners  # noqa: E402

pytestmark = pytest.mark.model
CONFIG = TalkerConfig(width=32, heads=2, layers=1, feed_forward=48, encoder_blocks=1,
                      voice_width=16, voice_blocks=1, pieces=2, piece=8, personal=12)


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    network = TalkerDenoiser(CONFIG).eval().requires_grad_(False)
    for parameter in network.parameters():      # nothing may hide behind a zero initialisation
        parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def features(count, seed=0):
    return torch.randn(1, count, 80, generator=torch.Generator().manual_seed(seed))


def personal(network, heard):
    return network.enrol(heard, network.strange())[0].personal


def test_info_nce_by_hand():
    one = torch.eye(2)
    other = torch.tensor([[0.6, 0.8], [0.0, 1.0]])
    # cosines [[.6, 0], [.8, 1]] over a temperature of .5: logits [[1.2, 0], [1.6, 2]]
    expected = (math.log(1 + math.exp(-1.2)) + math.log(1 + math.exp(-0.4))) / 2
    apart = torch.eye(2, dtype=torch.bool)
    assert info_nce(one, other, apart, temperature=0.5).item() == pytest.approx(expected, abs=1e-6)
    # Who is of the same voice is no counter-example.
    alike = torch.ones(2, 2, dtype=torch.bool)
    assert info_nce(one, other, alike, temperature=0.5).item() == pytest.approx(0, abs=1e-6)
    # One more counter-example for the first row, none for the second.
    harder = torch.tensor([0.5, -torch.inf])
    expected = (math.log(1 + math.exp(-1.2) + math.exp(-0.2)) + math.log(1 + math.exp(-0.4))) / 2
    found = info_nce(one, other, apart, harder, temperature=0.5)
    assert found.item() == pytest.approx(expected, abs=1e-6)


def test_the_enhancer_wants_faces_beside_their_voices():
    voices, same = torch.randn(4, 6), torch.eye(4, dtype=torch.bool)
    faces = torch.nn.functional.normalize(voices, dim=1)
    right = personal_enhancer_loss(voices, faces, same)
    assert right < personal_enhancer_loss(voices, faces.roll(1, 0), same)


def test_audio_features_are_compared_by_which_sounds_are_alike():
    tokens = torch.randn(2, 5, 8)
    turned = tokens @ torch.linalg.qr(torch.randn(8, 8))[0]
    wider = torch.cat([turned, torch.zeros(2, 5, 3)], dim=2)
    assert audio_feature_loss(wider, tokens).item() == pytest.approx(0, abs=1e-6)
    assert audio_feature_loss(torch.randn(2, 5, 8), tokens) > 0.05


def test_running_totals_are_those_of_the_whole(network):
    heard, state = features(80), network.strange()
    for start_at, end in ((0, 2), (2, 10), (10, 44), (44, 80)):
        voice, state = network.enrol(heard[:, start_at:end], state)
    whole, after = network.enrol(heard, network.strange())
    for one, two in zip((*voice, *state), (*whole, *after), strict=True):
        assert torch.allclose(one, two, atol=1e-5)
    assert [part.shape for part in state] == [part.shape for part in network.strange()]


def test_the_pool_without_doubt_is_the_weighted_mean_and_deviation():
    pool = StatisticsPool(3, 6).requires_grad_(False)
    pool.doubt.fill_(-30.0)
    pool.score.weight.zero_()
    pool.score.bias.zero_()
    pool.out.weight.copy_(torch.eye(6))
    pool.out.bias.zero_()
    x = torch.randn(1, 50, 3, dtype=torch.float64).float()
    found, _ = pool(x, torch.zeros(1, 3, 3))
    weight = torch.exp(-0.02 / 30.0 * torch.arange(49, -1, -1))[:, None]
    mean = (weight * x[0]).sum(0) / weight.sum()
    deviation = ((weight * (x[0] - mean) ** 2).sum(0) / weight.sum()).sqrt()
    assert torch.allclose(found[0], torch.cat([mean, deviation]), atol=1e-4)


def test_enrolment_changes_the_vector_and_settles(network):
    nobody = personal(network, features(2) * 0)
    one, other = personal(network, features(400)), personal(network, features(400, 1) + 1)
    assert (one - other).abs().max() > 0.05
    assert (one - nobody).abs().max() > 0.05
    state, steps, before = network.strange(), [], nobody
    for second in range(12):
        voice, state = network.enrol(features(100, second), state)
        steps.append((voice.personal - before).norm().item())
        before = voice.personal
    assert max(steps[-3:]) < 0.5 * steps[0]


def test_the_personal_vector_changes_the_face(network):
    heard, _ = network.listen(features(40), network.initial_state())
    noisy = torch.randn(1, 12, 52, generator=torch.Generator().manual_seed(1))
    biases = torch.zeros(1, 2, 12, 12), torch.zeros(1, 2, 12, 21)
    one, two = (network.denoise(noisy, torch.full((1, 12), 0.5), Condition(heard, *biases, style))
                for style in (torch.zeros(1, 12), torch.ones(1, 12)))
    assert (one - two).abs().max() > 0.01


def tone(hertz, seconds=1.0, seed=0):
    times = np.arange(int(16000 * seconds)) / 16000
    waves = sum(np.sin(2 * np.pi * hertz * k * times) / k for k in range(1, 12))
    return 0.1 * waves + 1e-4 * np.random.default_rng(seed).standard_normal(len(times))


@pytest.mark.parametrize('hertz', [90, 150, 220])
def test_pitch_is_measured(hertz):
    pitch, liveliness, tilt, _ = measures(tone(hertz))
    assert pitch == pytest.approx(np.log2(hertz / 100), abs=0.03)
    assert liveliness < 0.05
    assert tilt < -3                # amplitudes fall by 6 dB an octave


def test_noise_has_no_pitch():
    assert measures(np.random.default_rng(0).standard_normal(16000))[1] == 0


def test_a_manner_moves_what_it_says():
    curves = np.full((4, 52), 0.1, np.float32)
    curves[:, rig.INDEX['eyeSquintLeft']] = [0, 0.05, 0.05, 0.05]       # silence, then speech
    assert np.array_equal(in_manner(curves, Manner()), curves)
    found = in_manner(curves, Manner(jaw=1, rounding=-1, mouth=1, brows=-1))
    assert found[1, rig.INDEX['jawOpen']] == pytest.approx(0.1 * math.exp(0.35))
    assert found[1, rig.INDEX['mouthClose']] == pytest.approx(0.1 * math.exp(0.35))
    assert found[1, rig.INDEX['mouthPucker']] == pytest.approx(0.1 * math.exp(-0.45))
    assert found[1, rig.INDEX['mouthSmileLeft']] == pytest.approx(0.32)
    assert found[0, rig.INDEX['mouthSmileLeft']] == pytest.approx(0.1)
    assert found[1, rig.INDEX['browDownRight']] == pytest.approx(0.38)
    assert found[1, rig.INDEX['mouthFrownLeft']] == pytest.approx(0.1)


def test_manners_follow_from_voices_and_not_from_clips():
    rng = np.random.default_rng(0)
    voices = {str(clip): f'v{clip // 2}' for clip in range(12)}
    found = {clip: rng.standard_normal(4) for clip in voices}
    made = manners(found, voices, set(voices), {clip: float(clip) for clip in voices})
    for clip in range(0, 12, 2):
        assert made[str(clip)][:3] == made[str(clip + 1)][:3]
        assert made[str(clip)].brows < made[str(clip + 1)].brows        # the moment's share
    assert len({manner[:3] for manner in made.values()}) == 6
    assert np.abs(list(made.values())).max() <= 1


@pytest.fixture(scope='module')
def corpus(tmp_path_factory):
    """Write a cache of eight clips of four voices, pitches apart, and their manners."""
    folder = tmp_path_factory.mktemp('voiced')
    sounds = [tone(90 + 40 * (clip // 2), 2.0, clip) for clip in range(8)]
    (10000 * np.concatenate(sounds)).astype(np.int16).tofile(folder / 'audio.i16')
    np.full((1600, 52), 0.2, np.float16).tofile(folder / 'curves.f16')
    entries = [Entry(str(clip), 'kokoro', 'train', 'x', 'en', 32000 * clip, 32000, 200 * clip,
                     200) for clip in range(8)]
    (folder / 'clips.json').write_text(json.dumps(entries))
    rows = {str(clip): {'voice': f'v{clip // 2}', 'split': 'train' if clip < 7 else 'test',
                        'manner': [clip // 2 / 4, 0, 0, 0]} for clip in range(8)}
    (folder / 'voices.json').write_text(json.dumps({'format': 1, 'clips': rows}))
    return folder


def test_a_voiced_corpus_is_split_by_voice_and_styled(corpus):
    opened = load_voiced(corpus, corpus / 'voices.json')
    assert {voice: len(clips) for voice, clips in opened.voices.items()} == {
        'v0': 2, 'v1': 2, 'v2': 2, 'v3': 1}
    assert list(opened.held_out(least=1)) == ['v3']
    jaw = [opened.clip(entry).curves[0, rig.INDEX['jawOpen']] for entry in opened.entries[:4:2]]
    assert jaw[1] == pytest.approx(jaw[0] * math.exp(0.35 / 4), rel=1e-3)


BATCH = BatchConfig(size=6, seconds=0.3, lead_in=0.1, voice_seconds=0.6)


def test_a_batch_hears_the_voices_of_its_clips(corpus):
    opened = load_voiced(corpus, corpus / 'voices.json')
    one, same = (draw(opened, BATCH, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one.voices, same.voices)
    assert one.voices.shape[:2] == (6, 3)
    assert one.voices.shape[2] % 2 == 0
    assert set(one.style) <= set(range(4))
    assert np.array_equal(one.lone, one.style == 3)
    plain = draw(opened, BatchConfig(size=6, seconds=0.3, lead_in=0.1), np.random.default_rng(5))
    assert plain.voices is None
    assert np.array_equal(plain.features, one.features)     # the excerpts are the same ones


def test_a_step_trains_face_and_personaliser(corpus, tmp_path):
    settings = TrainConfig(
        corpus=str(corpus), voices=str(corpus / 'voices.json'), out=str(tmp_path), steps=4,
        kind='diffusiontalker', diffusiontalker=CONFIG, batch=BATCH, warm_up=1, threads=1)
    opened = load_voiced(corpus, corpus / 'voices.json')
    run = start(settings, opened, 'cpu')
    before = [part.detach().clone() for part in run.network.parameters()]
    for step in range(4):       # what is behind a layer that begins with zeros learns a step later
        found = update(run, settings, draw(opened, BATCH, np.random.default_rng(step)), 'cpu')
    assert {'identity', 'emotion', 'face'} < set(found)
    still = [name for (name, part), old in zip(run.network.named_parameters(), before, strict=True)
             if torch.equal(part, old)]
    assert still == []


def test_voices_are_told_apart_after_some_steps(corpus):
    torch.manual_seed(0)
    personaliser = Personaliser(CONFIG)
    optimiser = torch.optim.Adam(personaliser.parameters(), lr=1e-2)
    opened = load_voiced(corpus, corpus / 'voices.json')
    found = []
    for step in range(40):
        batch = draw(opened, BATCH, np.random.default_rng(step))
        heard = torch.from_numpy(batch.voices).flatten(0, 1)
        voice, _ = personaliser(heard, personaliser.initial_state(len(heard)))
        first, elsewhere = voice.identity.reshape(6, 3, -1).unbind(1)[:2]
        numbers = torch.from_numpy(batch.style)
        loss = info_nce(first, elsewhere, numbers[:, None] == numbers)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(loss.item())
    assert np.mean(found[-8:]) < 0.5 * np.mean(found[:4])
