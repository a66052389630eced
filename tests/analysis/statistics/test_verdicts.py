"""Verdicts: shared levels by brute force and Holm's method, words by hand, and looks that contradict each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from ablations.analysis.statistics.intervals import FloatArray
from ablations.analysis.statistics.paired_tests import PairedTests, t_tests
from ablations.analysis.statistics.verdicts import Sample, Shown, judge, shared_level, show

MARGIN = 50.0  # images, as all differences here


def paired_tests(*differences: Sequence[float]) -> PairedTests:
    """The tests of variants that have so many images more wrong than the baseline in each seed."""
    return t_tests(np.array(differences, dtype=float).T, margin=MARGIN, least_std=0.4)


def random_tests(rng: np.random.Generator, count: int = 8) -> PairedTests:
    """Tests of ten seeds of which some are settled at any level and others at none."""
    return PairedTests(
        difference=rng.choice([0.0, 1.0, -1.0], count) * rng.uniform(0, 120, count),
        standard_error=np.exp(rng.uniform(0, 5, count)),
        df=np.full(count, 9.0),
        margin=MARGIN,
    )


# Levels


@pytest.mark.parametrize("level", [0.05, 0.004])
def test_without_equivalence_differences_are_those_of_holms_method(level: float) -> None:
    rng = np.random.default_rng(1)
    rejected = set()
    for _ in range(30):
        tests = random_tests(rng)
        shown = show(tests, level=level, may_be_equivalent=False)
        holm = multipletests(tests.p, alpha=level, method="holm")[0]
        assert (shown.lower | shown.higher).tolist() == holm.tolist()
        assert not shown.within.any()
        rejected.add(int(holm.sum()))
    assert len(rejected) > 3


def test_comparisons_leave_the_count_one_by_one() -> None:
    # Brute force: whichever is settled at the level of those that are left leaves, until none does.
    rng = np.random.default_rng(2)
    counts = set()
    for _ in range(100):
        tests = random_tests(rng)
        left = list(range(8))
        while left:
            level = 0.04 / len(left)
            settled = (tests.p <= level) & ((tests.p_beyond <= 0.1) | (tests.p_equivalent <= level))
            leaving = [each for each in left if settled[each]]
            if not leaving:
                break
            left.remove(leaving[0])
        found = shared_level(tests, level=0.04, may_be_equivalent=True)
        assert found == pytest.approx(0.04 / max(1, len(left)))
        counts.add(len(left))
    assert len(counts) > 4


def test_comparisons_that_nothing_settles_share_the_level_equally() -> None:
    # The first is equivalent, which is one of its two hypotheses; it counts on.
    tests = paired_tests((-1, 0, 1), *[(-300, 0, 300)] * 4)
    assert shared_level(tests, level=0.05, may_be_equivalent=True) == 0.05 / 5
    assert show(tests, level=0.05, may_be_equivalent=True).within.tolist() == [True, *[False] * 4]


# Words


@pytest.mark.parametrize(
    ("images", "verdict"),
    [
        ((-100, -102, -98), "better"),
        ((100, 102, 98), "worse"),
        ((52, 50, 48), "worse"),
        ((10, 11, 12), "worse, within the margin"),
        ((-10, -11, -12), "better, within the margin"),
        ((-3, 0, 3), "equivalent"),
        ((-3, -3, -2, 4, 4), "equivalent"),
        ((0, 0, 0), "equivalent"),
        ((-60, 0, 60), "inconclusive"),
        ((20, 60, 100), "inconclusive"),
    ],
)
def test_verdicts_in_words(images: Sequence[float], verdict: str) -> None:
    shown = show(paired_tests(images), level=0.05, may_be_equivalent=True).of(0)
    assert shown.verdict() == verdict
    without = show(paired_tests(images), level=0.05, may_be_equivalent=False).of(0)
    assert without.verdict() == {"equivalent": "inconclusive"}.get(verdict, verdict.removesuffix(", within the margin"))


def test_swapping_variant_and_baseline_mirrors_what_is_shown() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        differences = rng.normal(rng.choice([-60, 0, 20], 6), 15, (5, 6))
        one, other = (
            show(t_tests(each, margin=MARGIN, least_std=0.4), level=0.05, may_be_equivalent=True)
            for each in (differences, -differences)
        )
        mirrored = Shown(other.higher, other.lower, other.not_higher, other.not_lower, other.beyond)
        assert all(np.array_equal(*fields) for fields in zip(one, mirrored, strict=True))


# Looks. A field that is shown is in the set.


def shown_of(*fields: str) -> Shown:
    return Shown(*(np.array([name in fields]) for name in Shown._fields))


@pytest.mark.parametrize(
    ("earlier", "later", "joined"),
    [
        ({"lower"}, set(), {"lower"}),
        ({"lower", "beyond"}, set(), {"lower", "beyond"}),
        ({"not_lower"}, {"not_higher"}, {"not_lower", "not_higher"}),
        ({"not_lower", "not_higher"}, {"higher"}, {"not_lower", "not_higher", "higher"}),
        ({"lower"}, {"higher"}, {"higher"}),
        ({"higher"}, {"lower", "not_lower"}, {"lower", "not_lower"}),
        ({"not_lower", "not_higher"}, {"higher", "beyond"}, {"not_lower", "higher", "beyond"}),
        ({"not_lower", "not_higher"}, {"lower", "beyond"}, {"not_higher", "lower", "beyond"}),
        ({"higher", "beyond"}, {"not_lower", "not_higher"}, {"higher", "not_lower", "not_higher"}),
        ({"higher", "beyond"}, {"not_higher"}, {"higher", "not_higher"}),
        ({"higher", "beyond"}, {"lower"}, {"lower"}),
        ({"lower", "beyond"}, {"not_higher"}, {"lower", "beyond", "not_higher"}),
    ],
)
def test_what_was_shown_stays_unless_a_later_look_contradicts_it(
    earlier: set[str], later: set[str], joined: set[str]
) -> None:
    found = shown_of(*earlier).joined(shown_of(*later)).of(0)
    assert {name for name, flag in found._asdict().items() if flag} == joined


def sample_of(differences: FloatArray, *, new_error: float = np.nan) -> Sample:
    count = differences.shape[1]
    return Sample(differences, np.full(count, 0.4), np.full(count, new_error), np.full(count, 1e6))


def test_verdicts_of_several_looks_are_those_of_the_last_that_changed_them() -> None:
    # In images by seed: worse at once and scattered later; inconclusive; equivalent from the eighth seed on; better at
    # first, and worse in the end; worse at first, and then within the margin too.
    first = np.array([[100, -300, -30, -60, 38], [101, 0, 0, -61, 40], [99, 300, 30, -59, 44]])
    later = np.array([[900, 90, 0, 900, 30], [-700, 90, 0, 901, 31], [100, -300, 1, 900, 30], [100, 0, -1, 901, 29]])
    last = np.tile([[100, 0, 0, 900, 30]], (31, 1))
    seeds = np.concatenate([first, later, [[0, 9, 2, 900, 30]], last]).astype(float)
    samples = [sample_of(seeds[:number]) for number in (3, 8, 39)]
    found = judge(samples, [0.04, 0.04, 0.04], margin=MARGIN, may_be_equivalent=True)
    words = ["worse", "equivalent", "equivalent", "worse", "worse, within the margin"]
    assert [found.these.of(each).verdict() for each in range(5)] == words
    assert found.looks.tolist() == [0, 2, 1, 2, 1]


def test_the_level_of_a_look_is_its_own() -> None:
    sample = sample_of(np.array([[20.0], [21.0], [22.0], [55.0]]))
    p = paired_tests((20, 21, 22, 55)).p[0]
    for levels, number in (([p / 2, p * 2], 1), ([p * 2, p / 2], 0), ([p / 2, p / 3], -1)):
        assert judge([sample] * 2, levels, margin=MARGIN, may_be_equivalent=False).looks.tolist() == [number]


def test_new_images_show_no_more_than_these() -> None:
    # t of 3 on 2 degrees of freedom shows nothing; on new images a smaller error with many does, but for nothing.
    scattered, clear = np.array([[15.0], [30.0], [45.0]]), np.array([[100.0], [101.0], [102.0]])
    for differences, new_error, these, new in (
        (scattered, 1.0, False, False),
        (clear, 30.0, True, True),
        (clear, 90.0, True, False),
        (clear, np.nan, True, False),
    ):
        found = judge([sample_of(differences, new_error=new_error)], [0.01], margin=MARGIN, may_be_equivalent=True)
        assert (bool(found.these.higher[0]), bool(found.new.higher[0])) == (these, new)
