"""The published results of the 2020 CIFAR ablation, and its four claims, checked against measured runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from ablations.analysis.comparisons import Comparisons
from ablations.analysis.intervals import ALPHA
from ablations.analysis.paired_tests import Comparison
from ablations.analysis.results import Results
from ablations.data.archives import ARCHIVES
from ablations.storage.changes import changes
from ablations.suites.plan import Plan
from ablations.suites.recipe import PUBLISHED, Recipe
from googlenet.variants import VARIANTS

TABLE = Path(__file__).with_name("published.csv")
BASELINE = "reduced"
PARAMS_RATIO = 10
SHALLOWER = ("short", "short2", "short3")

Answer = Literal["agree", "disagree", "cannot say"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A published claim, whether the measured runs agree, and what the answer rests on.

    That is either `params`, the numbers of parameters of the variant and of the baseline at full size, or the
    `comparisons` over seeds. Without either the answer is "cannot say"; `reason` then says why there are no
    comparisons, or why these runs do not compare with the published ones, and is empty where a single seed is the
    reason.
    """

    claim: str
    answer: Answer
    comparisons: tuple[Comparison, ...] = ()
    params: tuple[int, int] | None = None
    reason: str = ""


def load_published(dataset: str) -> pd.DataFrame:
    """The published rows of "cifar10" or "cifar100", indexed by variant; empty for any other dataset.

    Errors are fractions rounded to 0.01; seconds are for 14 epochs on an unnamed GPU of 2020.
    """
    table = pd.read_csv(TABLE)
    return table[table["dataset"] == dataset].drop(columns="dataset").set_index("variant")


def differences_from_published(plan: Plan) -> list[str]:
    """What keeps the plan's runs of the seven variants from comparing with the published ones, in words, if anything.

    Runs compare if they train the same architectures on the whole official archive with the published recipe in
    single precision.

    Raises:
        KeyError: if the data are not "cifar10" or "cifar100", for which alone there are published results.
    """
    archive, data = ARCHIVES[plan.data.name], plan.data
    runs = [run for run in plan.runs if run.architecture.name in VARIANTS]
    found = [change for recipe in dict.fromkeys(run.recipe for run in runs) for change in _recipe_differences(recipe)]
    counts = {
        "training images": (plan.limit_train or data.train_images, archive.train_images),
        "test images": (data.test_images, archive.test_images),
    }
    found += [f"{here:,} {name} instead of {there:,}" for name, (here, there) in counts.items() if here != there]
    if plan.width != 1:
        found.append(f"width {plan.width:g} instead of 1")
    else:
        changed = [run.architecture.name for run in runs if run.architecture != VARIANTS[run.architecture.name]]
        found += [f"another architecture of {name}" for name in changed]
    return list(dict.fromkeys(found))


def _recipe_differences(recipe: Recipe) -> list[str]:
    changed = [each for each in changes(PUBLISHED.at_precision("fp32"), recipe) if each.path != "name"]
    if changed and recipe.name != PUBLISHED.name:
        return [f"recipe {recipe.name} instead of {PUBLISHED.name}"]
    return [
        f"{change.now} epochs instead of {change.then}"
        if change.path == "epochs"
        else f"{change.path} {change.now} instead of {change.then}"
        for change in changed
    ]


def check_claims(results: Results, comparisons: Comparisons) -> list[Claim]:
    """Check those of the four claims whose variants are all in the suite; none for another baseline or other data.

    The first is about exact counts at full size. The others need comparisons over seeds of runs that compare with the
    published ones; one seed, an incomplete suite or another recipe cannot say.
    """
    if results.plan.baseline != BASELINE or load_published(results.plan.data.name).empty:
        return []
    differing = differences_from_published(results.plan)
    if differing:
        comparisons = Comparisons(reason=f"these runs do not compare with the published ones: {', '.join(differing)}")
    planned = set(results.variants)
    margin = f"{100 * results.plan.margin:g} points"
    claims = []
    if {"naive", BASELINE} <= planned:
        claims += [_ten_times_the_params(results), _naive_no_better(comparisons)]
    if {*SHALLOWER, BASELINE} <= planned:
        claims.append(_depth_hardly_matters(comparisons, margin=margin))
    if {"short4", BASELINE} <= planned:
        claims.append(_short4_worse(comparisons, margin=margin))
    return claims


def _ten_times_the_params(results: Results) -> Claim:
    params = results.summary.set_index("variant")["full_size_params"]
    naive, baseline = int(params["naive"]), int(params[BASELINE])
    return Claim(
        claim=f"naive has about {PARAMS_RATIO} times the parameters of {BASELINE}",
        answer="agree" if naive >= PARAMS_RATIO * baseline else "disagree",
        params=(naive, baseline),
    )


def _naive_no_better(comparisons: Comparisons) -> Claim:
    claim = f"the error of naive is no lower than that of {BASELINE}"
    compared = _by_variant(comparisons)
    if "naive" not in compared:
        return _cannot_say(claim, comparisons)
    answers: dict[str, Answer] = {"better": "disagree", "worse": "agree", "equivalent": "agree"}
    naive = compared["naive"]
    return Claim(claim=claim, answer=answers.get(naive.verdict, "cannot say"), comparisons=(naive,))


def _depth_hardly_matters(comparisons: Comparisons, *, margin: str) -> Claim:
    claim = f"error hardly depends on depth down to short2 and short3 (no loss beyond {margin})"
    compared = _by_variant(comparisons)
    if not set(SHALLOWER) <= set(compared):
        return _cannot_say(claim, comparisons)
    found = tuple(compared[variant] for variant in SHALLOWER)
    if any(comparison.verdict == "worse" and not _within_margin(comparison) for comparison in found):
        answer: Answer = "disagree"
    else:
        harmless = all(_within_margin(comparison) or comparison.verdict == "better" for comparison in found)
        answer = "agree" if harmless else "cannot say"
    return Claim(claim=claim, answer=answer, comparisons=found)


def _short4_worse(comparisons: Comparisons, *, margin: str) -> Claim:
    claim = f"short4 is clearly worse than {BASELINE} (not equivalent within {margin})"
    compared = _by_variant(comparisons)
    if "short4" not in compared:
        return _cannot_say(claim, comparisons)
    short4 = compared["short4"]
    if short4.verdict == "worse" and not _within_margin(short4):
        answer: Answer = "agree"
    else:
        answer = "cannot say" if short4.verdict == "inconclusive" else "disagree"
    return Claim(claim=claim, answer=answer, comparisons=(short4,))


def _by_variant(comparisons: Comparisons) -> Mapping[str, Comparison]:
    return {comparison.variant: comparison for comparison in comparisons.comparisons}


def _within_margin(comparison: Comparison) -> bool:
    """Whether equivalence is shown; a small difference may be both shown and shown to be within the margin."""
    return comparison.p_equivalent_holm <= ALPHA


def _cannot_say(claim: str, comparisons: Comparisons) -> Claim:
    return Claim(claim=claim, answer="cannot say", reason=comparisons.reason)
