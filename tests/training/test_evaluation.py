"""Which epoch's network is tested, that a run reads test images once, and the diagnostic of choosing on them."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ablations.data.dataset import Dataset
from ablations.execution.job import train_to_record
from ablations.records.predictions import Predictions
from ablations.records.record import RunRecord
from ablations.records.run_folder import RunFolder
from ablations.suites.run_config import RunConfig
from ablations.training import checkpoint, evaluation, train
from ablations.training.evaluation import predict, test_once
from ablations.training.events import EpochDone, Event
from ablations.training.loader import Loader
from ablations.training.options import ExecutionOptions
from googlenet import build

CPU = torch.device("cpu")
StopAt = Callable[[type[Event], int], Callable[[Event], None]]


def run(config: RunConfig, dataset: Dataset, runs: Path, **options: Any) -> tuple[RunRecord, RunFolder]:
    folder = RunFolder(runs, config)
    return train.train(config, dataset=dataset, folder=folder, **options, options=ExecutionOptions()), folder


def test_error_of(config: RunConfig, folder: RunFolder, dataset: Dataset) -> float:
    """Of the weights that a run left, on the test images."""
    model = build(config.architecture, num_classes=config.num_classes)
    model.load_state_dict(checkpoint.load_weights(folder.checkpoints))
    loader = Loader(dataset.test, recipe=config.recipe, device=CPU)
    return int(predict(model, loader.eval_batches()).wrong.sum()) / len(loader)


test_error_of.__test__ = False  # pyright: ignore[reportFunctionMemberAccess]


@pytest.fixture
def validation_errors(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Put errors in here for the epochs to come, in place of those on the validation images."""
    errors: list[float] = []
    monkeypatch.setattr(evaluation, "validate", lambda train_step, loader: (errors.pop(0) if loader else None, 0.0))
    return errors


@pytest.mark.parametrize(
    ("errors", "tested"), [([0.5, 0.3, 0.4], 2), ([0.2, 0.2, 0.2], 1), ([0.5, 0.4, 0.3], 3)], ids=str
)
def test_the_epoch_with_the_least_validation_error_is_tested(
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    tmp_path: Path,
    validation_errors: list[float],
    errors: list[float],
    tested: int,
) -> None:
    validation_errors += errors
    config = make_config(validation_fraction=0.2)
    record, folder = run(config, tiny_digits, tmp_path / "whole")
    assert record.test is not None
    assert record.test.epoch == tested
    assert record.test.top1_error == test_error_of(config, folder, tiny_digits)
    # An undisturbed run of that recipe, stopped after the epoch: the same weights.
    states: dict[int, dict[str, Any]] = {}
    validation_errors += errors
    with pytest.MonkeyPatch.context() as patched:
        save = checkpoint.save

        def keep(folder: Path, state: dict[str, Any], *, epoch: int) -> None:
            states[epoch] = {name: tensor.clone() for name, tensor in state["model"].items()}
            save(folder, state, epoch=epoch)

        patched.setattr(checkpoint, "save", keep)
        run(config, tiny_digits, tmp_path / "watched")
    torch.testing.assert_close(checkpoint.load_weights(folder.checkpoints), states[tested], rtol=0, atol=0)


def test_a_stopped_run_still_tests_the_best_epoch_before_the_stop(
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    tmp_path: Path,
    stop_at: StopAt,
    validation_errors: list[float],
    outcome_of: Callable[[RunFolder], dict[str, Any]],
) -> None:
    config = make_config(validation_fraction=0.2)
    validation_errors += [0.3, 0.4, 0.5]
    undisturbed, whole = run(config, tiny_digits, tmp_path / "whole")
    validation_errors += [0.3, 0.4]
    with pytest.raises(KeyboardInterrupt):
        run(config, tiny_digits, tmp_path / "stopped", on_event=stop_at(EpochDone, 2))
    validation_errors += [0.5]
    resumed, folder = run(config, tiny_digits, tmp_path / "stopped")
    assert resumed.test == undisturbed.test and resumed.test is not None and resumed.test.epoch == 1
    torch.testing.assert_close(outcome_of(folder), outcome_of(whole), rtol=0, atol=0)


def test_without_validation_the_last_epoch_is_tested(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path
) -> None:
    record, _ = run(make_config(), tiny_digits, tmp_path)
    assert record.test is not None and record.test.epoch == 3
    assert record.test_accesses == 1


