# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0

"""Training losses: what they are smallest for."""

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from avatar_bridge import rig  # noqa: E402
from avatar_bridge.rig import INDEX  # noqa: E402
from avatar_bridge.stream import blender  # noqa: E402
from model.losses import closing_loss, motion_losses, seal_loss, settled  # noqa: E402

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


def test_lips_are_judged_as_the_blender_shows_them():
    rng = np.random.default_rng(3)
    frames = rng.standard_normal((14, 52)).astype(np.float32)
    ends = np.concatenate([frames[:1], frames, frames[-1:]])
    as_streamed = blender.settled(ends, blender.neighbours_share(60.0))
    np.testing.assert_allclose(settled(torch.from_numpy(frames[None]), 60.0)[0], as_streamed,
                               atol=1e-6)
    short = faces([0.4, 0.4, 0.0, 0.4, 0.4]).transpose(0, 1)        # a closure of one frame
    inward = faces([0.4, 0.4, -0.6, 0.4, 0.4]).transpose(0, 1)      # overdone, so that it shows
    found = [{shown: motion_losses(said, short, MEAN, DEVIATION, 60.0, shown=shown)
              for shown in (False, True)} for said in (short, inward)]
    assert found[0][True]['closing'] > found[0][False]['closing'] == 0
    assert found[1][True]['closing'] < found[0][True]['closing']
    assert found[1][True]['coefficient'] == found[1][False]['coefficient']
