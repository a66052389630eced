"""Per-class errors, and the classes on which a variant's error is shown to be higher than the baseline's."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests

from ablations.analysis.images.per_image import RunErrors
from ablations.analysis.results import WHOLE_RECIPE
from ablations.analysis.statistics.intervals import ALPHA, MIN_SEEDS
from ablations.suites.plan import Plan

LEAST_STD = math.sqrt(1 / 6)  # images: a difference of two counts, each rounded with variance 1/12
COLUMNS = [
    "variant",
    "class_number",
    "class_name",
    "n",
    "images",
    "error_mean",
    "error_std",
    "difference",
    "p",
    "p_holm",
]
DEGRADED_COLUMNS = ["variant", "class_number", "class_name", "images", "error_mean", "difference", "p_holm"]


def per_class_errors(runs: Sequence[RunErrors], plan: Plan) -> pd.DataFrame:
    """One row a variant and class, over the `n` runs whose predictions could be read.

    Errors and differences are fractions, `error_std` is the sample standard deviation over runs, `images` the number
    of test images of the class. `difference` is the variant's error on the class less the baseline's, a mean over the
    seeds that both have; `p` is from the paired t test, and `p_holm` has Holm's adjustment for every class and variant
    of the suite. The spread is never taken to be less than that of rounding to one image. The baseline has no
    difference, and where whole recipes differ no variant has one. There is no p for fewer than two seeds.
    """
    by_variant: dict[str, dict[int, NDArray[np.int32]]] = {}
    for run in sorted(runs, key=lambda run: run.seed):
        by_variant.setdefault(run.variant, {})[run.seed] = run.wrong
    baseline = {} if WHOLE_RECIPE in plan.declared else by_variant.get(plan.baseline, {})
    variants = dict.fromkeys(run.variant for run in runs)
    frames = [
        _class_rows(by_variant[variant], {} if variant == plan.baseline else baseline, images=runs[0].images).assign(
            variant=variant, class_name=plan.data.class_names
        )
        for variant in variants
    ]
    if not frames:
        return pd.DataFrame(columns=COLUMNS)
    frame = pd.concat(frames, ignore_index=True)
    tested = frame["p"].notna()
    if tested.any():
        frame.loc[tested, "p_holm"] = multipletests(frame.loc[tested, "p"], method="holm")[1]
    return frame[COLUMNS]


def degraded_classes(per_class: pd.DataFrame, *, level: float = ALPHA) -> pd.DataFrame:
    """The classes on which a variant's error is higher than the baseline's, Holm-adjusted p at most `level`.

    In the order of the variants, the largest difference first.
    """
    shown = per_class[(per_class["difference"] > 0) & (per_class["p_holm"] <= level)]
    place = {variant: number for number, variant in enumerate(per_class["variant"].unique())}
    largest_first = shown.sort_values("difference", ascending=False, kind="stable")
    ordered = largest_first.sort_values("variant", key=lambda names: names.map(place), kind="stable")
    return ordered[DEGRADED_COLUMNS].reset_index(drop=True)


def _class_rows(
    wrong: dict[int, NDArray[np.int32]], baseline: dict[int, NDArray[np.int32]], *, images: NDArray[np.int32]
) -> pd.DataFrame:
    """One row a class; `wrong` and `baseline` are the wrong images of each class (C,) by seed."""
    size = np.where(images > 0, images, np.nan)  # a class without test images has no error
    errors = np.stack(list(wrong.values())) / size
    shared = [seed for seed in wrong if seed in baseline]
    missing = np.full(len(images), np.nan)
    difference = p = missing
    if shared:
        differences = np.stack([wrong[seed] - baseline[seed] for seed in shared])
        difference = differences.mean(axis=0) / size
        if len(shared) >= MIN_SEEDS:
            std = np.maximum(differences.std(axis=0, ddof=1), LEAST_STD)
            t = differences.mean(axis=0) * math.sqrt(len(shared)) / std
            p = np.where(images > 0, 2 * stats.t.sf(np.abs(t), len(shared) - 1), np.nan)
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
