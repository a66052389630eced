"""--until-settled: which seeds are trained, which looks are declared, and where it ends; nothing is trained here."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import pytest
from rich.console import Console

from ablations import experiment
from ablations.analysis.answers import Answers
from ablations.analysis.comparisons import Comparisons
from ablations.cli.arguments import Arguments
from ablations.cli.running import CommandRun, Trained
from ablations.cli.until_settled import extended, next_look, run_until_settled
from ablations.errors import ConfigError
from ablations.execution.prepare import prepare
from ablations.experiment import DataSource
from ablations.records.looks import Look
from ablations.records.record import RunRecord
from ablations.records.suite_folder import SuiteFolder
from ablations.report.write import Report
from ablations.suites.builtin import SUITES
from ablations.suites.plan import make_plan
from ablations.suites.suite import Suite, select
from ablations.training.events import Event, SuiteStarted
from benchmarks.synthetic_records import ENVIRONMENT, make_data, make_record
from googlenet.controls import Capacity
from tests.support.command_line import run_main
from tests.support.synthetic_suites import failed

DATA = make_data("digits", title="made digits", num_classes=10, image_size=8)
NEVER = 1_000_000  # seeds
ONE_TO = {number: tuple(range(1, number + 1)) for number in range(2, 21)}


@dataclass
class Machine:
    """Stands in for training: `settled_at` is the number of seeds from which each variant's comparison is settled."""

    settled_at: Mapping[str, int] = field(default_factory=dict)
    broken: set[tuple[str, int]] = field(default_factory=set)
    trained: list[tuple[int, ...]] = field(default_factory=list)
    asked_fresh: list[bool] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class StandIn(CommandRun):
    """A command whose runs are done at once, and whose report has nothing but verdicts."""

    machine: Machine

    def train(self, suite: Suite) -> Trained:
        """Save the plan, as before training, and end the runs."""
        self.machine.trained.append(suite.run_seeds)
        self.machine.asked_fresh.append(self.arguments.fresh)
        plan = make_plan(suite, data=DATA, command=self.command)
        prepare(plan, suite=self.folder, environment=ENVIRONMENT, fresh=self.arguments.fresh)
        records = [make_record(config, wrong=1_000) for config in plan.runs]
        broken = [(record.config.architecture.name, record.config.seed) in self.machine.broken for record in records]
        ended = [
            failed(record, status="oom", message="out of memory") if fails else record
            for record, fails in zip(records, broken, strict=True)
        ]
        return Trained(planned=len(plan.runs), records=ended)

    def report(self, trained: Trained) -> Report:
        """Verdicts at the plan's seeds; the look at new ones is noted, as a report does."""
        plan = self.folder.read_plan()
        seeds = plan.shared_seeds
        names = dict.fromkeys(run.architecture.name for run in plan.runs if run.architecture.name != plan.baseline)
        runs = {run.seed: run.run_id for run in plan.runs if run.architecture.name == plan.baseline}
        look = Look(runs=tuple(runs[seed] for seed in seeds), seeds=seeds, level=0.01, declared=plan.looks)
        recorded = self.folder.looks.read()
        if names and trained.all_done and look.runs not in {earlier.runs for earlier in recorded}:
            self.folder.looks.append(replace(look, declared=recorded[0].declared if recorded else plan.looks))
        settled_at = self.machine.settled_at
        compared = [
            SimpleNamespace(variant=name, verdict="worse" if len(seeds) >= settled_at[name] else "inconclusive")
            for name in names
        ]
        comparisons = Comparisons(comparisons=cast(Any, tuple(compared)), reason="" if names else "it has one variant")
        return Report(path=self.folder.path, results=cast(Any, None), comparisons=comparisons, answers=Answers())


class Ended(NamedTuple):
    """How it ended: whether all runs were done, and the lines that were printed."""

    all_done: bool
    lines: list[str]


@pytest.fixture
def until_settled(tmp_path: Path) -> Callable[..., Ended]:
    """Runs --until-settled on `reduced` and the variants that a machine knows, by default with two seeds."""

    def call(
        machine: Machine,
        *,
        seeds: int | None = 2,
        max_seeds: int = 20,
        fresh: bool = False,
        looks: tuple[int, ...] | None = None,
        variants: tuple[str, ...] = (),
        control: Capacity | None = None,
    ) -> Ended:
        out = io.StringIO()
        named = variants or ("reduced", *machine.settled_at)
        suite = replace(SUITES["digits"], width=0.25)
        suite = select(suite, variants=named, seeds=seeds, looks=looks, control=control)
        stand_in = StandIn(
            machine=machine,
            arguments=Arguments(seeds=seeds, max_seeds=max_seeds, until_settled=True, fresh=fresh),
            data=DataSource(),
            command="python run_all.py",
            console=Console(file=out, width=80),
            folder=SuiteFolder(tmp_path),
            compared=None,
        )
        return Ended(run_until_settled(suite, stand_in), out.getvalue().splitlines())

    return call


