"""--merge as its user meets it: a line for each folder, the report, and one line of error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ablations.records.suite_folder import SuiteFolder
from tests.support.command_line import run_main
from tests.support.synthetic_suites import make_plan, save_predictions, save_suite

pytestmark = pytest.mark.process


def train(results: Path, *, seeds: int, wrong: int) -> None:
    """A finished suite with so many wrong images in every run."""
    plan = make_plan("cifar10", seeds=seeds, variants=("reduced", "short"))
    for record in save_suite(results / "cifar10", plan, wrong=dict.fromkeys(("reduced", "short"), [wrong] * seeds)):
        save_predictions(SuiteFolder(results / "cifar10").run(record.config), wrong=np.arange(wrong))


def test_merged_runs_are_reported(tmp_path: Path) -> None:
    own, laptop = tmp_path / "own", tmp_path / "laptop"
    train(own, seeds=1, wrong=30)
    train(laptop, seeds=2, wrong=30)
    given = ("--suite", "cifar10", "--merge", str(laptop))
    status, out, err = run_main(*given, results=own)
    assert (status, err) == (0, "")
    line, *shown = out.splitlines()
    assert line == f"runs in {laptop / 'cifar10'}: 2 merged, 2 there already"
    assert shown[-1] == f"report: {own / 'cifar10' / 'report.md'} and report.html"
    assert f"2 runs from `{laptop / 'cifar10'}`" in (own / "cifar10" / "report.md").read_text(encoding="utf-8")
    assert run_main(*given, results=own).out.startswith(f"runs in {laptop / 'cifar10'}: 0 merged, 4 there already\n")


def test_what_cannot_be_merged_is_one_line(tmp_path: Path) -> None:
    own, laptop = tmp_path / "own", tmp_path / "laptop"
    train(own, seeds=1, wrong=30)
    train(laptop, seeds=1, wrong=60)
    for suite, folder, message in (
        ("cifar10", laptop, "are the same run with different predictions.npz, result.json; decide which one counts"),
        ("no such suite", laptop, "suite name 'no such suite' is not usable"),
        ("cifar100", laptop, "has no runs and no plan of suite cifar100"),
        ("cifar10", own, "itself, or one is in the other; give another folder"),
    ):
        status, out, err = run_main("--suite", suite, "--merge", str(folder), results=own)
        assert (status, out) == (2, "")
        assert err.startswith("error: ") and message in err and err.count("\n") == 1
    assert {path.name for path in own.iterdir()} == {"cifar10"}
