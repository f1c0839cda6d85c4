# Copyright 2026 The avatar_bridge authors
# SPDX-License-Identifier: Apache-2.0
"""Fewer steps, then guesses, then back again."""

from fractions import Fraction

from avatar_bridge.governor import BRIDGE, Governor

HOP = Fraction(1, 20)


def live_through(governor, cost, hops):
    """Return what was chosen and the largest backlog; `cost(steps)` in seconds a hop."""
    chosen, behind, worst = [], 0.0, 0.0
    for _ in range(hops):
        steps = governor.choose(int(behind * 1e9))
        compute = cost(steps) if steps else 0.0005
        governor.observe(float(HOP), compute)
        behind = max(0.0, behind + compute - float(HOP))
        worst = max(worst, behind)
        chosen.append(steps)
    return chosen, worst


def test_enough_time_keeps_the_steps_asked_for():
    chosen, _ = live_through(Governor(4, HOP), lambda steps: 0.008 * steps, 200)
    assert set(chosen) == {4}


def test_too_slow_takes_fewer_steps_before_guessing():
    chosen, _ = live_through(Governor(8, HOP), lambda steps: 0.010 * steps, 100)
    assert BRIDGE not in chosen[20:]
    assert chosen[-1] < 5


def test_far_too_slow_guesses_and_the_backlog_stays_bounded():
    chosen, worst = live_through(Governor(2, HOP), lambda _: 0.09, 400)
    assert chosen.count(BRIDGE) > 100
    assert chosen.count(1) > 100
    assert worst < 0.2


def test_steps_come_back_when_time_is_plenty_again():
    governor = Governor(4, HOP)
    live_through(governor, lambda steps: 0.03 * steps, 100)
    assert governor.steps == 1
    chosen, _ = live_through(governor, lambda steps: 0.005 * steps, 400)
    assert chosen[-1] == 4


def test_steps_do_not_flutter_where_one_more_does_not_fit():
    governor = Governor(3, HOP)
    live_through(governor, lambda steps: 0.015 * steps, 100)
    chosen, _ = live_through(governor, lambda steps: 0.015 * steps, 400)
    assert set(chosen) == {2}


def test_a_new_wish_counts_at_once():
    governor = Governor(2, HOP)
    governor.ask(6)
    assert governor.choose(0) == 6
    governor.ask(1)
    assert governor.choose(0) == 1
