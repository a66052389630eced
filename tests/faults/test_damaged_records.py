"""Records, plans and metrics that are whole but not this run's, or say what cannot be: refused, with the way out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import run_all
from ablations.analysis.results import load_results
from ablations.data.dataset import Dataset
from ablations.errors import ConfigError
from ablations.execution import job
from ablations.execution.serial import run_serially
from ablations.records.run_folder import RunFolder
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.run_config import RunConfig
from ablations.training import checkpoint
from ablations.training.events import EpochDone, Event, TrainingStarted
from ablations.training.options import ExecutionOptions
from tests.support.synthetic_suites import make_plan, make_record, save

CPU = torch.device("cpu")
Main = Callable[..., tuple[int, str, str]]
Stop = Callable[[type[Event], int], Callable[[Event], None]]
PLAN = make_plan("cifar10", seeds=2, variants=("reduced", "short"))


@pytest.fixture
def main(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Main:
    """Runs the command line in this process; gives its status, output and errors."""

    def call(*given: str) -> tuple[int, str, str]:
        status = run_all.main([*given, "--results", str(tmp_path), "--device", "cpu"])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def finished(tmp_path: Path) -> RunFolder:
    """A suite whose runs are done, of which the test spoils the first."""
    save(tmp_path, PLAN, [make_record(config, wrong=1_000) for config in PLAN.runs])
    assert load_results(tmp_path).complete
    return SuiteFolder(tmp_path).run(PLAN.runs[0])


def edit(path: Path, place: str, value: object) -> None:
    """Put a value in the place that dots lead to."""
    data = json.loads(path.read_text(encoding="utf-8"))
    *parents, last = (int(step) if step.isdigit() else step for step in place.split("."))
    parent: Any = data
    for step in parents:
        parent = parent[step]
    parent[last] = value
    path.write_text(json.dumps(data), encoding="utf-8")


# Records


def test_the_folder_of_another_run_is_not_taken_for_done(main: Main, tmp_path: Path) -> None:
    given = ("--variants", "short4", "--limit-train", "150", "--epochs", "1", "--seeds")
    main(*given, "1")
    (first,) = (tmp_path / "digits" / "runs").iterdir()
    _, planned, _ = main(*given, "2", "--plan")
    second = next(word for word in planned.split() if "-s2-" in word)
    shutil.copytree(first, first.with_name(second))
    status, _, err = main(*given, "2")
    assert status == 2
    assert f"result.json belongs to another run: run_id was '{first.name}' and is '{second}'" in err
    assert "seed was 1 and is 2" in err and "--fresh" in err
    status, out, _ = main(*given, "2", "--fresh")
    assert status == 0 and out.count("moved aside") == 2


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("config.seed", 7, "config.seed|seed was 7 and is 1"),
        ("config.recipe.learning_rate", 0.125, "recipe.learning_rate was 0.125 and is 1.0"),
        ("config.fingerprint", "cd" * 500, "fingerprint was 'cdcd"),
        ("run_id", "cifar10-reduced-s1-00000000", "run_id was 'cifar10-reduced-s1-00000000'"),
        ("epochs", [], "0 of 14 epochs"),
        ("test.epoch", 99, "test's epoch is 99"),
        ("test.epoch", 0, "test's epoch is 0"),
        ("test.images", 10**400, "images is"),
        ("test_accesses", 7, "test_accesses of a run that is done is 7"),
        ("test_accesses", 0, "test_accesses of a run that is done is 0"),
        ("test_accesses", -1, "test_accesses is -1"),
        ("costs.params", -1, "params is -1"),
        ("costs.params", 10**4000, "params is"),
        ("costs.macs", -5, "macs is -5"),
        ("costs.flops", 0, "flops is 0"),
        ("costs.activations", 10**30, "activations is"),
        ("costs.peak_memory_bytes", 10**400, "peak_memory_bytes is"),
        ("environment.threads", 10**400, "threads is"),
        ("train_images", 10**400, "train_images is"),
        ("train_images", 0, "train_images is 0"),
        ("times.train_seconds", 1e308, "train_seconds is 1e+308"),
        ("times.startup_seconds", -1.0, "startup_seconds is -1.0"),
        ("epochs.0.epoch", 2, "epochs: number 1 says that it is 2"),
        ("epochs.3.epoch", 10**30, "epoch is 1000000"),
        ("epochs.3.train_loss", 1e308, "train_loss is 1e+308"),
        ("epochs.3.train_error", 1.5, "train_error is 1.5"),
        ("epochs.3.validation_error", -0.5, "validation_error is -0.5"),
        ("epochs.3.train_seconds", -1.0, "train_seconds is -1.0"),
        ("epochs.3.eval_seconds", 1e308, "eval_seconds is 1e+308"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_record_that_cannot_be_this_runs_is_refused(
    place: str, value: object, said: str, finished: RunFolder, tmp_path: Path
) -> None:
    path = finished.path / "result.json"
    edit(path, place, value)
    for read in (finished.read_result, lambda: job.finished(finished), lambda: load_results(tmp_path)):
        with pytest.raises(ConfigError) as raised:
            read()
        message = str(raised.value)
        assert str(path) in message and any(part in message for part in said.split("|"))
        assert len(message) < 1_500 and "\n" not in message


def test_doubled_epochs_of_a_record_are_refused(finished: RunFolder) -> None:
    path = finished.path / "result.json"
    epochs = json.loads(path.read_text(encoding="utf-8"))["epochs"]
    for doubled in (epochs * 2, [epochs[0], *epochs[:-1]], epochs[::-1]):
        edit(path, "epochs", doubled)
        with pytest.raises(ConfigError, match="epochs"):
            finished.read_result()


def test_a_nested_configuration_of_an_unfinished_run_is_written_anew(finished: RunFolder) -> None:
    path = finished.path / "config.json"
    path.write_text("[" * 100_000, encoding="utf-8")
    finished.claim()
    assert json.loads(path.read_text(encoding="utf-8"))["seed"] == 1


def test_the_difference_to_another_configuration_is_short(finished: RunFolder) -> None:
    path = finished.path / "config.json"
    path.write_text(json.dumps({"seed": "x" * 100_000, "recipe": {"epochs": 3}}), encoding="utf-8")
    with pytest.raises(ConfigError, match="belongs to another configuration") as raised:
        finished.claim()
    assert len(str(raised.value)) < 2_500


# Metrics


@pytest.mark.parametrize(
    ("order", "line"), [((0, 0, 1), 2), ((1, 0), 1), ((0, 1, 1), 3), ((1,), 1)], ids=str.split("first swap last lost")
)
def test_metrics_out_of_order_are_refused_with_their_line(
    order: tuple[int, ...],
    line: int,
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    stop_at: Stop,
    tmp_path: Path,
) -> None:
    config = make_config()
    with pytest.raises(KeyboardInterrupt):
        run_serially(
            [config],
            dataset=tiny_digits,
            suite=SuiteFolder(tmp_path),
            on_event=stop_at(EpochDone, 2),
            options=ExecutionOptions(),
        )
    metrics = SuiteFolder(tmp_path).run(config).path / "metrics.jsonl"
    lines = metrics.read_text(encoding="utf-8").splitlines(keepends=True)
    spoilt = "".join(lines[number] for number in order)
    metrics.write_text(spoilt, encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        run_serially([config], dataset=tiny_digits, suite=SuiteFolder(tmp_path), options=ExecutionOptions())
    assert f"{metrics}, line {line} " in str(raised.value) and "--fresh" in str(raised.value)
    assert metrics.read_text(encoding="utf-8") == spoilt, "left as it was"


def test_a_state_newer_than_the_recorded_epochs_is_not_used(
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    stop_at: Stop,
    outcome_of: Callable[[RunFolder], dict[str, Any]],
    tmp_path: Path,
) -> None:
    config = make_config()

    def run(name: str, on_event: Callable[[Event], None]) -> RunFolder:
        run_serially(
            [config],
            dataset=tiny_digits,
            suite=SuiteFolder(tmp_path / name),
            on_event=on_event,
            options=ExecutionOptions(),
        )
        return SuiteFolder(tmp_path / name).run(config)

    with pytest.raises(KeyboardInterrupt):
        run("stopped", stop_at(EpochDone, 2))
    metrics = SuiteFolder(tmp_path / "stopped").run(config).path / "metrics.jsonl"
    metrics.write_text(metrics.read_text(encoding="utf-8").splitlines(keepends=True)[0], encoding="utf-8")
    started: list[int] = []

    def note_start(event: Event) -> None:
        if isinstance(event, TrainingStarted):
            started.append(event.finished_epochs)

    resumed = run("stopped", note_start)
    assert started == [1]
    undisturbed = run("undisturbed", lambda event: None)
    torch.testing.assert_close(outcome_of(resumed), outcome_of(undisturbed), rtol=0, atol=0)


@pytest.mark.parametrize("key", ["model", "optimizer", "chosen"])
def test_a_state_without_one_of_its_parts_is_moved_aside_and_the_run_goes_on(
    key: str,
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    stop_at: Stop,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = make_config()
    with pytest.raises(KeyboardInterrupt):
        run_serially(
            [config],
            dataset=tiny_digits,
            suite=SuiteFolder(tmp_path),
            on_event=stop_at(EpochDone, 2),
            options=ExecutionOptions(),
        )
    folder = SuiteFolder(tmp_path).run(config)
    found = checkpoint.load_newest(folder.checkpoints, at_most=2)
    assert found is not None
    checkpoint.save(folder.checkpoints, {name: part for name, part in found[1].items() if name != key}, epoch=2)
    (record,) = run_serially([config], dataset=tiny_digits, suite=SuiteFolder(tmp_path), options=ExecutionOptions())
    assert record.status == "done"
    (message,) = caplog.messages
    assert f"{key} is missing" in message and "the state after epoch 1 is taken" in message
    assert len(list(folder.checkpoints.glob("epoch-000002-*.damaged"))) == 1


# Plans


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("data.class_names", ["a", "b"], "class_names has 2 names for 10 classes"),
        ("data.num_classes", 10**400, "num_classes is"),
        ("data.train_images", -1, "train_images is -1"),
        ("data.test_images", 10**400, "test_images is"),
        ("data.image_size", 0, "image_size is 0"),
        ("full_size.0.params", 10**400, "params is"),
        ("full_size.1.macs", -1, "macs is -1"),
        ("margin", -0.5, "margin is -0.5"),
        ("width", 1e308, "width is 1e+308"),
        ("limit_train", 10**400, "limit_train is"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_plan_that_cannot_be_is_refused(
    place: str, value: object, said: str, finished: RunFolder, tmp_path: Path
) -> None:
    assert finished.path.is_dir()
    edit(tmp_path / "plan.json", place, value)
    with pytest.raises(ConfigError) as raised:
        load_results(tmp_path)
    message = str(raised.value)
    assert str(tmp_path / "plan.json") in message and said in message
    assert len(message) < 1_000 and "\n" not in message


@pytest.mark.parametrize("name", ["runs", "full_size"])
def test_a_plan_with_an_entry_twice_is_refused(name: str, finished: RunFolder, tmp_path: Path) -> None:
    assert finished.path.is_dir()
    path = tmp_path / "plan.json"
    entries = json.loads(path.read_text(encoding="utf-8"))[name]
    edit(path, name, [*entries, entries[0]])
    with pytest.raises(ConfigError, match=f"an entry of {name} twice"):
        SuiteFolder(tmp_path).read_plan()


VARIANT = """\
name = "mine"
axis = "mine"
varies = ["architecture"]
dataset = "digits"
variants = ["short3", "own"]
baseline = "short3"
limit_train = 150

