# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Changed sound is as long as before, in time with its face, and the same for the same seed."""

from importlib.resources import files

import numpy as np
import pytest

from avatar_bridge.config import PROFILES
from avatar_bridge.rig import INDEX
from model import augment
from model.augment import AugmentConfig, Piece
from model.batches import BatchConfig, draw
from model.data import Corpus, Entry
from model.datasets.sound import read_sound
from model.metrics import loudness_envelope, rms
from model.room import draw_room, images, impulse_response

SAMPLES = read_sound(files('avatar_bridge') / 'assets' / 'speech.flac')[8000:40000]
SPEECH = SAMPLES.astype(np.float32) / 32768
CHANGES = ('gain', 'clipping', 'noise', 'music', 'reverb', 'telephone', 'coarse', 'opus',
           'mp3')


def envelope(samples):
    """Return the loudness of samples, 100 a second."""
    return loudness_envelope(samples, 16000, fps=100)


def lag(one, other, reach=30):
    """Return how many frames another track is later than one where they agree best."""
    one, other = one - one.mean(), other - other.mean()
    count = min(len(one), len(other))
    products = [one[max(0, -k):count - max(0, k)] @ other[max(0, k):count - max(0, -k)]
                for k in range(-reach, reach + 1)]
    return int(np.argmax(products)) - reach


#: A face that opens as the sound is loud: what is heard and what is seen are one track.
FACE = np.repeat((envelope(SPEECH) / 60)[:, None], 52, axis=1).astype(np.float32)


@pytest.mark.parametrize('name', CHANGES)
def test_a_change_keeps_length_and_time_and_follows_its_seed(name):
    change = getattr(augment, name)
    for seed in range(3):
        changed = change(SPEECH, np.random.default_rng(seed))
        assert changed.shape == SPEECH.shape
        assert changed.dtype == np.float32
        assert not np.array_equal(changed, SPEECH)
        assert abs(lag(envelope(SPEECH), envelope(changed))) <= 1           # 10 ms
    assert np.array_equal(changed, change(SPEECH, np.random.default_rng(2)))
    assert not np.array_equal(changed, change(SPEECH, np.random.default_rng(7)))


def test_other_people_are_heard_as_loud_as_drawn():
    rng = np.random.default_rng(0)
    crowd = [rng.standard_normal(9000).astype(np.float32), SPEECH[::-1], SPEECH[:0]]
    changed = augment.babble(SPEECH, lambda _: crowd, np.random.default_rng(1))
    behind = changed - SPEECH
    below = 20 * np.log10(SPEECH.std() / behind.std())
    assert 3 <= below <= 25
    assert lag(envelope(SPEECH), envelope(changed)) == 0
    silence = np.zeros(16000, np.float32)
    alone = augment.babble(silence, lambda _: crowd, np.random.default_rng(1))
    assert 0.001 < alone.std() < 0.03               # a room where nobody speaks to us


