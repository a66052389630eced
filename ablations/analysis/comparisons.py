"""Comparisons of a suite: each variant's top-1 error against the baseline's, or the reason why there are none."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ablations.analysis.failed_seeds import failed_by_variant
from ablations.analysis.images.per_image import PerImageErrors
from ablations.analysis.looks import Looks
from ablations.analysis.paired_errors import PairedErrors, pair_errors
from ablations.analysis.results import Results
from ablations.analysis.statistics.advice import Found, SeedsNeeded, seeds_needed
from ablations.analysis.statistics.intervals import ALPHA, MIN_SEEDS, FloatArray, Interval
from ablations.analysis.statistics.paired_tests import (
    ImageTest,
    PairedTests,
    mcnemar,
    sign_flip_p,
    smallest_sign_flip_p,
)
from ablations.analysis.statistics.verdicts import INCONCLUSIVE, MIN_MARGIN_IMAGES, Shown, Verdict, judge, shared_level
from ablations.suites.plan import Plan


class Scope(NamedTuple):
    """What a comparison says of one kind of test images: these, or new ones of the same kind.

    `interval` is of the difference in top-1 error, at the level of the last look; `interval_95` is the 95 % interval.
    Both are of this comparison alone. `shown` has what all looks together show.
    """

    interval: Interval
    interval_95: Interval
    shown: Shown
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A variant's top-1 errors less the baseline's, paired by seed; errors and differences are fractions.

    `std` is the sample standard deviation of the differences over n seeds, never below what test images alone explain;
    `correlation` is that of the paired errors (NaN without spread). `p` is from the paired t test, `p_equivalent` from
    two one-sided t tests against the margin, `p_beyond` of a difference that is not beyond the margin; all are to be
    held against `level`, which is the last look's, shared by all comparisons. `p_signs` is from the sign-flip
    permutation test, exact up to 16 seeds; it cannot go below `smallest_p`.

    `these` is about the test images of the runs, `new` about new ones; that is None if predictions cannot be read.
    `verdict_seeds` is the number of seeds of the look that gave the verdict on these images. `failed` are the runs of
    the variant and of the baseline that failed to train. `why_not_equivalent` says why equivalence cannot be shown,
    if so. `seeds_needed` is advice for an inconclusive comparison.
    """

    variant: str
    baseline: str
    n: int
    difference: float
    std: float
    correlation: float
    p: float
    p_equivalent: float
    p_beyond: float
    p_signs: float
    smallest_p: float
    margin: float
    level: float
    these: Scope
    new: Scope | None
    verdict_seeds: int | None
    failed: tuple[int, int]
    why_not_equivalent: str
    seeds_needed: SeedsNeeded | None

    @property
    def verdict(self) -> Verdict:
        """The verdict on these test images."""
        return self.these.verdict

    @property
    def interval(self) -> Interval:
        """The interval on these test images, at the level of the last look."""
        return self.these.interval

    @property
    def signs_disagree(self) -> bool:
        """Whether the sign-flip test contradicts the t test on a difference from zero, both at 5 %."""
        return self.smallest_p <= ALPHA and (self.p_signs <= ALPHA) != (self.p <= ALPHA)


COLUMNS = (
    "variant",
    "baseline",
    "n",
    "difference",
    "std",
    "correlation",
    "interval_low",
    "interval_high",
    "new_images_low",
    "new_images_high",
    "p",
    "p_equivalent",
    "p_beyond",
    "p_signs",
    "smallest_p",
    "signs_disagree",
    "margin",
    "level",
    "verdict",
    "verdict_seeds",
    "verdict_new_images",
    "variant_failed",
    "baseline_failed",
    "seeds_likely",
    "seeds_safe",
)


@dataclass(frozen=True, kw_only=True)
class Comparisons:
    """Comparisons over seeds or, for a single seed, McNemar's tests over images by variant.

    McNemar's test compares two trained networks, not two architectures. `reason` says why there is neither. `looks`
    are the reports so far that gave verdicts.
    """

    comparisons: tuple[Comparison, ...] = ()
    image_tests: Mapping[str, ImageTest] | None = None
    looks: Looks = Looks()
    reason: str = ""

    def frame(self) -> pd.DataFrame:
        """One row a comparison over seeds; errors, differences and the 95 % intervals are fractions."""
        return pd.DataFrame([_row(comparison) for comparison in self.comparisons], columns=list(COLUMNS))


def compare_with_baseline(
    results: Results, per_image: PerImageErrors, *, looks: Looks, rng: np.random.Generator
) -> Comparisons:
    """Compare each variant with the baseline; an incomplete suite gets no comparison.

    Where predictions cannot be read there are no tests over images and no verdicts on new ones. The rng is for sampled
    permutations.
    """
    plan, variants = results.plan, results.variants
    if plan.baseline not in variants and not results.different_recipes:
        return Comparisons(reason=f"the baseline {plan.baseline} is not among these runs; add it to --variants")
    if results.why_no_comparison:
        return Comparisons(reason=results.why_no_comparison)
    seeds = sorted({int(seed) for seed in results.runs["seed"]})
    if len(seeds) < MIN_SEEDS:
        return _compare_one_seed(results, per_image, seeds=seeds)
    if not looks.taken:
        declared = ", ".join(map(str, looks.declared))
        reason = f"verdicts were declared to be read at {declared} seeds, and there are {len(seeds)}"
        return Comparisons(looks=looks, reason=reason)
    compared = _compare(pair_errors(results, per_image), results, looks=looks, rng=rng)
    return Comparisons(comparisons=tuple(compared), looks=looks)


