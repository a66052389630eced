"""Which figures a report shows, and what it says below them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pandas as pd

from ablations.analysis.analyse import Analysis
from ablations.analysis.results import load_results
from ablations.report.document import Picture, Section
from ablations.report.sections.figures import MAIN_FIGURES, figures_of, figures_section, main_figures_section
from tests.support.synthetic_suites import failed, make_analysis, make_plan, make_record, save, texts_of

COSTS = ["error_vs_params", "error_vs_macs", "error_vs_seconds", "error_vs_memory"]


def names(analysis: Analysis) -> list[str]:
    return [figure.name for figure in figures_of(analysis)]


def pictures(section: Section | None) -> list[str]:
    return [block.name for block in section.blocks if isinstance(block, Picture)] if section else []


def test_a_complete_suite_has_every_figure_once_with_its_legend(complete: Analysis) -> None:
    others = ["learning_curves", "error_bars", "rankings", "rank_stability", "modules"]
    assert names(complete) == [*COSTS, "forest", *others]
    main, section = main_figures_section(complete), figures_section(complete)
    assert pictures(main) == list(MAIN_FIGURES) == ["forest", "error_vs_macs"]
    assert pictures(section) == [*(name for name in COSTS if name != "error_vs_macs"), *others]
    assert texts_of(main)[0].startswith(
        "Differences are in points of top-1 error. Thick lines are intervals over seeds"
    )
    (said,) = texts_of(section)
    assert [" ".join(sentence.split()[:3]) for sentence in said.split(". ")] == [
        *("Error against cost:", "Without a filled", "Shading in learning"),
        *("Error bars are", "Lines in rankings", "Rank stability by"),
        *("Modules: white lines", "Auxiliary heads have"),
    ]


def test_one_seed_has_no_ranks_with_intervals_and_no_stability(one_seed: Analysis) -> None:
    assert names(one_seed) == [*COSTS, "learning_curves", "error_bars", "modules"]
    assert pictures(main_figures_section(one_seed)) == ["error_vs_macs"]
    (said,) = texts_of(figures_section(one_seed))
    assert "Error bars" in said and "Lines in rankings" not in said and "rank stability" not in said


def test_a_cost_that_no_variant_has_is_not_drawn(one_seed: Analysis) -> None:
    summary = one_seed.results.summary.assign(train_seconds_mean=math.nan, peak_memory_bytes_mean=None)
    untimed = replace(one_seed, results=replace(one_seed.results, summary=summary))
    assert names(untimed)[:3] == ["error_vs_params", "error_vs_macs", "learning_curves"]


def test_without_data_there_is_no_figure_and_no_section(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=1, variants=("reduced", "short"))
    save(tmp_path, plan, [failed(make_record(plan.runs[0], wrong=1), status="oom", message="CUDA out of memory")])
    results = load_results(tmp_path)
    assert names(make_analysis(results)) == ["learning_curves"]
    assert main_figures_section(make_analysis(results)) is None
    assert figures_section(make_analysis(replace(results, epochs=pd.DataFrame()))) is None
