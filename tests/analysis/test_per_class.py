"""What runs' predictions say by class and of calibration: against scipy, numpy and cases that are counted by hand."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from ablations.analysis import per_class
from ablations.analysis.per_class import Evidence, expected_calibration_error, gather, lost
from ablations.analysis.results import load_results
from ablations.errors import ConfigError
from ablations.records.predictions import Predictions
from ablations.records.run_folder import RunFolder
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.run_config import RunConfig
from tests.support.synthetic_suites import failed, make_plan, make_record, save

LABELS = np.repeat(np.arange(10), 200)
Wrong = Mapping[str, list[list[int]]]  # by variant and seed the wrong images of each class

# Beside the baseline "short" only loses class 3, and "naive" class 0 by much and 7 by less.
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


def arrays(wrong: list[int], *, labels: NDArray[Any] = LABELS, confidence: float = 0.75) -> dict[str, NDArray[Any]]:
    """Predictions with the first `wrong[c]` images of each class c wrong, a third of all these in top-5 too."""
    guesses = min(5, len(wrong))
    classes = (labels[:, None] + np.arange(guesses)) % len(wrong)
    missed = np.flatnonzero(np.concatenate([np.arange((labels == c).sum()) < wrong[c] for c in range(len(wrong))]))
    classes[missed] = classes[missed][:, [*range(1, guesses), 0]]
    if guesses == 5:
        far = missed[: len(missed) // 3]
        classes[far] = (labels[far, None] + np.arange(1, 6)) % len(wrong)
    return {
        "classes": classes,
        "logits": np.zeros(classes.shape, np.float32),
        "true_probability": np.zeros(len(labels), np.float32),
        "confidence": np.full(len(labels), confidence, np.float32),
        "labels": labels,
    }


def save_run(suite_dir: Path, config: RunConfig, predictions: dict[str, NDArray[Any]]) -> RunFolder:
    """Save predictions and the record of a finished run that has their errors."""
    folder = SuiteFolder(suite_dir).run(config)
    record = make_record(config, wrong=int((predictions["classes"][:, 0] != predictions["labels"]).sum()))
    assert record.test is not None
    test = replace(record.test, images=len(predictions["labels"]))
    if predictions["classes"].shape[1] < 5:
        test = replace(test, top5_wrong=None)
    folder.write_result(replace(record, test=test))
    folder.write_predictions(Predictions(**predictions))
    return folder


def saved(suite_dir: Path, wrong: Wrong = WRONG, *, variants: tuple[str, ...] | None = None) -> list[RunFolder]:
    """Save a suite of which `wrong` is known; the folders of its runs, seed by seed."""
    plan = make_plan("cifar10", seeds=len(next(iter(wrong.values()))), variants=variants or tuple(wrong))
    save(suite_dir, plan, [])
    return [save_run(suite_dir, run, arrays(wrong[run.architecture.name][run.seed - 1])) for run in plan.runs]


def gathered(suite_dir: Path) -> Evidence:
    return gather(load_results(suite_dir), SuiteFolder(suite_dir))


def of(found: Evidence, variant: str) -> pd.DataFrame:
    return found.per_class[found.per_class["variant"] == variant].set_index("class_number")


def test_errors_by_class_are_those_of_the_counts(tmp_path: Path) -> None:
    saved(tmp_path)
    found = gathered(tmp_path)
    assert list(found.per_class["variant"].unique()) == ["reduced", "short", "naive"]
    for variant, counts in WRONG.items():
        rows = of(found, variant)
        errors = np.array(counts) / 200
        np.testing.assert_allclose(rows["error_mean"], errors.mean(axis=0))
        np.testing.assert_allclose(rows["error_std"], errors.std(axis=0, ddof=1))
        assert set(rows["images"]) == {200} and set(rows["n"]) == {3}
    for variant in ("naive", "short"):
        differences = (np.array(WRONG[variant]) - np.array(BASE)) / 200
        np.testing.assert_allclose(of(found, variant)["difference"], differences.mean(axis=0))
    assert list(of(found, "short")["class_name"]) == [f"class {number}" for number in range(10)]
    assert of(found, "reduced")[["difference", "p", "p_holm"]].isna().all(axis=None)
    assert found.unread == ()


def test_p_is_that_of_scipys_paired_t_test_and_holm_goes_over_the_whole_suite(tmp_path: Path) -> None:
    saved(tmp_path)
    frame = gathered(tmp_path).per_class
    tested = frame[frame["p"].notna()]
    # Only where seeds differ in the difference itself.
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


def test_a_variant_that_loses_one_class_loses_no_other(tmp_path: Path) -> None:
    saved(tmp_path)
    found = lost(gathered(tmp_path), baseline="reduced")
    assert list(zip(found["variant"], found["class_name"], strict=True)) == [
        ("short", "class 3"),
        ("naive", "class 0"),
        ("naive", "class 7"),
    ]
    assert list(found["difference"]) == pytest.approx([61 / 200, 51 / 200, 10 / 200])
    assert found["p_holm"].between(0, 0.05).all()


def test_the_classes_lost_most_come_first_and_gains_are_none(tmp_path: Path) -> None:
    rises = [5, 40, -30, 0, 7, 40, 2, 1, 9, 3]
    saved(tmp_path, {"reduced": [[100] * 10] * 2, "short": [[100 + rise for rise in rises]] * 2})
    found = gathered(tmp_path)
    assert list(lost(found, baseline="reduced", most=4)["class_number"]) == [1, 5, 8, 4]
    assert len(lost(found, baseline="reduced")) == 3
    assert len(lost(found, baseline="reduced", most=99)) == 8


def test_one_seed_has_differences_but_neither_spread_nor_p(tmp_path: Path) -> None:
    saved(tmp_path, {name: counts[:1] for name, counts in WRONG.items()})
    found = gathered(tmp_path)
    assert of(found, "short").loc[3, "difference"] == pytest.approx(60 / 200)
    assert found.per_class[["error_std", "p", "p_holm"]].isna().all(axis=None)
    assert found.calibration["ece_std"].isna().all()
    assert list(lost(found, baseline="reduced")["class_number"]) == [3, 0, 7]


def test_without_the_baseline_there_are_errors_but_no_differences(tmp_path: Path) -> None:
    saved(tmp_path, variants=("naive", "short"))
    found = gathered(tmp_path)
    assert found.per_class["error_mean"].notna().all()
    assert found.per_class[["difference", "p"]].isna().all(axis=None)
    assert lost(found, baseline="reduced").empty


def test_calibration_is_the_gap_of_confidence_and_accuracy(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=2, variants=("reduced", "short"))
    save(tmp_path, plan, [])
    for run in plan.runs:
        # 20 % and 30 % wrong by seed; reduced is 75 % sure of everything, short 95 %.
        confidence = {"reduced": 0.75, "short": 0.95}[run.architecture.name]
        wrong = [40 if run.seed == 1 else 60] * 10
        save_run(tmp_path, run, arrays(wrong, confidence=confidence))
    found = gathered(tmp_path).calibration.set_index("variant")
    assert list(found["n"]) == [2, 2]
    assert list(found["ece_mean"]) == pytest.approx([0.05, 0.20])
    assert list(found["ece_std"]) == pytest.approx([0, np.std([0.15, 0.25], ddof=1)], abs=1e-7)
    assert list(found["confidence_mean"]) == pytest.approx([0.75, 0.95])
    assert list(found["accuracy_mean"]) == pytest.approx([0.75, 0.75])


def test_calibration_error_of_a_case_by_hand() -> None:
    # In thirds: {0.2, 1/3} with none right, {0.5} right, {0.8, 0.9, 1} with one right.
    confidence = np.array([0.2, 1 / 3, 0.5, 0.8, 0.9, 1.0])
    correct = np.array([False, False, True, True, False, False])
    expected = ((0.2 + 1 / 3) + (1 - 0.5) + (2.7 - 1)) / 6
    assert expected_calibration_error(confidence, correct, bins=3) == pytest.approx(expected)


@pytest.mark.parametrize("bins", [1, 2, 15, 40])
def test_calibration_error_is_guos_sum_over_bins(bins: int) -> None:
    rng = np.random.default_rng(5)
    confidence = rng.beta(5, 2, size=3000).astype(np.float32)
    correct = rng.random(3000) < confidence**2
    expected = 0.0
    for number in range(1, bins + 1):
        inside = (confidence > (number - 1) / bins) & (confidence <= number / bins)
        if inside.any():
            accuracy, mean = correct[inside].mean(), confidence[inside].astype(float).mean()
            expected += inside.sum() / 3000 * abs(accuracy - mean)
    assert expected_calibration_error(confidence, correct, bins=bins) == pytest.approx(expected)


def test_calibrated_predictions_have_no_calibration_error() -> None:
    correct = np.arange(1000) % 4 > 0
    assert expected_calibration_error(np.full(1000, 0.75), correct) == 0
    assert expected_calibration_error(np.zeros(3), np.zeros(3, bool)) == 0


@pytest.mark.parametrize(
    ("confidence", "said"), [([], "no image"), ([0.5, 1.5], "1.5"), ([-0.1], "-0.1"), ([0.5, np.nan], "nan")]
)
def test_confidences_that_are_no_fractions_are_refused(confidence: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        expected_calibration_error(np.array(confidence), np.ones(len(confidence), bool))


@pytest.mark.parametrize(
    ("changes", "recorded"),
    [
        ({"top1_wrong": 549}, "549 of 2000 images wrong and 183 in top-5"),
        ({"top5_wrong": 184}, "550 of 2000 images wrong and 184 in top-5"),
        ({"top5_wrong": None}, "550 of 2000 images wrong;"),
        ({"images": 1999}, "550 of 1999 images wrong and 183 in top-5"),
    ],
)
def test_predictions_that_are_not_those_of_the_record_are_refused(
    tmp_path: Path, changes: dict[str, int], recorded: str
) -> None:
    folder = saved(tmp_path)[0]  # the baseline's first seed, 550 wrong
    record = folder.read_result()
    assert record is not None and record.test is not None
    folder.write_result(replace(record, test=replace(record.test, **changes)))
    with pytest.raises(ConfigError, match="--fresh moves them aside") as caught:
        gathered(tmp_path)
    said = str(caught.value)
    assert said.startswith(f"{folder.config.run_id}: its predictions have 550 of 2000 images wrong and 183 in top-5")
    assert f"its record {recorded}" in said


def test_predictions_for_other_test_images_are_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path)[-1]
    labels = LABELS.copy()
    labels[199] = 1
    folder.write_predictions(Predictions(**arrays(WRONG["naive"][2], labels=labels)))
    with pytest.raises(ConfigError, match="other test images") as caught:
        gathered(tmp_path)
    assert folder.config.run_id in str(caught.value)


def test_a_run_without_predictions_is_named_and_left_out(tmp_path: Path) -> None:
    folder = saved(tmp_path)[-2]  # short's third seed
    (folder.path / "predictions.npz").unlink()
    found = gathered(tmp_path)
    (line,) = found.unread
    assert line == f"{folder.config.run_id}/predictions.npz is missing; --fresh trains the run again"
    assert str(tmp_path) not in line, "a report is the same wherever its suite lies"
    rows = of(found, "short")
    assert set(rows["n"]) == {2} and set(of(found, "reduced")["n"]) == {3}
    # Paired over the two seeds that are left: rises of 60 and 66.
    assert rows.loc[3, "difference"] == pytest.approx(63 / 200)
    assert rows.loc[3, "p"] == pytest.approx(scipy_stats.ttest_rel([60, 66], [0, 0]).pvalue)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"labels": LABELS + 1}, "10 classes"),
        ({"labels": LABELS - 1}, "10 classes"),
        ({"labels": LABELS[1:]}, "shapes"),
        ({"classes": np.zeros((len(LABELS), 4), np.uint8)}, "4 classes an image, where 5 are kept"),
        ({"labels": LABELS.astype(float)}, "10 classes"),
        ({"labels": LABELS.astype(str)}, "10 classes"),
        ({"labels": np.array(3)}, "shapes"),
        ({"confidence": np.full(len(LABELS), 2.0)}, "fractions"),
        ({"confidence": np.full(len(LABELS), "likely")}, "fractions"),
    ],
)
def test_arrays_that_make_no_sense_are_named(tmp_path: Path, damage: dict[str, NDArray[Any]], said: str) -> None:
    folder = saved(tmp_path)[0]
    stored: dict[str, Any] = arrays(BASE[0]) | damage
    np.savez(folder.path / "predictions.npz", **stored)
    (line,) = gathered(tmp_path).unread
    assert line.startswith(f"{folder.config.run_id}/predictions.npz") and said in line
    assert line.endswith("; --fresh trains the run again")


def test_damaged_files_are_named_whatever_the_damage(tmp_path: Path) -> None:
    folders = saved(tmp_path)
    rng = np.random.default_rng(1)
    for number, folder in enumerate(folders):
        path = folder.path / "predictions.npz"
        content = bytearray(path.read_bytes())
        if number == 0:
            content = bytearray(b"no archive")
        elif number == 1:
            np.savez(path, classes=np.zeros((len(LABELS), 5)), labels=LABELS)
            content = bytearray(path.read_bytes())
        elif number % 2:
            content = content[: rng.integers(len(content))]
        else:
            content[80:200] = rng.bytes(120)  # in the first array
        path.write_bytes(content)
    found = gathered(tmp_path)
    named = [line.split(" cannot be read (")[0] for line in found.unread]
    assert named == [f"{folder.config.run_id}/predictions.npz" for folder in folders]
    assert found.per_class.empty and found.calibration.empty
    assert {"variant", "class_name", "difference", "p_holm"} <= set(found.per_class.columns)
    assert lost(found, baseline="reduced").empty


def test_runs_that_are_not_done_are_not_read(tmp_path: Path) -> None:
    folder = saved(tmp_path)[-2]  # short's third seed
    record = make_record(folder.config, wrong=1)  # which the predictions would contradict
    folder.write_result(failed(record, status="diverged", message="the loss is not finite"))
    found = gathered(tmp_path)
    assert found.unread == () and set(of(found, "short")["n"]) == {2}


def four_classes(suite_dir: Path, labels: NDArray[Any]) -> None:
    """Save a suite on four classes, of two seeds and two variants: in class 0 reduced has 1 wrong and short 3."""
    plan = make_plan("cifar10", seeds=2, variants=("reduced", "short"))
    plan = replace(plan, data=replace(plan.data, num_classes=4, class_names=("a", "b", "c", "d")))
    save(suite_dir, plan, [])
    for run in plan.runs:
        save_run(suite_dir, run, arrays([{"reduced": 1, "short": 3}[run.architecture.name], 0, 0, 0], labels=labels))


def test_fewer_than_five_classes_have_no_top5_to_check(tmp_path: Path) -> None:
    four_classes(tmp_path, np.repeat(np.arange(4), 10))
    found = gathered(tmp_path)
    assert list(of(found, "short")["error_mean"]) == [0.3, 0, 0, 0]
    assert list(of(found, "short")["class_name"]) == ["a", "b", "c", "d"]
    assert of(found, "short").loc[0, "difference"] == pytest.approx(0.2)
    assert found.per_class["p"].isna().all(), "all seeds agree, so there is no spread to test against"


def test_a_class_without_test_images_has_no_error(tmp_path: Path) -> None:
    four_classes(tmp_path, np.repeat([0, 1, 3], 10))
    rows = of(gathered(tmp_path), "short")
    assert list(rows["images"]) == [10, 10, 0, 10]
    assert rows["error_mean"].isna().tolist() == rows["difference"].isna().tolist() == [False, False, True, False]


def test_the_order_in_which_reading_ends_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = saved(tmp_path, {"reduced": BASE[:2], "short": ONE_CLASS[:2]})
    expected = gathered(tmp_path)
    places = [folder.path for folder in folders]
    ended = [threading.Event() for _ in places]
    order: list[int] = []
    real = np.load

    def last_first(file: Any, **options: Any) -> Any:
        place = places.index(Path(file.name).parent)
        assert place + 1 == len(places) or ended[place + 1].wait(timeout=30)
        order.append(place)
        ended[place].set()
        return real(file, **options)

    monkeypatch.setattr(per_class, "READERS", len(places))
    monkeypatch.setattr(np, "load", last_first)
    found = gathered(tmp_path)
    assert order == [3, 2, 1, 0]
    pd.testing.assert_frame_equal(found.per_class, expected.per_class, check_exact=True)
    pd.testing.assert_frame_equal(found.calibration, expected.calibration, check_exact=True)
