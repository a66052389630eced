"""The published results of the 2020 CIFAR ablation, and published claims, checked against measured runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from ablations.analysis.comparisons import Comparison, Comparisons
from ablations.analysis.epochs.convergence import Convergence, compare_convergence
from ablations.analysis.results import Results
from ablations.data.archives import ARCHIVES
from ablations.storage.changes import changes
from ablations.suites.builtin import SUITES
from ablations.suites.plan import Plan
from ablations.suites.recipe import PUBLISHED, Recipe
from googlenet.architecture import Architecture
from googlenet.axes import AXES
from googlenet.controls import match, twin_name
from googlenet.variants import REDUCED, VARIANTS

TABLE = Path(__file__).with_name("published.csv")
BASELINE = "reduced"
PARAMS_RATIO = 10
SHALLOWER = ("short", "short2", "short3")
WIDENED = tuple(twin_name(variant, "params") for variant in SHALLOWER)
ADDED = ("extra-pools", "module-dropout")
FLATTEN = "flatten-head"

Answer = Literal["agree", "disagree", "cannot say"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A published claim, the `suite` that tests it as flags, whether the measured runs agree, and the evidence.

    That is either `params`, the numbers of parameters of the variant and of the baseline at full size, or the
    `comparisons` over seeds, or the `convergence`. Without any the answer is "cannot say"; `reason` then says why
    there are no comparisons, or why these runs do not compare with the published ones, and is empty where a single
    seed is the reason.
    """

    claim: str
    suite: str
    answer: Answer
    comparisons: tuple[Comparison, ...] = ()
    params: tuple[int, int] | None = None
    convergence: Convergence | None = None
    reason: str = ""


def load_published(dataset: str) -> pd.DataFrame:
    """The published rows of "cifar10" or "cifar100", indexed by variant; empty for any other dataset.

    Errors are fractions rounded to 0.01; seconds are for 14 epochs on an unnamed GPU of 2020.
    """
    table = pd.read_csv(TABLE)
    return table[table["dataset"] == dataset].drop(columns="dataset").set_index("variant")


def differences_from_published(plan: Plan, architectures: Mapping[str, Architecture] = VARIANTS) -> list[str]:
    """What keeps the plan's runs of these architectures from comparing with the published ones, in words, if anything.

    The architectures, by the name of the variant, are the seven of the published table unless others are given. Runs
    compare if they train these architectures on the whole official archive with the published recipe in
    single precision.

    Raises:
        KeyError: if the data are not "cifar10" or "cifar100", for which alone there are published results.
    """
    archive, data = ARCHIVES[plan.data.name], plan.data
    runs = [run for run in plan.runs if run.architecture.name in architectures]
    found = [change for recipe in dict.fromkeys(run.recipe for run in runs) for change in _recipe_differences(recipe)]
    counts = {
        "training images": (plan.limit_train or data.train_images, archive.train_images),
        "test images": (data.test_images, archive.test_images),
    }
    found += [f"{here:,} {name} instead of {there:,}" for name, (here, there) in counts.items() if here != there]
    if plan.width != 1:
        found.append(f"width {plan.width:g} instead of 1")
    else:
        changed = [run.architecture.name for run in runs if run.architecture != architectures[run.architecture.name]]
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
    """Check those of the claims whose variants are all in the suite; none for another baseline.

    Those of the 2020 ablation are about its data. One of them is about exact counts at full size. Its others need
    comparisons over seeds of runs that compare with the published ones; one seed, an incomplete suite or another recipe
    cannot say. The claim on convergence is checked on any data, with any recipe.

    A claim of a difference or against one is judged by tests of a difference beyond the margin and within it, so that
    no answer rests on what was not shown, and more seeds of the same difference never turn one into its opposite.
    """
    if results.plan.baseline != BASELINE or BASELINE not in results.variants:
        return []
    claims = [] if load_published(results.plan.data.name).empty else _claims_of_the_ablation(results, comparisons)
    if FLATTEN in results.variants:
        claims.append(_pooling_slows_convergence(results, level=comparisons.looks.level))
    return claims


def _claims_of_the_ablation(results: Results, comparisons: Comparisons) -> list[Claim]:
    plan, planned = results.plan, set(results.variants)
    margin = f"{100 * plan.margin:g} points"
    of_seven = _comparable_with(VARIANTS, plan, comparisons)
    claims = []
    if "naive" in planned:
        claims += [_ten_times_the_params(results), _naive_no_better(of_seven, plan, margin=margin)]
    if planned.issuperset(SHALLOWER):
        claims.append(_depth_hardly_matters(of_seven, plan, margin=margin))
    if "short4" in planned:
        claims.append(_short4_worse(of_seven, plan, margin=margin))
    if planned.issuperset(ADDED):
        added = {arch.name: arch for arch in AXES["components"] if arch.name in ADDED}
        claims.append(_additions_change_little(_comparable_with(added, plan, comparisons), plan, margin=margin))
    if planned.issuperset(WIDENED):
        twins = [match(VARIANTS[name], REDUCED, by="params", num_classes=plan.data.num_classes) for name in SHALLOWER]
        widened = _comparable_with({twin.name: twin for twin in twins}, plan, comparisons)
        claims.append(_width_stands_in_for_depth(widened, plan, margin=margin))
    return claims


