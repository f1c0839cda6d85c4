# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""The autoregressive query: what it remembers, how it is trained, how it is exported and run."""

from dataclasses import replace
import itertools
import json
import shutil

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from golden_codetalker import GOLDEN, golden_frames  # noqa: E402
from tiny_corpus import BATCH, write_corpus  # noqa: E402

from avatar_bridge.bundle import load_bundle  # noqa: E402
from avatar_bridge.config import EngineConfig  # noqa: E402
from avatar_bridge.errors import BundleError, UsageError  # noqa: E402
from avatar_bridge.frames import AudioWindow  # noqa: E402
from avatar_bridge.stream.engine import Engine  # noqa: E402
from avatar_bridge.timeline import StreamSpec, Timeline  # noqa: E402
from model.batches import draw  # noqa: E402
from model.code_query import CodeQuery, Condition, QueryConfig, free_run  # noqa: E402
from model.codebook import Codebook, CodebookConfig, intervals  # noqa: E402
from model.data import load_corpus  # noqa: E402
from model.export_codes import export  # noqa: E402
from model.loop import save, seeded  # noqa: E402
from model.ranks import ALONE  # noqa: E402
from model.train_codebook import CodebookTrainConfig  # noqa: E402
from model.train_codebook import train as train_codebook  # noqa: E402
from model.train_query import QueryTrainConfig, past, start, train, update  # noqa: E402

pytestmark = pytest.mark.model
BOOK = CodebookConfig(width=32, blocks=1, components=4, code_width=6, codebook_size=32)
SMALL = QueryConfig(width=32, heads=4, layers=2, feed_forward=48, encoder_blocks=1,
                    motion_past=0.41)
FPS = 30.0
PAST = 12                               # frames within 0.41 s


@pytest.fixture(scope='module', params=['codes', 'latents'])
def network(request):
    torch.manual_seed(0)
    network = CodeQuery(replace(SMALL, head=request.param), Codebook(BOOK)).requires_grad_(False)
    for parameter in network.parameters():      # nothing may hide behind a zero initialisation
        parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def situation(network, frames=40, horizon=0.1):
    """Return codes and what they hear, of two excerpts that begin at different times."""
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(2, 200, 80, generator=generator)
    heard, _ = network.listen(features, network.encoder.initial_state(2))
    times = torch.tensor([[0.305], [0.312]]) + torch.arange(frames) / FPS
    token_times = (0.02 * torch.arange(1, 101)).expand(2, -1)
    biases = network.align(times, times + horizon, token_times)
    codes = torch.randint(0, 32, (2, frames, 4), generator=generator)
    style = network.style(torch.tensor([0, 0]))
    return codes, times, token_times, Condition(heard, *biases, style, intervals(2, FPS))


def one_by_one(network, codes, times, token_times, condition):
    """Answer frame by frame, with a memory of fixed size; return the scores."""
    remembered, born, scores = network.forget(2, PAST), torch.full((2, PAST), -1e3), []
    for frame in range(codes.shape[1]):
        now = times[:, frame:frame + 1]
        delays = token_times - now
        delays = torch.where(delays > 0.1, 1e3, delays)
        motion, audio = network.align_one(now - born, delays)
        answer, joined = network(codes[:, frame:frame + 1],
                                 condition._replace(motion=motion, audio=audio), remembered)
        remembered, born = joined[:, :, 1:], torch.cat([born[:, 1:], now], dim=1)
        assert remembered.shape[2] == PAST
        scores.append(answer.scores)
    return torch.cat(scores, dim=1)


def test_a_frame_by_itself_answers_like_all_at_once(network):
    codes, times, token_times, condition = situation(network)
    whole, _ = network(codes, condition, network.forget(2))
    assert torch.allclose(one_by_one(network, codes, times, token_times, condition),
                          whole.scores, atol=1e-4)


