"""What a report says of the factors of a suite: effects, costs, interactions, and why where there are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from ablations.analysis.analyse import Analysis
from ablations.analysis.factorial import EFFECT_COLUMNS, Factorial
from ablations.report.document import Section
from ablations.report.sections.factorial import factorial_section
from tests.support.synthetic_suites import items_of, make_analysis, make_results, tables_of, texts_of

MAIN = ("reduction", "on", "off", None, None, None, 5, 0.003, 0.001, 0.005, 0.01, 0.02, 10.24, 3.9)
OTHER = ("branch5x5", "3x3+3x3", "3x3", None, None, None, 5, -0.0001, -0.002, 0.0018, 0.9, 0.9, 0.939, 0.93)
BOTH = (*MAIN[:3], *OTHER[:3], 5, 0.002, 0.0005, 0.0035, 0.012, 0.024, None, None)


def section_of(*rows: tuple[object, ...], factors: tuple[str, ...] = ("reduction", "branch5x5")) -> Section | None:
    effects = pd.DataFrame(rows, columns=list(EFFECT_COLUMNS))
    factorial = Factorial(
        factors=factors, effects=effects, residual_std=0.0021, residual_df=12, left_out=("naive@params",)
    )
    return factorial_section(analysis_of(factorial))


def analysis_of(factorial: Factorial) -> Analysis:
    return make_analysis(make_results(np.full((2, 1), 0.06), names=["reduced"]), factorial=factorial)


def test_effects_and_costs_are_sentences_and_a_table() -> None:
    section = section_of(MAIN, OTHER, BOTH)
    assert items_of(section) == [
        "**reduction**, off instead of on: +0.30 points [+0.10, +0.50], p (Holm) 0.0200; parameters x 10.2, MACs x 3.9",
        "**branch5x5**, 3x3 instead of 3x3+3x3: -0.01 points [-0.20, +0.18], p (Holm) 0.9000; parameters x 0.939, MACs "
        "x 0.93",
        "**reduction x branch5x5**: the effect of off instead of on changes by +0.20 points [+0.05, +0.35], p (Holm) "
        "0.0240, where branch5x5 is 3x3 instead of 3x3+3x3",
    ]
    tables = tables_of(section)
    assert list(tables["factorial"][0].values()) == [
        *("reduction", "off", "on", "5", "+0.30", "[+0.10, +0.50]", "0.0100", "0.0200", "10.2", "3.9")
    ]
    assert list(tables["factorial_interactions"][0].values()) == [
        *("reduction", "off", "on", "branch5x5", "3x3", "3x3+3x3"),
        *("5", "+0.20", "[+0.05, +0.35]", "0.0120", "0.0240"),
    ]
    how, interaction, costs = texts_of(section)
    assert "with the 5 seeds as blocks: the residuals have a standard deviation of 0.21 points with 12 degrees" in how
    assert "Holm-adjusted for all 3 effects" in how and "three and more" not in how
    assert interaction.endswith("0 if the effects add up.") and costs.endswith("combinations of levels: naive@params.")


def test_an_interaction_that_is_not_significant_is_no_sentence_of_its_own() -> None:
    section = section_of(MAIN, OTHER, (*BOTH[:11], 0.06, None, None))
    assert len(items_of(section)) == 2
    assert texts_of(section)[0].startswith("The interaction is not significant: nothing shows that")


def test_one_factor_at_a_time_says_what_is_not_known() -> None:
    section = section_of(MAIN, OTHER)
    assert list(tables_of(section)) == ["factorial"]
    how, unknown, _ = texts_of(section)
    assert "the other factors being at their first levels" in how and "interactions" not in how
    assert unknown.startswith("Only one factor at a time was changed, so interactions are not known")
    assert len(texts_of(section_of(MAIN, factors=("reduction",)))) == 2, "one factor has none"


def test_a_suite_without_factors_has_no_section_and_one_without_effects_the_reason() -> None:
    assert factorial_section(analysis_of(Factorial())) is None
    factorial = replace(Factorial(), factors=("reduction",), reason="one seed is not enough")
    assert texts_of(factorial_section(analysis_of(factorial))) == ["No effects of the factors: one seed is not enough."]
