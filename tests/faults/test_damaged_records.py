"""Records, plans and metrics of another run or with impossible values: refused, with the remedy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablations.analysis.results import load_results
from ablations.data.dataset import Dataset
from ablations.errors import ConfigError
from ablations.execution import job
from ablations.execution.serial import run_serially
from ablations.records.run_folder import RunFolder
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.run_config import RunConfig
from ablations.training import checkpoint
from ablations.training.events import EpochDone, Event
from ablations.training.options import ExecutionOptions
from tests.support.synthetic_suites import make_plan, make_record, save

Stop = Callable[[type[Event], int], Callable[[Event], None]]
PLAN = make_plan("cifar10", seeds=2, variants=("reduced", "short"))


@pytest.fixture
def finished(tmp_path: Path) -> RunFolder:
    """The first run of a finished suite; the test damages it."""
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


def test_the_folder_of_another_run_is_not_taken_for_done(finished: RunFolder, tmp_path: Path) -> None:
    other = SuiteFolder(tmp_path).run(next(run for run in PLAN.runs if run.seed == 2))
    shutil.rmtree(other.path)
    shutil.copytree(finished.path, other.path)
    with pytest.raises(ConfigError, match="seed was 1 and is 2.*--fresh") as raised:
        job.finished(other)
    said = f"belongs to another run: run_id was '{finished.path.name}' and is '{other.path.name}'"
    assert said in str(raised.value)


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
    content = json.dumps({"seed": "x" * 100_000, "recipe": {"epochs": 3}})
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match="belongs to another configuration: .*and is 1.*--fresh") as raised:
        finished.claim()
    assert len(str(raised.value)) < 2_500
    assert path.read_text(encoding="utf-8") == content


# Metrics and states of a run that was stopped


@pytest.fixture
def stopped(make_config: Callable[..., RunConfig], tiny_digits: Dataset, stop_at: Stop, tmp_path: Path) -> RunFolder:
    """A run that was stopped after its second epoch."""
    config, suite = make_config(), SuiteFolder(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_serially(
            [config],
            dataset=tiny_digits,
            suite=suite,
            options=ExecutionOptions(),
            on_event=stop_at(EpochDone, 2),
        )
    return suite.run(config)


def test_damaged_metrics_stop_the_suite_with_their_line(
    stopped: RunFolder, tiny_digits: Dataset, tmp_path: Path
) -> None:
    metrics = stopped.path / "metrics.jsonl"
    lines = metrics.read_text(encoding="utf-8").splitlines(keepends=True)
    for spoilt, line in (("".join(reversed(lines)), 1), ('{"epoch": 1, "tra\n' + lines[1], 1), (lines[0] * 2, 2)):
        metrics.write_text(spoilt, encoding="utf-8")
        with pytest.raises(ConfigError) as raised:
            run_serially([stopped.config], dataset=tiny_digits, suite=SuiteFolder(tmp_path), options=ExecutionOptions())
        assert f"{metrics}, line {line} " in str(raised.value) and "--fresh" in str(raised.value)
        assert metrics.read_text(encoding="utf-8") == spoilt, "left as it was"


def test_states_without_one_of_their_parts_are_moved_aside_and_the_run_starts_afresh(
    stopped: RunFolder, tiny_digits: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = checkpoint.load_newest(stopped.checkpoints, at_most=2)
    assert found is not None
    for epoch, lost in ((1, "chosen"), (2, "optimizer")):
        state = {name: part for name, part in found[1].items() if name != lost}
        checkpoint.save(stopped.checkpoints, state, epoch=epoch)
    (record,) = run_serially(
        [stopped.config], dataset=tiny_digits, suite=SuiteFolder(tmp_path), options=ExecutionOptions()
    )
    assert record.status == "done"
    assert ["optimizer is missing" in caplog.messages[0], "chosen is missing" in caplog.messages[1]] == [True, True]
    assert len(list(stopped.checkpoints.glob("*.damaged"))) == 2


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
        ("recipe.epochs", 20, "recipe.epochs is 20, and that of reduced's runs is 14; run the suite again"),
        ("recipe.learning_rate", 0.5, "recipe.learning_rate is 0.5, and"),
        ("limit_train", 500, "limit_train is 500, and that of reduced's runs is None; run the suite again"),
        ("width", 0.5, "full_size of reduced: params"),
        ("full_size.0.params", 6_258_500, "full_size of reduced: params 6,258,500 and macs"),
        ("full_size.1.macs", 1, "full_size of short: params"),
        ("full_size.1.image_size", 64, "full_size of short: params"),
        ("data.name", "cifar100", "data: name is 'cifar100', and that of reduced's runs is 'cifar10'"),
        ("data.fingerprint", "cd" * 32, "data: fingerprint is 'cdcd"),
        ("data.image_size", 64, "data: image_size, or the recipe's resize, is 64"),
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
    save(tmp_path, PLAN, [])  # as another run of the suite does
    assert load_results(tmp_path).complete


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("data.test_images", "the plan has 9,999 test images, and run cifar10-reduced-s1-"),
        ("data.train_images", "the plan has 9,999 training images, and run cifar10-reduced-s1-"),
    ],
)
def test_a_plan_of_other_images_than_its_records_is_refused(
    place: str, said: str, finished: RunFolder, tmp_path: Path
) -> None:
    assert finished.path.is_dir()
    edit(tmp_path / "plan.json", place, 9_999)
    with pytest.raises(ConfigError, match="run the suite again to replace the plan") as raised:
        load_results(tmp_path)
    assert said in str(raised.value) and "\n" not in str(raised.value)
    save(tmp_path, PLAN, [])
    assert load_results(tmp_path).complete


@pytest.mark.parametrize("name", ["runs", "full_size"])
def test_a_plan_with_an_entry_twice_is_refused(name: str, finished: RunFolder, tmp_path: Path) -> None:
    assert finished.path.is_dir()
    path = tmp_path / "plan.json"
    entries = json.loads(path.read_text(encoding="utf-8"))[name]
    edit(path, name, [*entries, entries[0]])
    with pytest.raises(ConfigError, match=f"an entry of {name} twice"):
        SuiteFolder(tmp_path).read_plan()
