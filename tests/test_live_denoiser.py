# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from model.condition import Condition, Cut  # noqa: E402
from model.layers import CausalConv, SecondsBias  # noqa: E402
from model.live_denoiser import LiveConfig, LiveDenoiser  # noqa: E402

pytestmark = pytest.mark.model
CONFIG = LiveConfig(width=32, heads=4, layers=2, feed_forward=48, encoder_blocks=2)


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    network = LiveDenoiser(CONFIG).eval().requires_grad_(False)
    for parameter in network.parameters():      # nothing may hide behind a zero initialisation
        parameter.add_(0.05 * torch.randn_like(parameter))
    return network


def features(count, seed=0):
    return torch.randn(1, count, 80, generator=torch.Generator().manual_seed(seed))


def test_the_encoder_streams_like_it_reads_the_whole(network):
    heard, _ = network.listen(features(80), network.initial_state())
    state, pieces = network.initial_state(), []
    for start, end in ((0, 2), (2, 10), (10, 44), (44, 80)):
        piece, state = network.listen(features(80)[:, start:end], state)
        pieces.append(piece)
    assert torch.allclose(torch.cat(pieces, dim=2), heard, atol=1e-5)


def test_the_encoder_never_hears_the_future(network):
    state = network.initial_state()
    changed = features(40)
    changed[:, 30:] = 9.0
    one, two = network.listen(features(40), state)[0], network.listen(changed, state)[0]
    assert torch.equal(one[:, :, :15], two[:, :, :15])
    assert not torch.equal(one[:, :, 15:], two[:, :, 15:])


def predict(network, *, horizon, heard, noisy):
    times = torch.arange(12)[None] / 30.0
    cut = Cut(times, torch.div(torch.arange(12)[None], 4, rounding_mode='floor').float(),
              torch.full((1, 12), horizon), torch.arange(20)[None] * 0.02)
    condition = Condition(heard, *network.align(cut), torch.zeros(1, CONFIG.width))
    return network.denoise(noisy, torch.full((1, 12), 0.5), condition)


def test_audio_beyond_the_horizon_is_not_heard(network):
    heard, _ = network.listen(features(40), network.initial_state())
    loud = heard.clone()
    loud[:, :, 11:] += 5.0          # tokens complete after 0.21 s
    noisy = torch.randn(1, 12, 52, generator=torch.Generator().manual_seed(1))
    one = predict(network, horizon=0.21, heard=heard, noisy=noisy)
    assert torch.equal(one, predict(network, horizon=0.21, heard=loud, noisy=noisy))
    assert not torch.equal(one, predict(network, horizon=0.4, heard=loud, noisy=noisy))


def test_a_block_does_not_see_the_blocks_after_it(network):
    heard, _ = network.listen(features(40), network.initial_state())
    noisy = torch.randn(1, 12, 52, generator=torch.Generator().manual_seed(1))
    other = noisy.clone()
    other[:, 8:] = 3.0
    one = predict(network, horizon=1.0, heard=heard, noisy=noisy)
    two = predict(network, horizon=1.0, heard=heard, noisy=other)
    assert torch.allclose(one[:, :8], two[:, :8], atol=1e-6)
    assert not torch.allclose(one[:, 8:], two[:, 8:], atol=1e-3)


def test_the_bias_is_measured_in_seconds():
    bias = SecondsBias(4, (-0.5, 0.25))
    at_25 = bias(torch.arange(10)[None] / 25.0, torch.arange(10)[None] / 50.0)
    at_50 = bias(torch.arange(20)[None] / 50.0, torch.arange(10)[None] / 50.0)
    assert torch.allclose(at_25, at_50[:, :, ::2])
    far = bias(torch.zeros(1, 1), torch.tensor([[-0.6, 0.3]]))
    assert (far < -9e3).all()


def test_a_causal_convolution_hands_over_its_state():
    conv = CausalConv(3, 4, kernel=6, stride=2)
    x = torch.randn(1, 3, 20)
    whole, _ = conv(x, torch.zeros(1, 3, 4))
    first, state = conv(x[:, :, :8], torch.zeros(1, 3, 4))
    second, _ = conv(x[:, :, 8:], state)
    assert torch.allclose(torch.cat([first, second], 2), whole, atol=1e-6)
    assert np.prod(whole.shape) == 1 * 4 * 10


def test_a_dilated_convolution_hears_longer_ago_and_hands_over_its_state():
    conv = CausalConv(2, 2, kernel=3, groups=2, dilation=4)
    x = torch.randn(1, 2, 30)
    whole, _ = conv(x, torch.zeros(1, 2, conv.history))
    parts, state = [], torch.zeros(1, 2, 8)
    for piece in x.split((3, 1, 20, 6), dim=2):         # also shorter than what is remembered
        part, state = conv(piece, state)
        parts.append(part)
    assert torch.allclose(torch.cat(parts, 2), whole, atol=1e-6)
    x[:, :, 9] += 1
    changed = (conv(x, torch.zeros(1, 2, 8))[0] != whole).any(dim=1)[0]
    assert torch.nonzero(changed)[:, 0].tolist() == [9, 13, 17]
