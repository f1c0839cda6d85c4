# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

import math

import numpy as np
import pytest
import torch

from avatar_bridge import rig
from model.networks import KINDS
from model.noising import levels_at, noised

MOUTH = list(rig.MOUTH)
UPPER = [index for index in range(52) if index not in rig.MOUTH]
TIMES = np.array([[0.0, 0.5, 1.0]], np.float32)
CLEAN, NOISE = torch.full((1, 3, 52), 2.0), torch.ones(1, 3, 52)


@pytest.mark.parametrize('kind', sorted(KINDS))
def test_frames_lie_on_the_path_that_the_network_is_sampled_on(kind):
    alpha, sigma = levels_at(kind, TIMES, CLEAN.device)[1:]
    assert alpha.shape == (1, 3, 1)
    assert torch.allclose(alpha ** 2 + sigma ** 2, torch.ones_like(alpha))
    assert torch.equal(noised(kind, CLEAN, NOISE, TIMES)[..., UPPER],
                       (alpha * CLEAN + sigma * NOISE)[..., UPPER])


def test_the_middle_of_the_cosine_path():
    shown = noised('live', CLEAN, NOISE, TIMES)
    assert torch.allclose(shown[:, 0], CLEAN[:, 0])
    assert torch.allclose(shown[:, 1], (CLEAN + NOISE)[:, 1] * math.sqrt(0.5))


def test_live_is_shown_no_noise_of_the_mouth_where_its_sampler_starts():
    shown = noised('live', CLEAN, NOISE, TIMES)[:, 2]
    assert torch.allclose(shown[..., MOUTH], torch.zeros(()), atol=1e-6)
    assert torch.allclose(shown[..., UPPER], torch.ones(()), atol=1e-6)
    papers = noised('diffusiontalker', CLEAN, NOISE, TIMES)[:, 2]
    assert torch.allclose(papers, torch.ones(()), atol=1e-6)
