"""What a run leaves on disk: records and epochs there and back, and damage."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ablations.errors import ConfigError
from ablations.hardware.environment import Environment
from ablations.records import record as records
from ablations.records.predictions import Predictions
from ablations.records.record import SCHEMA, Costs, DiagnosedEpoch, Epoch, RunRecord, Times
from ablations.records.run_folder import RunFolder, read_record
from ablations.records.suite_folder import SuiteFolder
from ablations.storage.serialization import to_plain
from ablations.suites.run_config import RunConfig


@pytest.fixture
def folder(tmp_path: Path, make_config: Callable[..., RunConfig]) -> RunFolder:
    """A run's folder, begun."""
    folder = SuiteFolder(tmp_path).run(make_config())
    folder.claim()
    return folder


@pytest.fixture
def done(folder: RunFolder) -> RunRecord:
    """A record with every value that a finished run has."""
    return RunRecord(
        schema=SCHEMA,
        run_id=folder.config.run_id,
        config=folder.config,
        status="done",
        message="",
        epochs=(made_epoch(1), replace(made_epoch(2), validation_error=0.1 + 0.2), made_epoch(3)),
        train_images=150,
        test=records.TestResult(epoch=2, images=60, top1_wrong=7, top5_wrong=0),
        test_accesses=1,
        costs=Costs(params=1, macs=2, flops=4, activations=3, peak_memory_bytes=2**40),
        times=Times(
            startup_seconds=1e-9, compile_seconds=2 / 7, train_seconds=1 / 3, eval_seconds=0.0, timing_valid=False
        ),
        environment=Environment(
            device="Prozessor Größe 1 ™",
            device_kind="cpu",
            engine="eager",
            deterministic=False,
            threads=2,
            platform="Linux x86_64",
            python="3.11.9",
            versions=("torch 2.11.0", "numpy 2.0.0"),
            commit="0123456789ab-dirty",
        ),
    )


def made_epoch(number: int) -> Epoch:
    return Epoch(
        epoch=number,
        train_loss=1 / number,
        train_error=0.1,
        validation_error=None,
        train_seconds=1.5,
        eval_seconds=0.0,
    )


def made_predictions() -> Predictions:
    single = np.zeros((7, 5), np.float32)
    return Predictions(single.astype(int), single, single[:, 0], np.zeros(7, int))


def refuse_constant(name: str) -> float:
    raise AssertionError(f"{name} is not JSON")


def failed(done: RunRecord) -> RunRecord:
    message = 'RuntimeError: "quoted", \\ and\ttabs'
    return replace(
        done, status="failed", message=message, epochs=(), train_images=None, test=None, costs=None, times=None
    )


@pytest.mark.parametrize("change", [lambda same: same, failed], ids=["done", "failed"])
def test_a_record_comes_back_as_it_was(
    folder: RunFolder, done: RunRecord, change: Callable[[RunRecord], RunRecord]
) -> None:
    written = change(done)
    assert folder.read_result() is None
    folder.write_result(written)
    assert folder.read_result() == written
    assert read_record(folder.path / "result.json") == written


def test_a_record_is_json_that_anyone_can_read(folder: RunFolder, done: RunRecord) -> None:
    folder.write_result(done)
    data = json.loads((folder.path / "result.json").read_text(encoding="utf-8"), parse_constant=refuse_constant)
    assert data["schema"] == 3
    assert data["test_accesses"] == 1
    assert data["test"] == {"epoch": 2, "images": 60, "top1_wrong": 7, "top5_wrong": 0, "loss": None}
    assert data["config"]["architecture"]["name"] == "short4"
    assert data["config"] == json.loads((folder.path / "config.json").read_text(encoding="utf-8"))
    assert data["epochs"][1]["validation_error"] == 0.1 + 0.2


def test_a_runs_folder_is_named_after_its_id(folder: RunFolder, tmp_path: Path) -> None:
    assert folder.path == tmp_path / "runs" / folder.config.run_id


def test_a_run_of_version_0_4_lacks_settings_and_losses_and_is_the_same_run(folder: RunFolder, done: RunRecord) -> None:
    folder.write_result(done)
    path = folder.path / "result.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    del data["config"]["architecture"]["bn_eps_5x5"], data["test"]["loss"]
    for name in ("resize", "grayscale", "flip_test", "keep_epochs"):
        del data["config"]["recipe"][name]
    for epoch in data["epochs"]:
        del epoch["validation_loss"], epoch["validation_top5_error"]
    for name, content in (("result.json", data), ("config.json", data["config"])):
        (folder.path / name).write_text(json.dumps(content), encoding="utf-8")
    assert folder.read_result() == done
    folder.claim()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_never_written(folder: RunFolder, done: RunRecord, value: float) -> None:
    folder.epochs.append(made_epoch(1))
    folder.write_result(done)
    before = {path: path.read_bytes() for path in folder.path.iterdir()}
    with pytest.raises(ValueError, match="train_loss is"):
        folder.epochs.append(replace(made_epoch(2), train_loss=value))
    with pytest.raises(ValueError, match="validation_error is"):
        folder.epochs.rewrite([replace(made_epoch(1), validation_error=value)])
    unchecked = made_epoch(2)
    object.__setattr__(unchecked, "train_seconds", value)
    with pytest.raises(ValueError, match="JSON"):
        folder.epochs.append(unchecked)
    with pytest.raises(ValueError, match="JSON"):
        folder.write_result(replace(done, epochs=(made_epoch(1), unchecked, made_epoch(3))))
    assert {path: path.read_bytes() for path in folder.path.iterdir()} == before


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"no JSON", b'{"schema": 3', b"\xff\xfe", b"[]", b"[1]", b"null", b"1", b"{}"),
        *(b'{"schema": 2}', b'{"schema": 4}'),
    ],
)
def test_what_is_no_record_is_an_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        read_record(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema", "1"),
        ("run_id", None),
        ("status", "finished"),
        ("status", None),
        ("epochs", {}),
        ("epochs", [{"epoch": 1}]),
        ("train_images", 1.5),
        ("test", {"images": 60, "top1_wrong": True, "top5_wrong": 0}),
        ("test", {"images": 60, "top1_wrong": 7, "top5_wrong": 0, "top3_wrong": 1}),
        ("environment", None),
        ("surplus", 1),
    ],
)
def test_a_record_with_a_wrong_value_is_an_error_that_names_file_and_key(
    folder: RunFolder, done: RunRecord, key: str, value: object
) -> None:
    folder.write_result(done)
    path = folder.path / "result.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**data, key: value}), encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        read_record(path)
    assert str(path) in str(raised.value)
    assert key in str(raised.value)


