"""Comparisons: each variant against the baseline on top-1 error, with verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from ablations.analysis.analyse import Analysis
from ablations.analysis.comparisons import Comparison, Comparisons
from ablations.analysis.looks import Looks
from ablations.analysis.statistics.advice import MOST_SEEDS
from ablations.analysis.statistics.intervals import ALPHA
from ablations.analysis.statistics.verdicts import INCONCLUSIVE
from ablations.report import formatting
from ablations.report.document import Block, Column, Section, Style, Table, Text
from ablations.report.formats.markdown import escape
from ablations.suites.plan import Plan


def comparisons_section(analysis: Analysis) -> Section:
    """Each variant against the baseline on top-1 error."""
    table = comparisons_table(analysis.comparisons)
    blocks: list[Block] = [table] if table else []
    notes = _notes(analysis.comparisons, analysis.results.plan)
    return Section(
        "Comparisons",
        [*blocks, *(Text(note) for note in notes)],
        fold="Tests of each variant against the baseline, with p-values",
    )


def comparisons_table(comparisons: Comparisons) -> Table | None:
    """The comparisons over seeds, or with one seed those over images; None if there are neither.

    Differences are the variant's top-1 error minus the baseline's, in points, with intervals at the last look's level.
    """
    caption = "Top-1 error of each variant against the baseline's, paired by seed."
    if comparisons.comparisons:
        frame, columns = _frame(comparisons.comparisons), _seed_columns(comparisons)
    elif comparisons.image_tests:
        frame = pd.DataFrame(
            {"variant": variant, **test._asdict()} for variant, test in comparisons.image_tests.items()
        )
        columns = _image_columns()
    else:
        return None
    return Table("comparisons", frame, columns=columns, caption=caption)


def interval_name(looks: Looks) -> str:
    """The intervals of the last look in words: "96 % interval"."""
    return f"{_percent(1 - looks.level)} interval"


def advice(likely: float | None, safe: float | None, advised: bool) -> str:
    """How many seeds would settle a comparison, in words; empty without advice."""
    if not advised:
        return ""
    numbers = [None if number is None or pd.isna(number) else f"{number:,.0f}" for number in (likely, safe)]
    few, many = numbers
    if few is None:
        return f"> {MOST_SEEDS:,} seeds"
    return f"{few} seeds" if few == many else f"{few} to {many or f'> {MOST_SEEDS:,}'} seeds"


def looks_sentence(looks: Looks) -> str:
    """How many looks there were, and what chance of a false verdict the last one has; empty where there was none."""
    if not looks.taken:
        return ""
    *earlier, last = (str(len(look.seeds)) for look in looks.taken)
    declared = f" ({', '.join(map(str, looks.declared))} were declared)" if looks.declared else ""
    more = f", and at other seeds in {looks.elsewhere} earlier reports" if looks.elsewhere > 1 else ""
    more = ", and at other seeds in an earlier report" if looks.elsewhere == 1 else more
    if earlier:
        read = f"Verdicts were read {len(looks.taken)} times, at {', '.join(earlier)} and {last} seeds{declared}{more}"
    elif looks.elsewhere or len(looks.taken[0].seeds) < looks.seeds:
        read = f"Verdicts were read at {last} seeds{declared}{more}"
    else:
        read = f"Verdicts are read for the first time, at {last} seeds{declared}"
    if len(looks.taken[-1].seeds) < looks.seeds:
        following = [number for number in looks.declared if number > looks.seeds]
        rest = f"the next are read at {following[0]}" if following else "no level is left for further ones"
        return f"{read}. This report, at {looks.seeds} seeds, gives no new verdict: {rest}."
    spent = sum(look.level for look in looks.taken)
    if spent > ALPHA:
        return (
            f"{read}. This look has a {_percent(looks.level)} chance of any false verdict, and all of them together "
            f"{_percent(spent)}, because some were taken apart from the others."
        )
    return (
        f"{read}. This look has {_percent(looks.level)} of the {_percent(ALPHA)} chance of any false verdict, which "
        "all looks share: adding seeds and reading again does not raise it."
    )


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.4g} %"


def _frame(comparisons: Iterable[Comparison]) -> pd.DataFrame:
    rows = []
    for each in comparisons:
        new = each.new
        rows.append(
            {
                "variant": each.variant,
                "n": each.n,
                "difference": each.difference,
                "low": each.interval.low,
                "high": each.interval.high,
                "new_low": new.interval.low if new else math.nan,
                "new_high": new.interval.high if new else math.nan,
                "p": each.p,
                "p_equivalent": each.p_equivalent,
                "p_signs": each.p_signs,
                "verdict": each.verdict,
                "verdict_seeds": each.verdict_seeds,
                "verdict_new_images": new.verdict if new else None,
                "advised": each.seeds_needed is not None,
                "likely": each.seeds_needed.likely if each.seeds_needed else None,
                "safe": each.seeds_needed.safe if each.seeds_needed else None,
            }
        )
    return pd.DataFrame(rows)


def _seed_columns(comparisons: Comparisons) -> list[Column]:
    interval, p_value = formatting.signed_interval_of, formatting.p_value
    name = interval_name(comparisons.looks)
    n = comparisons.comparisons[0].n

    def verdict(said: str, seeds: float | None) -> str:
        return said if seeds is None or pd.isna(seeds) or seeds == n else f"{said} (at {seeds:.0f} seeds)"

    return [
        Column("variant", ("variant",)),
        Column("n", ("n",)),
        Column("difference, points", ("difference",), format=formatting.points),
        Column(name, ("low", "high"), format=interval),
        Column("on new images", ("new_low", "new_high"), format=interval),
        Column("p", ("p",), format=p_value),
        Column("p, equivalent", ("p_equivalent",), format=p_value),
        Column("p (signs)", ("p_signs",), format=p_value),
        Column("verdict on these images", ("verdict", "verdict_seeds"), format=verdict, style=_style),
        Column("verdict on new images", ("verdict_new_images",), style=_style),
        Column("would be settled by", ("likely", "safe", "advised"), format=advice),
    ]


def _image_columns() -> list[Column]:
    return [
        Column("variant", ("variant",)),
        Column("images only the variant gets wrong", ("only_variant_wrong",), format=formatting.count),
        Column("images only the baseline gets wrong", ("only_baseline_wrong",), format=formatting.count),
        Column("p (McNemar)", ("p",), format=formatting.p_value),
    ]


def _style(verdict: str | None, *_: object) -> Style:
    return "plain" if verdict is None or pd.isna(verdict) or verdict == INCONCLUSIVE else "strong"


def _notes(comparisons: Comparisons, plan: Plan) -> Iterable[str]:
    if comparisons.reason:
        yield f"No verdict: {escape(comparisons.reason)}."
        return
    if comparisons.image_tests is not None:
        yield (
            "One seed gives no verdict on architectures. McNemar's exact test compares two trained networks, the "
            f"variant's and {plan.baseline}'s, on the same {plan.data.test_images:,} images; another seed may reverse "
            "it."
        )
        return
    yield from _notes_on_seeds(comparisons.comparisons, comparisons.looks, plan)


def _notes_on_seeds(comparisons: tuple[Comparison, ...], looks: Looks, plan: Plan) -> Iterable[str]:
    first = comparisons[0]
    margin = f"{100 * plan.margin:g} points"
    yield (
        f"Differences are the variant's top-1 error minus that of {plan.baseline}, paired by seed"
        f"{_correlation_in_words(comparisons)}. Better or worse: paired t test. Equivalent: two one-sided t tests with "
        f"a margin of {margin}. Within the margin: both. A p is held against {_percent(first.level)}: the level of "
        f"this look, {_percent(looks.level)}, shared by all comparisons ({len(comparisons)}). Intervals are of one "
        f"comparison each, at {_percent(1 - looks.level)}; `comparisons.csv` has those at 95 %. Equivalence takes two "
        "one-sided tests, which correspond to a narrower interval."
    )
    yield looks_sentence(looks)
    yield (
        f"The first interval and verdict are about these {plan.data.test_images:,} test images and other seeds, the "
        "second about new images of the same kind too. Only the second is about architectures."
        + ("" if all(each.new for each in comparisons) else " It takes the predictions of all runs.")
    )
    for reason in dict.fromkeys(each.why_not_equivalent for each in comparisons if each.why_not_equivalent):
        yield f"No equivalence: {escape(reason)}."
    if any(each.seeds_needed for each in comparisons):
        yield (
            "The smaller number of seeds settles a comparison in about half of the cases, the larger one in 80 %, "
            "given what its seeds leave open of difference and spread, at the level of the next look."
        )
    yield (
        f"The sign-flip test, p (signs), does not assume normality; with {first.n} seeds its p cannot be below "
        f"{formatting.p_value(first.smallest_p)}."
    )
    disagreeing = [comparison.variant for comparison in comparisons if comparison.signs_disagree]
    if disagreeing:
        yield (
            f"For {', '.join(disagreeing)}, the t test and the sign-flip test disagree on whether there is a "
            "difference (each at 5 %); more seeds are needed to trust either."
        )


def _correlation_in_words(comparisons: Iterable[Comparison]) -> str:
    known = [each.correlation for each in comparisons if not math.isnan(each.correlation)]
    if not known:
        return ""
    return f" (mean correlation of the paired errors {sum(known) / len(known):+.2f}; pairs gain where it is positive)"