def _comparable_with(architectures: Mapping[str, Architecture], plan: Plan, comparisons: Comparisons) -> Comparisons:
    """The comparisons if the runs of these architectures compare with the published ones, else only the reason."""
    differing = differences_from_published(plan, {BASELINE: REDUCED, **architectures})
    if not differing:
        return comparisons
    return Comparisons(reason=f"these runs do not compare with the published ones: {', '.join(differing)}")


def _ten_times_the_params(results: Results) -> Claim:
    params = results.summary.set_index("variant")["full_size_params"]
    naive, baseline = int(params["naive"]), int(params[BASELINE])
    return Claim(
        claim=f"naive has about {PARAMS_RATIO} times the parameters of {BASELINE}",
        suite=_suite_of_seven(results.plan),
        answer="agree" if naive >= PARAMS_RATIO * baseline else "disagree",
        params=(naive, baseline),
    )


def _naive_no_better(comparisons: Comparisons, plan: Plan, *, margin: str) -> Claim:
    def judge(found: Sequence[Comparison]) -> Answer:
        (naive,) = (each.these.shown for each in found)
        if naive.not_lower:
            return "agree"
        return "disagree" if naive.beyond and naive.lower else "cannot say"

    claim = f"the error of naive is no lower than that of {BASELINE} (by {margin} or more)"
    return _judged(claim, comparisons, suite=_suite_of_seven(plan), variants=("naive",), judge=judge)


def _depth_hardly_matters(comparisons: Comparisons, plan: Plan, *, margin: str) -> Claim:
    claim = f"error hardly depends on depth down to short2 and short3 (no loss beyond {margin})"
    return _judged(claim, comparisons, suite=_suite_of_seven(plan), variants=SHALLOWER, judge=_no_loss)


def _short4_worse(comparisons: Comparisons, plan: Plan, *, margin: str) -> Claim:
    def judge(found: Sequence[Comparison]) -> Answer:
        opposite: dict[Answer, Answer] = {"agree": "disagree", "disagree": "agree"}
        return opposite.get(_no_loss(found), "cannot say")

    claim = f"short4 is clearly worse than {BASELINE} (by more than {margin})"
    return _judged(claim, comparisons, suite=_suite_of_seven(plan), variants=("short4",), judge=judge)


def _additions_change_little(comparisons: Comparisons, plan: Plan, *, margin: str) -> Claim:
    def judge(found: Sequence[Comparison]) -> Answer:
        if any(each.these.shown.beyond for each in found):
            return "disagree"
        return "agree" if all(each.these.shown.within for each in found) else "cannot say"

    claim = f"extra max-pools and dropouts between modules change little (no change beyond {margin})"
    return _judged(claim, comparisons, suite=_axis_suite("components", plan), variants=ADDED, judge=judge)


def _width_stands_in_for_depth(comparisons: Comparisons, plan: Plan, *, margin: str) -> Claim:
    claim = f"width can stand in for depth (at equal parameters no loss beyond {margin})"
    suite = f"{_axis_suite('depth', plan)} --control params"
    return _judged(claim, comparisons, suite=suite, variants=WIDENED, judge=_no_loss)


def _pooling_slows_convergence(results: Results, *, level: float) -> Claim:
    plan = results.plan
    recipes = {run.recipe for run in plan.runs if run.architecture.name in (BASELINE, FLATTEN)}
    reason = f"{BASELINE} and {FLATTEN} have different recipes" if len(recipes) > 1 else results.why_incomplete
    found = None if reason else compare_convergence(results, variant=FLATTEN, level=level)
    answer: Answer = "cannot say"
    if found is not None and not found.interval.holds(0):
        answer = "agree" if found.difference < 0 else "disagree"
    return Claim(
        claim=f"global average pooling slows convergence ({FLATTEN} takes fewer epochs to the same training error)",
        suite=_axis_suite("components", plan),
        answer=answer,
        convergence=found,
        reason=reason,
    )


def _judged(
    claim: str,
    comparisons: Comparisons,
    *,
    suite: str,
    variants: Sequence[str],
    judge: Callable[[Sequence[Comparison]], Answer],
) -> Claim:
    """The claim with the answer that the comparisons of these variants give, or "cannot say" if one is missing."""
    compared = {comparison.variant: comparison for comparison in comparisons.comparisons}
    if not compared.keys() >= set(variants):
        return Claim(claim=claim, suite=suite, answer="cannot say", reason=comparisons.reason)
    found = tuple(compared[variant] for variant in variants)
    return Claim(claim=claim, suite=suite, answer=judge(found), comparisons=found)


def _no_loss(found: Sequence[Comparison]) -> Answer:
    """Whether the error of no variant is higher by the margin or more."""
    shown = [each.these.shown for each in found]
    if any(each.beyond and each.higher for each in shown):
        return "disagree"
    return "agree" if all(each.not_higher for each in shown) else "cannot say"


def _suite_of_seven(plan: Plan) -> str:
    return f"--suite {plan.data.name}"


def _axis_suite(axis: str, plan: Plan) -> str:
    name = plan.data.name
    return f"--suite {axis}" if name == SUITES[axis].dataset else f"--suite {axis} --dataset {name}"
