# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""The deadline policy: fewer steps, then guesses, and back."""

import pytest

from avatar_bridge.governor import BRIDGE, Governor, Steady

HOP = 50_000_000


def run(governor, hops, cost):
    """Predict `hops` hops, `cost` ns for each step; return the steps of each."""
    used = []
    for _ in range(hops):
        used.append(governor.choose(slack=HOP))
        governor.measured(cost * used[-1])
    return used


def test_what_is_fast_enough_keeps_its_steps():
    assert set(run(Governor(HOP, 4), 200, cost=HOP // 8)) == {4}


def test_too_slow_means_fewer_steps_until_it_fits():
    used = run(Governor(HOP, 8), 100, cost=HOP // 5)
    assert used[-1] == 3
    assert used == sorted(used, reverse=True)


def test_one_step_is_the_least():
    assert run(Governor(HOP, 2), 100, cost=3 * HOP)[-1] == 1


def test_one_hiccup_changes_nothing():
    governor = Governor(HOP, 2)
    run(governor, 10, cost=HOP // 10)
    governor.measured(100 * HOP)
    assert governor.steps == 2


def test_steps_come_back_when_there_is_room_but_not_at_once():
    governor = Governor(HOP, 3)
    run(governor, 50, cost=HOP)
    assert governor.steps == 1
    used = run(governor, 200, cost=HOP // 20)
    assert used[20] == 1
    assert used[-1] == 3


@pytest.mark.parametrize('share', [0.05, 0.2, 0.24, 0.3, 0.4])
def test_it_does_not_swing_between_two_choices(share):
    used = run(Governor(HOP, 4), 1000, cost=int(HOP * share))
    assert len(set(used[300:])) == 1


def test_more_than_a_hop_too_late_is_bridged_until_caught_up():
    governor = Governor(HOP, 2)
    slacks = (0, -HOP, -HOP - 1, -HOP // 2, -1, 0, -HOP)
    assert [governor.choose(slack) for slack in slacks] == [2, 2, BRIDGE, BRIDGE, BRIDGE, 1, 1]


def test_a_wish_counts_from_the_next_hop():
    governor = Governor(HOP, 2)
    governor.want(5)
    assert governor.choose(slack=HOP) == 5


def test_steady_never_gives_way():
    policy = Steady(3)
    policy.measured(100 * HOP)
    assert policy.choose(slack=-100 * HOP) == 3
    policy.want(1)
    assert policy.steps == 1


def test_far_too_slow_guesses_and_the_backlog_stays_bounded():
    governor, behind, worst, used = Governor(HOP, 2), 0, 0, []
    for _ in range(400):
        steps = governor.choose(-behind)
        spent = 90_000_000 if steps else 500_000
        if steps:
            governor.measured(spent)
        behind = max(0, behind + spent - HOP)
        worst = max(worst, behind)
        used.append(steps)
    assert used.count(BRIDGE) > 100
    assert used.count(1) > 100
    assert worst < 200_000_000
