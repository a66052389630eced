"""Suites of synthetic records, on disk or in memory, for tests of analysis and reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ablations.analysis import modules
from ablations.analysis.analyse import Analysis, analyse
from ablations.analysis.answers import Answers
from ablations.analysis.comparisons import Comparisons
from ablations.analysis.factorial import Factorial
from ablations.analysis.images import calibration, per_class
from ablations.analysis.pareto import ParetoFronts
from ablations.analysis.rankings import Rankings
from ablations.analysis.results import Results
from ablations.records.predictions import Predictions
from ablations.records.record import RunRecord, Status
from ablations.records.run_folder import RunFolder
from ablations.records.suite_folder import SuiteFolder
from ablations.report.contents import compose
from ablations.report.document import Items, Section, Table, Text
from ablations.report.formats import markdown
from ablations.suites import plan as plans
from ablations.suites.builtin import SUITES
from ablations.suites.plan import Plan
from ablations.suites.suite import select
from benchmarks.synthetic_records import ENVIRONMENT as ENVIRONMENT  # what tests of reports take from here
from benchmarks.synthetic_records import TEST_IMAGES, make_data, make_record
from googlenet.controls import Capacity


def make_plan(
    suite: str,
    *,
    seeds: int,
    variants: tuple[str, ...] | None = None,
    limit_train: int | None = None,
    recipe: str | None = None,
    epochs: int | None = None,
    control: Capacity | None = None,
) -> Plan:
    """The plan of a built-in suite on data that does not exist."""
    classes = 100 if SUITES[suite].dataset == "cifar100" else 10
    data = make_data(
        SUITES[suite].dataset,
        title=f"made {suite}",
        num_classes=classes,
        image_size=8 if suite == "digits" else 32,
    )
    chosen = select(
        SUITES[suite],
        seeds=seeds,
        variants=variants,
        limit_train=limit_train,
        recipe=recipe,
        epochs=epochs,
        control=control,
    )
    return plans.make_plan(chosen, data=data, command=f"python run_all.py --suite {suite}")


def with_recipes(plan: Plan, changes: Mapping[str, Mapping[str, Any]]) -> Plan:
    """The plan of a suite that declares whole recipes, with these changes of the recipe by variant."""
    runs = tuple(
        replace(run, recipe=replace(run.recipe, **changes.get(run.architecture.name, {}))) for run in plan.runs
    )
    return replace(plan, declared=("recipe",), runs=runs)


def failed(record: RunRecord, *, status: Status, message: str) -> RunRecord:
    """The record of a run that ended with this status after its first epoch."""
    return replace(
        record,
        status=status,
        message=message,
        epochs=record.epochs[:1],
        train_images=None,
        test=None,
        costs=None,
        times=None,
    )


def save(suite_dir: Path, plan: Plan, records: Sequence[RunRecord]) -> None:
    """Write the plan, joined with an earlier one, and the records into a suite's folder."""
    earlier = SuiteFolder(suite_dir).earlier_plan()
    SuiteFolder(suite_dir).write_plan(plan.joined(earlier) if earlier else plan)
    for record in records:
        SuiteFolder(suite_dir).run(record.config).write_result(record)


