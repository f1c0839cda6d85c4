# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Training losses: what they are smallest for."""

import pytest

torch = pytest.importorskip('torch')

from avatar_bridge import rig  # noqa: E402
from avatar_bridge.rig import INDEX  # noqa: E402
from model.losses import closing_loss, motion_losses, seal_loss  # noqa: E402

MEAN = torch.full((52,), 0.1)
DEVIATION = torch.full((52,), 0.2)


def faces(jaws):
    """Return standardised coefficients (len(jaws), 1, 52) of faces that only open their jaw."""
    weights = torch.zeros(len(jaws), 1, len(rig.NAMES))
    weights[:, 0, INDEX['jawOpen']] = torch.tensor(jaws)
    return (weights - MEAN) / DEVIATION


def best(loss, shut):
    """Return the jaw that `loss` likes best where `shut` of ten faces are shut, the others not."""
    truth = faces([0.0] * shut + [0.4] * (10 - shut))
    jaws = [step / 100 for step in range(41)]
    return min(jaws, key=lambda jaw: loss(faces([jaw] * 10), truth, MEAN, DEVIATION))


@pytest.mark.parametrize(('shut', 'jaw'), [(1, 0.4), (2, 0.4), (3, 0.0), (6, 0.0)])
def test_lips_shut_in_full_as_soon_as_that_is_likely_enough(shut, jaw):
    assert best(closing_loss, shut) == jaw
    assert 0.02 < best(seal_loss, shut) < 0.38          # a mean is neither


def test_every_loss_of_a_motion_is_none_for_the_truth():
    truth = torch.randn(2, 9, 52, generator=torch.Generator().manual_seed(1))
    found = motion_losses(truth, truth, MEAN, DEVIATION, 60.0)
    assert set(found) == {'coefficient', 'velocity', 'lip_gap', 'seal', 'closing'}
    assert all(loss == 0 for loss in found.values())
    off = motion_losses(0.9 * truth, truth, MEAN, DEVIATION, 60.0)
    assert all(loss > 0 for loss in off.values())