def looks_in(folder: Path) -> list[tuple[int, ...]]:
    """The seeds of the looks on record."""
    return [look.seeds for look in SuiteFolder(folder).looks.read()]


def test_seeds_are_doubled_until_every_comparison_is_settled(
    until_settled: Callable[..., Ended], tmp_path: Path
) -> None:
    machine = Machine({"short": 2, "long": 5})
    assert until_settled(machine) == (
        True,
        [
            "looks declared: verdicts are read at 2, 4, 8, 16, 20 seeds until all are settled, and at no more later",
            "not settled at 2 seeds: long; 4 seeds next",
            "not settled at 4 seeds: long; 8 seeds next",
            "all comparisons are settled at 8 seeds, after 3 looks",
        ],
    )
    assert machine.trained == looks_in(tmp_path) == [ONE_TO[2], ONE_TO[4], ONE_TO[8]]
    assert SuiteFolder(tmp_path).read_plan().looks == (2, 4, 8, 16, 20)
    # Again, it reads the verdicts that are there.
    assert until_settled(machine).lines == ["all comparisons are settled at 8 seeds, after 3 looks"]
    assert machine.trained[3:] == [ONE_TO[2], ONE_TO[8]] and len(looks_in(tmp_path)) == 3


def test_it_ends_at_the_most_seeds(until_settled: Callable[..., Ended], tmp_path: Path) -> None:
    machine = Machine({"short": NEVER})
    found = until_settled(machine, seeds=4, max_seeds=6)
    assert found.all_done and looks_in(tmp_path) == [ONE_TO[4], ONE_TO[6]]
    assert found.lines[-1] == "not settled at 6 seeds: short; stopped after 2 looks: --max-seeds is 6"


@pytest.mark.parametrize(
    ("given", "first"),
    [
        ({"seeds": 1}, ONE_TO[5]),
        ({"seeds": 1, "max_seeds": 3}, ONE_TO[3]),
        ({"seeds": 1, "looks": (3, 6)}, ONE_TO[3]),
        ({"seeds": None}, ONE_TO[4]),  # the suite's own
        ({"seeds": None, "looks": (3, 6)}, ONE_TO[3]),
        ({"seeds": None, "looks": (6, 9)}, ONE_TO[6]),
    ],
)
def test_it_begins_with_the_first_look(
    until_settled: Callable[..., Ended], given: dict[str, Any], first: tuple[int, ...]
) -> None:
    machine = Machine({"short": 2})
    until_settled(machine, **given)
    assert machine.trained == [first]


def test_it_goes_from_one_declared_look_to_the_next(until_settled: Callable[..., Ended], tmp_path: Path) -> None:
    machine = Machine({"short": NEVER})
    found = until_settled(machine, seeds=None, looks=(3, 6, 30))
    assert machine.trained == looks_in(tmp_path) == [ONE_TO[3], ONE_TO[6]]
    assert found.lines == [
        "not settled at 3 seeds: short; 6 seeds next",
        "not settled at 6 seeds: short; stopped after 2 looks: no look up to --max-seeds 20 is left of those declared, "
        "3, 6, 30",
    ]


def test_looks_that_began_without_a_declaration_go_on_without(
    until_settled: Callable[..., Ended], tmp_path: Path
) -> None:
    machine, folder = Machine({"short": NEVER}), SuiteFolder(tmp_path)
    until_settled(machine, max_seeds=2)
    folder.looks.rewrite([replace(look, declared=()) for look in folder.looks.read()])
    found = until_settled(machine, max_seeds=5)
    assert machine.trained[1:] == [ONE_TO[2], ONE_TO[4], ONE_TO[5]] and folder.read_plan().looks == ()
    assert not any("declared" in line for line in found.lines)


def test_a_failed_run_ends_it_after_a_report(until_settled: Callable[..., Ended]) -> None:
    machine = Machine({"short": NEVER}, broken={("short", 3)})
    found = until_settled(machine)
    assert not found.all_done and machine.trained == [ONE_TO[2], ONE_TO[4]]
    assert found.lines[-1] == "not settled at 2 seeds: short; 4 seeds next"


def test_without_comparisons_it_stops_with_the_reason(until_settled: Callable[..., Ended]) -> None:
    machine = Machine()
    found = until_settled(machine)
    assert found.all_done and machine.trained == [ONE_TO[2]]
    assert found.lines[-1] == "stopped at 2 seeds, without verdicts: it has one variant"


def test_twins_have_to_be_settled_too(until_settled: Callable[..., Ended]) -> None:
    machine = Machine({"short": 4, "short@params": 8})
    found = until_settled(machine, seeds=4, control="params", variants=("reduced", "short"))
    assert machine.trained == [ONE_TO[4], ONE_TO[8]]
    assert "not settled at 4 seeds: short@params; 8 seeds next" in found.lines


