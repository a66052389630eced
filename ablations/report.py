"""The report of a suite: everything in it is derived from the plan and the records, and can be rebuilt from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import pandas as pd

from . import files, plots, published, stats, tables, verdicts
from .config import PUBLISHED, RECIPES, Recipe
from .schema import to_plain
from .stats import Comparison, Interval
from .tables import Results
from .verdicts import Verdicts

REPORT_FILE = "report.md"
NONE = "–"
MEMORY_KINDS = {
    "cpu": "the whole process's resident set on a CPU (with the libraries' own share, about 0.9 GB)",
    "cuda": "of the GPU's allocator",
}


class Report(NamedTuple):
    """A written report: its path, and what it was written from."""

    path: Path
    results: Results
    verdicts: Verdicts


def write(suite_dir: Path) -> Report:
    """Write report.md, the CSV files and figures/ from the suite's records.

    Raises:
        ConfigError: if the plan or a record cannot be read.
    """
    results = tables.load(suite_dir)
    judged = verdicts.judge(results, suite_dir)
    tables.write_csv(suite_dir, results, comparisons=judged.frame())
    plots.write(plots.figures(results), folder=suite_dir / "figures")
    path = suite_dir / REPORT_FILE
    files.write_text(path, render(results, judged))
    return Report(path, results, judged)


def render(results: Results, judged: Verdicts) -> str:
    """The report's Markdown."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ablations"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["thousands"] = lambda number: f"{number:,}"
    # Another recipe's results say nothing of what the published ones were drawn from.
    own_recipe = results.plan.runs[0].recipe.name == PUBLISHED.name
    table = published.load(results.plan.data.name if own_recipe else "")
    return environment.get_template("report.md.j2").render(
        plan=results.plan,
        head=_head(results),
        notes=_notes(results),
        width=f"{results.plan.width:g}" if results.plan.width != 1 else 1,
        memory_kind=" and ".join(MEMORY_KINDS[kind] for kind in _unique(results.runs["device_kind"]) or ["cpu"]),
        results_table=_markdown(summary_table(results)),
        verdict_table=_markdown(verdict_table(judged)) if judged.reason == "" else "",
        verdict_notes=_verdict_notes(results, judged),
        published_table=_markdown(_published_table(results.summary, table)) if len(table) else "",
        conclusions=published.conclusions(results.summary) if len(table) else (),
        single=bool((results.summary["n"] == 1).any()),
        absent=_absent(results.runs),
    )


def summary_table(results: Results) -> list[dict[str, str]]:
    """The summary as text, in the columns that a person reads."""
    rows = []
    scaled = results.plan.width != 1
    for _, row in results.summary.iterrows():
        line = {
            "variant": str(row["variant"]),
            "n": str(row["n"]),
            "top-1 error %": _percent(row, "top1_error"),
            "top-5 error %": _percent(row, "top5_error"),
            "trained params" if scaled else "params": _count(row["params"]),
            "trained MACs" if scaled else "MACs": _si(row["macs"]),
            "trained FLOPs" if scaled else "FLOPs": _si(row["flops"]),
        }
        if scaled:
            line |= {"full-size params": _count(row["full_size_params"]), "full-size MACs": _si(row["full_size_macs"])}
        line |= {"train s": _seconds(row), "memory MB": _megabytes(row["peak_memory_bytes"])}
        rows.append(line)
    return rows


def verdict_table(judged: Verdicts) -> list[dict[str, str]]:
    """The verdicts as text; differences are the variant's top-1 error less the baseline's, in points."""
    rows = []
    bootstrapped = any(comparison.bootstrap for comparison in judged.comparisons)
    for comparison in judged.comparisons:
        bootstrap = {"bootstrap 95 %": _interval(comparison.bootstrap)} if bootstrapped else {}
        rows.append(
            {
                "variant": comparison.variant,
                "n": str(comparison.n),
                "difference, points": f"{100 * comparison.difference:+.2f}",
                "95 % interval": _interval(comparison.interval),
                "p": _p(comparison.p),
                "p (Holm)": _p(comparison.p_holm),
                "p, equivalent (Holm)": _p(comparison.p_equivalent_holm),
                "p (signs)": _p(comparison.p_signs),
                **bootstrap,
                "verdict": _verdict(comparison),
            }
        )
    for variant, test in (judged.image_tests or {}).items():
        rows.append(
            {
                "variant": variant,
                "images only it gets wrong": f"{test.only_variant_wrong:,}",
                "images only the baseline gets wrong": f"{test.only_baseline_wrong:,}",
                "p (McNemar)": _p(test.p),
            }
        )
    return rows


