"""Comparisons of a suite: each variant's top-1 error against the baseline's, or the reason why there are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from ablations.analysis.intervals import MIN_SEEDS
from ablations.analysis.paired_tests import Comparison, ImageTest, compare_all, mcnemar
from ablations.analysis.results import Results, by_seed_and_variant
from ablations.records import predictions
from ablations.records.suite_folder import SuiteFolder

INTERVALS = ("interval", "bootstrap")  # of a comparison


@dataclass(frozen=True, kw_only=True)
class Comparisons:
    """Comparisons over seeds or, for a single seed, McNemar's tests over images by variant.

    McNemar's test compares two trained networks, not two architectures. `reason` says why there is neither.
    """

    comparisons: tuple[Comparison, ...] = ()
    image_tests: Mapping[str, ImageTest] | None = None
    reason: str = ""

    def frame(self) -> pd.DataFrame:
        """One row a comparison over seeds; errors, differences and intervals are fractions."""
        columns = []
        for name in (field.name for field in fields(Comparison)):
            columns += [f"{name}_low", f"{name}_high"] if name in INTERVALS else [name]
        rows = []
        for comparison in self.comparisons:
            row: dict[str, Any] = {**asdict(comparison), "checks_disagree": comparison.checks_disagree}
            for name in INTERVALS:
                row[f"{name}_low"], row[f"{name}_high"] = row[name] or (None, None)
            rows.append(row)
        return pd.DataFrame(rows, columns=[*columns, "checks_disagree"])


def compare_with_baseline(
    results: Results, folder: SuiteFolder, *, unread: Sequence[str] = (), rng: np.random.Generator
) -> Comparisons:
    """Compare each variant with the baseline; an incomplete suite gets no comparison.

    `unread` are the reasons why predictions cannot be read; with any, there are no tests over images. The rng is for
    the bootstrap and for sampled permutations.

    Raises:
        ConfigError: if predictions cannot be read and `unread` is empty.
    """
    plan, runs, variants = results.plan, results.runs, results.variants
    if plan.baseline not in variants and not results.different_recipes:
        return Comparisons(reason=f"the baseline {plan.baseline} is not among these runs; add it to --variants")
    if results.why_no_comparison:
        return Comparisons(reason=results.why_no_comparison)
    if runs["seed"].nunique() < MIN_SEEDS:
        if unread:
            return Comparisons(reason=unread[0])
        return Comparisons(image_tests=_image_tests(results, folder))
    errors = by_seed_and_variant(runs, "top1_error", variants=variants)
    comparisons = compare_all(
        {name: by_seed.tolist() for name, by_seed in zip(variants, errors.T, strict=True)},
        baseline=plan.baseline,
        test_images=plan.data.test_images,
        margin=plan.margin,
        rng=rng,
    )
    return Comparisons(comparisons=tuple(comparisons))


def _image_tests(results: Results, folder: SuiteFolder) -> dict[str, ImageTest]:
    wrong = {
        variant: predictions.read(folder.run_path(run_id) / predictions.FILE_NAME, fields=("classes", "labels")).wrong
        for variant, run_id in zip(results.runs["variant"], results.runs["run_id"], strict=True)
    }
    baseline = wrong.pop(results.plan.baseline)
    return {variant: mcnemar(images, baseline) for variant, images in wrong.items()}
