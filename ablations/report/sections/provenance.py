"""Provenance: command, data, recipe, hardware, versions and commit."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from ablations.analysis.analyse import Analysis
from ablations.analysis.costs import one_hardware
from ablations.analysis.results import Results
from ablations.report.document import Items, Section, Text
from ablations.report.formats.markdown import code, commands, escape
from ablations.report.formatting import NONE, plural, some, unique
from ablations.storage.serialization import to_plain
from ablations.suites.recipe import RECIPES, Recipe
from googlenet.controls import CAPACITIES, TOLERANCE, Capacity, original_of, twin_name

OPTIONAL = ("Controls", "Left out", "Merged")  # left out where there is nothing to say
CAPACITY_WORDS: dict[Capacity, str] = {"params": "parameters", "macs": "MACs"}


def provenance_section(analysis: Analysis) -> Section:
    """What was run, on which data and machine, with notes on what limits the results."""
    results = analysis.results
    plan, runs = results.plan, results.runs
    done, data = results.done, plan.data
    train_images = unique(done["train_images"].dropna().astype(int))
    planned = plan.runs[0].limit_train or data.train_images
    trained_on = " or ".join(f"{count:,}" for count in train_images) or f"{planned:,}"
    diagnosed = ", and also after every epoch for the selection bias diagnostic" if _diagnosed(results) else ""
    compared = plan.baseline in results.variants and not results.different_recipes
    against = f", against `{plan.baseline}`" if compared else ""
    rows = {
        "Command": commands(plan.commands),
        "Axis": f"{escape(plan.axis)} ({', '.join(map(escape, plan.varies))}){against}",
        "Controls": "; ".join(_controls(results)),
        "Left out": "; ".join(map(escape, plan.skipped)),
        "n": f"{len(done)} of {len(runs)} planned runs done, {_seed_counts(results.summary)}",
        "Dataset": (
            f"{escape(data.title)}: {data.num_classes} classes, {data.image_size}x{data.image_size} pixels, trained on "
            f"{trained_on} of {data.train_images:,} images, tested {_accesses(done)} on {data.test_images:,}{diagnosed}"
        ),
        "Data fingerprint (SHA-256)": f"`{data.fingerprint}`",
        "Recipe": _recipes(results),
        "Hardware": _hardware(done),
        "Versions": "; ".join(escape(text) for text in unique("Python " + done["python"] + "; " + done["versions"])),
        "Commit": ", ".join(code(commit) for commit in unique(done["commit"])),
        "Merged": _merged(done),
    }
    shown = {name: value or NONE for name, value in rows.items() if value or name not in OPTIONAL}
    return Section(
        "Provenance",
        [Items([f"**{name}:** {value}" for name, value in shown.items()]), *_notes(results)],
        fold="Command, data, recipe, hardware and versions of these runs",
    )


def _controls(results: Results) -> Iterator[str]:
    """How the twins of the variants are named, by the capacity in which they equal the baseline."""
    for by in CAPACITIES:
        example = next((name for name in results.variants if name == twin_name(original_of(name) or "", by)), None)
        if example:
            yield (
                f"a name such as `{example}` is that of a control, the same variant as wide as it takes to have the "
                f"{CAPACITY_WORDS[by]} of `{results.plan.baseline}` within {TOLERANCE:.0%}"
            )


def _recipes(results: Results) -> str:
    if not results.different_recipes:
        return describe_recipe(results.plan.recipe)
    recipes = {run.architecture.name: run.recipe for run in results.plan.runs}
    return "; ".join(f"{escape(variant)}: {describe_recipe(recipe)}" for variant, recipe in recipes.items())


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
    parts += ["converted to grey"] if recipe.grayscale else []
    parts += [f"resized to {recipe.resize}x{recipe.resize}"] if recipe.resize else []
    parts.append(f"normalised by mean {recipe.mean:g} and std {recipe.std:g}")
    parts += ["test images flipped at random"] if recipe.flip_test else []
    parts += [f"weights kept after epochs {', '.join(map(str, recipe.keep_epochs))}"] if recipe.keep_epochs else []
    if recipe.validation_fraction:
        share = f"{100 * recipe.validation_fraction:g} %"
        parts.append(
            f"{share} of the training images held out for validation, epoch with the lowest validation error reported"
        )
    else:
        parts.append("last epoch reported")
    return ", ".join(parts)


def _notes(results: Results) -> list[Text]:
    plan, runs = results.plan, results.runs
    notes = []
    if plan.limit_train is not None:
        notes.append(
            f"**Subset.** Trained on a stratified subset of {plan.limit_train:,} of {plan.data.train_images:,} "
            "training images; these errors do not tell what training on all of them gives."
        )
    if plan.width != 1:
        notes.append(
            f"**Scaled down.** Every variant was trained at {plan.width:g} times its width on {plan.data.image_size}x"
            f"{plan.data.image_size} images. This demonstrates a suite; it does not rank the full-size variants."
        )
    if not results.complete:
        notes.append("**Incomplete.** Some planned runs are missing or failed; see Missing runs.")
    if results.left_out:
        notes.append(
            f"**Left out.** {len(results.left_out)} runs with seeds that not every variant has ("
            f"{some(results.left_out)}); to include them, run all variants with the same --seeds."
        )
    if results.other_runs:
        notes.append(
            f"**Other runs.** runs/ holds {results.other_runs} more from earlier commands. To include those that "
            "differ only in variant or seed, name them with --variants or --seeds; those with other data, recipe, "
            "subset or width are reported by the command that made them."
        )
    untimed = list(runs[runs["timing_valid"].eq(False)]["run_id"])
    if untimed:
        notes.append(f"**Times.** Left out for runs that were resumed or shared their device: {some(untimed)}.")
    if not one_hardware(runs):
        notes.append("**Times.** These runs used different hardware or different engines, so times are not compared.")
    return [Text(note, kind="note") for note in notes]


def _accesses(done: pd.DataFrame) -> str:
    counts = sorted({int(count) for count in done["test_accesses"].dropna()})
    return {(): "once", (1,): "once"}.get(tuple(counts), f"{' or '.join(map(str, counts))} times")


def _diagnosed(results: Results) -> bool:
    return len(results.epochs) > 0 and bool(results.epochs["test_error"].notna().any())


def _threads(count: int) -> str:
    return plural(count, "CPU thread")


def _hardware(done: pd.DataFrame) -> str:
    threads = done["threads"].astype(int).map(_threads)
    described = done["device"] + ", " + threads + ", " + done["platform"] + ", engine " + done["engine"]
    described += done["deterministic"].map({True: ", deterministic kernels"}).fillna("")
    return "; ".join(escape(text) for text in unique(described))


def _merged(done: pd.DataFrame) -> str:
    """How many of the runs came from which other folder."""
    counts = done.groupby("merged_from").size()
    return "; ".join(f"{number} run{'' if number == 1 else 's'} from {code(str(at))}" for at, number in counts.items())


def _seed_counts(summary: pd.DataFrame) -> str:
    return f"{' or '.join(str(n) for n in sorted(set(summary['n'])))} a variant"