[recipe]
base = "digits"
name = "quick"
epochs = 1

[variant.own]
"""


def test_resume_refuses_a_variant_that_is_another_now_and_fresh_moves_its_run_aside(main: Main, tmp_path: Path) -> None:
    suite = tmp_path / "mine.toml"
    suite.write_text(VARIANT + 'base = "short4"\n', encoding="utf-8")
    given = ("--suite", str(suite))
    status, _, err = main(*given)
    assert status == 0, err
    before = sorted((tmp_path / "mine" / "runs").iterdir())
    assert main(*given, "--resume")[0] == 0, "unchanged, it goes on"
    suite.write_text(VARIANT + 'base = "short4"\ndropout = 0.25\n', encoding="utf-8")
    status, _, err = main(*given, "--resume")
    assert status == 2 and "variant own: dropout was" in err and "--fresh" in err
    assert sorted((tmp_path / "mine" / "runs").iterdir()) == before
    status, out, _ = main(*given, "--fresh")
    assert status == 0 and out.count("moved aside") == 2
    assert len(list((tmp_path / "mine" / "runs").iterdir())) == 2


def test_a_plan_that_cannot_be_read_is_refused_by_resume_and_otherwise_replaced_with_a_warning(
    main: Main, tmp_path: Path
) -> None:
    given = ("--variants", "short4", "--limit-train", "150", "--epochs", "1")
    main(*given)
    path = tmp_path / "digits" / "plan.json"
    path.write_text('{"schema": 2}', encoding="utf-8")
    status, _, err = main(*given, "--resume")
    assert status == 2 and str(path) in err.replace("\n", "") and "--fresh" in err
    assert path.read_text(encoding="utf-8") == '{"schema": 2}'
    status, out, err = main(*given)
    assert status == 0 and out.count("done before") == 1
    assert "the earlier plan could not be read and is replaced" in " ".join((out + err).split())
    assert len(SuiteFolder(path.parent).read_plan().runs) == 1
