"""TODO"""

from __future__ import annotations

import pandas as pd

from ablations.analysis.costs import one_device_kind
from ablations.analysis.results import Results
from ablations.report import formatting
from ablations.report.document import Block, Section, Table, Text
from ablations.report.formatting import unique

MEMORY_KINDS = {
    "cpu": "the whole process's resident set on a CPU, libraries included",
    "cuda": "of the GPU's allocator",
}


def results_section(results: Results) -> Section:
    """The table of errors and costs."""
    plan = results.plan
    blocks: list[Block] = [
        Table("summary", summary_table(results)),
        Text(
            f"Errors are in percent of {plan.data.test_images:,} test images: the mean over n runs, ± their sample "
            "standard deviation and the 95 % t interval of the mean where n > 1."
            + ("" if results.complete else " n of m: only n of m planned runs are done, so the row is incomplete.")
        ),
    ]
    if plan.width != 1:
        blocks.append(
            Text(
                f'"Trained" is the network that these runs trained, at {plan.width:g} times the width; "full size" is '
                "the variant itself, at its own width and image size."
            )
        )
    blocks.append(
        Text(
            "Params count auxiliary heads; MACs are those of convolutions and linear layers for one image (FLOPs are "
            "2 x MACs). Seconds are training time alone; start-up and evaluation are in `summary.csv`. "
            f"{_memory_text(results.done)}"
        )
    )
    return Section("Results", blocks)


def summary_table(results: Results, *, intervals: bool = True) -> list[dict[str, str]]:
    """The summary as text, in the columns that a person reads.

    The `intervals`, and the spread of memory, are left out where there is little room.
    """
    rows = []
    scaled = results.plan.width != 1
    spread = intervals and (results.summary["n"] > 1).any()
    for _, row in results.summary.iterrows():
        line: dict[str, str] = {
            "variant": str(row["variant"]),
            "n": formatting.Cell(
                str(row["n"]) if row["n"] == row["n_planned"] else f"{row['n']} of {row['n_planned']}", row["n"]
            ),
            "top-1 error %": formatting.percent(row["top1_error_mean"], row["top1_error_std"]),
            **({"95 % interval": formatting.interval_of(row, "top1_error")} if spread else {}),
            "top-5 error %": formatting.percent(row["top5_error_mean"], row["top5_error_std"]),
            "trained params" if scaled else "params": formatting.count(row["params"]),
            "trained MACs" if scaled else "MACs": formatting.si(row["macs"]),
            "trained FLOPs" if scaled else "FLOPs": formatting.si(row["flops"]),
        }
        if scaled:
            line["full-size params"] = formatting.count(row["full_size_params"])
            line["full-size MACs"] = formatting.si(row["full_size_macs"])
        line["train s"] = formatting.seconds(row["train_seconds_mean"], row["train_seconds_std"])
        memory_std = row["peak_memory_bytes_std"] if intervals else None
        line["memory MB"] = formatting.megabytes(row["peak_memory_bytes_mean"], memory_std)
        rows.append(line)
    return rows


def _memory_text(done: pd.DataFrame) -> str:
    if not one_device_kind(done):
        return "Memory is left out: some runs took place on a CPU and some on a GPU, whose figures do not compare."
    kinds = unique(done["device_kind"]) or ["cpu"]
    text = f"Memory is the peak in training, {MEMORY_KINDS[kinds[0]]}."
    if done["peak_memory_bytes"].isna().any():
        text += " Runs that went on only to be tested have none."
    return text
