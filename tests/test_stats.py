"""Fronts against a definition spelled out point by point."""

from __future__ import annotations

import math
import random

from ablations.stats import pareto_front


def test_front_of_a_small_case_worked_by_hand() -> None:
    #           a    b    c    d      e (as b in both: neither beats the other)
    costs = [1.0, 2.0, 3.0, 2.5, 2.0]
    errors = [0.5, 0.3, 0.2, 0.4, 0.3]
    assert pareto_front(costs, errors).tolist() == [True, True, True, False, True]


def test_front_equals_the_definition_on_random_points() -> None:
    draw = random.Random(1)
    for _ in range(200):
        points = [(draw.randint(0, 6), draw.randint(0, 6)) for _ in range(8)]
        expected = [
            not any(c <= cost and e <= error and (c < cost or e < error) for c, e in points) for cost, error in points
        ]
        assert pareto_front([cost for cost, _ in points], [error for _, error in points]).tolist() == expected


def test_missing_points_are_never_on_the_front_and_beat_none() -> None:
    assert pareto_front([1.0, math.nan, 2.0], [math.nan, 0.1, 0.2]).tolist() == [False, False, True]
    assert pareto_front([], []).tolist() == []