def test_codes_that_follow_do_not_count(network):
    codes, *_, condition = situation(network)
    other = codes.clone()
    other[:, 25:] = (other[:, 25:] + 7) % 32
    one, two = (network(each, condition, network.forget(2))[0].scores for each in (codes, other))
    assert torch.allclose(one[:, :25], two[:, :25], atol=1e-5)
    assert not torch.allclose(one[:, 25:], two[:, 25:], atol=1e-3)


def test_sound_beyond_the_horizon_is_not_heard(network):
    codes, times, token_times, condition = situation(network, frames=10)
    loud = condition.heard.clone()
    loud[:, :, 32:] += 5.0              # complete after 0.64 s, and later than 0.1 s after frame 6
    one, two = (network(codes, condition._replace(heard=heard), network.forget(2))[0].scores
                for heard in (condition.heard, loud))
    assert torch.equal(one[:, :7], two[:, :7])
    assert not torch.allclose(one[:, 8:], two[:, 8:], atol=1e-4)
    assert token_times[0, 32] > times[1, 6] + 0.1


def test_a_free_run_continues_what_it_said_itself(network):
    codes, *_, condition = situation(network)
    said = free_run(network, codes[:, 0], condition)
    told = torch.cat([codes[:, :1], said[:, :-1]], dim=1)
    answer, _ = network(told, condition, network.forget(2))
    assert (answer.scores.argmax(dim=-1) == said).float().mean() > 0.99     # but for a near tie


def test_an_unknown_head_is_refused():
    with pytest.raises(ValueError, match='codes'):
        CodeQuery(replace(SMALL, head='words'), Codebook(BOOK))


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """Return the folders of a corpus and of a codebook that was trained on it a little."""
    corpus = write_corpus(tmp_path_factory.mktemp('corpus'))
    codebook = tmp_path_factory.mktemp('codebook')
    train_codebook(CodebookTrainConfig(str(corpus), str(codebook), steps=12, warm_up=2,
                                       learning_rate=8e-3, network=BOOK, batch=BATCH),
                   device='cpu')
    return corpus, codebook


def plan(folders, out, **changes):
    corpus, codebook = folders
    settings = QueryTrainConfig(str(corpus), str(codebook), str(out), steps=4, warm_up=2,
                                own_from=2, checkpoint_every=2, network=SMALL, batch=BATCH)
    return replace(settings, **changes)


@pytest.mark.parametrize(('head', 'weight'), [('codes', 0.2), ('latents', 1.0)])
def test_one_batch_can_be_learnt_by_heart(folders, tmp_path, head, weight):
    settings = plan(folders, tmp_path, steps=30, learning_rate=6e-3, longest_gap=0.0,
                    own_from=1000, code=weight, network=replace(SMALL, head=head))
    run = start(settings, 'cpu')
    batch = draw(load_corpus(settings.corpus), BATCH, np.random.default_rng(3))
    found = [update(run, settings, batch, np.random.default_rng(4)) for _ in range(30)]
    assert found[-1]['coefficient'] < 0.7 * found[0]['coefficient']
    assert found[-1]['code'] < 0.6 * found[0]['code']
    assert found[-1]['right'] > found[0]['right'] + 0.2


def test_the_past_that_is_told_has_gaps_or_is_the_networks_own(folders, tmp_path):
    settings = plan(folders, tmp_path)
    run = start(settings, 'cpu')
    codes, *_, condition = situation(run.network)
    gaps = past(run, codes, condition, settings, np.random.default_rng(0))
    unknown = gaps == run.network.unknown_code
    assert 0 < unknown.float().mean() < settings.longest_gap
    assert torch.equal(gaps[~unknown], codes[:, :-1][~unknown])
    run.step = settings.own_from
    own = past(run, codes, condition._replace(
        motion=condition.motion[:, :, 1:, 1:], audio=condition.audio[:, :, 1:]), settings,
        np.random.default_rng(0))
    assert torch.equal(own[:, 0], codes[:, 0])
    assert not torch.equal(own, codes[:, :-1])


