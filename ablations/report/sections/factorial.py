"""Factorial: what each factor of a factorial suite does to top-1 error and costs, and whether the effects add up."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from ablations.analysis.analyse import Analysis
from ablations.analysis.factorial import Factorial
from ablations.report import formatting
from ablations.report.document import Block, Column, Items, Section, Style, Table, Text
from ablations.report.formats.markdown import escape

TITLE = "Factorial"


def factorial_section(analysis: Analysis) -> Section | None:
    """The effects of the factors in sentences and tables; None if the suite has no factors."""
    factorial = analysis.factorial
    if not factorial.factors:
        return None
    if factorial.reason:
        return Section(TITLE, [Text(f"No effects of the factors: {escape(factorial.reason)}.")])
    interactions = factorial.interactions
    significant = interactions[interactions["p_holm"] <= factorial.level]
    said = [_main_sentence(row) for _, row in factorial.main_effects.iterrows()]
    blocks: list[Block] = [Items(said + [_interaction_sentence(row) for _, row in significant.iterrows()])]
    if len(interactions) and significant.empty:
        which = (
            "The interaction is not" if len(interactions) == 1 else f"None of the {len(interactions)} interactions is"
        )
        blocks.append(
            Text(f"{which} significant: nothing shows that the effect of a factor depends on the level of another one.")
        )
    tables = [_main_table(factorial), *([_interaction_table(factorial)] if len(interactions) else [])]
    return Section(TITLE, [*blocks, *tables, *(Text(note) for note in _notes(factorial))])


def _main_sentence(row: pd.Series) -> str:
    return (
        f"**{row['factor']}**, {row['level']} instead of {row['first_level']}: {_difference(row)}; parameters x "
        f"{_ratio(row['params_ratio'])}, MACs x {_ratio(row['macs_ratio'])}"
    )


def _interaction_sentence(row: pd.Series) -> str:
    return (
        f"**{row['factor']} x {row['other_factor']}**: the effect of {row['level']} instead of {row['first_level']} "
        f"changes by {_difference(row)}, where {row['other_factor']} is {row['other_level']} instead of "
        f"{row['other_first_level']}"
    )


def _difference(row: pd.Series) -> str:
    interval = formatting.signed_interval_of(row["interval_low"], row["interval_high"])
    return f"{formatting.points(row['difference'])} points {interval}, p (Holm) {formatting.p_value(row['p_holm'])}"


def _ratio(value: float) -> str:
    return formatting.NONE if pd.isna(value) else f"{value:.3g}"


def _main_table(factorial: Factorial) -> Table:
    columns = [
        Column("factor", ("factor",), style="code"),
        Column("level", ("level",)),
        Column("first level", ("first_level",)),
        *_effect_columns("effect, points", level=factorial.level),
        Column("params x", ("params_ratio",), format=_ratio),
        Column("MACs x", ("macs_ratio",), format=_ratio),
    ]
    caption = "Main effects of the factors on top-1 error, and the costs of their levels."
    return Table("factorial", factorial.main_effects, columns=columns, caption=caption)


def _interaction_table(factorial: Factorial) -> Table:
    columns = [
        Column("factor", ("factor",), style="code"),
        Column("level", ("level",)),
        Column("first level", ("first_level",)),
        Column("other factor", ("other_factor",), style="code"),
        Column("other level", ("other_level",)),
        Column("other first level", ("other_first_level",)),
        *_effect_columns("change of the effect, points", level=factorial.level),
    ]
    caption = "Two-way interactions of the factors on top-1 error."
    return Table("factorial_interactions", factorial.interactions, columns=columns, caption=caption)


def _effect_columns(title: str, *, level: float) -> list[Column]:
    def significance(p_holm: float) -> Style:
        return "strong" if p_holm <= level else "plain"

    return [
        Column("n", ("n",)),
        Column(title, ("difference",), format=formatting.points),
        Column("95 % interval", ("interval_low", "interval_high"), format=formatting.signed_interval_of),
        Column("p", ("p",), format=formatting.p_value),
        Column("p (Holm)", ("p_holm",), format=formatting.p_value, style=significance),
    ]


def _notes(factorial: Factorial) -> Iterable[str]:
    interactions, several = len(factorial.interactions), len(factorial.factors) > 1
    others = ", averaged over the levels of the other factors" if interactions else ""
    if several and not interactions:
        others = ", the other factors being at their first levels"
    degrees = "degree" if factorial.residual_df == 1 else "degrees"
    higher = " Interactions of three and more factors count as residual."
    yield (
        f"An effect is the mean top-1 error at a level less that at the factor's first level{others}. Least squares on "
        f"the factors{' and their two-way interactions' if interactions else ''}, with the "
        f"{factorial.effects['n'].iloc[0]} seeds as blocks: the residuals have a standard deviation of "
        f"{100 * factorial.residual_std:.2f} points with {factorial.residual_df} {degrees} of freedom, taken to be the "
        f"same for all variants. p is from a t test, Holm-adjusted for all {len(factorial.effects)} effects, and "
        f"significant if it is at most {factorial.level:.3g}, the level of the last look."
        + (higher if interactions and len(factorial.factors) > 2 else "")
    )
    if interactions:
        yield (
            "An interaction is the effect of a factor at a level of the other factor less the same effect at the other "
            "factor's first level: 0 if the effects add up."
        )
    elif several:
        yield "Only one factor at a time was changed, so interactions are not known: together, changes may not add up."
    yield (
        "Cost ratios are exact: the geometric mean over pairs of variants that differ in this factor alone."
        + (f" Not among the combinations of levels: {', '.join(factorial.left_out)}." if factorial.left_out else "")
    )
