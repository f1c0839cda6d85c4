# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""The engine on the shipped bundle: parity, block size, counting, rest."""

from fractions import Fraction
from pathlib import Path
import tracemalloc

import numpy as np
import pytest
import soundfile

import avatar_bridge
from avatar_bridge.config import EngineConfig
from avatar_bridge.frames import Flags, FrameWindow
from avatar_bridge.rig import INDEX
from avatar_bridge.stream.engine import Engine

SPEECH = Path(avatar_bridge.__file__).parent / 'assets' / 'speech.flac'


@pytest.fixture(scope='module')
def bundle():
    return avatar_bridge.load_bundle('live')


@pytest.fixture(scope='module')
def samples():
    samples, rate = soundfile.read(SPEECH, dtype='float32')
    from avatar_bridge.audio.resample import Resampler

    resampler = Resampler(rate, 16000)
    return np.concatenate([resampler.push(samples), resampler.flush()])


def stream(engine, samples, block):
    frames = [frame for start in range(0, len(samples), block)
              for frame in engine.push(samples[start:start + block])]
    return frames + engine.flush()


def weights(frames):
    return np.stack([frame.weights for frame in frames])


@pytest.mark.parametrize('block', [1, 77, 160, 320, 4096, 48000])
def test_output_does_not_depend_on_block_size(bundle, samples, block):
    piece = samples[8000:24000]
    whole = stream(Engine(bundle), piece, len(piece))
    assert np.array_equal(weights(stream(Engine(bundle), piece, block)), weights(whole))


@pytest.mark.parametrize('fps', [24, 25, Fraction(30000, 1001), 50, 60])
@pytest.mark.parametrize('length', [0, 1, 15999, 16000])
def test_as_many_frames_as_the_audio_reaches(bundle, samples, fps, length):
    frames = stream(Engine(bundle, EngineConfig(fps=Fraction(fps))), samples[:length], 1000)
    assert [frame.index for frame in frames] == list(range(-(-length * Fraction(fps) // 16000)))


@pytest.mark.parametrize('profile', ['fast', 'live', 'smooth'])
def test_a_frame_is_final_when_its_latency_has_passed(bundle, samples, profile):
    engine = Engine(bundle, EngineConfig(profile=profile))
    heard = given = 0
    for start in range(0, 16000, 40):
        given += len(engine.push(samples[start:start + 40]))
        heard += 40
        assert given >= int((heard / 16000 - float(engine.latency)) * 60)


def test_reset_equals_new(bundle, samples):
    engine = Engine(bundle)
    stream(engine, samples[:20000], 999)
    engine.push(samples[5000:9000])
    engine.reset()
    again = weights(stream(engine, samples[:16000], 320))
    assert np.array_equal(again, weights(stream(Engine(bundle), samples[:16000], 320)))


def test_the_seed_decides_and_nothing_else(bundle, samples):
    one, same, other = (weights(stream(Engine(bundle, EngineConfig(seed=seed)),
                                       samples[:16000], 500)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_the_mouth_speaks_and_rests(bundle, samples):
    frames = stream(Engine(bundle), samples, 1600)
    jaw = weights(frames)[:, INDEX['jawOpen']]
    speaking = np.array([Flags.SPEECH in frame.flags for frame in frames])
    assert 0.4 < speaking.mean() < 0.98
    assert np.percentile(jaw[speaking], 95) > 0.12
    silent = stream(Engine(bundle), np.zeros(32000, np.float32), 1600)
    assert weights(silent)[:, INDEX['jawOpen']].max() < 0.01


@pytest.mark.parametrize('profile', ['fast', 'live', 'smooth'])
def test_no_profile_opens_the_mouth_long_before_a_word(bundle, samples, profile):
    word = samples[np.flatnonzero(np.abs(samples) > 0.05)[0]:]
    frames = stream(Engine(bundle, EngineConfig(profile=profile)), np.pad(word, (16800, 0)), 1000)
    first = next(frame.index for frame in frames if Flags.SPEECH in frame.flags)
    assert 1.05 - 0.1 <= first / 60 < 1.05 + 0.05
    assert not weights(frames)[:first, INDEX['jawOpen']].any()


def test_bridging_keeps_counting_and_comes_back(bundle, samples):
    engine, steady = Engine(bundle), Engine(bundle)
    frames = [*engine.push(samples[:16000]), *engine.bridge(samples[16000:20000]),
              *engine.push(samples[20000:40000]), *engine.flush()]
    assert [frame.index for frame in frames] == list(range(150))
    expected = weights(stream(steady, samples[:40000], 4000))
    difference = np.abs(weights(frames) - expected).max(axis=1)
    assert difference[:57].max() == 0.0
    assert difference[100:].max() < 0.1     # back on the same path, through another past


def test_rubbish_samples_become_silence(bundle):
    engine = Engine(bundle)
    bad = np.full(16000, np.nan, np.float32)
    bad[::3] = np.inf
    assert np.array_equal(weights(stream(engine, bad, 100)),
                          weights(stream(engine, np.zeros(16000, np.float32), 100)))
    with pytest.raises(ValueError, match='mono'):
        engine.push(np.zeros((10, 2), np.float32))


@pytest.mark.parametrize('amplitude', [1e-4, 1.0, 50.0])
def test_any_level_gives_weights_in_range(bundle, samples, amplitude):
    out = weights(stream(Engine(bundle), samples[:16000] * amplitude, 777))
    assert np.isfinite(out).all()
    assert out.min() >= 0
    assert out.max() <= 1


def test_gains_change_while_running(bundle, samples):
    engine = Engine(bundle)
    engine.push(samples[:32000])
    engine.set_gains({'all': 0.0})
    rest = engine.push(samples[32000:48000])
    assert weights(rest)[30:].max() < 1e-3


class Loudness:
    """A small model: the jaw follows the level. Its bundle is itself."""

    sample_rate, steps = 16000, 1
    mean, deviation = np.zeros(52, np.float32), np.ones(52, np.float32)

    def face_model(self, spec, _config):
        self.spec = spec
        return self

    def initial_state(self):
        return {'heard': 0}

    def predict(self, audio, known, state):
        assert audio.start == state['heard']
        frames = np.zeros((audio.frames, 52), np.float32)
        frames[:len(known)] = known
        frames[len(known):, INDEX['jawOpen']] = np.abs(audio.samples).mean()
        return (FrameWindow(audio.first_frame, frames),
                {'heard': audio.start + len(audio.samples)})


PIECE = 12      # seconds


def pieces(engine, samples, count):
    """Yield (frames, traced memory) after each piece of speech, over and over."""
    piece = np.resize(samples, PIECE * 16000)
    tracemalloc.start()
    try:
        for _ in range(count):
            yield engine.push(piece), tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize(('of', 'count', 'full', 'growth'), [
    ('everything but the network', 20, 14, 20_000),     # Python keeps 2000 freed tuples of a size
    ('the network', 3, 1, 300_000),
])
def test_time_keeps_memory_flat_and_indices_gapless(bundle, samples, of, count, full, growth):
    model = bundle if of == 'the network' else Loudness()
    engine = Engine(model, EngineConfig(profile='smooth', fps=Fraction(24), steps=1))
    following, memory = 0, []
    for frames, traced in pieces(engine, samples, count):
        assert [frame.index for frame in frames] == list(range(following, following + len(frames)))
        following += len(frames)
        memory.append(traced)
    assert following + len(engine.flush()) == count * PIECE * 24
    assert memory[-1] - memory[full] < growth