@pytest.mark.parametrize('factor', [0.9, 0.97, 1.1])
def test_a_faster_voice_has_a_faster_face(factor):
    changed = augment.speed(Piece(SPEECH, FACE), factor)
    assert len(changed.samples) == pytest.approx(len(SPEECH) / factor, abs=2)
    assert len(changed.curves) == -(-len(changed.samples) // 160)
    heard = envelope(changed.samples)
    assert lag(heard, changed.curves[:, 0]) == 0
    assert np.corrcoef(heard, changed.curves[:, 0])[0, 1] > 0.97


@pytest.mark.parametrize('start', [-4800, 0, 12000, 31999])
def test_a_muted_voice_lets_the_face_come_to_rest(start):
    changed = augment.mute(Piece(SPEECH, FACE), start)
    assert not changed.samples[max(0, start):].any()
    assert np.array_equal(changed.samples[:max(0, start)], SPEECH[:max(0, start)])
    rest = -(-(start + 4800) // 160)
    assert not changed.curves[max(0, rest):].any()
    assert np.array_equal(changed.curves[:max(0, start // 160)], FACE[:max(0, start // 160)])
    assert np.abs(np.diff(changed.curves, axis=0)).max() <= np.abs(np.diff(FACE, axis=0)).max()


def test_a_mirrored_face_has_its_sides_exchanged():
    curves = np.arange(104, dtype=np.float32).reshape(2, 52)
    mirrored = augment.mirror(curves)
    assert mirrored[0, INDEX['mouthSmileLeft']] == curves[0, INDEX['mouthSmileRight']]
    assert mirrored[1, INDEX['jawOpen']] == curves[1, INDEX['jawOpen']]
    assert np.array_equal(augment.mirror(mirrored), curves)


def test_a_telephone_passes_no_bass_and_no_treble():
    noise = np.random.default_rng(0).standard_normal(32000).astype(np.float32)
    heard = np.abs(np.fft.rfft(augment.telephone(noise, np.random.default_rng(0)))) ** 2
    hertz = np.fft.rfftfreq(32000, 1 / 16000)
    inside = heard[(hertz > 500) & (hertz < 3000)].mean()
    assert heard[hertz < 100].mean() < 0.03 * inside
    assert heard[hertz > 4400].mean() < 0.01 * inside


def test_rooms_decay_as_they_should_and_begin_with_the_direct_sound():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        room = draw_room(rng)
        response = impulse_response(room, 16000, rng)
        assert response[0] == 1
        delays, _ = images(room)
        assert delays.min() > 0
        # To the floor and back is the shortest way at the latest.
        below = np.array(room.speaker) * [1, 1, -1]
        bounce = np.linalg.norm(below - room.microphone) - room.distance
        assert np.abs(delays - bounce / 343).min() < 1e-9
        energy = np.cumsum(response[::-1] ** 2)[::-1]
        place = int(room.reverberation * 16000 * 0.5)
        fallen = 10 * np.log10(energy[place] / energy[1])
        assert -45 < fallen < -18               # of 60 dB in all: half of them


@pytest.fixture(scope='module')
def corpus():
    """Return a corpus of four clips with the face of FACE."""
    curves = np.concatenate([FACE.astype(np.float16)] * 4)
    entries = [Entry(str(k), ('kokoro', 'grid')[k % 2], 'train', 'v', 'en', k * len(SAMPLES),
                     len(SAMPLES), k * len(FACE), len(FACE)) for k in range(4)]
    return Corpus(entries, np.concatenate([SAMPLES] * 4), curves)


def batch_of(corpus, seed=0, **shares):
    config = BatchConfig(size=4, seconds=1.0, lead_in=0.2, grid_share=0.5, mirror_share=0.0,
                         noise_share=0.0, sound=AugmentConfig(**shares))
    return draw(corpus, config, np.random.default_rng(seed))


def test_batches_without_changes_are_what_they_were(corpus):
    batch = batch_of(corpus)
    digest = [float(part.sum(dtype=np.float64)) for part in batch[:4]]
    assert digest == pytest.approx(DIGEST, rel=1e-6)


#: Sums of `features`, `clean`, `timesteps` and `noise` where nothing of the sound is changed.
DIGEST = [-17039.2971, 2924.7217, 67.5988, -38.5990]


def test_excerpts_may_be_cut_as_a_profile_cuts_a_stream(corpus):
    config = BatchConfig(size=32, seconds=1.0, lead_in=0.2, profile_share=1.0)
    batch = draw(corpus, config, np.random.default_rng(0))
    found = set()
    times = batch.times[0]
    for blocks, horizons in zip(batch.blocks, batch.horizons, strict=True):
        following = times[np.searchsorted(blocks, 2)]       # block 1 is whole, so is its hop
        hop = following - times[np.searchsorted(blocks, 1)]
        lookahead = horizons[np.searchsorted(blocks, 1)] - following
        if lookahead > -1:                                  # some excerpts are deaf
            found.add((round(float(hop) * batch.fps), round(float(lookahead), 3)))
    assert found == {(round(hop * batch.fps), round(lookahead, 3))
                     for hop, lookahead in PROFILES.values()}


@pytest.mark.parametrize('name', [
    'speed', 'reverb', 'babble', 'music', 'keyboard', 'noise', 'gain', 'clipping', 'codec'])
def test_batches_with_changes_stay_in_time(corpus, name):
    batch = batch_of(corpus, seed=3, **{name: 1.0})
    again = batch_of(corpus, seed=3, **{name: 1.0})
    assert all(np.array_equal(a, b) for a, b in zip(batch, again, strict=True))
    assert batch.features.shape == batch_of(corpus).features.shape
    assert batch.clean.shape[0] == 4
    if name in ('babble', 'music', 'keyboard', 'noise', 'reverb'):
        return                          # as loud as the voice, they hide when it begins or ends
    for heard, seen in zip(batch.features, batch.clean, strict=True):
        if seen[:, 0].std() > 0.1:
            level = np.interp(batch.times[0], 0.01 * np.arange(len(heard)), heard.mean(axis=1))
            assert abs(lag(level, seen[:, 0].astype(float), 8)) * 1000 / batch.fps <= 45


def test_muted_excerpts_are_silent_and_at_rest(corpus):
    batch = batch_of(corpus, seed=1, mute=1.0)
    for heard, seen in zip(batch.features, batch.clean, strict=True):
        silent = np.flatnonzero(heard.max(axis=1) > heard.min() + 1e-4)
        last = silent[-1] if len(silent) else 0
        rest = round((last * 0.01 + 0.35 - 0.2) * batch.fps)
        assert not seen[max(0, rest):].any()


def test_where_nobody_speaks_something_is_heard_and_the_face_rests(corpus):
    batch = batch_of(corpus, seed=1, alone=1.0)
    assert not batch.clean.any()
    assert not np.allclose(batch.features, batch_of(corpus, seed=1).features, atol=0.1)
    assert batch.features.max() > 0.5
    asked = []

    def crowd(count):
        asked.append(count)
        return [SPEECH] * count

    levels = [rms(augment.alone(SPEECH, crowd, np.random.default_rng(seed)))
              for seed in range(20)]
    assert 5 < len(asked) < 15
    assert min(asked) >= 3                          # one voice alone might be the speaker
    assert rms(SPEECH) * 10 ** (-25 / 20) < min(levels) < max(levels) <= 1.001 * rms(SPEECH)


def test_a_share_is_a_share():
    with pytest.raises(ValueError, match=r'reverb must lie in \[0, 1\], got 1.5'):
        AugmentConfig(reverb=1.5)
