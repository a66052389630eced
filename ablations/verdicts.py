"""A suite's verdicts: what its runs show of each variant against the baseline, and why where they show nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import power, stats
from .errors import ConfigError
from .plan import Plan
from .record import RunFolder
from .stats import Comparison, ImageTest
from .tables import Results

INTERVALS = ("interval", "bootstrap")  # of a comparison
RANDOM_SEED = 0  # of the bootstrap and of sampled permutations: a report can be rebuilt byte for byte


@dataclass(frozen=True)
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


def judge(results: Results, suite_dir: Path) -> Verdicts:
    """The verdicts of a suite all of whose planned runs are done; an incomplete one gets none."""
    plan, runs = results.plan, results.runs
    variants = list(dict.fromkeys(runs["variant"]))
    seeds = {name: tuple(sorted(group["seed"])) for name, group in runs.groupby("variant", sort=False)}
    if plan.baseline not in variants:
        return Verdicts(reason=f"the baseline {plan.baseline} is not among these runs; add it to --variants")
    if len(variants) < 2:
        return Verdicts(reason=f"there is no variant beside the baseline {plan.baseline}; add one to --variants")
    missing = int((runs["status"] != "done").sum())
    if missing:
        return Verdicts(reason=f"{missing} of {len(runs)} planned runs are not done; they are listed below")
    if len(set(seeds.values())) > 1:
        return Verdicts(reason="variants were trained with different seeds; run all of them with the same --seeds")
    if len(seeds[plan.baseline]) < power.MIN_SEEDS:
        try:
            return Verdicts(image_tests=_image_tests(plan, suite_dir))
        except ConfigError as error:
            return Verdicts(reason=str(error))
    by_seed = runs.pivot(index="seed", columns="variant", values="top1_error").sort_index()
    comparisons = stats.compare_all(
        {name: by_seed[name].tolist() for name in variants},
        baseline=plan.baseline,
        test_images=plan.data.test_images,
        margin=plan.margin,
        random_source=np.random.default_rng(RANDOM_SEED),
    )
    return Verdicts(comparisons=tuple(comparisons))


def _image_tests(plan: Plan, suite_dir: Path) -> dict[str, ImageTest]:
    wrong = {config.architecture.name: _wrong(RunFolder(suite_dir / "runs", config)) for config in plan.runs}
    baseline = wrong.pop(plan.baseline)
    return {name: stats.mcnemar(images, baseline) for name, images in wrong.items()}


def _wrong(folder: RunFolder) -> NDArray[np.bool_]:
    """Which test images the run got wrong."""
    predictions = folder.read_predictions()
    return predictions["classes"][:, 0] != predictions["labels"]
