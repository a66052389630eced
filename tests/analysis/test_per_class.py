"""Per-class errors: against scipy's paired t test, and counts by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from ablations.analysis.per_class import COLUMNS, most_degraded_classes, per_class_errors
from ablations.analysis.per_image import RunErrors
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


def degraded(frame: pd.DataFrame, **options: Any) -> pd.DataFrame:
    return most_degraded_classes(frame, baseline="reduced", **options)


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
    tested = frame[frame["p"].notna()]
    # Only where the difference varies over seeds.
    assert list(zip(tested["variant"], tested["class_number"], strict=True)) == [
        ("short", 3),
        ("naive", 0),
        ("naive", 7),
    ]
    expected = [
        scipy_stats.ttest_rel(np.array(WRONG[name])[:, number] / 200, np.array(BASE)[:, number] / 200).pvalue
        for name, number in zip(tested["variant"], tested["class_number"], strict=True)
    ]
    np.testing.assert_allclose(tested["p"], expected)
    order = np.argsort(expected)
    by_hand = np.maximum.accumulate(np.array(expected)[order] * [3, 2, 1])
    np.testing.assert_allclose(tested["p_holm"].to_numpy()[order], by_hand)
    assert frame.loc[frame["p"].isna(), "p_holm"].isna().all()


def test_only_classes_with_a_larger_error_are_degraded(frame: pd.DataFrame) -> None:
    found = degraded(frame)
    assert list(zip(found["variant"], found["class_name"], strict=True)) == [
        ("short", "class 3"),
        ("naive", "class 0"),
        ("naive", "class 7"),
    ]
    assert list(found["difference"]) == pytest.approx([61 / 200, 51 / 200, 10 / 200])
    assert found["p_holm"].between(0, 0.05).all()


def test_the_most_degraded_classes_come_first() -> None:
    rises = [5, 40, -30, 0, 7, 40, 2, 1, 9, 3]
    found = per_class_errors(
        runs_of({"reduced": [[100] * 10] * 2, "short": [[100 + rise for rise in rises]] * 2}), PLAN
    )
    assert list(degraded(found, most=4)["class_number"]) == [1, 5, 8, 4]
    assert len(degraded(found)) == 3
    assert len(degraded(found, most=99)) == 8


def test_one_seed_has_differences_without_spread_or_p() -> None:
    found = per_class_errors(runs_of({name: counts[:1] for name, counts in WRONG.items()}), PLAN)
    assert of(found, "short").loc[3, "difference"] == pytest.approx(60 / 200)
    assert found[["error_std", "p", "p_holm"]].isna().all(axis=None)
    assert list(degraded(found)["class_number"]) == [3, 0, 7]


def test_without_the_baseline_there_are_errors_but_no_differences() -> None:
    found = per_class_errors(runs_of({name: WRONG[name] for name in ("naive", "short")}), PLAN)
    assert found["error_mean"].notna().all()
    assert found[["difference", "p"]].isna().all(axis=None)
    assert degraded(found).empty


def test_without_runs_there_are_columns_only() -> None:
    found = per_class_errors([], PLAN)
    assert found.empty and list(found.columns) == COLUMNS
    assert degraded(found).empty


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
    assert found["p"].isna().all(), "all seeds agree, so there is no spread to test against"
