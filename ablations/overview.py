"""What was run: the part of a report that comes before any finding, and the runs that are not in its figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from . import cells, confounds, published, tables
from .cells import NONE
from .config import PUBLISHED, RECIPES, Recipe
from .document import Block, Items, Section, Table, Text
from .markdown import code, commands, escape
from .schema import to_plain
from .tables import Results

MEMORY_KINDS = {
    "cpu": "the whole process's resident set on a CPU, libraries included",
    "cuda": "of the GPU's allocator",
}


def provenance_section(results: Results) -> Section:
    """What the figures rest on."""
    plan, runs = results.plan, results.runs
    done, data = results.done, plan.data
    train_images = _unique(done["train_images"].dropna().astype(int))
    planned = plan.runs[0].limit_train or data.train_images
    trained_on = " or ".join(f"{count:,}" for count in train_images) or f"{planned:,}"
    diagnosed = ", and noted after every epoch for the diagnostic of selection bias" if _diagnosed(results) else ""
    against = f", against `{plan.baseline}`" if plan.baseline in results.variants else ""
    rows = {
        "Command": commands(plan.commands),
        "Axis": f"{escape(plan.axis)} ({', '.join(map(escape, plan.varies))}){against}",
        "n": f"{len(done)} of {len(runs)} planned runs done, {_seed_counts(results.summary)}",
        "Dataset": (
            f"{escape(data.title)}: {data.num_classes} classes, {data.image_size}x{data.image_size} pixels, trained on "
            f"{trained_on} of {data.train_images:,} images, tested {_accesses(done)} on {data.test_images:,}{diagnosed}"
        ),
        "Data fingerprint (SHA-256)": f"`{data.fingerprint}`",
        "Recipe": describe_recipe(plan.recipe),
        "Hardware": _hardware(done),
        "Versions": "; ".join(escape(text) for text in _unique("Python " + done["python"] + "; " + done["versions"])),
        "Commit": ", ".join(code(commit) for commit in _unique(done["commit"])),
    }
    return Section("", [Items([f"**{name}:** {value or NONE}" for name, value in rows.items()]), *_notes(results)])


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
            "n": cells.Cell(
                str(row["n"]) if row["n"] == row["n_planned"] else f"{row['n']} of {row['n_planned']}", row["n"]
            ),
            "top-1 error %": cells.percent(row["top1_error_mean"], row["top1_error_std"]),
            **({"95 % interval": cells.interval_of(row, "top1_error")} if spread else {}),
            "top-5 error %": cells.percent(row["top5_error_mean"], row["top5_error_std"]),
            "trained params" if scaled else "params": cells.count(row["params"]),
            "trained MACs" if scaled else "MACs": cells.si(row["macs"]),
            "trained FLOPs" if scaled else "FLOPs": cells.si(row["flops"]),
        }
        if scaled:
            line["full-size params"] = cells.count(row["full_size_params"])
            line["full-size MACs"] = cells.si(row["full_size_macs"])
        line["train s"] = cells.seconds(row["train_seconds_mean"], row["train_seconds_std"])
        memory_std = row["peak_memory_bytes_std"] if intervals else None
        line["memory MB"] = cells.megabytes(row["peak_memory_bytes_mean"], memory_std)
        rows.append(line)
    return rows


def differences_section(results: Results) -> Section:
    """How each variant is not like the baseline, and which of that is not of the axis."""
    found = confounds.differences(results.plan)
    footnoted = set(confounds.declared(results.plan))
    rows = [
        {
            "variant": each.variant,
            "field": code(each.field) + (" (declared, not of the axis)" if each in footnoted else ""),
            "baseline": escape(each.baseline_value),
            "variant's value": escape(each.value),
        }
        for each in found
    ]
    blocks: list[Block] = [Table("differences", rows)] if rows else [Text("The variants do not differ.")]
    if rows and results.plan.baseline not in results.variants:
        blocks.append(
            Text(f"As {results.plan.baseline} is not among these runs, {results.variants[0]} stands for the baseline.")
        )
    if footnoted:
        listed = "; ".join(escape(str(each)) for each in sorted(footnoted))
        blocks.append(
            Text(
                f"**Declared difference.** {listed}. A verdict on such a variant speaks of both, this and the axis.",
                kind="note",
            )
        )
    return Section("What differs", blocks)


def published_section(results: Results) -> Section | None:
    """The published table beside the measured one; none for other data or another recipe."""
    # Another recipe's results say nothing of what the published ones were drawn from.
    table = published.load(results.plan.data.name if results.plan.recipe.name == PUBLISHED.name else "")
    rows = _published_rows(results.summary, table)
    if not rows:
        return None
    caveat = (
        "Published: one run a variant, errors rounded to whole percents, on an unnamed GPU of 2020. Its parameter "
        "counts are reproduced exactly; its write-up does not give the modules of short3 and short4, which are "
        "reconstructions from those counts."
    )
    return Section("Published and measured", [Table("published", rows), Text(caveat)])


def absent_section(results: Results) -> Section:
    """Planned runs that are not done and the command that trains them."""
    lines = []
    for _, row in results.runs[results.runs["status"] != "done"].iterrows():
        reason = f": {escape(row['message'])}" if row["message"] else ""
        lines.append(
            f"`{row['run_id']}` {row['status']} after {row['epochs']} of {row['planned_epochs']} epochs{reason}"
        )
    if not lines:
        return Section("Runs that are not in the figures", [Text("None: every planned run is done.")])
    to_train = Text(f"To train them: {commands(results.plan.commands)}")
    return Section("Runs that are not in the figures", [Items(lines), to_train])


def describe_recipe(recipe: Recipe) -> str:
    """A recipe in one line; one with a built-in's name but other values says which."""
    named = RECIPES.get(recipe.name)
    base = to_plain(named.at_precision(recipe.precision)) if named else {}
    changed = [name for name, value in to_plain(recipe).items() if base and value != base[name]]
    parts = [
        f"`{recipe.name}`" + (f" with {', '.join(map(escape, changed))} changed" if changed else ""),
        f"{recipe.epochs} epoch{'' if recipe.epochs == 1 else 's'}",
        f"batch {recipe.batch_size}",
        f"{recipe.optimizer}, learning rate {recipe.learning_rate:g}",
        {"step": f"times {recipe.step_gamma:g} after each epoch"}.get(recipe.schedule, f"{recipe.schedule} schedule"),
    ]
    optional = {
        "Nesterov momentum": recipe.momentum,
        "weight decay": recipe.weight_decay,
        "label smoothing": recipe.label_smoothing,
        "random crop after padding by": recipe.crop_padding,
        "flip": recipe.flip,
        "cutout of side": recipe.cutout,
    }
    parts += [f"{label} {value:g}" for label, value in optional.items() if value]
    parts.append(recipe.precision)
    parts.append(f"normalised by mean {recipe.mean:g} and std {recipe.std:g}")
    if recipe.validation_fraction:
        share = f"{100 * recipe.validation_fraction:g} %"
        parts.append(f"{share} of the training images held out for validation, the epoch with the least error reported")
    else:
        parts.append("last epoch reported")
    return ", ".join(parts)


