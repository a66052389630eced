"""Results of a suite as data frames: a row a run, a row an epoch, and a row a variant with means and spreads."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import pandas as pd

from ablations.analysis.costs import COSTS, Cost, has_comparable_time, is_done
from ablations.analysis.failed_seeds import failed_to_train
from ablations.analysis.statistics.intervals import FloatArray, mean_interval
from ablations.data.subsets import held_out_count
from ablations.errors import ConfigError
from ablations.records import merged
from ablations.records.record import MISSING, UNFINISHED, Costs, Epoch, RunRecord, Times
from ablations.records.run_folder import RunFolder
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.confounds import check_confounds
from ablations.suites.plan import FullSize, Plan

TEST_ERRORS = ("top1_error", "top5_error")  # with a 95 % interval
MEASURES = (*TEST_ERRORS, "train_error", "test_loss")
OTHER_SECONDS = ("startup_seconds", "compile_seconds", "eval_seconds")
OTHER_COUNTS = ("flops", "activations")  # which follow from the architecture, as do parameters and MACs
WHOLE_RECIPE = "recipe"  # as a suite declares it
DIFFERENT_RECIPES = (
    "the suite declares that its variants differ in their whole recipe, so no difference is due to the architecture "
    "alone"
)
EPOCH_FIELDS = (
    "epoch",
    "train_loss",
    "train_error",
    "train_accuracy",
    "validation_error",
    "validation_top5_error",
    "validation_loss",
    "test_error",
    "train_seconds",
    "eval_seconds",
)
EPOCH_COLUMNS = ("run_id", "variant", "seed", *EPOCH_FIELDS)
RECORDED = tuple(name for name in EPOCH_FIELDS if name not in ("train_accuracy", "test_error"))  # of an `Epoch`
_recorded = attrgetter(*RECORDED)


@dataclass(frozen=True, kw_only=True)
class Results:
    """A suite's plan and, as data frames, its planned runs, their epochs, and its variants.

    Errors are fractions, times seconds, memory bytes; MACs and FLOPs are for one image. In `summary` `n` is the number
    of runs that are done, `_std` the sample standard deviation over them, and `_low` and `_high` are the 95 % interval
    of their mean (missing for n = 1). `failed_to_train` says in `runs` which of them did not learn, and in `summary`
    how many; `top1_error_trained_mean` leaves these out. Measured costs are means over the runs whose values compare,
    `n_timed` and `n_memory` of them (see `costs`). `epochs` has those of every run, also of one that is not done.

    All variants have the same seeds: runs of a seed that not all of them were planned with are `left_out`; the plan
    has them, `runs` does not. `other_runs` is the number of further runs in the folder.
    """

    plan: Plan
    runs: pd.DataFrame
    epochs: pd.DataFrame
    summary: pd.DataFrame
    left_out: tuple[str, ...]
    other_runs: int

    @property
    def done(self) -> pd.DataFrame:
        """The rows of `runs` that are done."""
        return self.runs[is_done(self.runs)]

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
        verb = "is" if missing == 1 else "are"
        return f"{missing} of {len(self.runs)} planned runs {verb} not done; {remedy}" if missing else ""

    @property
    def different_recipes(self) -> bool:
        """Whether the suite declares that its variants differ in their whole recipe."""
        return WHOLE_RECIPE in self.plan.declared

    @property
    def why_no_comparison(self) -> str:
        """Why the variants cannot be compared with each other, and the remedy if there is one; empty if they can."""
        if self.different_recipes:
            return DIFFERENT_RECIPES
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
    rows: list[dict[str, Any]] = []
    epoch_rows: list[tuple[Any, ...]] = []
    for folder in kept:
        record = folder.read_result()
        _check_images(plan, record)
        epochs = record.epochs if record else folder.epochs.read()
        rows.append(_run_row(folder, record, epochs=epochs))
        epoch_rows += _epoch_rows(folder, epochs)
    runs = pd.DataFrame(rows)
    data = plan.data
    failed = failed_to_train(runs, num_classes=data.num_classes, test_images=data.test_images)
    runs.insert(list(runs).index("message"), "failed_to_train", failed)
    left_out = tuple(folder.path.name for folder in folders if folder.config.seed not in shared)
    planned = {folder.path.name for folder in folders}
    other_runs = sum(run_id not in planned for run_id in suite.run_ids())
    return Results(
        plan=plan,
        runs=runs,
        epochs=_epoch_frame(epoch_rows),
        summary=summarise(runs, plan),
        left_out=left_out,
        other_runs=other_runs,
    )


def with_floors(results: Results, least_std: Mapping[str, float]) -> Results:
    """The results with intervals of top-1 errors from standard deviations of no less than these, by variant."""
    return replace(results, summary=summarise(results.runs, results.plan, least_std=least_std))


def summarise(runs: pd.DataFrame, plan: Plan, *, least_std: Mapping[str, float] | None = None) -> pd.DataFrame:
    """One row a variant in the plan's order, over its runs that are done.

    For the intervals of errors no standard deviation is taken to be less than that of rounding to one image, nor that
    of a variant's top-1 error to be less than its `least_std`, a fraction.
    """
    rounding = math.sqrt(1 / 12) / plan.data.test_images
    top1_floors = {variant: max(rounding, floor) for variant, floor in (least_std or {}).items()}
    full_size = {size.variant: size for size in plan.full_size}
    comparable = {cost: cost.comparable(runs) for cost in COSTS}
    timed = has_comparable_time(runs)
    rows = []
    for variant, group in runs.groupby("variant", sort=False):
        floors = {"top1_error": top1_floors.get(str(variant), rounding), "top5_error": rounding}
        row = _summary_row(variant, group, comparable=comparable, timed=timed, floors=floors)
        rows.append(row | _full_size_columns(full_size[str(variant)]))
    return pd.DataFrame(rows)


def by_seed_and_variant(frame: pd.DataFrame, column: str, *, variants: Sequence[str]) -> FloatArray:
    """A column of runs, or of the rows of one epoch, as an array by seed and variant (n, V)."""
    table = frame.assign(**{column: pd.to_numeric(frame[column])})
    return table.pivot(index="seed", columns="variant", values=column)[list(variants)].to_numpy(dtype=float)


def _shared_seeds(plan: Plan) -> set[int]:
    """The seeds that every variant was planned with: a mean over other seeds would compare seeds, not variants."""
    shared = set(plan.shared_seeds)
    if not shared:
        by_variant: dict[str, set[int]] = {}
        for config in plan.runs:
            by_variant.setdefault(config.architecture.name, set()).add(config.seed)
        listed = ", ".join(f"{name}: {sorted(seeds)}" for name, seeds in by_variant.items())
        raise ConfigError(
            f"the variants of suite {plan.suite} have no seed in common ({listed}); run all with the same --seeds"
        )
    return shared


def _check_images(plan: Plan, record: RunRecord | None) -> None:
    """Refuse a plan that states other numbers of images than a run was trained and tested on."""
    if record is None or record.test is None or record.train_images is None:
        return
    trained = plan.data.train_images if plan.limit_train is None else plan.limit_train
    trained -= held_out_count(trained, record.config.recipe.validation_fraction)
    for what, stated, of_run in (
        ("training", trained, record.train_images),
        ("test", plan.data.test_images, record.test.images),
    ):
        if stated != of_run:
            raise ConfigError(
                f"suite {plan.suite}: the plan has {stated:,} {what} images, and run {record.run_id} had {of_run:,}; "
                "run the suite again to replace the plan, or with --fresh to train its runs anew"
            )


def _run_row(folder: RunFolder, record: RunRecord | None, *, epochs: Sequence[Epoch]) -> dict[str, Any]:
    config = folder.config
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
        "test_loss": test.loss if test else None,
        "train_loss": last.train_loss if last else None,
        "train_error": last.train_error if last else None,
        "validation_error": last.validation_error if last else None,
        "validation_top5_error": last.validation_top5_error if last else None,
        "validation_loss": last.validation_loss if last else None,
    }
    row |= asdict(costs) if costs else dict.fromkeys(field.name for field in fields(Costs))
    row |= asdict(times) if times else dict.fromkeys(field.name for field in fields(Times))
    environment = asdict(record.environment) if record else {}
    for name in ("device", "device_kind", "engine", "deterministic", "threads", "platform", "python", "commit"):
        row[name] = environment.get(name)
    row["versions"] = "; ".join(environment.get("versions", ()))
    origin = merged.read(folder.path)
    row["merged_from"] = ", then ".join(origin.sources) if origin else None
    return row


def _epoch_rows(folder: RunFolder, epochs: Sequence[Epoch]) -> Iterator[tuple[Any, ...]]:
    """The keys of the run, the `RECORDED` fields and, where the diagnostic of selection bias has it, the test error."""
    keys = (folder.path.name, folder.config.architecture.name, folder.config.seed)
    diagnosed = {entry.epoch: entry.top1_wrong / entry.images for entry in folder.diagnosed.read()}
    for epoch in epochs:
        yield (*keys, *_recorded(epoch), diagnosed.get(epoch.epoch))


def _epoch_frame(rows: Sequence[tuple[Any, ...]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["run_id", "variant", "seed", *RECORDED, "test_error"])
    return frame.assign(train_accuracy=1 - frame["train_error"])[list(EPOCH_COLUMNS)]


def _summary_row(
    variant: object,
    group: pd.DataFrame,
    *,
    comparable: Mapping[Cost, pd.Series],
    timed: pd.Series,
    floors: Mapping[str, float],
) -> dict[str, Any]:
    """The row of one variant's runs; `comparable` and `timed` say of all runs whether their costs and times compare.

    `floors` is by error what its standard deviation is at least taken to be for the interval.
    """
    done = group[is_done(group)]
    measured = {
        cost: pd.to_numeric(group.loc[comparable[cost][group.index], cost.name]) for cost in COSTS if cost.count_column
    }
    row: dict[str, Any] = {"variant": variant, "n": len(done), "n_planned": len(group)}
    row["failed_to_train"] = int(group["failed_to_train"].sum())
    row |= {str(cost.count_column): int(values.notna().sum()) for cost, values in measured.items()}
    for name in MEASURES:
        values = pd.to_numeric(done[name])
        row |= {f"{name}_mean": values.mean(), f"{name}_std": values.std(ddof=1)}
    row["top1_error_trained_mean"] = pd.to_numeric(done.loc[~done["failed_to_train"], "top1_error"]).mean()
    for cost, values in measured.items():
        row |= dict(zip(cost.columns, (values.mean(), values.std(ddof=1)), strict=True))
    for name in TEST_ERRORS:
        interval = mean_interval(pd.to_numeric(done[name]).dropna().tolist(), least_std=floors[name])
        # An error is a fraction, which a t interval of few seeds does not know.
        row[f"{name}_low"] = max(0.0, interval.low) if interval else None
        row[f"{name}_high"] = min(1.0, interval.high) if interval else None
    for name in OTHER_SECONDS:
        row[f"{name}_mean"] = pd.to_numeric(group.loc[timed[group.index], name]).mean()
    exact = [cost.name for cost in COSTS if not cost.count_column]
    for name in dict.fromkeys((*exact, *OTHER_COUNTS)):
        row[name] = done[name].iloc[0] if len(done) else None
    return row


def _full_size_columns(size: FullSize) -> dict[str, Any]:
    return {
        "full_size_image": size.image_size,
        "full_size_params": size.params,
        "full_size_macs": size.macs,
        "full_size_flops": 2 * size.macs,
    }
