"""One epoch: its mean loss and error, learning rates, divergence, batch norm's counters, and no waiting for a GPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from ablations.data.dataset import Dataset
from ablations.errors import Diverged
from ablations.seeding import derive_seed
from ablations.suites.recipe import Precision
from ablations.training.inputs.loader import Loader
from ablations.training.step import Engine, StepResult
from ablations.training.train import train_epoch
from tests.support.training import CPU, CUDA, EPOCH_STEPS, RECIPES, SGD, assert_same, make_step, needs_gpu, state_of


def ignore(images: int, loss: float | None) -> None:
    """The observer of steps that does nothing."""


def test_an_epochs_loss_and_error_are_means_over_its_images(
    tiny_digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_step = make_step(SGD)
    steps: list[tuple[float, int, int]] = []
    step = train_step.step

    def noting(images: Tensor, labels: Tensor) -> StepResult:
        result = step(images, labels)
        steps.append((float(result.loss), int(result.wrong), len(labels)))
        return result

    monkeypatch.setattr(train_step, "step", noting)
    heard: list[tuple[int, float | None]] = []
    loader = Loader(tiny_digits.train, recipe=SGD, device=CPU)
    result = train_epoch(train_step, loader, seed=1, epoch=1, on_step=lambda *told: heard.append(told))
    assert [images for *_, images in steps] == [images for images, _ in heard] == [32, 32, 32, 32, 22]
    assert result.loss == pytest.approx(sum(loss * images for loss, _, images in steps) / 150)
    assert result.error == sum(wrong for _, wrong, _ in steps) / 150
    assert heard[0][1] == pytest.approx(steps[0][0])
    assert heard[-1][1] == result.loss


def test_learning_rates_are_those_of_the_recipe(tiny_digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(RECIPES["adadelta"], learning_rate=1.0, schedule="step", step_gamma=0.7, epochs=3)
    train_step, rates = make_step(recipe), list[float]()
    step = train_step.step

    def noting(images: Tensor, labels: Tensor) -> StepResult:
        rates.append(train_step.optimizer.param_groups[0]["lr"])
        return step(images, labels)

    monkeypatch.setattr(train_step, "step", noting)
    loader = Loader(tiny_digits.train, recipe=recipe, device=CPU)
    for epoch in (1, 2, 3):
        train_epoch(train_step, loader, seed=1, epoch=epoch, on_step=ignore)
    # As torch.optim.lr_scheduler.StepLR(step_size=1, gamma=0.7) has it.
    assert rates == pytest.approx([1.0] * 5 + [0.7] * 5 + [0.49] * 5)


def test_batch_norms_have_counted_their_batches_after_each_epoch(tiny_digits: Dataset) -> None:
    ours, theirs = make_step(SGD), make_step(SGD)
    loader = Loader(tiny_digits.train, recipe=SGD, device=CPU)
    for epoch in (1, 2):
        train_epoch(ours, loader, seed=1, epoch=epoch, on_step=ignore)
        # The same steps in a plain loop, in which batch norms count for themselves.
        torch.manual_seed(derive_seed(1, purpose="dropout", epoch=epoch))
        for number, (images, labels) in enumerate(loader.train_batches(seed=1, epoch=epoch)):
            progress = (epoch - 1 + number / EPOCH_STEPS) / SGD.epochs
            theirs.set_learning_rate(SGD.learning_rate_at(epoch=epoch - 1, progress=progress))
            theirs.step(images, labels)
        counts = [value for name, value in ours.model.state_dict().items() if name.endswith("num_batches_tracked")]
        assert counts and {int(count) for count in counts} == {epoch * EPOCH_STEPS}
        assert_same(state_of(ours), state_of(theirs))


@pytest.mark.parametrize(("precision", "epoch", "advised"), [("bf16", 1, True), ("bf16", 2, False), ("fp32", 1, False)])
def test_single_precision_is_advised_where_the_first_epoch_in_bf16_diverges(
    precision: Precision, epoch: int, advised: bool, tiny_digits: Dataset
) -> None:
    recipe = replace(SGD, learning_rate=1e20, precision=precision)
    loader = Loader(tiny_digits.train, recipe=recipe, device=CPU)
    with pytest.raises(Diverged) as raised:
        train_epoch(make_step(recipe), loader, seed=1, epoch=epoch, on_step=ignore)
    assert str(raised.value).endswith("; --precision fp32 may help") == advised


@pytest.mark.gpu
@needs_gpu
def test_on_a_gpu_an_epoch_with_a_loss_that_is_not_finite_diverges(tiny_digits: Dataset) -> None:
    recipe = replace(SGD, learning_rate=1e20)
    loader = Loader(tiny_digits.train, recipe=recipe, device=CUDA)
    train_step = make_step(recipe, engine="graph", device=CUDA)
    train_step.warm_up(batch_sizes=loader.batch_sizes)
    with pytest.raises(Diverged, match="stopped being finite in epoch 1 of 4"):
        train_epoch(train_step, loader, seed=1, epoch=1, on_step=ignore)
    assert all(parameter.isfinite().all() for parameter in train_step.model.parameters())


@pytest.mark.gpu
@needs_gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype feature:UserWarning")
@pytest.mark.parametrize("name", ["adadelta", "adam", "sgd-momentum"])
@pytest.mark.parametrize("engine", ["graph", "eager"])
@pytest.mark.parametrize("free", [0, 10**12], ids=["streaming", "resident"])
def test_an_epoch_never_waits_for_the_gpu(
    monkeypatch: pytest.MonkeyPatch, tiny_digits: Dataset, name: str, engine: Engine, free: int
) -> None:
    monkeypatch.setattr("ablations.training.inputs.loader.free_memory_bytes", lambda device: free)
    recipe = replace(RECIPES[name], schedule="one-cycle", flip=0.5, crop_padding=1, cutout=2)
    loader = Loader(tiny_digits.train, recipe=recipe, device=CUDA)
    train_step = make_step(recipe, engine=engine, device=CUDA)
    train_step.warm_up(batch_sizes=loader.batch_sizes)
    # An epoch reads the clock at its two ends, where it waits on purpose; in between any wait is an error.
    modes = iter(("error", "default"))

    def watch(device: torch.device) -> float:
        torch.cuda.set_sync_debug_mode(next(modes))
        return 0.0

    monkeypatch.setattr("ablations.training.epoch.clock", watch)
    try:
        result = train_epoch(train_step, loader, seed=1, epoch=1, on_step=ignore)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert next(modes, None) is None
    assert np.isfinite(result.loss)
