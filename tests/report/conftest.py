"""A suite with figures, and the figures, which several tests look at."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ablations.analysis.analyse import Analysis
from ablations.analysis.pareto import find_fronts
from ablations.analysis.rankings import rank_variants
from ablations.analysis.results import load_results
from ablations.report.sections.figures import figures_of
from ablations.report.svg import Drawing
from tests.support.synthetic_suites import make_analysis, make_plan, make_record, save

# Top-1 error, parameters, MACs, seconds: about what CIFAR-10 gives.
KNOWN = {
    "naive": (0.0620, 65_291_098, 2_500_000_000, 60.0),
    "reduced": (0.0550, 6_166_250, 484_900_000, 33.0),
    "long": (0.0570, 9_549_674, 570_000_000, 42.0),
    "short": (0.0545, 5_179_402, 430_000_000, 27.0),
    "short2": (0.0551, 3_431_306, 390_000_000, 22.0),
    "short3": (0.0585, 1_892_970, 290_000_000, 14.0),
    "short4": (0.0830, 1_557_834, 270_000_000, 12.0),
}


def made(suite_dir: Path, *, seeds: int) -> Analysis:
    """A complete suite of seven variants with intervals of half a point about its errors, none for one seed."""
    rng = np.random.default_rng(1)
    plan = make_plan("cifar10", seeds=seeds)
    records = []
    for config in plan.runs:
        error, params, macs, seconds = KNOWN[config.architecture.name]
        wrong = round(1e4 * (error + 0.0015 * rng.standard_normal()))
        record = make_record(config, wrong=wrong, seconds=seconds)
        noise = rng.uniform(0.9, 1.1, size=(len(record.epochs), 2))
        epochs = tuple(
            replace(epoch, train_loss=epoch.train_loss * loss, train_error=error + epoch.train_error * share)
            for epoch, (loss, share) in zip(record.epochs, noise, strict=True)
        )
        assert record.costs is not None
        costs = replace(record.costs, params=params, macs=macs, peak_memory_bytes=1_200_000_000 + macs)
        records.append(replace(record, epochs=epochs, costs=costs))
    save(suite_dir, plan, records)
    results = load_results(suite_dir)
    for kind in ("top1_error", "top5_error"):
        reach = 0.005 if seeds > 1 else math.nan
        results.summary[f"{kind}_low"] = results.summary[f"{kind}_mean"] - reach
        results.summary[f"{kind}_high"] = results.summary[f"{kind}_mean"] + reach
    fronts, rankings = (work_out(results, rng=np.random.default_rng(0)) for work_out in (find_fronts, rank_variants))
    return make_analysis(results, pareto=fronts, rankings=rankings)


@pytest.fixture(scope="session")
def five(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """Seven variants with five seeds."""
    return made(tmp_path_factory.mktemp("five"), seeds=5)


@pytest.fixture(scope="session")
def drawings(five: Analysis) -> dict[str, Drawing]:
    """All figures of the suite with five seeds."""
    return {figure.name: figure.draw(five) for figure in figures_of(five)}