def _verdict(comparison: Comparison) -> str:
    if comparison.verdict != "inconclusive":
        return f"**{comparison.verdict}**"
    if comparison.seeds_needed is None:
        return f"inconclusive; more than {stats.MOST_SEEDS:,} seeds would be needed"
    return f"inconclusive; about {comparison.seeds_needed} seeds would settle it"


def _verdict_notes(results: Results, judged: Verdicts) -> list[str]:
    plan = results.plan
    if judged.reason:
        return [f"No verdict: {judged.reason}."]
    if judged.image_tests is not None:
        return [
            "With one seed there is no verdict on architectures. McNemar's exact test compares the two trained "
            f"networks, a variant's and {plan.baseline}'s, on the same {plan.data.test_images:,} images; another seed "
            "can turn it round."
        ]
    count = len(judged.comparisons)
    first = judged.comparisons[0]
    notes = [
        f"Top-1 error less that of {plan.baseline}, paired by seed. Better or worse: paired t test, Holm-adjusted for "
        f"{count} comparisons, p at most {stats.ALPHA:g}. Equivalent: two one-sided t tests against a margin of "
        f"{100 * plan.margin:g} points, adjusted likewise. The number of seeds that would settle a comparison holds "
        f"with {100 * stats.POWER:.0f} % probability, if its difference and spread are what they seem.",
        f"The sign-flip test makes no assumption of normality; with {first.n} seeds its p cannot go below "
        f"{_p(first.smallest_p)}."
        + ("" if first.bootstrap else f" A bootstrap interval is given from {stats.BOOTSTRAP_SEEDS} seeds on."),
    ]
    disagreeing = [comparison.variant for comparison in judged.comparisons if comparison.checks_disagree]
    if disagreeing:
        notes.append(
            f"For {', '.join(disagreeing)} the t test and an assumption-free check disagree on whether there is a "
            "difference (before the adjustment); more seeds are needed to trust either."
        )
    return notes


def _interval(interval: Interval | None) -> str:
    return NONE if interval is None else f"[{100 * interval.low:+.2f}, {100 * interval.high:+.2f}]"


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def _head(results: Results) -> list[tuple[str, str]]:
    plan, runs = results.plan, results.runs
    done = runs[runs["status"] == "done"]
    recipe = plan.runs[0].recipe
    data = plan.data
    train_images = _unique(done["train_images"].dropna().astype(int))
    trained_on = " or ".join(f"{count:,}" for count in train_images) or f"{data.train_images:,}"
    return [
        ("Command", ", then ".join(f"`{command}`" for command in plan.commands)),
        ("Axis", plan.axis + (f", against `{plan.baseline}`" if plan.baseline in set(runs["variant"]) else "")),
        ("n", f"{len(done)} of {len(runs)} planned runs done, {_seed_counts(results.summary)}"),
        (
            "Dataset",
            f"{data.title}: {data.num_classes} classes, {data.image_size}x{data.image_size} pixels, trained on "
            f"{trained_on} of {data.train_images:,} images, tested once on {data.test_images:,}",
        ),
        ("Data fingerprint (SHA-256)", f"`{data.fingerprint}`"),
        ("Recipe", describe_recipe(recipe)),
        ("Hardware", _hardware(done)),
        ("Versions", "; ".join(_unique("Python " + done["python"] + "; " + done["versions"])) or NONE),
        ("Commit", ", ".join(f"`{commit}`" for commit in _unique(done["commit"])) or NONE),
    ]


