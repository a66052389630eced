"""A suite's verdicts: what its runs show of each variant against the baseline, and why where they show nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from . import power, predictions, stats, tables
from .stats import Comparison, ImageTest
from .tables import Results

INTERVALS = ("interval", "bootstrap")  # of a comparison


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """Comparisons over seeds, or with a single seed tests over images by variant; `reason` says why there is neither.

    With one seed nothing is said of architectures: McNemar's test speaks of two trained networks.
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


def judge(
    results: Results, suite_dir: Path, *, unread: Sequence[str] = (), random_source: np.random.Generator
) -> Verdicts:
    """The verdicts of a suite all of whose planned runs are done; an incomplete one gets none.

    Where predictions are `unread`, for these reasons, there are no tests over images. The source is for the bootstrap
    and for sampled permutations.

    Raises:
        ConfigError: if predictions cannot be read, and that is not known from `unread`.
    """
    plan, runs, variants = results.plan, results.runs, results.variants
    if plan.baseline not in variants:
        return Verdicts(reason=f"the baseline {plan.baseline} is not among these runs; add it to --variants")
    if results.why_no_comparison:
        return Verdicts(reason=results.why_no_comparison)
    if runs["seed"].nunique() < power.MIN_SEEDS:
        if unread:
            return Verdicts(reason=unread[0])
        return Verdicts(image_tests=_image_tests(results, suite_dir))
    errors = tables.grid(runs, "top1_error", variants=variants)
    comparisons = stats.compare_all(
        {name: by_seed.tolist() for name, by_seed in zip(variants, errors.T, strict=True)},
        baseline=plan.baseline,
        test_images=plan.data.test_images,
        margin=plan.margin,
        random_source=random_source,
    )
    return Verdicts(comparisons=tuple(comparisons))


def _image_tests(results: Results, suite_dir: Path) -> dict[str, ImageTest]:
    wrong = {
        variant: predictions.read(predictions.path_of(suite_dir, run_id), fields=("classes", "labels")).wrong
        for variant, run_id in zip(results.runs["variant"], results.runs["run_id"], strict=True)
    }
    baseline = wrong.pop(results.plan.baseline)
    return {variant: stats.mcnemar(images, baseline) for variant, images in wrong.items()}
