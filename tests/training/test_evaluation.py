"""Predictions, the best epoch, the one test of a run, and the diagnostic of selection bias."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ablations.data.dataset import Dataset
from ablations.execution.job import train_to_record
from ablations.records.predictions import Predictions
from ablations.records.record import RunRecord
from ablations.records.run_folder import RunFolder
from ablations.suites.recipe import DIGITS
from ablations.suites.run_config import RunConfig
from ablations.training import checkpoint, evaluation
from ablations.training.evaluation import predict
from ablations.training.inputs.loader import Loader
from ablations.training.options import ExecutionOptions
from ablations.training.step import TrainStep
from ablations.training.train import train
from googlenet import GoogLeNet, Output
from tests.support.training import CPU, StopAt, assert_same, output_dtypes, random_batch, rebuilt, seeded_model


class Echo(nn.Module):
    """Stands in for a network: it gives as logits the images that it gets."""

    def forward(self, x: Tensor) -> Output:
        assert not self.training
        return Output(x, ())


def predict_logits(logits: np.ndarray, labels: np.ndarray, *, batch: int = 500) -> Predictions:
    batches = zip(torch.tensor(logits).split(batch), torch.tensor(labels).split(batch), strict=True)
    return predict(cast(GoogLeNet, Echo()), batches)


def test_predictions_of_a_case_made_by_hand() -> None:
    logits = np.array(
        [
            [6, 5, 4, 3, 2, 1, 0],  # label 0: right
            [0, 1, 2, 3, 4, 5, 6],  # label 2: fifth most likely
            [6, 5, 4, 3, 2, 1, 0],  # label 5: sixth
        ],
        dtype=np.float32,
    )
    found = predict_logits(logits, np.array([0, 2, 5]))
    assert found.classes.tolist() == [[0, 1, 2, 3, 4], [6, 5, 4, 3, 2], [0, 1, 2, 3, 4]]
    assert found.logits.tolist() == [[6, 5, 4, 3, 2]] * 3
    assert found.labels.tolist() == [0, 2, 5]
    # By hand: exp of the largest logit over 1 + e + ... + e^6 = (e^7 - 1) / (e - 1).
    assert found.confidence.tolist() == pytest.approx([np.e**6 * (np.e - 1) / (np.e**7 - 1)] * 3, rel=1e-5)


@pytest.mark.parametrize("classes", [2, 4])
def test_fewer_than_five_classes_are_all_kept(classes: int) -> None:
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(30, classes)).astype(np.float32), random.integers(classes, size=30)
    found = predict_logits(logits, labels)
    assert found.classes.shape == found.logits.shape == (30, classes)


@pytest.mark.parametrize("count", [1, 501])
def test_predictions_are_the_networks_in_evaluation_whatever_the_batches(count: int) -> None:
    model = seeded_model()
    images = torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(count) % 10
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = predict(model, zip(images.split(50), labels.split(50), strict=True))
    assert not model.training
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)  # batch norm's statistics included

    with torch.no_grad():
        logits = model(images).logits
    expected = logits.sort(dim=1, descending=True)
    assert found.classes.shape == (count, 5)
    torch.testing.assert_close(torch.from_numpy(found.logits), expected.values[:, :5])
    torch.testing.assert_close(logits.gather(1, torch.from_numpy(found.classes)), expected.values[:, :5])
    assert found.labels.tolist() == labels.tolist()
    np.testing.assert_array_equal(found.wrong, (logits.argmax(dim=1) != labels).numpy())


def test_a_model_trains_on_after_predicting() -> None:
    model = seeded_model()
    images, labels = torch.randn(16, 3, 8, 8), torch.arange(16) % 10
    predict(model, [(images, labels)])
    model.train()
    result = TrainStep(model, DIGITS).step(images, labels)
    assert result.loss.isfinite()


def test_bf16_predicts_nearly_what_single_precision_does() -> None:
    model, (images, labels) = seeded_model(), random_batch(64)
    convolutions = output_dtypes(model, nn.Conv2d)
    single = predict(model, [(images, labels)], precision="fp32")
    assert convolutions == {torch.float32}
    convolutions.clear()
    brain = predict(model, [(images, labels)], precision="bf16")
    assert convolutions == {torch.bfloat16}
    assert brain.logits.dtype == brain.confidence.dtype == np.float32
    np.testing.assert_allclose(brain.logits, single.logits, rtol=0.02, atol=0.02)
    np.testing.assert_allclose(brain.confidence, single.confidence, rtol=0.02, atol=0.02)


def run(config: RunConfig, dataset: Dataset, runs: Path, *, diagnostic: bool = False) -> tuple[RunRecord, RunFolder]:
    folder, options = RunFolder(runs, config), ExecutionOptions(measure_selection_bias=diagnostic)
    return train(config, dataset=dataset, folder=folder, options=options), folder


def error_of(config: RunConfig, folder: RunFolder, dataset: Dataset) -> float:
    """The test error of the weights that a run saved."""
    model = rebuilt(config, folder)
    loader = Loader(dataset.test, recipe=config.recipe, device=CPU)
    return int(predict(model, loader.eval_batches()).wrong.sum()) / len(loader)


@pytest.mark.parametrize(
    ("errors", "tested"), [([0.5, 0.3, 0.4], 2), ([0.2, 0.2, 0.2], 1), ([0.5, 0.4, 0.3], 3)], ids=str
)
def test_the_epoch_with_the_least_validation_error_is_tested(
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    validation_errors: list[float],
    errors: list[float],
    tested: int,
) -> None:
    states: dict[int, dict[str, Any]] = {}

    def keep(folder: Path, state: dict[str, Any], *, epoch: int) -> None:
        states[epoch] = {name: tensor.clone() for name, tensor in state["model"].items()}

    monkeypatch.setattr(checkpoint, "save", keep)
    validation_errors += errors
    config = make_config(validation_fraction=0.2)
    record, folder = run(config, tiny_digits, tmp_path)
    assert record.test is not None
    assert record.test.epoch == tested
    assert record.test.top1_error == error_of(config, folder, tiny_digits)
    assert_same(dict(checkpoint.load_weights(folder.checkpoints)), states[tested])


def test_without_validation_the_last_epoch_is_tested(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path
) -> None:
    record, _ = run(make_config(), tiny_digits, tmp_path)
    assert record.test is not None and record.test.epoch == 3
    assert record.test_accesses == 1


def test_a_run_that_would_test_twice_fails_and_says_how_often_it_tried(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice(*arguments: Any, **named: Any) -> Any:
        evaluation.test_once(*arguments, **named)
        return evaluation.test_once(*arguments, **named)

    monkeypatch.setattr("ablations.training.train.test_once", twice)
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
    reads = [
        path.name
        for path in Path(str(evaluation.__file__)).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if ast.unparse(node) == "dataset.test"
    ]
    assert reads == ["train.py"], "the one that seals them"


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

    monkeypatch.setattr("ablations.training.evaluation.predict", refuse)
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
    record, folder = run(config, tiny_digits, tmp_path / "diagnosed", diagnostic=True)
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
    _, whole = run(config, tiny_digits, tmp_path / "whole", diagnostic=True)
    with pytest.raises(KeyboardInterrupt), pytest.MonkeyPatch.context() as patched:
        save = checkpoint.save

        def killed_at_two(folder: Path, state: dict[str, Any], *, epoch: int) -> None:
            if epoch == 2:
                raise KeyboardInterrupt
            save(folder, state, epoch=epoch)

        patched.setattr(checkpoint, "save", killed_at_two)
        run(config, tiny_digits, tmp_path / "stopped", diagnostic=True)
    _, folder = run(config, tiny_digits, tmp_path / "stopped", diagnostic=True)
    assert folder.diagnosed.read() == whole.diagnosed.read()