def describe_recipe(recipe: Recipe) -> str:
    """A recipe in one line; one with a built-in's name but other values says which."""
    named = RECIPES.get(recipe.name)
    base = to_plain(named.at_precision(recipe.precision)) if named else {}
    changed = [name for name, value in to_plain(recipe).items() if base and value != base[name]]
    parts = [
        f"`{recipe.name}`" + (f" with {', '.join(changed)} changed" if changed else ""),
        f"{recipe.epochs} epochs",
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
        parts.append(f"{100 * recipe.validation_fraction:g} % of the training images held out for validation")
    parts.append("last epoch reported")
    return ", ".join(parts)


def _notes(results: Results) -> list[str]:
    plan, runs = results.plan, results.runs
    notes = []
    limit = plan.runs[0].limit_train
    if limit is not None:
        notes.append(
            f"**Subset.** Trained on a stratified subset of {limit:,} of {plan.data.train_images:,} training images; "
            "these errors say nothing of training on all of them."
        )
    if plan.width != 1:
        notes.append(
            f"**Scaled down.** Every variant was trained at {plan.width:g} times its width on {plan.data.image_size}x"
            f"{plan.data.image_size} images. This shows the way a suite works; it does not rank the full-size variants."
        )
    if (runs["status"] != "done").any():
        notes.append("**Incomplete.** Planned runs are missing or failed; they are listed at the end.")
    if results.other_runs:
        notes.append(
            f"**Other runs.** runs/ holds {results.other_runs} more, of other data, recipe, subset, width or "
            "architectures, which do not belong in this table. The command that made them brings their report back."
        )
    untimed = runs[runs["timing_valid"].eq(False)]
    if len(untimed):
        notes.append(
            f"**Times.** {', '.join(untimed['run_id'])} went on after a stop or shared the device with other runs, so "
            "no time is shown for it."
        )
    if not tables.one_hardware(runs):
        notes.append(
            "**Times.** These runs took place on different hardware or with different engines, so no times are "
            "compared."
        )
    return notes


def _published_table(summary: pd.DataFrame, table: pd.DataFrame) -> list[dict[str, str]]:
    rows = []
    for _, row in summary.iterrows():
        if row["variant"] not in table.index:
            continue
        known = table.loc[row["variant"]]
        rows.append(
            {
                "variant": row["variant"],
                "top-1 % published": f"{100 * known['top1_error']:.0f}",
                "top-1 % measured": _percent(row, "top1_error"),
                "top-5 % published": f"{100 * known['top5_error']:.0f}",
                "top-5 % measured": _percent(row, "top5_error"),
                "params published": _count(known["params"]),
                "params measured": _count(row["params"]),
                "14 epochs, s published": f"{known['train_seconds_14_epochs']:,.0f}",
                "train s measured": _seconds(row),
            }
        )
    return rows


def _absent(runs: pd.DataFrame) -> list[str]:
    lines = []
    for _, row in runs[runs["status"] != "done"].iterrows():
        reason = f": {row['message']}" if row["message"] else ""
        lines.append(
            f"`{row['run_id']}` {row['status']} after {row['epochs']} of {row['planned_epochs']} epochs{reason}"
        )
    return lines


def _hardware(done: pd.DataFrame) -> str:
    threads = done["threads"].map("{:.0f} CPU threads".format)
    described = done["device"] + ", " + threads + ", " + done["platform"] + ", engine " + done["engine"]
    return "; ".join(_unique(described)) or NONE


def _seed_counts(summary: pd.DataFrame) -> str:
    counts = _unique(summary["n"])
    return f"{' or '.join(str(n) for n in sorted(counts))} a variant"


def _unique(column: pd.Series) -> list[Any]:
    return list(dict.fromkeys(column.dropna()))


def _markdown(rows: list[dict[str, str]]) -> str:
    columns = list(rows[0]) if rows else []
    cells = [columns, ["---"] + ["---:"] * (len(columns) - 1), *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _percent(row: pd.Series, column: str) -> str:
    mean, std = row[f"{column}_mean"], row[f"{column}_std"]
    if pd.isna(mean):
        return NONE
    return f"{100 * mean:.2f}" + ("" if pd.isna(std) else f" ± {100 * std:.2f}")


def _seconds(row: pd.Series) -> str:
    mean, std = row["train_seconds_mean"], row["train_seconds_std"]
    if pd.isna(mean):
        return NONE
    return f"{mean:,.1f}" + ("" if pd.isna(std) else f" ± {std:,.1f}")


def _count(value: Any) -> str:
    return NONE if pd.isna(value) else f"{int(value):,}"


def _si(value: Any) -> str:
    """MACs in millions or billions."""
    if pd.isna(value):
        return NONE
    return f"{value / 1e9:.3f} G" if value >= 1e9 else f"{value / 1e6:.1f} M"


def _megabytes(value: Any) -> str:
    return NONE if pd.isna(value) else f"{value / 1e6:,.0f}"
