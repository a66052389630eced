"""Convergence: how many epochs a variant and the baseline take to the same training error, paired by seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ablations.analysis.results import Results
from ablations.analysis.statistics.intervals import ALPHA, FloatArray, Interval, mean_interval


@dataclass(frozen=True, kw_only=True)
class Convergence:
    """Mean numbers of epochs to a training error; the difference is the variant's less the baseline's.

    `train_error` is a fraction, the highest one that a run of either ends with, so that every run reaches it.
    `interval` is Student's interval of the mean difference, at the level of the last look.
    """

    variant: str
    baseline: str
    n: int
    train_error: float
    variant_epochs: float
    baseline_epochs: float
    difference: float
    interval: Interval


def compare_convergence(results: Results, *, variant: str, level: float = ALPHA) -> Convergence | None:
    """Compare a variant's epochs with those of the baseline; None for one seed or runs that are not done.

    Before the first epoch a network guesses: its error is that of guessing among the classes.
    """
    baseline = results.plan.baseline
    runs = results.runs[results.runs["variant"].isin([variant, baseline])]
    if not (runs["status"] == "done").all():
        return None
    guessing = 1 - 1 / results.plan.data.num_classes
    curves = {name: _training_errors(results, name, start=guessing) for name in (variant, baseline)}
    target = max(float(errors[-1].max()) for errors in curves.values())
    reached = {name: epochs_to_error(errors, target) for name, errors in curves.items()}
    differences = reached[variant] - reached[baseline]
    interval = mean_interval(differences.tolist(), level=level)
    if interval is None:
        return None
    return Convergence(
        variant=variant,
        baseline=baseline,
        n=len(differences),
        train_error=target,
        variant_epochs=float(reached[variant].mean()),
        baseline_epochs=float(reached[baseline].mean()),
        difference=float(differences.mean()),
        interval=interval,
    )


def epochs_to_error(errors: FloatArray, target: float) -> FloatArray:
    """The epochs after which each run first has an error of at most `target`, interpolated linearly, (n,).

    `errors` (E + 1, n) are those after epochs 0 to E; each run has to reach the target.
    """
    first = (errors <= target).argmax(axis=0)
    runs = np.arange(errors.shape[1])
    before, after = errors[np.maximum(first - 1, 0), runs], errors[first, runs]
    # A run that starts at the target has no epoch before.
    fallen = np.where(first > 0, before - after, 1.0)
    return np.where(first > 0, first - 1 + (before - target) / fallen, 0.0)


def _training_errors(results: Results, variant: str, *, start: float) -> FloatArray:
    """Training errors by epoch and seed, (E + 1, n), from `start` on."""
    epochs = results.epochs[results.epochs["variant"] == variant]
    errors = epochs.pivot(index="epoch", columns="seed", values="train_error").to_numpy(dtype=float)
    return np.vstack([np.full(errors.shape[1], start), errors])
