"""Records to tables: one row a run, one row an epoch, one row a variant; and the CSV files made of them."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from . import files
from .config import RunConfig
from .errors import ConfigError
from .plan import SCHEMA, Plan
from .record import RunFolder, RunRecord
from .schema import from_plain, to_plain

PLAN_FILE = "plan.json"
# The status of a planned run that has no record: never begun, or going on or killed after some epochs.
MISSING, UNFINISHED = "missing", "unfinished"


@dataclass(frozen=True)
class Results:
    """A suite's plan and, as data frames, its planned runs, their epochs, and its variants.

    Errors are fractions, times seconds, memory bytes; MACs and FLOPs are for one image. In `summary` `n` is the
    number of runs that are done, `_std` the sample standard deviation over them (missing for n = 1), and
    `train_seconds` come from runs whose timing is valid, `n_timed` of them; there are none if hardware or engine
    differ.
    """

    plan: Plan
    runs: pd.DataFrame
    epochs: pd.DataFrame
    summary: pd.DataFrame
    other_runs: int


def write_plan(suite_dir: Path, plan: Plan) -> Plan:
    """Save the plan, joined with the one that is there if they belong in one table; return what was saved."""
    path = suite_dir / PLAN_FILE
    if path.is_file():
        # A plan of another version is replaced; the records stay.
        with contextlib.suppress(ConfigError):
            plan = plan.joined(read_plan(suite_dir))
    files.write_text(path, json.dumps(to_plain(plan), indent=1, allow_nan=False) + "\n")
    return plan


def read_plan(suite_dir: Path) -> Plan:
    """The suite's saved plan.

    Raises:
        ConfigError: if there is none, or this version cannot read it.
    """
    path = suite_dir / PLAN_FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} is not there, so there is nothing to report; run the suite first") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not valid JSON ({error}); run the suite again to replace it") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise ConfigError(f"{path} is not of schema {SCHEMA}, which this version reads; run the suite again")
    return from_plain(Plan, data, where=str(path))


def load(suite_dir: Path) -> Results:
    """Read a suite's plan and the records of its runs.

    Raises:
        ConfigError: if the plan or a record cannot be read.
    """
    plan = read_plan(suite_dir)
    folders = [RunFolder(suite_dir / "runs", config) for config in plan.runs]
    found = [(folder.config, folder.read_result()) for folder in folders]
    runs = pd.DataFrame([_run_row(folder, record) for folder, (_, record) in zip(folders, found, strict=True)])
    epochs = pd.DataFrame([row for config, record in found if record for row in _epoch_rows(config, record)])
    planned = set(runs["run_id"])
    other_runs = sum(path.name not in planned for path in (suite_dir / "runs").glob("*/"))
    return Results(plan, runs, epochs, summarise(runs, plan), other_runs)


def summarise(runs: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """One row a variant in the plan's order, over its runs that are done."""
    full_size = {size.variant: size for size in plan.full_size}
    comparable_times = one_hardware(runs)
    rows = [
        _summary_row(variant, group, comparable_times=comparable_times) | _full_size_columns(full_size[str(variant)])
        for variant, group in runs.groupby("variant", sort=False)
    ]
    return pd.DataFrame(rows)


def one_hardware(runs: pd.DataFrame) -> bool:
    """Whether all runs with a valid timing took place on the same device with the same engine and number of threads."""
    timed = runs[_timing_valid(runs)]
    return len(timed[["device", "engine", "threads"]].drop_duplicates()) <= 1


def write_csv(suite_dir: Path, results: Results, *, comparisons: pd.DataFrame) -> None:
    """Write ``results.csv``, a row a planned run, ``summary.csv``, a row a variant, and ``verdicts.csv``."""
    frames = {"results.csv": results.runs, "summary.csv": results.summary, "verdicts.csv": comparisons}
    for name, frame in frames.items():
        files.write_text(suite_dir / name, frame.to_csv(index=False, lineterminator="\n"))


def _run_row(folder: RunFolder, record: RunRecord | None) -> dict[str, Any]:
    config = folder.config
    epochs = record.epochs if record else folder.epochs.read()
    row: dict[str, Any] = {
        "run_id": config.run_id,
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
    for name in ("device", "device_kind", "engine", "threads", "platform", "python", "commit"):
        row[name] = environment.get(name)
    row["versions"] = "; ".join(environment.get("versions", ()))
    return row


def _epoch_rows(config: RunConfig, record: RunRecord) -> list[dict[str, Any]]:
    keys = {"run_id": config.run_id, "variant": config.architecture.name, "seed": config.seed}
    return [keys | asdict(epoch) for epoch in record.epochs]


def _timing_valid(runs: pd.DataFrame) -> pd.Series:
    return runs["timing_valid"].eq(True)  # None, of a run that is not done, is no True


def _summary_row(variant: object, group: pd.DataFrame, *, comparable_times: bool) -> dict[str, Any]:
    done = group[group["status"] == "done"]
    timed = done[_timing_valid(done) & comparable_times]
    row: dict[str, Any] = {
        "variant": variant,
        "n": len(done),
        "n_planned": len(group),
        "n_timed": len(timed),
    }
    for column, runs in (("top1_error", done), ("top5_error", done), ("train_error", done), ("train_seconds", timed)):
        values = pd.to_numeric(runs[column])
        row |= {f"{column}_mean": values.mean(), f"{column}_std": values.std(ddof=1)}
    for column in ("startup_seconds", "compile_seconds", "eval_seconds"):
        row[f"{column}_mean"] = pd.to_numeric(timed[column]).mean()
    for column in ("params", "macs", "flops", "activations"):
        row[column] = done[column].iloc[0] if len(done) else None
    row["peak_memory_bytes"] = done["peak_memory_bytes"].max() if len(done) else None
    return row


def _full_size_columns(size: Any) -> dict[str, Any]:
    return {
        "full_size_image": size.image_size,
        "full_size_params": size.params,
        "full_size_macs": size.macs,
        "full_size_flops": 2 * size.macs,
    }