def test_a_run_that_would_test_twice_fails_and_says_how_often_it_tried(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = test_once

    def twice(*arguments: Any, **named: Any) -> Any:
        test(*arguments, **named)
        return test(*arguments, **named)

    monkeypatch.setattr(evaluation, "test_once", twice)
    config = make_config(epochs=1)
    record = train_to_record(
        config,
        dataset=tiny_digits,
        folder=RunFolder(tmp_path, config),
        on_event=lambda event: None,
        options=ExecutionOptions(engine="eager"),
    )
    assert (record.status, record.test_accesses) == ("failed", 2)
    assert "SealBroken" in record.message


def test_training_reads_test_images_through_the_seal_only() -> None:
    reads = {}
    for module in (train, evaluation):
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        reads[module] = [node for node in ast.walk(tree) if ast.unparse(node) == "dataset.test"]
    assert len(reads[train]) == 1 and not reads[evaluation], "the one that seals them"


def test_predictions_of_a_run_killed_before_its_record_are_not_made_again(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(epochs=1)

    def killed(*_arguments: object, **_named: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(checkpoint, "save_weights", killed)
        run(config, tiny_digits, tmp_path)
    before = RunFolder(tmp_path, config).read_predictions()

    def refuse(*_arguments: object, **_named: object) -> Predictions:
        raise AssertionError("evaluated again")

    monkeypatch.setattr(evaluation, "predict", refuse)
    record, folder = run(config, tiny_digits, tmp_path)
    wrong = int((before.classes[:, 0] != tiny_digits.test.labels).sum())
    assert record.test is not None and record.test.top1_wrong == wrong
    for array, earlier in zip(folder.read_predictions(), before, strict=True):
        np.testing.assert_array_equal(array, earlier)


def test_predictions_are_made_again_where_training_goes_on(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path
) -> None:
    config = make_config(epochs=1)
    record, folder = run(config, tiny_digits, tmp_path)
    before = folder.read_predictions()
    folder.write_predictions(Predictions(*(np.zeros_like(array) for array in before)))
    for path in folder.checkpoints.glob("epoch-*"):
        path.unlink()  # without a state, the run starts afresh
    again, _ = run(config, tiny_digits, tmp_path)
    assert again.test == record.test
    np.testing.assert_array_equal(folder.read_predictions().classes, before.classes)


@pytest.mark.parametrize("fraction", [0.0, 0.2])
def test_the_diagnostic_notes_every_epochs_test_error_and_changes_nothing_else(
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    tmp_path: Path,
    outcome_of: Callable[[RunFolder], dict[str, Any]],
    fraction: float,
) -> None:
    config = make_config(validation_fraction=fraction)
    plain, plain_folder = run(config, tiny_digits, tmp_path / "plain")
    record, folder = run(config, tiny_digits, tmp_path / "diagnosed", measure_selection_bias=True)
    assert not plain_folder.diagnosed.read()
    diagnosed = folder.diagnosed.read()
    assert [(entry.epoch, entry.images) for entry in diagnosed] == [(1, 60), (2, 60), (3, 60)]
    assert record.test == plain.test and record.test is not None
    assert diagnosed[record.test.epoch - 1].top1_wrong == record.test.top1_wrong
    assert (record.test_accesses, plain.test_accesses) == (1, 1)
    torch.testing.assert_close(outcome_of(folder), outcome_of(plain_folder), rtol=0, atol=0)


def test_the_diagnostic_of_a_stopped_run_holds_every_epoch_once(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path, stop_at: StopAt
) -> None:
    config = make_config()
    _, whole = run(config, tiny_digits, tmp_path / "whole", measure_selection_bias=True)
    with pytest.raises(KeyboardInterrupt), pytest.MonkeyPatch.context() as patched:
        save = checkpoint.save

        def killed_at_two(folder: Path, state: dict[str, Any], *, epoch: int) -> None:
            if epoch == 2:
                raise KeyboardInterrupt
            save(folder, state, epoch=epoch)

        patched.setattr(checkpoint, "save", killed_at_two)
        run(config, tiny_digits, tmp_path / "stopped", measure_selection_bias=True)
    _, folder = run(config, tiny_digits, tmp_path / "stopped", measure_selection_bias=True)
    assert folder.diagnosed.read() == whole.diagnosed.read()
