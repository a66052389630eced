"""Records to tables: one row a run, one row an epoch, one row a variant; and the CSV files made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ablations.analysis.intervals import mean_interval
from ablations.errors import ConfigError
from ablations.records.record import MISSING, UNFINISHED, RunRecord
from ablations.records.run_folder import RunFolder
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.confounds import check_confounds
from ablations.suites.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Results:
    """A suite's plan and, as data frames, its planned runs, their epochs, and its variants.

    Errors are fractions, times seconds, memory bytes; MACs and FLOPs are for one image. In `summary` `n` is the
    number of runs that are done, `_std` the sample standard deviation over them and `_low`, `_high` the 95 % interval
    of their mean (missing for n = 1), and `train_seconds` come from runs whose timing is valid, `n_timed` of them;
    there are none if hardware or engine differ, and no peak memory if some runs took place on a CPU and some on a GPU.

    All variants have the same seeds: runs of a seed that not all of them were planned with are `left_out`, which the
    plan has and `runs` has not. `other_runs` is how many more there are in the folder.
    """

    plan: Plan
    runs: pd.DataFrame
    epochs: pd.DataFrame
    summary: pd.DataFrame
    left_out: tuple[str, ...]
    other_runs: int

    @property
    def done(self) -> pd.DataFrame:
        """Those of `runs` that are done."""
        return _done(self.runs)

    @property
    def complete(self) -> bool:
        """Whether every planned run is done."""
        return not self.why_incomplete

    @property
    def variants(self) -> list[str]:
        """The names of the variants, in the plan's order."""
        return [str(name) for name in dict.fromkeys(self.runs["variant"])]

    @property
    def why_incomplete(self) -> str:
        """How many runs are not done and what to do about it; empty if all are."""
        missing = len(self.runs) - len(self.done)
        remedy = "run the suite again to finish them"
        return f"{missing} of {len(self.runs)} planned runs are not done; {remedy}" if missing else ""

    @property
    def why_no_comparison(self) -> str:
        """Why the variants cannot be compared with each other, and the remedy; empty if they can."""
        if len(self.variants) < 2:
            return f"there is no variant beside {self.variants[0]}; add one to --variants"
        return self.why_incomplete


def load_results(suite_dir: Path) -> Results:
    """Read a suite's plan and the records of its runs.

    Raises:
        ConfigError: if the plan or a record cannot be read, if its runs do not belong in one table, or if its variants
            have no seed in common.
    """
    suite = SuiteFolder(suite_dir)
    plan = suite.read_plan()
    check_confounds(plan)
    folders = [suite.run(config) for config in plan.runs]
    shared = _shared_seeds(plan)
    kept = [folder for folder in folders if folder.config.seed in shared]
    found = [(folder, folder.read_result()) for folder in kept]
    runs = pd.DataFrame([_run_row(folder, record) for folder, record in found])
    epochs = pd.DataFrame([row for folder, record in found if record for row in _epoch_rows(folder, record)])
    left_out = tuple(folder.path.name for folder in folders if folder.config.seed not in shared)
    planned = {folder.path.name for folder in folders}
    other_runs = sum(run_id not in planned for run_id in suite.run_ids())
    return Results(
        plan=plan,
        runs=runs,
        epochs=epochs,
        summary=summarise(runs, plan),
        left_out=left_out,
        other_runs=other_runs,
    )