def test_a_resumed_run_is_the_run_that_was_never_stopped(folders, tmp_path):
    whole = train(plan(folders, tmp_path / 'whole'), device='cpu')
    settings = plan(folders, tmp_path / 'cut')
    run, corpus = start(settings, 'cpu'), load_corpus(settings.corpus)
    for step in range(2):
        rng = seeded(settings.seed, step, ALONE)
        update(run, settings, draw(corpus, BATCH, rng), rng)
    (tmp_path / 'cut').mkdir()
    save(run, tmp_path / 'cut')
    resumed = train(settings, device='cpu')
    for one, two in zip(whole.network.state_dict().values(),
                        resumed.network.state_dict().values(), strict=True):
        assert torch.equal(one, two)


ABOUT = {'name': 'tiny', 'version': '0', 'styles': ['neutral'], 'languages': ['en'], 'data': [],
         'licence': 'Apache-2.0'}


@pytest.fixture(scope='module')
def exported(folders, tmp_path_factory):
    """Return the folder of a bundle whose network was trained a little."""
    run = tmp_path_factory.mktemp('run')
    train(plan(folders, run, steps=6, learning_rate=1e-2, network=replace(SMALL, layers=1)),
          device='cpu')
    out = tmp_path_factory.mktemp('tiny')
    assert export(run, out, ABOUT) < 1e-4
    return out


def speech(seconds=1.0, seed=0):
    rng = np.random.default_rng(seed)
    swell = np.repeat(rng.random(int(10 * seconds)) > 0.4, 1600)
    return (0.25 * swell * rng.standard_normal(len(swell))).astype(np.float32)


def stream(engine, samples, block):
    frames = [frame for start in range(0, len(samples), block)
              for frame in engine.push(samples[start:start + block])]
    return np.stack([frame.weights for frame in frames + engine.flush()])


@pytest.mark.parametrize('profile', ['fast', 'live'])
def test_what_is_exported_streams_whatever_the_blocks(exported, profile):
    engine = Engine(load_bundle(exported), EngineConfig(profile=profile))
    whole = stream(engine, speech(), 16000)
    assert whole.shape == (60, 52)
    assert whole.std(axis=0).max() > 0
    for block in (77, 4096):
        assert np.array_equal(stream(engine, speech(), block), whole)


@pytest.mark.parametrize('fps', [24, 25, 50])
def test_any_rate_makes_as_many_frames_as_the_audio_has(exported, fps):
    frames = stream(Engine(load_bundle(exported), EngineConfig(fps=fps)), speech(), 1000)
    assert frames.shape == (fps, 52)
    assert np.isfinite(frames).all()


def predictions(bundle, hops, samples):
    """Return the model, and window and state of each hop, at 60 frames a second."""
    spec = StreamSpec.from_seconds(Timeline(), window=0.25, hop=0.05, lookahead=0.05)
    model = load_bundle(bundle).face_model(spec, EngineConfig())
    state, known, found = model.initial_state(), np.zeros((spec.context, 52), np.float32), []
    for hop in range(hops):
        first = spec.timeline.first_sample(spec.hop * hop + spec.lookahead) if hop else 0
        last = spec.timeline.first_sample(spec.hop * (hop + 1) + spec.lookahead)
        audio = AudioWindow(first, samples[first:last], spec.hop * hop - spec.context, spec.window)
        window, state = model.predict(audio, known, state)
        known = np.concatenate([known, window.coefficients[spec.context:-spec.lookahead]])
        known = known[-spec.context:]
        found.append((window, state))
    return model, found


def test_a_window_keeps_what_is_known_and_the_state_ends_with_the_hop(exported):
    model, found = predictions(exported, 8, speech())
    spec = model.spec
    for (before, state), (after, _) in itertools.pairwise(found):
        kept = slice(0, spec.context - spec.hop)
        assert np.array_equal(after.coefficients[kept],
                              before.coefficients[spec.hop:spec.context])
        last = before.first_frame + spec.context + spec.hop - 1
        assert state['frames'][-1] == last
        assert after.first_frame == before.first_frame + spec.hop


