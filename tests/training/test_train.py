"""Whole runs on a few digits: that they learn, repeat bit for bit, say what happens, and test once, at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ablations.data.dataset import Dataset
from ablations.errors import DataError, Diverged
from ablations.hardware.device import describe_environment, peak_memory_bytes, reset_peak_memory, resolve_device
from ablations.records.run_folder import RunFolder
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.recipe import Precision
from ablations.suites.run_config import RunConfig
from ablations.training import checkpoint
from ablations.training.evaluation import Predictions, predict
from ablations.training.events import EpochDone, Event, StepDone, TrainingStarted
from ablations.training.options import ExecutionOptions
from ablations.training.step import Engine, StepResult, TrainStep
from ablations.training.train import train
from googlenet import GoogLeNet
from tests.support.training import CPU, STEPS, Run, as_batch, assert_same, needs_gpu, rebuilt


def learn_digits(make_config: Callable[..., RunConfig], digits: Dataset, runs: Path, *, device: torch.device) -> Run:
    """Three epochs on all of the digits."""
    config = make_config(dataset=digits, width=0.25, batch_size=64)
    folder, events = RunFolder(runs, config), list[Event]()
    record = train(
        config, dataset=digits, folder=folder, on_event=events.append, options=ExecutionOptions(device=device)
    )
    return Run(config, folder, record, events)


def assert_learned(run: Run, digits: Dataset) -> None:
    """Guessing would get nine of ten digits wrong."""
    test = run.record.test
    assert test is not None and test.top5_error is not None
    assert test.images == 360
    assert test.top1_error < 0.3
    assert test.top5_error < 0.1
    losses = [epoch.train_loss for epoch in run.record.epochs]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] / 2
    classes, logits, confidence, labels, loss = run.folder.read_predictions()
    assert labels.tolist() == digits.test.labels.tolist()
    assert classes.shape == logits.shape == (360, 5)
    assert test.top1_wrong == sum(int(row[0] != label) for row, label in zip(classes, labels, strict=True))
    assert test.top5_wrong == sum(int(label not in row) for row, label in zip(classes, labels, strict=True))

    images, _ = as_batch(digits.test)
    with torch.no_grad():
        output = rebuilt(run.config, run.folder)(images).logits
    top = output.topk(5, dim=1)
    # In another order of summation than in the run, and on another device after a run on a GPU.
    np.testing.assert_allclose(logits, top.values.numpy(), rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(confidence, output.softmax(1).amax(1).numpy(), atol=1e-2)
    np.testing.assert_allclose(loss, F.cross_entropy(output, torch.tensor(labels).long(), reduction="none"), atol=2e-2)
    assert test.loss == pytest.approx(float(loss.mean()), rel=1e-5)
    clear = (top.values[:, 0] - top.values[:, 1] > 0.1).numpy()
    assert clear.sum() > 300
    assert (classes[clear, 0] == top.indices[clear, 0].numpy()).all()


def test_a_run_learns_and_its_record_agrees_with_its_predictions_and_weights(
    make_config: Callable[..., RunConfig], digits: Dataset, tmp_path: Path
) -> None:
    assert_learned(learn_digits(make_config, digits, tmp_path, device=CPU), digits)


@pytest.mark.gpu
@needs_gpu
def test_a_run_learns_on_a_gpu(make_config: Callable[..., RunConfig], digits: Dataset, tmp_path: Path) -> None:
    run = learn_digits(make_config, digits, tmp_path, device=resolve_device("cuda"))
    assert_learned(run, digits)
    assert run.record.environment.device_kind == "cuda"
    assert run.record.costs is not None and run.record.costs.peak_memory_bytes is not None
    # At least the digits themselves, which stay on the device.
    assert run.record.costs.peak_memory_bytes > digits.train.images.nbytes


def test_memory_that_a_captured_step_uses_is_released_before_there_is_one(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released: list[int] = []

    def release(device: torch.device) -> None:
        released.append(len(list(tmp_path.rglob("metrics.jsonl"))))

    monkeypatch.setattr("ablations.training.train.release_cached_memory", release)
    config = make_config(validation_fraction=0.2, epochs=1)
    folder = RunFolder(tmp_path, config)
    train(config, dataset=tiny_digits, folder=folder, options=ExecutionOptions(measure_selection_bias=True))
    assert released == [0]


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("engine", ["eager", "graph"])
def test_on_a_gpu_a_second_run_takes_as_much_memory_as_the_first(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path, engine: Engine
) -> None:
    # The first run of a shape tries kernels, in whatever memory is free.
    peaks = []
    for seed in (1, 2):
        config = make_config(seed=seed, width=0.5)
        folder = RunFolder(tmp_path, config)
        record = train(
            config,
            dataset=tiny_digits,
            folder=folder,
            options=ExecutionOptions(device=resolve_device("cuda"), engine=engine),
        )
        assert record.costs is not None
        peaks.append(record.costs.peak_memory_bytes)
    assert peaks[1] == pytest.approx(peaks[0], rel=0.02)


def test_predictions_are_those_of_the_saved_weights(undisturbed: Run, tiny_digits: Dataset) -> None:
    images, labels = as_batch(tiny_digits.test)
    model = rebuilt(undisturbed.config, undisturbed.folder)
    # In the run's own memory format the sums come in the same order.
    model = model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    with torch.no_grad():
        logits = model(images.contiguous(memory_format=torch.channels_last)).logits
    order = logits.argsort(dim=1, descending=True)[:, :5]
    with np.load(undisturbed.folder.path / "predictions.npz") as stored:
        np.testing.assert_array_equal(stored["classes"], order.numpy())
        np.testing.assert_allclose(stored["logits"], logits.gather(1, order).numpy(), rtol=1e-5)
    test = undisturbed.record.test
    assert test is not None
    assert (test.images, test.top1_wrong) == (60, int((order[:, 0] != labels).sum()))


def test_the_record_of_a_finished_run_says_everything(undisturbed: Run) -> None:
    config, folder, record, _ = undisturbed
    assert (record.status, record.message, record.run_id, record.config) == ("done", "", config.run_id, config)
    assert record.train_images == 120
    assert [epoch.epoch for epoch in record.epochs] == [1, 2, 3]
    assert folder.epochs.read() == record.epochs
    assert record.environment == describe_environment(CPU, engine="eager")
    assert record.costs is not None and record.times is not None
    assert record.costs.params == sum(p.numel() for p in rebuilt(config, folder).parameters())
    assert record.costs.flops == 2 * record.costs.macs > 0
    assert record.costs.peak_memory_bytes is not None and record.costs.peak_memory_bytes > 2**20
    assert record.times.timing_valid
    assert record.times.train_seconds == pytest.approx(sum(epoch.train_seconds for epoch in record.epochs))
    assert record.times.eval_seconds > sum(epoch.eval_seconds for epoch in record.epochs) > 0
    assert record.times.startup_seconds > 0
    assert 0 <= record.times.compile_seconds < 0.1  # on a CPU an eager step needs no preparation
    for epoch in record.epochs:
        assert epoch.train_seconds > 0
        # Fractions of 120 and of 30 images.
        assert epoch.train_error * 120 == pytest.approx(round(epoch.train_error * 120))
        assert epoch.validation_error is not None
        assert epoch.validation_error * 30 == pytest.approx(round(epoch.validation_error * 30))


def test_times_beside_other_work_on_the_device_are_not_valid(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path
) -> None:
    config = make_config(epochs=1)
    folder = RunFolder(tmp_path, config)
    record = train(config, dataset=tiny_digits, folder=folder, options=ExecutionOptions(runs_per_device=2))
    assert record.times is not None and not record.times.timing_valid


def test_a_run_in_bf16_is_another_one_whose_weights_are_still_single(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path
) -> None:
    losses = {}
    for precision in ("fp32", "bf16"):
        config = make_config(epochs=1, precision=precision, limit_train=64)
        folder = RunFolder(tmp_path, config)
        losses[precision] = (
            train(config, dataset=tiny_digits, folder=folder, options=ExecutionOptions()).epochs[0].train_loss
        )
        weights = checkpoint.load_weights(folder.checkpoints)
        assert {value.dtype for value in weights.values() if value.is_floating_point()} == {torch.float32}
    # bfloat16 has 8 bits of precision.
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05)


def test_events_come_in_order_with_the_epochs_mean_loss_so_far(undisturbed: Run) -> None:
    run_id = undisturbed.config.run_id
    expected: list[Event] = [TrainingStarted(run_id=run_id, finished_epochs=0, train_images=120)]
    steps = (event for event in undisturbed.events if isinstance(event, StepDone))
    for epoch in undisturbed.record.epochs:
        expected += [next(steps) for _ in range(STEPS)]
        expected.append(EpochDone(run_id=run_id, epoch=epoch))
    assert undisturbed.events == expected
    steps = [event for event in undisturbed.events if isinstance(event, StepDone)]
    assert {step.run_id for step in steps} == {run_id}
    assert [step.images for step in steps] == [32, 32, 32, 24] * 3
    last_losses = [step.loss for step in steps[STEPS - 1 :: STEPS]]
    assert last_losses == [epoch.train_loss for epoch in undisturbed.record.epochs]


def test_the_same_run_again_is_the_same(
    undisturbed: Run, tiny_digits: Dataset, tmp_path: Path, outcome_of: Callable[[RunFolder], dict[str, Any]]
) -> None:
    folder = RunFolder(tmp_path, undisturbed.config)
    torch.manual_seed(12345)
    record = train(undisturbed.config, dataset=tiny_digits, folder=folder, options=ExecutionOptions())
    assert record.test == undisturbed.record.test
    assert_same(outcome_of(folder), outcome_of(undisturbed.folder))


def test_another_seed_is_another_run(undisturbed: Run, tiny_digits: Dataset, tmp_path: Path) -> None:
    config = replace(undisturbed.config, seed=2)
    folder = RunFolder(tmp_path, config)
    record = train(config, dataset=tiny_digits, folder=folder, options=ExecutionOptions())
    ours, theirs = (checkpoint.load_weights(run.checkpoints) for run in (folder, undisturbed.folder))
    assert not any(torch.equal(ours[name], theirs[name]) for name in ours if name.endswith("conv.weight"))
    for epoch, other in zip(record.epochs, undisturbed.record.epochs, strict=True):
        assert epoch.train_loss != other.train_loss


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can reset a process's peak memory")
@pytest.mark.parametrize("fraction", [0.0, 0.2])
def test_peak_memory_is_that_of_training_and_not_of_evaluation(
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fraction: float,
) -> None:
    def hungry(model: GoogLeNet, batches: Iterator[tuple[Tensor, Tensor]], *, precision: Precision) -> Predictions:
        assert np.ones(300 * 2**20, dtype=np.uint8)[-1] == 1
        return predict(model, batches, precision=precision)

    monkeypatch.setattr("ablations.training.evaluation.predict", hungry)
    config = make_config(epochs=1, validation_fraction=fraction)
    reset_peak_memory(CPU)
    before = peak_memory_bytes(CPU)
    record = train(config, dataset=tiny_digits, folder=RunFolder(tmp_path, config), options=ExecutionOptions())
    assert record.costs is not None and record.costs.peak_memory_bytes is not None
    # A network this small trains in a few MiB.
    assert record.costs.peak_memory_bytes < before + 200 * 2**20


@pytest.mark.parametrize(("fraction", "passes"), [(0.0, 0), (0.2, 3)])
def test_the_test_images_are_seen_once_after_the_last_epoch(
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fraction: float,
    passes: int,
) -> None:
    test_images = {image.tobytes() for image in as_batch(tiny_digits.test)[0].numpy()}
    seen: list[str] = []

    def noting(model: GoogLeNet, batches: Iterator[tuple[Tensor, Tensor]], *, precision: Precision) -> Predictions:
        held = [(images, labels) for images, labels in batches]
        shown = {image.contiguous().numpy().tobytes() for images, _ in held for image in images}
        assert shown == test_images or not shown & test_images
        seen.append("test" if shown & test_images else "validation")
        return predict(model, held, precision=precision)

    def on_event(event: Event) -> None:
        if isinstance(event, EpochDone):
            seen.append("epoch")

    monkeypatch.setattr("ablations.training.evaluation.predict", noting)
    config = make_config(validation_fraction=fraction)
    train(
        config, dataset=tiny_digits, folder=RunFolder(tmp_path, config), on_event=on_event, options=ExecutionOptions()
    )
    assert seen.count("validation") == passes
    assert [what for what in seen if what != "validation"] == ["epoch"] * 3 + ["test"]


def test_data_of_another_fingerprint_are_refused_before_anything_is_written(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path
) -> None:
    config = make_config()
    other = replace(tiny_digits, fingerprint="another")
    with pytest.raises(DataError, match=f"{config.run_id}.*another.*{config.fingerprint}"):
        train(config, dataset=other, folder=RunFolder(tmp_path, config), options=ExecutionOptions())
    assert list(tmp_path.iterdir()) == []


def test_weights_that_the_last_step_ruined_are_no_result(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path
) -> None:
    # The only step's loss is that of the untrained network, so finite; what it makes of the weights is not.
    config = make_config(learning_rate=1e30, schedule="constant", epochs=1, limit_train=32)
    with pytest.raises(Diverged, match="epoch 1 of 1"):
        train(config, dataset=tiny_digits, folder=RunFolder(tmp_path, config), options=ExecutionOptions())


def test_a_later_epoch_that_diverges_is_named_and_the_earlier_ones_stay(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, steps = TrainStep.step, 0

    def diverging(train_step: TrainStep, images: Tensor, labels: Tensor) -> StepResult:
        nonlocal steps
        steps += 1
        result = step(train_step, images, labels)
        return result._replace(loss=result.loss * torch.inf) if steps == 7 else result

    monkeypatch.setattr(TrainStep, "step", diverging)
    config = make_config()
    folder = RunFolder(tmp_path, config)
    with pytest.raises(Diverged, match="epoch 2 of 3"):
        train(config, dataset=tiny_digits, folder=folder, options=ExecutionOptions())
    assert [epoch.epoch for epoch in folder.epochs.read()] == [1]


def test_a_run_prints_nothing_and_writes_into_its_folder_only(
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    config = make_config(epochs=1)
    train(config, dataset=tiny_digits, folder=SuiteFolder(tmp_path).run(config), options=ExecutionOptions())
    assert capfd.readouterr() == ("", "")
    assert list(elsewhere.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "runs"]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [config.run_id]
    written = sorted(path.name for path in (tmp_path / "runs" / config.run_id).iterdir())
    assert written == ["checkpoint", "config.json", "metrics.jsonl", "predictions.npz"]
