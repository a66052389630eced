"""What the predictions of a suite's runs say beyond two counts of errors: which classes are lost, and calibration."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats as scipy_stats
from statsmodels.stats.multitest import multipletests

from ablations.analysis.results import Results
from ablations.errors import ConfigError
from ablations.records import predictions
from ablations.records.predictions import TOP_K, Predictions
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.plan import Plan

BINS = 15  # of confidence, the number of the source below
FIELDS = ("classes", "labels", "confidence")
READERS = 2  # threads; more of them mostly wait for each other
ERROR_COLUMNS = ["error_mean", "error_std", "difference", "p", "p_holm"]
CLASS_COLUMNS = ["variant", "class_number", "class_name", "n", "images", *ERROR_COLUMNS]
CALIBRATION_COLUMNS = ["variant", "n", "ece_mean", "ece_std", "confidence_mean", "accuracy_mean"]
LOST_COLUMNS = ["variant", "class_number", "class_name", "images", "error_mean", "difference", "p_holm"]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """By variant and class, and by variant, what the predictions say; `n` counts the runs that could be read.

    Errors, differences, confidences, accuracies and calibration errors are fractions, `_std` the sample standard
    deviation over runs. `images` is the number of test images of the class. `difference` is the mean over seeds that
    the baseline has too of the variant's error on the class less the baseline's, `p` that of the paired t test, and
    `p_holm` adjusted for every class and variant of the suite. The baseline has no difference, and there is no p for
    fewer than two seeds or without any spread.

    `unread` has a line for each finished run that is left out as its predictions cannot be read.
    """

    per_class: pd.DataFrame
    calibration: pd.DataFrame
    unread: tuple[str, ...]


class _Job(NamedTuple):
    """A finished run, and its counts as they are recorded: test images, wrong ones in top-1, wrong ones in top-5."""

    predictions: Path
    variant: str
    seed: int
    recorded: tuple[int, int, int | None]

    @property
    def folder(self) -> Path:
        return self.predictions.parent


class _Run(NamedTuple):
    """What is kept of a run: test images of each class and the wrong ones among them (C,), and two means."""

    job: _Job
    images: NDArray[np.int32]
    wrong: NDArray[np.int32]
    calibration_error: float
    confidence: float


def gather(results: Results, folder: SuiteFolder) -> Evidence:
    """Read the predictions of every run that is done.

    Raises:
        ConfigError: if a run's predictions do not come to the errors of its record, or to the test images of the
            other runs.
    """
    num_classes = results.plan.data.num_classes
    with ThreadPoolExecutor(READERS) as pool:  # whose `map` keeps the order of the plan
        found = list(pool.map(functools.partial(_read, num_classes=num_classes), _jobs(results, folder)))
    runs = [run for run in found if isinstance(run, _Run)]
    for run in runs:
        if not np.array_equal(run.images, runs[0].images):
            other = runs[0].job.folder.name
            raise _foreign(run.job, f"its predictions are for other test images than those of {other}")
    unread = tuple(line for line in found if isinstance(line, str))
    return Evidence(per_class=_per_class(runs, results.plan), calibration=_calibration(runs), unread=unread)


def lost(evidence: Evidence, *, baseline: str, most: int = 3) -> pd.DataFrame:
    """For each variant the `most` classes whose error rises most against the baseline's, the largest rise first."""
    frame = evidence.per_class
    risen = frame[(frame["variant"] != baseline) & (frame["difference"] > 0)]
    largest = risen.sort_values("difference", ascending=False, kind="stable").groupby("variant").head(most)
    place = {variant: number for number, variant in enumerate(frame["variant"].unique())}
    ordered = largest.sort_values("variant", key=lambda names: names.map(place), kind="stable")
    return ordered[LOST_COLUMNS].reset_index(drop=True)


