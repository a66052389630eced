"""Verdicts of paired tests: cases by hand in images of 10,000 with a margin of 50, checks and planned seeds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from ablations.analysis.power import seeds_for_difference, seeds_for_equivalence
from tests.support.paired_suites import IMAGES, MARGIN, compare, compare_wrong, leave_out_checks

NOISY = (-300, 0, 300)  # images, in three seeds: settles nothing


@pytest.mark.parametrize(
    ("images", "verdict"),
    [
        ((-60, -58, -62), "better"),
        ((60, 58, 62), "worse"),
        ((-3, 0, 3), "equivalent"),
        ((-3, -3, -2, 4, 4), "equivalent"),
        ((-60, 0, 60), "inconclusive"),
        ((20, 60, 100), "inconclusive"),
        ((48, 50, 52), "worse"),
        # A significant difference takes precedence, however small: these are within the margin too.
        ((10, 11, 12), "worse"),
        ((-10, -11, -12), "better"),
    ],
)
def test_verdict(images: Sequence[int], verdict: str) -> None:
    (found,) = compare(images)
    assert found.verdict == verdict
    assert found.difference == pytest.approx(np.mean(images) / IMAGES)
    assert (found.seeds_needed is None) == (verdict != "inconclusive")


def test_a_small_difference_may_be_significant_and_within_the_margin() -> None:
    (found,) = compare([10, 11, 12])
    assert found.p_equivalent_holm < found.p_holm < 0.05
    assert found.verdict == "worse"


def test_among_many_comparisons_the_same_difference_is_inconclusive() -> None:
    images = (60, 75, 90)
    assert compare(images)[0].verdict == "worse"
    among = compare(images, *[NOISY] * 9)
    assert among[0].p == compare(images)[0].p
    assert {each.verdict for each in among} == {"inconclusive"}


def test_seeds_are_paired() -> None:
    base = np.array([1000, 1400, 700, 1200], dtype=float)
    variant = base + [20, 21, 22, 21]
    assert [each.verdict for each in compare_wrong(np.stack([base, variant]))] == ["worse"]
    assert [each.verdict for each in compare_wrong(np.stack([base, variant[::-1]]))] == ["inconclusive"]


@pytest.mark.parametrize("seeds", [3, 10])
def test_swapping_variant_and_baseline_mirrors_the_comparison(seeds: int) -> None:
    mirror = {"better": "worse", "worse": "better", "equivalent": "equivalent", "inconclusive": "inconclusive"}
    rng = np.random.default_rng(seeds)
    seen = set()
    for _ in range(12):
        wrong = np.round(rng.normal([[1000], [1000 + rng.choice([-40, 0, 40])]], 15, (2, seeds)))
        (one,), (other,) = compare_wrong(wrong), compare_wrong(wrong[::-1])
        assert other.verdict == mirror[one.verdict]
        assert other.difference == pytest.approx(-one.difference)
        assert (other.p, other.p_equivalent) == pytest.approx((one.p, one.p_equivalent))
        assert other.interval == pytest.approx((-one.interval.high, -one.interval.low))
        assert other.seeds_needed == one.seeds_needed
        seen.add(one.verdict)
    assert len(seen) >= 3


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_identical_errors_in_every_seed_are_equivalent(seeds: int) -> None:
    for found in compare(*[[0] * seeds] * 6):
        # Both counts were rounded to an image, each with variance 1/12.
        assert found.std == pytest.approx(math.sqrt(1 / 12 + 1 / 12) / IMAGES)
        assert (found.difference, found.p, found.p_holm, found.p_signs) == (0, 1, 1, 1)
        assert found.interval.low == -found.interval.high < 0
        assert found.interval.high < MARGIN
        assert found.bootstrap is None
        assert 0 < found.p_equivalent <= found.p_equivalent_holm <= 0.05
        assert found.verdict == "equivalent"
        assert not found.checks_disagree


def test_few_images_cannot_show_equivalence_by_identical_errors() -> None:
    # One image of 100 is two margins.
    (found,) = compare([0, 0, 0], test_images=100)
    assert found.verdict == "inconclusive"
    assert found.interval.low < -MARGIN and found.interval.high > MARGIN


@pytest.mark.parametrize("seeds", [2, 3])
def test_one_image_in_each_of_few_seeds_is_no_difference(seeds: int) -> None:
    for images in (1, -1):
        (found,) = compare([images] * seeds)
        assert found.p > 0.05
        assert found.verdict == "equivalent"
    assert compare([1] * seeds, test_images=100)[0].verdict == "inconclusive"


@pytest.mark.parametrize(
    ("images", "disagree"),
    [
        # Six of one sign, p 2/64, of which one is far out: no difference by the t test.
        ((1, 1, 1, 1, 1, 30), True),
        # Five of one sign are never enough for the signs, p 2/32.
        ((1, 1, 1, 1, 30), False),
        ((10, 11, 12, 10, 11), False),
        # A difference by the t test; by signs p 4/64, as the negative one might as well be positive.
        ((-1, 10, 11, 12, 10, 11), True),
        ((9, 10, 11, 12, 10, 11), False),
        ((-9, -10, -11, -12, -10, -11), False),
        ((-5, 5, -4, 4, 1, 0), False),
        # Skewed: p is above 0.05 by the t test and by signs, yet the bootstrap's interval is above zero by an image.
        ((1, 0, 0, 4, 12, 0, 5, 13), True),
        ((-1, 0, 0, -4, -12, 0, -5, -13), True),
        ((-10, 0, 3, 5, 8, 10, 12, 13), False),
        ((9, 10, 11, 12, 10, 11, 8, 12), False),
    ],
)
def test_checks_disagree(images: Sequence[int], disagree: bool) -> None:
    (found,) = compare(images)
    assert found.checks_disagree is disagree
    # The t test's own p is what they are held against, not the one for many comparisons.
    assert compare(images, *[[-300] + [0] * (len(images) - 2) + [300]] * 9)[0].checks_disagree is disagree


def test_bootstrap_alone_can_disagree() -> None:
    (found,) = compare([1, 0, 0, 4, 12, 0, 5, 13])
    assert found.p > 0.05 and found.p_signs > 0.05
    assert found.bootstrap is not None and found.bootstrap.low > 0
    assert found.checks_disagree


def test_verdicts_do_not_depend_on_the_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    suites = [np.round(rng.normal(1000, 15, (7, seeds)) + 30 * rng.integers(-1, 2, (7, 1))) for seeds in (3, 5, 10)]

    def judged() -> list[tuple[str, int | None, float, float]]:
        return [
            (each.verdict, each.seeds_needed, each.p_holm, each.p_equivalent_holm)
            for suite in suites
            for each in compare_wrong(suite)
        ]

    full = judged()
    assert len({verdict for verdict, *_ in full}) == 4
    for p_signs in (1.0, 0.0):
        leave_out_checks(monkeypatch, p_signs)
        assert judged() == full
    # Nor do they depend on the planned seeds.
    leave_out_checks(monkeypatch, planning=False)
    assert [verdict for verdict, *_ in judged()] == [verdict for verdict, *_ in full]


def test_inconclusive_comparisons_need_more_seeds_than_there_were() -> None:
    rng = np.random.default_rng(1)
    needed = Counter[bool]()
    for seeds in (2, 3, 5):
        for _ in range(4):
            wrong = np.round(rng.normal(1000, 30, (7, seeds)))
            for found in compare_wrong(wrong):
                if found.verdict == "inconclusive":
                    assert found.seeds_needed is None or seeds < found.seeds_needed <= 1_000
                    needed[found.seeds_needed is not None] += 1
                else:
                    assert found.seeds_needed is None
    assert needed[True] > 40


@pytest.mark.parametrize("others", [0, 9])
@pytest.mark.parametrize(("difference", "std"), [(25, 25), (-30, 30), (5, 30), (60, 60), (0, 40)])
def test_seeds_needed_are_the_fewer_of_difference_and_equivalence(difference: int, std: int, others: int) -> None:
    found = compare([difference - std, difference, difference + std], *[NOISY] * others)[0]
    alpha = 0.05 / (1 + others)
    either = [
        seeds_for_difference(difference / IMAGES, std / IMAGES, alpha=alpha),
        seeds_for_equivalence(difference / IMAGES, std / IMAGES, margin=MARGIN, alpha=alpha),
    ]
    assert found.verdict == "inconclusive"
    assert found.seeds_needed == min(count for count in either if count is not None)


def test_a_comparison_beyond_a_thousand_seeds_has_no_seeds_needed() -> None:
    (found,) = compare([-4000, 1, 4000])
    assert (found.verdict, found.seeds_needed) == ("inconclusive", None)
