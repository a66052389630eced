"""What flags become: the suite, its data and how it is executed, and the runs' ids."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ablations import experiment
from ablations.errors import ConfigError
from ablations.suites.recipe import PUBLISHED
from tests.support.command_line import Main

pytestmark = pytest.mark.process


@pytest.fixture
def passed_on(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `run_suite` is called with; it then refuses to run."""
    found: dict[str, Any] = {}

    def note(suite: object, **named: object) -> None:
        found.update(named, suite=suite)
        raise ConfigError("not now")

    monkeypatch.setattr(experiment, "run_suite", note)
    return found


def test_arguments_reach_the_suite_its_data_and_its_execution(
    main: Main, tmp_path: Path, passed_on: dict[str, Any]
) -> None:
    settings = ("--recipe", "published", "--precision", "bf16", "--epochs", "3", "--seeds", "2", "--limit-train", "300")
    execution = ("--engine", "compile", "--deterministic", "--measure-selection-bias", "--resume")
    status, _, err = main("--variants", "short4, short3", *settings, *execution, "--data-dir", "elsewhere")
    assert (status, err) == (2, "error: not now\n")
    suite, options = passed_on["suite"], passed_on["options"]
    assert (suite.recipe.name, suite.recipe.precision, suite.recipe.epochs) == (PUBLISHED.name, "bf16", 3)
    assert [arch.name for arch in suite.architectures] == ["short4", "short3"]
    assert (suite.seeds, suite.limit_train) == (2, 300)
    assert (options.engine, options.deterministic, options.measure_selection_bias) == ("compile", True, True)
    assert passed_on["data"].directory == Path("elsewhere")
    assert (passed_on["resume"], passed_on["fresh"], passed_on["results"]) == (True, False, tmp_path)
    assert passed_on["command"].startswith("python run_all.py --variants 'short4, short3' --recipe published")


def test_recipe_and_precision_change_the_run_id_and_execution_does_not(main: Main) -> None:
    def planned(*given: str) -> str:
        status, out, _ = main("--variants", "short4", "--plan", *given)
        assert status == 0
        (name,) = re.findall(r"digits-short4-s1-[0-9a-f]{8}", out)
        return name

    usual = planned()
    others = [("--recipe", "published"), ("--recipe", "fast"), ("--precision", "bf16")]
    assert len({usual, *(planned(*given) for given in others)}) == 4
    # On a CPU single precision is the device's own.
    same = [
        ("--recipe", "digits"),
        ("--precision", "fp32"),
        ("--engine", "compile"),
        ("--executor", "ray"),
        ("--runs-per-gpu", "2"),
    ]
    assert {planned(*given) for given in same} == {usual}
