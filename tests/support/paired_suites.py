"""Suites given as numbers of wrong images, compared with their first variant."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import special

from ablations.analysis import paired_tests
from ablations.analysis.intervals import FloatArray
from ablations.analysis.paired_tests import Comparison, compare_all

IMAGES = 10_000
MARGIN = 0.005


class BareT:
    """Student's t as scipy computes it, without the argument checks that take most of the time."""

    sf = staticmethod(lambda x, df: special.stdtr(df, -x))
    ppf = staticmethod(functools.cache(lambda q, df: special.stdtrit(df, q)))


def leave_out_checks(monkeypatch: pytest.MonkeyPatch, p_signs: float = 1.0, *, planning: bool = True) -> None:
    """Spare simulations what takes longest and verdicts do not depend on."""
    monkeypatch.setattr(paired_tests, "_sign_flip_p", lambda *_: p_signs)
    monkeypatch.setattr(paired_tests, "bca_interval", lambda *_: None)
    if not planning:
        monkeypatch.setattr(paired_tests, "stats", SimpleNamespace(t=BareT))
        monkeypatch.setattr(paired_tests, "seeds_for_difference", lambda *_, **__: None)
        monkeypatch.setattr(paired_tests, "seeds_for_equivalence", lambda *_, **__: None)


def compare_wrong(
    wrong: FloatArray, *, test_images: int = IMAGES, margin: float = MARGIN, seed: int = 0
) -> list[Comparison]:
    """Compare by numbers of wrong images, (variants, seeds), of which the first row is the baseline's."""
    errors: dict[str, list[float]] = {str(row): (images / test_images).tolist() for row, images in enumerate(wrong)}
    rng = np.random.default_rng(seed)
    return compare_all(errors, baseline="0", test_images=test_images, margin=margin, rng=rng)


def compare(*differences: Sequence[float], test_images: int = IMAGES, seed: int = 0) -> list[Comparison]:
    """Compare variants that get so many images more wrong than the baseline in each seed."""
    base = test_images // 2
    return compare_wrong(
        np.array([[0] * len(differences[0]), *differences], dtype=float) + base, test_images=test_images, seed=seed
    )