def _compare_one_seed(results: Results, per_image: PerImageErrors, *, seeds: Sequence[int]) -> Comparisons:
    wrong = {name: per_image.wrong(name, seeds=seeds) for name in results.variants}
    read = {name: images[0] for name, images in wrong.items() if images is not None}
    if len(read) < len(wrong):
        return Comparisons(reason=per_image.unread[0])
    baseline = read.pop(results.plan.baseline)
    return Comparisons(image_tests={name: mcnemar(images, baseline) for name, images in read.items()})


def _compare(paired: PairedErrors, results: Results, *, looks: Looks, rng: np.random.Generator) -> Iterator[Comparison]:
    """A comparison for each variant, over all seeds; its verdicts are those of the looks."""
    plan, failed = results.plan, failed_by_variant(results.runs)
    enough_images = plan.margin * paired.test_images >= MIN_MARGIN_IMAGES
    judged = judge(
        [paired.sample(look.seeds) for look in looks.taken],
        [look.level for look in looks.taken],
        margin=plan.margin,
        may_be_equivalent=enough_images,
    )
    sample, n = paired.sample(paired.seeds), len(paired.seeds)
    these, new = sample.tests(plan.margin)
    shared = shared_level(these, level=looks.level, may_be_equivalent=enough_images)
    for index, name in enumerate(paired.variants):
        failures = failed.get(name, 0), failed.get(plan.baseline, 0)
        why_not = _why_not_equivalent(plan, failures, variant=name, n=n)
        on_these = _scope([these], judged.these, index, level=looks.level, bounded=not why_not)
        on_new = _scope([these, new], judged.new, index, level=looks.level, bounded=not why_not)
        found = Found(
            n=n,
            difference=float(these.difference[index]),
            std=float(these.standard_error[index]) * math.sqrt(n),
            least_std=float(sample.least_std[index]),
        )
        open_still = on_these.verdict == INCONCLUSIVE
        yield Comparison(
            variant=name,
            baseline=plan.baseline,
            n=n,
            difference=found.difference,
            std=found.std,
            correlation=_correlation(paired.errors[:, [0, 1 + index]]),
            p=float(these.p[index]),
            p_equivalent=float(these.p_equivalent[index]),
            p_beyond=float(these.p_beyond[index]),
            p_signs=sign_flip_p(np.rint(sample.differences[:, index] * paired.test_images), rng),
            smallest_p=smallest_sign_flip_p(n),
            margin=plan.margin,
            level=shared,
            these=on_these,
            new=on_new if len(paired.images[index]) == n else None,
            verdict_seeds=None if open_still else len(looks.taken[judged.looks[index]].seeds),
            failed=failures,
            why_not_equivalent=why_not,
            seeds_needed=seeds_needed(
                found,
                margin=plan.margin,
                level=looks.level_of_next / len(paired.variants),
                may_be_equivalent=not why_not,
            )
            if open_still and looks.level_of_next and not any(failures)
            else None,
        )


def _scope(tests: Sequence[PairedTests], shown: Shown, index: int, *, level: float, bounded: bool) -> Scope:
    """What is said of one variant, with the widest intervals of these tests; without `bounded` it is not equivalent."""
    difference = float(tests[0].difference[index])
    wide, usual = (max(float(each.reach(of)[index]) for each in tests) for of in (level, ALPHA))
    own = shown.of(index)
    if not bounded:
        own = own._replace(not_lower=np.False_, not_higher=np.False_)
    return Scope(
        interval=Interval(difference - wide, difference + wide),
        interval_95=Interval(difference - usual, difference + usual),
        shown=own,
        verdict=own.verdict(),
    )


def _why_not_equivalent(plan: Plan, failed: tuple[int, int], *, variant: str, n: int) -> str:
    """Why no equivalence can be shown, in words; empty if it can."""
    images = plan.data.test_images
    if plan.margin * images < MIN_MARGIN_IMAGES:
        needed = math.ceil(round(MIN_MARGIN_IMAGES / plan.margin, 6))
        return (
            f"the margin of {100 * plan.margin:g} points is {plan.margin * images:.1f} of {images:,} test images, and "
            f"equivalence needs {MIN_MARGIN_IMAGES}: with {needed:,} test images, or a margin of "
            f"{math.ceil(1e4 * MIN_MARGIN_IMAGES / images) / 100:g} points"
        )
    named = [
        f"{count} of {n} runs of {name}" for name, count in zip((variant, plan.baseline), failed, strict=True) if count
    ]
    return f"{' and '.join(named)} failed to train" if named else ""


def _correlation(errors: FloatArray) -> float:
    """The correlation of two columns (n, 2); NaN where one has no spread."""
    return float(np.corrcoef(*errors.T)[0, 1]) if np.ptp(errors, axis=0).all() else math.nan


def _row(comparison: Comparison) -> dict[str, Any]:
    new, needed = comparison.new, comparison.seeds_needed
    likely, safe = needed or (None, None)
    own = {name: getattr(comparison, name) for name in COLUMNS if hasattr(comparison, name)}
    return own | {
        "interval_low": comparison.these.interval_95.low,
        "interval_high": comparison.these.interval_95.high,
        "new_images_low": new.interval_95.low if new else None,
        "new_images_high": new.interval_95.high if new else None,
        "verdict_new_images": new.verdict if new else None,
        "variant_failed": comparison.failed[0],
        "baseline_failed": comparison.failed[1],
        "seeds_likely": likely,
        "seeds_safe": safe,
    }