def test_variants_of_an_earlier_command_are_named(until_settled: Callable[..., Ended]) -> None:
    machine = Machine({"short": NEVER, "long": 2})
    until_settled(machine, max_seeds=2)
    found = until_settled(machine, looks=(2,), variants=("reduced", "short"))
    assert machine.trained == [ONE_TO[2], ONE_TO[2]]
    assert found.lines == [
        "not settled at 2 seeds: short; stopped after 1 look: long of an earlier command would get no more seeds; name "
        "all in --variants"
    ]


def test_runs_start_afresh_once_and_other_looks_may_not_then_be_declared(
    until_settled: Callable[..., Ended], tmp_path: Path
) -> None:
    machine = Machine({"short": NEVER})
    until_settled(machine, max_seeds=4)
    for fresh in (False, True):
        with pytest.raises(ConfigError, match="^--looks 4,5 comes after 2 reports"):
            until_settled(machine, seeds=4, max_seeds=5, looks=(4, 5), fresh=fresh)
    machine.asked_fresh.clear()
    until_settled(machine, max_seeds=4, fresh=True)
    assert machine.asked_fresh[0] and not any(machine.asked_fresh[1:])
    assert looks_in(tmp_path) == [ONE_TO[2], ONE_TO[4]]


def test_it_goes_on_where_a_stopped_command_was(until_settled: Callable[..., Ended], tmp_path: Path) -> None:
    machine, folder = Machine({"short": 8}), SuiteFolder(tmp_path)
    until_settled(machine, max_seeds=4)
    # Four seeds are planned and the look at them was not taken.
    folder.looks.rewrite(folder.looks.read()[:1])
    found = until_settled(machine, max_seeds=4)
    assert machine.trained == [ONE_TO[2], ONE_TO[4]] * 2 and looks_in(tmp_path) == [ONE_TO[2], ONE_TO[4]]
    assert found.lines == ["not settled at 4 seeds: short; stopped after 2 looks: --max-seeds is 4"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seeds": 5, "max_seeds": 3}, "^--max-seeds is 3, and the first look is at 5 seeds; use 5 or more$"),
        ({"max_seeds": 1}, "^--max-seeds is 1; it must be a whole number of at least 2$"),
    ],
)
def test_too_few_seeds_at_most_are_refused_before_training(
    until_settled: Callable[..., Ended], tmp_path: Path, given: dict[str, Any], message: str
) -> None:
    machine = Machine({"short": NEVER})
    with pytest.raises(ConfigError, match=message):
        until_settled(machine, **given)
    assert machine.trained == [] and not list(tmp_path.iterdir())


def test_more_seeds_are_the_lowest_that_are_not_there() -> None:
    assert extended((80, 2), 4) == (1, 2, 3, 80)
    assert extended((1, 2), 2) == (1, 2)


@pytest.mark.parametrize(
    ("seeds", "declared", "most", "following"),
    [
        *((4, (), 20, 8), (16, (), 20, 20), (20, (), 20, None), (30, (), 20, None)),
        *((4, (3, 10), 20, 10), (10, (3, 10), 20, None), (3, (3, 10), 9, None)),
    ],
)
def test_the_look_after_another(seeds: int, declared: tuple[int, ...], most: int, following: int | None) -> None:
    assert next_look(seeds, declared=declared, most=most) == following


def test_the_command_adds_seeds_until_the_reports_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Wrong images, of 10,000, more than the baseline's by seed: t is 1.2 at 2 seeds and 5.4 at 6.
    worse_by = [50, 550, *[400] * 8]

    def run_suite(
        suite: Suite, *, results: Path, command: str, on_event: Callable[[Event], None], **_: object
    ) -> list[RunRecord]:
        plan, folder = make_plan(suite, data=DATA, command=command), SuiteFolder(results / suite.name)
        prepare(plan, suite=folder, environment=ENVIRONMENT)
        on_event(SuiteStarted(runs=plan.runs))
        records = []
        for run in plan.runs:
            more = worse_by[run.seed - 1] if run.architecture.name == "short" else 0
            records.append(make_record(run, wrong=1_000 + more))
            folder.run(run).write_result(records[-1])
        return records

    monkeypatch.setattr(experiment, "run_suite", run_suite)
    found = run_main(
        "--variants", "reduced,short", "--until-settled", "--looks", "2,6", "--seeds", "2", results=tmp_path
    )
    assert (found.status, found.err) == (0, "")
    lines = found.out.splitlines()
    first = lines.index("not settled at 2 seeds: short; 6 seeds next")
    assert lines[-1].startswith("all comparisons are settled at 6 seeds") and "none of the declared" not in found.out
    assert sum(line.startswith("report: ") for line in lines[:first]) == 1
    assert "| short | 6 |" in (tmp_path / "digits" / "report.md").read_text(encoding="utf-8")