def _notes(results: Results) -> list[Text]:
    plan, runs = results.plan, results.runs
    notes = []
    if plan.limit_train is not None:
        notes.append(
            f"**Subset.** Trained on a stratified subset of {plan.limit_train:,} of {plan.data.train_images:,} "
            "training images; these errors say nothing of training on all of them."
        )
    if plan.width != 1:
        notes.append(
            f"**Scaled down.** Every variant was trained at {plan.width:g} times its width on {plan.data.image_size}x"
            f"{plan.data.image_size} images. This shows the way a suite works; it does not rank the full-size variants."
        )
    if not results.complete:
        notes.append("**Incomplete.** Planned runs are missing or failed; they are listed at the end.")
    if results.left_out:
        notes.append(
            f"**Left out.** {len(results.left_out)} runs of seeds that not every variant has ("
            f"{_some(results.left_out)}); the same --seeds for all variants brings them in."
        )
    if results.other_runs:
        notes.append(
            f"**Other runs.** runs/ holds {results.other_runs} more, of earlier commands. Those that differ in variant "
            "or seed only join this table when a command names them (--variants, --seeds); those of other data, "
            "recipe, subset or width come back with the command that made them."
        )
    untimed = list(runs[runs["timing_valid"].eq(False)]["run_id"])
    if untimed:
        notes.append(
            "**Times.** Left out for runs that went on after a stop or shared the device with others: "
            f"{_some(untimed)}."
        )
    if not tables.one_hardware(runs):
        notes.append(
            "**Times.** These runs took place on different hardware or with different engines, so no times are "
            "compared."
        )
    return [Text(note, kind="note") for note in notes]


def _memory_text(done: pd.DataFrame) -> str:
    if not tables.one_device_kind(done):
        return "Memory is left out: some runs took place on a CPU and some on a GPU, whose figures do not compare."
    kinds = _unique(done["device_kind"]) or ["cpu"]
    text = f"Memory is the peak in training, {MEMORY_KINDS[kinds[0]]}."
    if done["peak_memory_bytes"].isna().any():
        text += " Runs that went on only to be tested have none."
    return text


def _some(run_ids: Sequence[str], *, most: int = 10) -> str:
    """Names of runs, not more than a person reads."""
    return ", ".join(run_ids[:most]) + (f" and {len(run_ids) - most:,} more" if len(run_ids) > most else "")


def _published_rows(summary: pd.DataFrame, table: pd.DataFrame) -> list[dict[str, str]]:
    rows = []
    for _, row in summary[summary["variant"].isin(table.index)].iterrows():
        known = table.loc[row["variant"]]
        rows.append(
            {
                "variant": row["variant"],
                "n": cells.count(row["n"]),
                "top-1 % published": cells.percent(known["top1_error"], digits=0),
                "top-1 % measured": cells.percent(row["top1_error_mean"], row["top1_error_std"]),
                "top-5 % published": cells.percent(known["top5_error"], digits=0),
                "top-5 % measured": cells.percent(row["top5_error_mean"], row["top5_error_std"]),
                "params published": cells.count(known["params"]),
                "params measured": cells.count(row["params"]),
                "14 epochs, s published": cells.count(known["train_seconds_14_epochs"]),
                "train s measured": cells.seconds(row["train_seconds_mean"], row["train_seconds_std"]),
            }
        )
    return rows


def _accesses(done: pd.DataFrame) -> str:
    counts = sorted({int(count) for count in done["test_accesses"].dropna()})
    return {(): "once", (1,): "once"}.get(tuple(counts), f"{' or '.join(map(str, counts))} times")


def _diagnosed(results: Results) -> bool:
    return len(results.epochs) > 0 and bool(results.epochs["test_error"].notna().any())


def _hardware(done: pd.DataFrame) -> str:
    threads = done["threads"].map("{:.0f} CPU threads".format)
    described = done["device"] + ", " + threads + ", " + done["platform"] + ", engine " + done["engine"]
    described += done["deterministic"].map({True: ", deterministic kernels"}).fillna("")
    return "; ".join(escape(text) for text in _unique(described))


def _seed_counts(summary: pd.DataFrame) -> str:
    return f"{' or '.join(str(n) for n in sorted(set(summary['n'])))} a variant"


def _unique(column: pd.Series) -> list[Any]:
    return list(dict.fromkeys(column.dropna()))
