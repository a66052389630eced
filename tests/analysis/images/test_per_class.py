"""Per-class errors: against scipy's paired t test, and counts by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from ablations.analysis.images.per_class import COLUMNS, degraded_classes, per_class_errors
from ablations.analysis.images.per_image import RunErrors
from tests.support.synthetic_suites import make_plan

PLAN = make_plan("cifar10", seeds=1, variants=("reduced",))
Wrong = Mapping[str, Sequence[Sequence[int]]]  # by variant and seed the wrong images of each class

# Against the baseline "short" degrades in class 3 only, and "naive" in class 0 by much and in 7 by less.
BASE = [
    [100, 90, 80, 70, 60, 50, 40, 30, 20, 10],
    [104, 88, 83, 71, 58, 53, 41, 28, 22, 11],
    [97, 91, 79, 68] + [33] * 6,
]
ONE_CLASS = [[*counts[:3], counts[3] + rise, *counts[4:]] for counts, rise in zip(BASE, (60, 66, 57), strict=True)]
TWO_CLASSES = [
    [counts[0] + 50 + seed, *counts[1:7], counts[7] + 9 + seed, *counts[8:]] for seed, counts in enumerate(BASE)
]
WRONG = {"reduced": BASE, "short": ONE_CLASS, "naive": TWO_CLASSES}


def runs_of(wrong: Wrong, *, images: Sequence[int] = (200,) * 10) -> list[RunErrors]:
    """Runs with these wrong images, of so many of each class."""
    return [
        RunErrors(
            run_id=f"{variant}-{seed}",
            variant=variant,
            seed=seed,
            images=np.array(images, dtype=np.int32),
            wrong=np.array(counts, dtype=np.int32),
            calibration_error=0.0,
            calibrated_error=0.0,
            confidence=0.5,
            wrong_images=np.empty(0, np.uint8),
        )
        for variant, by_seed in wrong.items()
        for seed, counts in enumerate(by_seed, start=1)
    ]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """The errors by class of three variants with three seeds."""
    return per_class_errors(runs_of(WRONG), PLAN)


def of(frame: pd.DataFrame, variant: str) -> pd.DataFrame:
    return frame[frame["variant"] == variant].set_index("class_number")


def test_errors_by_class_are_those_of_the_counts(frame: pd.DataFrame) -> None:
    assert list(frame["variant"].unique()) == ["reduced", "short", "naive"]
    for variant, counts in WRONG.items():
        rows = of(frame, variant)
        errors = np.array(counts) / 200
        np.testing.assert_allclose(rows["error_mean"], errors.mean(axis=0))
        np.testing.assert_allclose(rows["error_std"], errors.std(axis=0, ddof=1))
        assert set(rows["images"]) == {200} and set(rows["n"]) == {3}
        if variant != "reduced":
            np.testing.assert_allclose(rows["difference"], (errors - np.array(BASE) / 200).mean(axis=0))
    assert list(of(frame, "short")["class_name"]) == [f"class {number}" for number in range(10)]
    assert of(frame, "reduced")[["difference", "p", "p_holm"]].isna().all(axis=None)


def test_p_is_scipys_and_holm_covers_the_whole_suite(frame: pd.DataFrame) -> None:
    varied = [("short", 3), ("naive", 0), ("naive", 7)]  # only here the difference varies over seeds
    expected = [
        scipy_stats.ttest_rel(np.array(WRONG[name])[:, number] / 200, np.array(BASE)[:, number] / 200).pvalue
        for name, number in varied
    ]
    assert frame["p"].notna().sum() == 20
    tested = frame[frame["p"] < 1]
    assert list(zip(tested["variant"], tested["class_number"], strict=True)) == varied, "others have equal errors"
    np.testing.assert_allclose(tested["p"], expected)
    order = np.argsort(expected)
    by_hand = np.maximum.accumulate(np.array(expected)[order] * [20, 19, 18])
    np.testing.assert_allclose(tested["p_holm"].to_numpy()[order], by_hand)


def test_a_class_is_degraded_if_its_error_is_significantly_larger(frame: pd.DataFrame) -> None:
    # t of 23, 88 and 17 with 2 degrees of freedom: p of 0.0019, 0.00013 and 0.0033, times 19, 20 and 18.
    found = degraded_classes(frame)
    assert list(zip(found["variant"], found["class_name"], strict=True)) == [
        ("short", "class 3"),
        ("naive", "class 0"),
    ]
    assert list(found["difference"]) == pytest.approx([61 / 200, 51 / 200])
    assert list(degraded_classes(frame, level=0.1)["class_number"]) == [3, 0, 7]
    assert degraded_classes(frame.assign(difference=-frame["difference"])).empty


def test_a_loss_without_any_spread_is_tested_against_that_of_rounding() -> None:
    rises = [5, 40, -30, 0, 7, 40, 2, 1, 9, 3]
    found = per_class_errors(
        runs_of({"reduced": [[100] * 10] * 4, "short": [[100 + rise for rise in rises]] * 4}), PLAN
    )
    # A rise of one image is sqrt(6) standard deviations, and 2 sqrt(6) standard errors of four seeds.
    expected = [2 * scipy_stats.t.sf(abs(rise) * 2 * math.sqrt(6), df=3) for rise in rises]
    np.testing.assert_allclose(of(found, "short")["p"], expected)
    assert list(degraded_classes(found)["class_number"]) == [1, 5, 8, 4, 0, 9, 6, 7], "the largest first"


def test_where_nothing_differs_hardly_any_class_is_degraded() -> None:
    rng = np.random.default_rng(1)
    listed = 0
    for _ in range(60):
        wrong = {name: rng.binomial(100, 0.3, size=(5, 10)).tolist() for name in ("reduced", "short", "naive")}
        listed += not degraded_classes(per_class_errors(runs_of(wrong), PLAN)).empty
    assert listed <= 5, "1.5 expected, as half of the 5 % are gains"


def test_one_seed_has_differences_without_spread_or_p() -> None:
    found = per_class_errors(runs_of({name: counts[:1] for name, counts in WRONG.items()}), PLAN)
    assert of(found, "short").loc[3, "difference"] == pytest.approx(60 / 200)
    assert found[["error_std", "p", "p_holm"]].isna().all(axis=None)
    assert degraded_classes(found).empty


def test_without_the_baseline_there_are_errors_but_no_differences() -> None:
    found = per_class_errors(runs_of({name: WRONG[name] for name in ("naive", "short")}), PLAN)
    assert found["error_mean"].notna().all()
    assert found[["difference", "p"]].isna().all(axis=None)
    assert degraded_classes(found).empty


def test_without_runs_there_are_columns_only() -> None:
    found = per_class_errors([], PLAN)
    assert found.empty and list(found.columns) == COLUMNS
    assert degraded_classes(found).empty


def test_a_missing_seed_leaves_the_pairs_that_both_variants_have() -> None:
    runs = [run for run in runs_of(WRONG)[::-1] if (run.variant, run.seed) != ("short", 3)]
    found = per_class_errors(runs, PLAN)
    rows = of(found, "short")
    assert set(rows["n"]) == {2} and set(of(found, "reduced")["n"]) == {3}
    # Rises of 60 and 66 in the two seeds that are left.
    assert rows.loc[3, "difference"] == pytest.approx(63 / 200)
    assert rows.loc[3, "p"] == pytest.approx(scipy_stats.ttest_rel([60, 66], [0, 0]).pvalue)


def test_a_class_without_test_images_has_no_error() -> None:
    plan = replace(PLAN, data=replace(PLAN.data, num_classes=4, class_names=("a", "b", "c", "d")))
    wrong = {"reduced": [[1, 0, 0, 0]] * 2, "short": [[3, 0, 0, 0]] * 2}
    found = per_class_errors(runs_of(wrong, images=(10, 10, 0, 10)), plan)
    rows = of(found, "short")
    assert list(rows["class_name"]) == ["a", "b", "c", "d"] and list(rows["images"]) == [10, 10, 0, 10]
    assert rows["error_mean"].isna().tolist() == rows["difference"].isna().tolist() == [False, False, True, False]
    assert rows.loc[0, "difference"] == pytest.approx(0.2)
    assert rows["p"].isna().tolist() == [False, False, True, False]