def summarise(runs: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """One row a variant in the plan's order, over its runs that are done."""
    full_size = {size.variant: size for size in plan.full_size}
    same_hardware, same_kind = one_hardware(runs), one_device_kind(runs)
    rows = [
        _summary_row(variant, group, same_hardware=same_hardware, same_kind=same_kind)
        | _full_size_columns(full_size[str(variant)])
        for variant, group in runs.groupby("variant", sort=False)
    ]
    return pd.DataFrame(rows)


def by_seed_and_variant(frame: pd.DataFrame, column: str, *, variants: Sequence[str]) -> NDArray[np.float64]:
    """A column of runs, or of their rows of one epoch, by seed and variant (n, V)."""
    table = frame.assign(**{column: pd.to_numeric(frame[column])})
    return table.pivot(index="seed", columns="variant", values=column)[list(variants)].to_numpy(dtype=float)


def one_hardware(runs: pd.DataFrame) -> bool:
    """Whether all runs with a valid timing took place on the same device with the same engine and number of threads."""
    timed = runs[_timing_valid(runs)]
    return len(timed[["device", "engine", "deterministic", "threads"]].drop_duplicates()) <= 1


def one_device_kind(runs: pd.DataFrame) -> bool:
    """Whether all runs that are done took place on a CPU, or all on a GPU: their memory is not the same thing."""
    return _done(runs)["device_kind"].nunique() <= 1


def _shared_seeds(plan: Plan) -> set[int]:
    """The seeds that every variant was planned with: a mean over other seeds would compare seeds, not variants."""
    by_variant: dict[str, set[int]] = {}
    for config in plan.runs:
        by_variant.setdefault(config.architecture.name, set()).add(config.seed)
    shared = set.intersection(*by_variant.values())
    if not shared:
        listed = ", ".join(f"{name}: {sorted(seeds)}" for name, seeds in by_variant.items())
        raise ConfigError(
            f"the variants of suite {plan.suite} have no seed in common ({listed}); run all with the same --seeds"
        )
    return shared


def _run_row(folder: RunFolder, record: RunRecord | None) -> dict[str, Any]:
    config = folder.config
    epochs = record.epochs if record else folder.epochs.read()
    row: dict[str, Any] = {
        "run_id": folder.path.name,
        "variant": config.architecture.name,
        "seed": config.seed,
        "status": record.status if record else (UNFINISHED if epochs else MISSING),
        "message": record.message if record else "",
        "dataset": config.dataset,
        "fingerprint": config.fingerprint,
        "recipe": config.recipe.name,
        "precision": config.recipe.precision,
        "planned_epochs": config.recipe.epochs,
        "limit_train": config.limit_train,
        "epochs": len(epochs),
    }
    test, costs, times = (record.test, record.costs, record.times) if record else (None, None, None)
    last = epochs[-1] if epochs else None
    row |= {
        "train_images": record.train_images if record else None,
        "test_accesses": record.test_accesses if record else None,
        "tested_epoch": test.epoch if test else None,
        "test_images": test.images if test else None,
        "top1_wrong": test.top1_wrong if test else None,
        "top5_wrong": test.top5_wrong if test else None,
        "top1_error": test.top1_error if test else None,
        "top5_error": test.top5_error if test else None,
        "train_loss": last.train_loss if last else None,
        "train_error": last.train_error if last else None,
        "validation_error": last.validation_error if last else None,
    }
    for name in ("params", "macs", "flops", "activations", "peak_memory_bytes"):
        row[name] = getattr(costs, name) if costs else None
    for name in ("startup_seconds", "compile_seconds", "train_seconds", "eval_seconds", "timing_valid"):
        row[name] = getattr(times, name) if times else None
    environment = asdict(record.environment) if record else {}
    for name in ("device", "device_kind", "engine", "deterministic", "threads", "platform", "python", "commit"):
        row[name] = environment.get(name)
    row["versions"] = "; ".join(environment.get("versions", ()))
    return row


def _epoch_rows(folder: RunFolder, record: RunRecord) -> list[dict[str, Any]]:
    """`test_error` is there where the diagnostic of selection bias measured it."""
    keys = {"run_id": folder.path.name, "variant": folder.config.architecture.name, "seed": folder.config.seed}
    diagnosed = {entry.epoch: entry.top1_wrong / entry.images for entry in folder.diagnosed.read()}
    return [keys | asdict(epoch) | {"test_error": diagnosed.get(epoch.epoch)} for epoch in record.epochs]


def _done(runs: pd.DataFrame) -> pd.DataFrame:
    return runs[runs["status"] == "done"]


def _timing_valid(runs: pd.DataFrame) -> pd.Series:
    return runs["timing_valid"].eq(True)  # None, of a run that is not done, is no True


def _summary_row(variant: object, group: pd.DataFrame, *, same_hardware: bool, same_kind: bool) -> dict[str, Any]:
    done = _done(group)
    timed = done[_timing_valid(done) & same_hardware]
    with_spread = {
        **dict.fromkeys(("top1_error", "top5_error", "train_error"), done),
        "train_seconds": timed,
        "peak_memory_bytes": done if same_kind else done[:0],
    }
    row: dict[str, Any] = {
        "variant": variant,
        "n": len(done),
        "n_planned": len(group),
        "n_timed": len(timed),
        "n_memory": int(with_spread["peak_memory_bytes"]["peak_memory_bytes"].notna().sum()),
    }
    for column, runs in with_spread.items():
        values = pd.to_numeric(runs[column])
        row |= {f"{column}_mean": values.mean(), f"{column}_std": values.std(ddof=1)}
    for column in ("top1_error", "top5_error"):
        interval = mean_interval(pd.to_numeric(done[column]).dropna().tolist())
        # An error is a fraction, which a t interval of few seeds does not know.
        row[f"{column}_low"] = max(0.0, interval.low) if interval else None
        row[f"{column}_high"] = min(1.0, interval.high) if interval else None
    for column in ("startup_seconds", "compile_seconds", "eval_seconds"):
        row[f"{column}_mean"] = pd.to_numeric(timed[column]).mean()
    for column in ("params", "macs", "flops", "activations"):
        row[column] = done[column].iloc[0] if len(done) else None
    return row


def _full_size_columns(size: Any) -> dict[str, Any]:
    return {
        "full_size_image": size.image_size,
        "full_size_params": size.params,
        "full_size_macs": size.macs,
        "full_size_flops": 2 * size.macs,
    }