def save_predictions(folder: RunFolder, *, wrong: NDArray[np.int64]) -> None:
    """Predictions that get these of 10,000 images wrong, the first third of them in top-5 too; every label is 0."""
    classes = np.tile(np.arange(5), (TEST_IMAGES, 1))
    classes[wrong] = [1, 0, 2, 3, 4]
    classes[wrong[: len(wrong) // 3]] = [1, 2, 3, 4, 5]
    folder.write_predictions(
        Predictions(
            classes=classes,
            logits=np.zeros(classes.shape, np.float32),
            confidence=np.full(TEST_IMAGES, 0.5, np.float32),
            labels=np.zeros(TEST_IMAGES, np.int64),
        )
    )


def save_suite(suite_dir: Path, plan: Plan, *, wrong: Mapping[str, Sequence[int]]) -> list[RunRecord]:
    """Save finished runs with `wrong[variant][seed - 1]` wrong images; runs that it does not name are missing."""
    records = [
        make_record(config, wrong=wrong[config.architecture.name][config.seed - 1])
        for config in plan.runs
        if config.seed <= len(wrong.get(config.architecture.name, ()))
    ]
    save(suite_dir, plan, records)
    return records


def make_results(
    errors: NDArray[np.float64],
    *,
    names: Sequence[str],
    epochs: Mapping[str, NDArray[np.float64]] | None = None,
    **columns: Any,
) -> Results:
    """A complete suite with these top-1 errors (n, V), in memory only.

    `epochs` holds measures by epoch, seed and variant (E, n, V); other keywords are columns of its runs, each (n, V),
    (V,) or a single value.
    """
    n, count = errors.shape
    defaults = {"params": np.arange(count) + 1, "macs": np.arange(count) + 1, "train_seconds": 100.0}
    grids = {"top1_error": errors, "peak_memory_bytes": 10**9, **defaults, **columns}
    keys = {"variant": list(names) * n, "seed": np.repeat(np.arange(1, n + 1), count), "status": "done"}
    environment = {
        "failed_to_train": False,
        "timing_valid": True,
        "device": "Some GPU",
        "device_kind": "cuda",
        "engine": "graph",
        "deterministic": False,
    }
    cells = {name: np.broadcast_to(np.asarray(grid), errors.shape).ravel() for name, grid in grids.items()}
    runs = pd.DataFrame({**environment, "threads": 8, **keys, **cells})
    frame = pd.DataFrame()
    if epochs is not None:
        length = len(next(iter(epochs.values())))
        frame = pd.DataFrame({"epoch": np.repeat(np.arange(1, length + 1), n * count)})
        frame["variant"], frame["seed"] = (np.tile(runs[name], length) for name in ("variant", "seed"))
        for name, values in epochs.items():
            frame[name] = values.ravel()
    plan = make_plan("cifar10", seeds=1, variants=("reduced",))
    return Results(plan=plan, runs=runs, epochs=frame, summary=pd.DataFrame(), left_out=(), other_runs=0)


def make_analysis(results: Results, **changes: Any) -> Analysis:
    """An analysis of these results that has worked out nothing but the given fields."""
    nothing = Analysis(
        results=results,
        comparisons=Comparisons(),
        answers=Answers(),
        factorial=Factorial(),
        pareto=ParetoFronts(),
        rankings=Rankings(reason="not asked for"),
        modules=pd.DataFrame(columns=pd.Index(modules.MODULE_COLUMNS)),
        per_class=pd.DataFrame(columns=pd.Index(per_class.COLUMNS)),
        calibration=pd.DataFrame(columns=pd.Index(calibration.COLUMNS)),
        unread=(),
        rank_correlation=None,
    )
    return replace(nothing, **changes)


def report_text(suite_dir: Path) -> str:
    """The Markdown of a suite's report, without drawing or writing anything."""
    return markdown.render(compose(analyse(suite_dir)))


def items_of(section: Section | None) -> list[str]:
    """The items of a section's lists."""
    assert section is not None
    return [item for block in section.blocks if isinstance(block, Items) for item in block.items]


def texts_of(section: Section | None) -> list[str]:
    """The paragraphs of a report's section."""
    assert section is not None
    return [block.text for block in section.blocks if isinstance(block, Text)]


def tables_of(section: Section | None) -> dict[str, list[dict[str, str]]]:
    """The rows of a section's tables as text, by the table's name."""
    assert section is not None
    tables = [block for block in section.blocks if isinstance(block, Table)]
    return {
        table.name: [{str(title): str(text) for title, text in row.items()} for row in table.texts().to_dict("records")]
        for table in tables
    }
