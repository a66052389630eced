"""Predictions of finished runs, checked against their records and reduced to counts per class and calibration."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ablations.analysis.images.calibration import calibrated_network_error, check_confidence, expected_calibration_error
from ablations.analysis.results import Results
from ablations.analysis.statistics.intervals import MIN_SEEDS
from ablations.analysis.statistics.variance_components import least_std, mean_squares
from ablations.errors import ConfigError
from ablations.records import predictions
from ablations.records.predictions import TOP_K, Predictions
from ablations.records.suite_folder import SuiteFolder

FIELDS = ("classes", "labels", "confidence")
READERS = 2  # threads; more gain nothing, as they mostly wait for the interpreter lock


class RunErrors(NamedTuple):
    """A run's test images of each class (C,), the wrong ones among them (C,), and its calibration.

    `calibration_error` is the expected calibration error, `calibrated_error` that of a perfectly calibrated network
    with the same confidences, `confidence` the mean confidence, all fractions.
    `wrong_images` says of each test image (N,) whether it is wrong, packed into bits, as thousands of runs are held.
    """

    run_id: str
    variant: str
    seed: int
    images: NDArray[np.int32]
    wrong: NDArray[np.int32]
    calibration_error: float
    calibrated_error: float
    confidence: float
    wrong_images: NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class PerImageErrors:
    """Per-class counts and calibration of each finished run, in the plan's order.

    `unread` has a line for each finished run that is left out because its predictions cannot be read.
    """

    runs: tuple[RunErrors, ...] = ()
    unread: tuple[str, ...] = ()

    def wrong(self, variant: str, *, seeds: Sequence[int]) -> NDArray[np.bool_] | None:
        """Which test images a variant gets wrong, by seed and image (n, N); None unless all of these runs were read."""
        by_seed = {run.seed: run for run in self.runs if run.variant == variant}
        if not by_seed.keys() >= set(seeds):
            return None
        images = int(self.runs[0].images.sum())
        packed = np.stack([by_seed[seed].wrong_images for seed in seeds])
        return np.unpackbits(packed, axis=1, count=images).astype(bool)

    def least_stds(self) -> dict[str, float]:
        """By variant with two or more runs, what its error's standard deviation over seeds cannot be less than."""
        seeds: dict[str, list[int]] = {}
        for run in self.runs:
            seeds.setdefault(run.variant, []).append(run.seed)
        found = {name: self.wrong(name, seeds=own) for name, own in seeds.items() if len(own) >= MIN_SEEDS}
        return {name: least_std(mean_squares(wrong)) for name, wrong in found.items() if wrong is not None}


class _Job(NamedTuple):
    """A file of predictions to read, and its run's counts on record: test images, wrong in top-1, wrong in top-5."""

    predictions: Path
    variant: str
    seed: int
    recorded: tuple[int, int, int | None]

    @property
    def folder(self) -> Path:
        return self.predictions.parent


def read_per_image_errors(results: Results, folder: SuiteFolder) -> PerImageErrors:
    """Read the predictions of every run that is done.

    Raises:
        ConfigError: if a run's predictions contradict its record, or are for other test images than those of the
            other runs.
    """
    num_classes = results.plan.data.num_classes
    with ThreadPoolExecutor(READERS) as pool:  # its `map` keeps the plan's order
        found = list(pool.map(functools.partial(_read, num_classes=num_classes), _jobs(results, folder)))
    runs = tuple(run for run in found if isinstance(run, RunErrors))
    for run in runs:
        if not np.array_equal(run.images, runs[0].images):
            raise _contradiction(
                run.run_id, f"its predictions are for other test images than those of {runs[0].run_id}"
            )
    return PerImageErrors(runs=runs, unread=tuple(line for line in found if isinstance(line, str)))


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


def _read(job: _Job, *, num_classes: int) -> RunErrors | str:
    """The run's counts and calibration, or the reason why its predictions cannot be read."""
    try:
        read = predictions.read(job.predictions, fields=FIELDS)
        _check(read, num_classes=num_classes)
    except ConfigError as error:
        # A report does not depend on where the suite is stored.
        return str(error).replace(str(job.folder), job.folder.name)
    except ValueError as error:
        return f"{job.folder.name}/{job.predictions.name}: {error}; --fresh trains the run again"
    labels, wrong, top5_wrong = read.labels.astype(np.intp), read.wrong, read.top5_wrong
    found = (len(labels), int(wrong.sum()), None if top5_wrong is None else int(top5_wrong.sum()))
    if found != job.recorded:
        raise _contradiction(
            job.folder.name, f"its predictions have {_in_words(found)}, its record {_in_words(job.recorded)}"
        )
    return RunErrors(
        run_id=job.folder.name,
        variant=job.variant,
        seed=job.seed,
        images=np.bincount(labels, minlength=num_classes).astype(np.int32),
        wrong=np.bincount(labels[wrong], minlength=num_classes).astype(np.int32),
        calibration_error=expected_calibration_error(read.confidence, ~wrong),
        calibrated_error=calibrated_network_error(read.confidence),
        confidence=float(read.confidence.mean(dtype=np.float64)),
        wrong_images=np.packbits(wrong),
    )


def _check(read: Predictions, *, num_classes: int) -> None:
    guesses = min(TOP_K, num_classes)
    if read.classes.shape[1] != guesses:
        raise ValueError(f"it has {read.classes.shape[1]} classes an image, where {guesses} are kept")
    check_confidence(read.confidence)
    if read.labels.dtype.kind not in "iu" or not 0 <= read.labels.min() <= read.labels.max() < num_classes:
        raise ValueError(f"its labels are not all among the {num_classes} classes")


def _in_words(counts: tuple[int, int, int | None]) -> str:
    images, top1, top5 = counts
    return f"{top1} of {images} images wrong" + ("" if top5 is None else f" and {top5} in top-5")


def _contradiction(run_id: str, what: str) -> ConfigError:
    return ConfigError(
        f"{run_id}: {what}; its files do not belong together, and --fresh moves them aside and trains the run again"
    )