def expected_calibration_error(confidence: NDArray[Any], correct: NDArray[np.bool_], *, bins: int = BINS) -> float:
    """The mean gap between confidence and accuracy in bins of equal width, weighted by their numbers of images.

    `confidence` (N,) is the probability of the most likely class, `correct` (N,) whether that is the true one. A bin
    holds its upper edge; the first one holds 0 too.

    Raises:
        ValueError: if there is no image, or a confidence is no fraction.

    Source: Guo et al. 2017, arXiv:1706.04599, equation 3.
    """
    _check_confidence(confidence)
    exact = confidence.astype(np.float64)
    numbers = np.maximum(np.ceil(exact * bins), 1).astype(np.intp) - 1
    gaps = np.bincount(numbers, weights=correct - exact, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def _jobs(results: Results, folder: SuiteFolder) -> list[_Job]:
    done = results.done
    columns = (done[name] for name in ("run_id", "variant", "seed", "test_images", "top1_wrong", "top5_wrong"))
    return [
        _Job(
            folder.run_path(run_id) / predictions.FILE_NAME,
            variant,
            seed,
            (int(images), int(top1), None if pd.isna(top5) else int(top5)),
        )
        for run_id, variant, seed, images, top1, top5 in zip(*columns, strict=True)
    ]


def _read(job: _Job, *, num_classes: int) -> _Run | str:
    """What is kept of a run, or why its predictions cannot be read."""
    try:
        read = predictions.read(job.predictions, fields=FIELDS)
        _check(read, num_classes=num_classes)
    except ConfigError as error:
        # A report is the same wherever the suite lies.
        return str(error).replace(str(job.folder), job.folder.name)
    except ValueError as error:
        return f"{job.folder.name}/{job.predictions.name}: {error}; --fresh trains the run again"
    labels, wrong, far = read.labels.astype(np.intp), read.wrong, read.top5_wrong
    found = (len(labels), int(wrong.sum()), None if far is None else int(far.sum()))
    if found != job.recorded:
        raise _foreign(job, f"its predictions have {_said(found)}, its record {_said(job.recorded)}")
    return _Run(
        job=job,
        images=np.bincount(labels, minlength=num_classes).astype(np.int32),
        wrong=np.bincount(labels[wrong], minlength=num_classes).astype(np.int32),
        calibration_error=expected_calibration_error(read.confidence, ~wrong),
        confidence=float(read.confidence.mean(dtype=np.float64)),
    )


def _check(read: Predictions, *, num_classes: int) -> None:
    guesses = min(TOP_K, num_classes)
    if read.classes.shape[1] != guesses:
        raise ValueError(f"it has {read.classes.shape[1]} classes an image, where {guesses} are kept")
    _check_confidence(read.confidence)
    if read.labels.dtype.kind not in "iu" or not 0 <= read.labels.min() <= read.labels.max() < num_classes:
        raise ValueError(f"its labels are not all among the {num_classes} classes")


def _check_confidence(confidence: NDArray[Any]) -> None:
    if not len(confidence):
        raise ValueError("there is no image; calibration needs at least one")
    if confidence.dtype.kind != "f":
        raise ValueError(f"confidences are of type {confidence.dtype}; they are fractions in [0, 1]")
    low, high = float(confidence.min()), float(confidence.max())
    if not 0 <= low <= high <= 1:
        raise ValueError(f"confidences go from {low} to {high}; they are fractions in [0, 1]")


def _said(counts: tuple[int, int, int | None]) -> str:
    images, top1, top5 = counts
    return f"{top1} of {images} images wrong" + ("" if top5 is None else f" and {top5} in top-5")


def _foreign(job: _Job, what: str) -> ConfigError:
    return ConfigError(
        f"{job.folder.name}: {what}; its files do not belong together, and --fresh moves them aside and trains the "
        "run again"
    )


def _per_class(runs: Sequence[_Run], plan: Plan) -> pd.DataFrame:
    by_variant: dict[str, dict[int, NDArray[np.int32]]] = {}
    for run in sorted(runs, key=lambda run: run.job.seed):
        by_variant.setdefault(run.job.variant, {})[run.job.seed] = run.wrong
    baseline = by_variant.get(plan.baseline, {})
    variants = dict.fromkeys(run.job.variant for run in runs)
    frames = [
        _class_rows(by_variant[variant], {} if variant == plan.baseline else baseline, images=runs[0].images).assign(
            variant=variant, class_name=plan.data.class_names
        )
        for variant in variants
    ]
    if not frames:
        return pd.DataFrame(columns=CLASS_COLUMNS)
    frame = pd.concat(frames, ignore_index=True)
    tested = frame["p"].notna()
    if tested.any():
        frame.loc[tested, "p_holm"] = multipletests(frame.loc[tested, "p"], method="holm")[1]
    return frame[CLASS_COLUMNS]


def _class_rows(
    wrong: dict[int, NDArray[np.int32]], baseline: dict[int, NDArray[np.int32]], *, images: NDArray[np.int32]
) -> pd.DataFrame:
    """One row a class; `wrong` and `baseline` are the wrong images of each class (C,) by seed."""
    size = np.where(images > 0, images, np.nan)  # a class without test images has no error
    errors = np.stack(list(wrong.values())) / size
    shared = [seed for seed in wrong if seed in baseline]
    missing = np.full(len(images), np.nan)
    difference, p = missing, missing.copy()
    if shared:
        # Whole images, so that a spread of zero is exactly that.
        pairs = np.stack([wrong[seed] for seed in shared]), np.stack([baseline[seed] for seed in shared])
        differences = pairs[0] - pairs[1]
        difference = differences.mean(axis=0) / size
        spread = np.ptp(differences, axis=0) > 0
        if spread.any():  # which takes two seeds
            p[spread] = scipy_stats.ttest_rel(pairs[0][:, spread], pairs[1][:, spread]).pvalue
    return pd.DataFrame(
        {
            "class_number": np.arange(len(images)),
            "n": len(wrong),
            "images": images,
            "error_mean": errors.mean(axis=0),
            "error_std": errors.std(axis=0, ddof=1) if len(wrong) > 1 else missing,
            "difference": difference,
            "p": p,
            "p_holm": np.nan,
        }
    )


def _calibration(runs: Sequence[_Run]) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "variant": [run.job.variant for run in runs],
            "ece": [run.calibration_error for run in runs],
            "confidence": [run.confidence for run in runs],
            "accuracy": [1 - int(run.wrong.sum()) / int(run.images.sum()) for run in runs],
        }
    )
    by_variant = frame.groupby("variant", sort=False)
    means = by_variant.mean().add_suffix("_mean")
    return means.assign(n=by_variant.size(), ece_std=by_variant["ece"].std()).reset_index()[CALIBRATION_COLUMNS]
