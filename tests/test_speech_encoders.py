# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

torch = pytest.importorskip('torch')
transformers = pytest.importorskip('transformers')

from tiny_corpus import write_corpus  # noqa: E402

from model.batches import BatchConfig  # noqa: E402
from model.biased_denoiser import BiasedConfig  # noqa: E402
from model.export import export  # noqa: E402
from model.offline import Offline  # noqa: E402
from model.speech_encoders import SpeechEncoder, pad  # noqa: E402
from model.train import TrainConfig, train  # noqa: E402

pytestmark = pytest.mark.model
WAVE = {'hidden_size': 16, 'num_hidden_layers': 1, 'num_attention_heads': 2,
        'intermediate_size': 24, 'conv_dim': (8,) * 7, 'num_conv_pos_embeddings': 4,
        'num_conv_pos_embedding_groups': 2}
CONFIGS = {
    'hubert': lambda: transformers.HubertConfig(**WAVE),
    'wav2vec2': lambda: transformers.Wav2Vec2Config(**WAVE),
    'wavlm': lambda: transformers.WavLMConfig(**WAVE),
    'whisper': lambda: transformers.WhisperConfig(
        d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24, vocab_size=50,
        num_mel_bins=80, max_source_positions=50, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=1),
}


def saved(kind, folder):
    """Write a random model of one kind as transformers keeps it."""
    torch.manual_seed(0)
    config = CONFIGS[kind]()
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope='module', params=list(CONFIGS))
def encoder(request, tmp_path_factory):
    return SpeechEncoder(saved(request.param, tmp_path_factory.mktemp(request.param)), 12).eval()


def heard(encoder, seconds=1.6, *, batch=2):
    samples = torch.randn(batch, int(16000 * seconds), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return encoder(pad(0.1 * samples), encoder.initial_state())


def test_a_token_comes_every_20_ms(encoder):
    tokens, state = heard(encoder)
    assert tokens.shape == (2, 80, 12)
    assert state == []
    assert tokens.std() > 1e-3


def test_tokens_follow_the_sound(encoder):
    """A burst in silence is heard most in the tokens that are made of it."""
    samples = torch.zeros(1, 16000)
    with torch.no_grad():
        quiet, _ = encoder(pad(samples), [])
        samples[:, 8000:8320] = 0.5 * torch.sin(torch.arange(320) / 4.0)
        loud, _ = encoder(pad(samples), [])
    moved = (loud - quiet).norm(dim=2)[0]
    assert moved.max() > 0
    if encoder.whisper:         # the others scale what they hear, so that all tokens move
        assert int(moved.argmax()) in range(24, 28)


def test_convolutions_are_frozen_and_the_rest_is_tuned(encoder):
    frozen = [name for name, part in encoder.named_parameters() if not part.requires_grad]
    tuned = [name for name, part in encoder.named_parameters() if part.requires_grad]
    assert all('conv' in name for name in frozen)
    assert frozen
    assert any('attention' in name or 'attn' in name for name in tuned)


@pytest.fixture
def run(tmp_path):
    """Train two steps of a network that listens through HuBERT."""
    write_corpus(tmp_path)
    config = TrainConfig(
        corpus=str(tmp_path), out=str(tmp_path / 'run'), kind='diffspeaker', steps=2, threads=1,
        diffspeaker=BiasedConfig(width=16, heads=2, feed_forward=24,
                                 encoder=saved('hubert', tmp_path / 'hubert')),
        batch=BatchConfig(size=2, seconds=0.4, lead_in=0.1, hears='samples'))
    train(config, device='cpu')
    return tmp_path / 'run'


def test_a_network_learns_and_animates_through_it_and_is_no_bundle(run, tmp_path):
    samples = np.random.default_rng(0).standard_normal(9000).astype(np.float32)
    made = Offline(run).animate(0.1 * samples, steps=2)
    assert made.shape == (34, 52)
    assert made.std() > 1e-3
    assert np.array_equal(made, Offline(run).animate(0.1 * samples, steps=2))
    with pytest.raises(SystemExit, match='cannot stream'):
        export(run, tmp_path / 'tiny', {'styles': ['neutral']})


def test_a_model_that_is_no_speech_encoder_is_refused(tmp_path):
    transformers.BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
                            intermediate_size=8, vocab_size=10).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match='bert, expected one of hubert'):
        SpeechEncoder(str(tmp_path), 12)


def test_samples_are_padded_to_whole_tokens():
    assert pad(torch.zeros(1, 1000)).shape == (1, 240 + 1280)
    assert np.array_equal(pad(torch.ones(1, 320))[0, :240], np.zeros(240))
