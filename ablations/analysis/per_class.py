"""Per-class errors, and the classes on which a variant degrades most against the baseline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests

from ablations.analysis.per_image import RunErrors
from ablations.analysis.results import WHOLE_RECIPE
from ablations.suites.plan import Plan

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
    of the suite. The baseline has no difference, and where whole recipes differ no variant has one. There is no p for
    fewer than two seeds or without any spread.
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


def most_degraded_classes(per_class: pd.DataFrame, *, baseline: str, most: int = 3) -> pd.DataFrame:
    """For each variant the `most` classes whose error rises most against the baseline's, largest rise first."""
    risen = per_class[(per_class["variant"] != baseline) & (per_class["difference"] > 0)]
    largest = risen.sort_values("difference", ascending=False, kind="stable").groupby("variant").head(most)
    place = {variant: number for number, variant in enumerate(per_class["variant"].unique())}
    ordered = largest.sort_values("variant", key=lambda names: names.map(place), kind="stable")
    return ordered[DEGRADED_COLUMNS].reset_index(drop=True)


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
            p[spread] = stats.ttest_rel(pairs[0][:, spread], pairs[1][:, spread]).pvalue
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
