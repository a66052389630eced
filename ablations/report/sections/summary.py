"""Summary: errors and costs of each variant."""

from __future__ import annotations

import pandas as pd

from ablations.analysis.analyse import Analysis
from ablations.analysis.costs import COSTS, Cost, one_device_kind
from ablations.analysis.results import Results
from ablations.report import formatting
from ablations.report.document import Block, Column, Section, Table, Text
from ablations.report.formatting import unique

COST_FORMATS = {
    "params": formatting.count,
    "macs": formatting.si,
    "train_seconds": formatting.seconds,
    "peak_memory_bytes": formatting.megabytes,
}
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
    full_size = [
        Column("full-size params", ("full_size_params",), format=formatting.count),
        Column("full-size MACs", ("full_size_macs",), format=formatting.si),
    ]
    columns = [
        Column("variant", ("variant",)),
        Column("n", ("n", "n_planned"), format=formatting.count_of),
        Column("top-1 error %", ("top1_error_mean", "top1_error_std"), format=formatting.percent),
        *(interval if (results.summary["n"] > 1).any() else []),
        Column("top-5 error %", ("top5_error_mean", "top5_error_std"), format=formatting.percent),
        *(_cost_column(cost, prefix=trained) for cost in COSTS if not cost.count_column),
        Column(f"{trained}FLOPs", ("flops",), format=formatting.si),
        *(full_size if scaled else []),
        *(_cost_column(cost) for cost in COSTS if cost.count_column),
    ]
    return Table("summary", results.summary, columns=columns, caption="Errors and costs of each variant.")


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