@pytest.mark.parametrize("key", ["run_id", "config", "epochs", "test", "environment"])
def test_a_record_without_a_key_is_an_error_that_names_it(folder: RunFolder, done: RunRecord, key: str) -> None:
    folder.write_result(done)
    path = folder.path / "result.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    del data[key]
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ConfigError, match=key):
        read_record(path)


def test_epochs_come_back_in_order(folder: RunFolder) -> None:
    assert folder.epochs.read() == ()
    epochs = tuple(replace(made_epoch(number), validation_error=number / 3) for number in (1, 2, 3))
    for count, epoch in enumerate(epochs, start=1):
        folder.epochs.append(epoch)
        assert folder.epochs.read() == epochs[:count]
    lines = (folder.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]


@pytest.mark.parametrize("lost", [1, 2, 30, 100])
def test_a_torn_last_line_is_dropped(folder: RunFolder, lost: int) -> None:
    metrics = folder.path / "metrics.jsonl"
    for number in (1, 2):
        folder.epochs.append(made_epoch(number))
    metrics.write_bytes(metrics.read_bytes()[:-lost])
    assert folder.epochs.read() == (made_epoch(1),)


@pytest.mark.parametrize(
    "line",
    [b'{"epoch": 1, "train_l', b"\0" * 20, b"\xff\xfe", b"[]", b'{"epoch": 1}', b""],
    ids=["torn", "zeros", "no-text", "list", "incomplete", "blank"],
)
def test_a_damaged_line_before_the_last_is_an_error_that_names_the_file(folder: RunFolder, line: bytes) -> None:
    folder.epochs.append(made_epoch(2))
    metrics = folder.path / "metrics.jsonl"
    metrics.write_bytes(line + b"\n" + metrics.read_bytes())
    with pytest.raises(ConfigError) as raised:
        folder.epochs.read()
    assert str(metrics) in str(raised.value)


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_rewinding_keeps_exactly_the_given_epochs(folder: RunFolder, kept: int) -> None:
    epochs = tuple(made_epoch(number) for number in (1, 2, 3))
    for epoch in epochs:
        folder.epochs.append(epoch)
        folder.diagnosed.append(DiagnosedEpoch(epoch=epoch.epoch, images=60, top1_wrong=9))
    folder.rewind(epochs=kept, finished=False)
    assert folder.epochs.read() == epochs[:kept]
    assert [entry.epoch for entry in folder.diagnosed.read()] == list(range(1, kept + 1))
    again = replace(made_epoch(kept + 1), train_error=0.9)
    folder.epochs.append(again)
    assert folder.epochs.read() == (*epochs[:kept], again)


def test_rewinding_drops_a_torn_line_for_good(folder: RunFolder) -> None:
    metrics = folder.path / "metrics.jsonl"
    folder.epochs.append(made_epoch(1))
    metrics.write_bytes(metrics.read_bytes() + b'{"epoch": 2, "tra')
    folder.rewind(epochs=1, finished=False)
    folder.epochs.append(made_epoch(2))
    assert folder.epochs.read() == (made_epoch(1), made_epoch(2))


def test_rewinding_keeps_predictions_only_of_a_finished_training(folder: RunFolder) -> None:
    folder.epochs.append(made_epoch(1))
    folder.write_predictions(made_predictions())
    folder.rewind(epochs=1, finished=True)
    assert folder.has_predictions
    folder.rewind(epochs=1, finished=False)
    assert not folder.has_predictions


def test_a_status_alone_is_that_of_the_whole_record(folder: RunFolder, done: RunRecord) -> None:
    assert folder.read_status() == "missing"
    folder.epochs.append(made_epoch(1))
    assert folder.read_status() == "unfinished"
    # A message may look like a status of its own.
    told = replace(done, status="failed", message='\n  "status": "done",\n')
    for record in (done, told):
        folder.write_result(record)
        assert folder.read_status() == record.status
    (folder.path / "result.json").write_text(json.dumps(to_plain(done)))  # as another program may write it
    assert folder.read_status() == "done"
    (folder.path / "result.json").write_text("{")
    with pytest.raises(ConfigError, match="is not valid JSON"):
        folder.read_status()
