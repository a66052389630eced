"""Paired errors: differences by seed, the floor of their spread, and standard errors on new images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ablations.analysis.images.per_image import PerImageErrors
from ablations.analysis.paired_errors import pair_errors
from ablations.analysis.statistics.variance_components import mean_squares, variance_on_new_images
from tests.support.paired_suites import predicted, results_of
from tests.support.synthetic_suites import make_results

# Wrong images of 10,000 by seed.
WRONG = {"short": [803, 817, 794], "reduced": [800, 815, 790], "naive": [1000, 1012, 995]}


def test_differences_are_paired_by_seed_in_any_order_of_runs() -> None:
    results = results_of(WRONG)
    found = pair_errors(replace(results, runs=results.runs.sample(frac=1, random_state=0)), PerImageErrors())
    assert (found.variants, found.seeds) == (tuple(each for each in found.variants), (1, 2, 3))
    assert sorted(found.variants) == ["naive", "short"]
    sample = found.sample((1, 3))
    expected = {"short": [3e-4, 4e-4], "naive": [0.02, 0.0205]}
    for variant, differences in zip(found.variants, sample.differences.T, strict=True):
        assert differences == pytest.approx(expected[variant])


def test_without_predictions_rounding_is_the_floor_and_new_images_are_unknown() -> None:
    sample = pair_errors(results_of(WRONG), PerImageErrors()).sample((1, 2, 3))
    assert sample.least_std == pytest.approx([np.sqrt(1 / 6) / 1e4] * 2)
    assert np.isnan(sample.new_error).all() and np.isnan(sample.new_df).all()


def test_predictions_give_the_floor_and_the_standard_error_on_new_images() -> None:
    rng = np.random.default_rng(1)
    hard = rng.random(10_000) < 0.2
    wrong = {name: hard & (rng.random((3, 10_000)) < 0.5) for name in ("reduced", "short", "naive")}
    errors = np.stack([rows.mean(axis=1) for rows in wrong.values()], axis=1)
    results = make_results(errors, names=list(wrong))
    found = pair_errors(results, predicted({name: wrong[name] for name in ("reduced", "short")}))
    sample = found.sample((2, 3))
    differences = wrong["short"][1:].astype(int) - wrong["reduced"][1:]
    squares = mean_squares(differences)
    # A pair of errors differs on half of the hard images, independently by seed: a variance of 0.2 / 2 an image.
    assert sample.least_std[0] == pytest.approx(np.sqrt(0.1 / 10_000), rel=0.05)
    assert (sample.new_error[0] ** 2, sample.new_df[0]) == pytest.approx(variance_on_new_images(squares))
    assert np.isnan(sample.new_error[1]), "naive has no predictions"


def test_the_standard_error_on_new_images_is_no_less_than_what_the_floor_gives() -> None:
    # All seeds get the same images wrong, and so do both variants: rounding is all that is left.
    same = np.tile(np.arange(10_000) < 1_000, (2, 1))
    results = make_results(np.full((2, 2), 0.1), names=["reduced", "short"])
    sample = pair_errors(results, predicted({"reduced": same, "short": same})).sample((1, 2))
    assert sample.new_error == pytest.approx(sample.least_std / np.sqrt(2)) and sample.least_std[0] > 0


def test_lost_predictions_make_nothing_more_certain() -> None:
    rng = np.random.default_rng(1)
    wrong = {name: rng.random((4, 10_000)) < 0.2 for name in ("reduced", "short", "naive")}
    errors = np.stack([rows.mean(axis=1) for rows in wrong.values()], axis=1)
    results, read = make_results(errors, names=list(wrong)), predicted(wrong)
    seeds = (1, 2, 3, 4)
    whole = pair_errors(results, read).sample(seeds)
    for lost, of_short in (({("short", 2)}, [1, 3, 4]), ({("short", seed) for seed in (1, 2, 3)}, [])):
        left = replace(read, runs=tuple(run for run in read.runs if (run.variant, run.seed) not in lost))
        sample = pair_errors(results, left).sample(seeds)
        assert sample.least_std[1] == whole.least_std[1] and np.isnan(sample.new_error[0])
        if of_short:
            rows = [seed - 1 for seed in of_short]
            squares = mean_squares(wrong["short"][rows].astype(int) - wrong["reduced"][rows])
            assert sample.least_std[0] == pytest.approx(np.sqrt(squares.residual / 10_000))
        else:
            assert sample.least_std[0] == sample.least_std[1]
