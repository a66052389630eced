"""Ray on two machines with a network between them, one of which fails, loses and doubles no run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ablations.records.suite_folder import SuiteFolder
from tests.support.command_line import start_main
from tests.support.machines import Machine, start_cluster, two_machines
from tests.support.records import OutcomeOf, assert_same_records

pytest.importorskip("ray", reason="the extra ray is not installed")
pytestmark = [pytest.mark.process, pytest.mark.slow]
# A run takes some seconds: one on the second machine still trains when its first epoch is known.
SUITE = ("--variants", "short3,short4", "--seeds", "2", "--width", "0.25", "--limit-train", "100", "--epochs", "30")


@pytest.fixture
def machines() -> Iterator[tuple[Machine, Machine]]:
    with two_machines() as machines:
        yield machines


@pytest.mark.parametrize("killed", [True, False], ids=["no power", "no network"])
def test_a_machine_that_fails_loses_and_doubles_no_run(
    machines: tuple[Machine, Machine], tmp_path: Path, outcome_of: OutcomeOf, *, killed: bool
) -> None:
    first, second = machines
    on_ray = (*SUITE, "--executor", "ray", "--ray-address", start_cluster(first, second))
    lines: list[str] = []
    moved: str | None = None
    with first.start_command(*on_ray, results=tmp_path / "ours") as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if moved is None and (there := re.search(rf"^\[\d/4\] (\S+) on {re.escape(second.address)}$", line)):
                moved = there[1]
            if moved is not None and f"{moved}: epoch 1/" in line:
                second.cut_link()
                if killed:
                    second.kill()
    assert process.returncode == 0, "".join(lines)

    with start_main(*SUITE, "--executor", "serial", results=tmp_path / "theirs") as serial:
        serial.communicate()
    ours, theirs = (SuiteFolder(tmp_path / name / "digits") for name in ("ours", "theirs"))
    assert_same_records(ours.read_plan().runs, ours, theirs, outcome_of=outcome_of)
    ended = [found[1] for line in lines if (found := re.search(r"\] (\S+): (?:done before, )?top-1 error", line))]
    assert sorted(ended) == ours.run_ids()
    if killed:
        assert any(f"{moved}: goes on after epoch " in line for line in lines)