def test_a_prediction_leaves_the_state_it_was_given(exported):
    model, found = predictions(exported, 3, speech())
    state = found[-1][1]
    audio = AudioWindow(4000, speech()[:800], found[-1][0].first_frame + model.spec.hop,
                        model.spec.window)
    known = np.zeros((model.spec.context, 52), np.float32)
    one, two = (model.predict(audio, known, state)[0] for _ in range(2))
    assert np.array_equal(one.coefficients, two.coefficients)


def sizes(state):
    """Return the bytes of every array in a state."""
    return {name: sizes(part) if isinstance(part, dict) else np.asarray(part).nbytes
            for name, part in state.items()}


def test_a_frame_costs_the_same_after_a_long_time(exported):
    model, found = predictions(exported, 60, speech(4.0))
    calls = CountedGraph(model._query)
    model._query = calls
    for index in (1, 30, 58):
        window, state = found[index]
        audio = AudioWindow(0, speech()[:800], window.first_frame + model.spec.hop,
                            model.spec.window)
        model.predict(audio, window.coefficients[:model.spec.context], state)
    assert calls.shapes[:6] == calls.shapes[6:12] == calls.shapes[12:]
    assert len(calls.shapes) == 3 * (model.spec.hop + model.spec.lookahead)
    after = [{name: size for name, size in sizes(found[index][1]['hearing']).items()
              if name in ('heard', 'caches')} for index in (1, 30, 58)]
    assert after[0] == after[1] == after[2]


class CountedGraph:
    """A graph that writes down the shapes it is given."""

    def __init__(self, graph):
        self.graph, self.inputs, self.shapes = graph, graph.inputs, []

    def __call__(self, inputs):
        self.shapes.append({name: np.shape(value) for name, value in inputs.items()})
        return self.graph(inputs)


def test_frames_that_were_bridged_are_not_said_later(exported):
    model, found = predictions(exported, 4, speech())
    window, state = found[-1]
    late = AudioWindow(2400, speech()[:3200], window.first_frame + 4 * model.spec.hop,
                       model.spec.window)
    _, after = model.predict(late, window.coefficients[:model.spec.context], state)
    said = after['frames'][-2 * model.spec.hop:]
    last = window.first_frame + model.spec.context + model.spec.hop
    assert said.tolist() == [last - 3, last - 2, last - 1, last + 9, last + 10, last + 11]


def test_the_decoder_begins_with_a_face_at_rest(exported):
    engine = Engine(load_bundle(exported))
    model = engine._model
    state = model.initial_state()
    codes = np.array([[load_bundle(exported).manifest['codes']['rest']]])
    motion, caches = model._decoded([codes] * 3, state['caches'])
    assert np.allclose(motion, motion[:1], atol=1e-5)
    for name, cache in caches.items():
        assert np.allclose(cache, state['caches'][name], atol=1e-5)


@pytest.mark.parametrize('config', [EngineConfig(guidance=2.0), EngineConfig(style='opera'),
                                    EngineConfig(steps=2)])
def test_what_codes_cannot_do_is_refused(exported, config):
    with pytest.raises(UsageError, match='bundle tiny'):
        Engine(load_bundle(exported), config)


@pytest.mark.parametrize('change', [{'rest': []}, {'motion_past': 0}, {'rest': ['a']}, None])
def test_a_manifest_must_say_how_codes_are_remembered(exported, tmp_path, change):
    copy = shutil.copytree(exported, tmp_path / 'copy')
    manifest = json.loads((copy / 'manifest.json').read_text())
    manifest['codes'] = change and {**manifest['codes'], **change}
    (copy / 'manifest.json').write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match='manifest'):
        load_bundle(copy)


def test_the_golden_bundle_makes_the_golden_frames():
    assert np.allclose(golden_frames(GOLDEN), np.load(GOLDEN / 'frames.npy'), atol=1e-4)
    assert sum(path.stat().st_size for path in GOLDEN.iterdir()) < 300_000


def test_both_backends_make_the_same_frames(exported):
    found = [stream(Engine(load_bundle(exported), config), speech(), 1000)
             for config in (EngineConfig(), EngineConfig(backend='torch', device='cpu'))]
    assert np.allclose(*found, atol=1e-4)
