"""Summary: errors and costs of each variant."""

from __future__ import annotations

import pandas as pd

from ablations.analysis.analyse import Analysis
from ablations.analysis.costs import COSTS, Cost, one_device_kind
from ablations.analysis.failed_seeds import failures_not_excluded
from ablations.analysis.results import Results
from ablations.report import formatting
from ablations.report.document import Block, Column, Section, Table, Text
from ablations.report.formats.markdown import escape
from ablations.report.formatting import unique

COST_FORMATS = {
    "params": formatting.count,
    "macs": formatting.si,
    "train_seconds": formatting.seconds,
    "peak_memory_bytes": formatting.megabytes,
}
MOST_FAILED = 5  # run ids in a sentence
MEMORY_KINDS = {
    "cpu": "the resident set of the whole process on a CPU, libraries included",
    "cuda": "that of the GPU's allocator",
}


def summary_section(analysis: Analysis) -> Section:
    """The table of errors and costs."""
    results = analysis.results
    plan = results.plan
    blocks: list[Block] = [
        summary_table(results),
        Text(
            f"Errors are in percent of {plan.data.test_images:,} test images: mean over n runs ± sample standard "
            "deviation, and the 95 % t interval of the mean if n > 1."
            + ("" if results.complete else " n of m: only n of m planned runs are done, so the row is incomplete.")
        ),
    ]
    if len(results.done):
        blocks.append(Text(_failed_text(results)))
    if plan.width != 1:
        blocks.append(
            Text(
                f'"Trained" is the network that was trained here, at {plan.width:g} times the width; "full size" is '
                "the variant at its own width and image size."
            )
        )
    blocks.append(
        Text(
            "Params include auxiliary heads; MACs are multiply-adds of convolutions and linear layers for one image "
            "(FLOPs are 2 x MACs). Seconds are training time alone; start-up, evaluation and test loss are in "
            f"`summary.csv`. {_memory_text(results.done)}"
        )
    )
    return Section("Summary", blocks)


def summary_table(results: Results) -> Table:
    """The errors and costs of each variant, with a column for each cost."""
    scaled = results.plan.width != 1
    trained = "trained " if scaled else ""
    ends = ("top1_error_low", "top1_error_high")
    interval = [Column("95 % interval", ends, format=formatting.interval_of)]
    failed = [
        Column("failed to train", ("failed_to_train", "n"), format=_failed_of),
        Column("error % of those that trained", ("top1_error_trained_mean",), format=formatting.percent),
    ]
    full_size = [
        Column("full-size params", ("full_size_params",), format=formatting.count),
        Column("full-size MACs", ("full_size_macs",), format=formatting.si),
    ]
    columns = [
        Column("variant", ("variant",)),
        Column("n", ("n", "n_planned"), format=formatting.count_of),
        Column("top-1 error %", ("top1_error_mean", "top1_error_std"), format=formatting.percent),
        *(interval if (results.summary["n"] > 1).any() else []),
        *(failed if results.summary["failed_to_train"].any() else []),
        Column("top-5 error %", ("top5_error_mean", "top5_error_std"), format=formatting.percent),
        *(_cost_column(cost, prefix=trained) for cost in COSTS if not cost.count_column),
        Column(f"{trained}FLOPs", ("flops",), format=formatting.si),
        *(full_size if scaled else []),
        *(_cost_column(cost) for cost in COSTS if cost.count_column),
    ]
    return Table("summary", results.summary, columns=columns, caption="Errors and costs of each variant.")


def _failed_of(failed: int, done: int) -> str:
    return f"{failed} of {done}"


def _failed_text(results: Results) -> str:
    """Which runs failed to train; where none did, how many failures the seeds leave possible."""
    failed = results.done.loc[results.done["failed_to_train"], "run_id"]
    if failed.empty:
        n = int(results.done.groupby("variant").size().min())
        share = formatting.whole_percent(failures_not_excluded(n))
        return (
            f"No run failed to train; n = {n} cannot exclude failures in up to {share} % of a variant's seeds (95 % "
            "confidence)."
        )
    named = escape(formatting.some([str(run_id) for run_id in failed], most=MOST_FAILED))
    return (
        f"Failed to train, with an error near chance or far above that of the variant's other seeds: {named}. "
        "The errors of those that trained leave these runs out; all other means include them."
    )


def _cost_column(cost: Cost, *, prefix: str = "") -> Column:
    return Column(f"{prefix}{cost.heading}", cost.columns, format=COST_FORMATS.get(cost.name, formatting.number))


def _memory_text(done: pd.DataFrame) -> str:
    if not one_device_kind(done):
        return "Memory is left out: some runs used a CPU and some a GPU, whose peaks are not comparable."
    kinds = unique(done["device_kind"]) or ["cpu"]
    text = f"Memory is the peak during training: {MEMORY_KINDS[kinds[0]]}."
    if done["peak_memory_bytes"].isna().any():
        text += " Runs that were resumed only to be tested have none."
    return text
