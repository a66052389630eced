"""One optimisation step: learning rate, precision, losses that are not finite, and batch norm's counters."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ablations.data.dataset import Dataset
from ablations.errors import Diverged
from ablations.suites.recipe import Recipe
from ablations.training.step import Engine, batches_counted_apart
from googlenet import GoogLeNet
from tests.support.training import (
    BATCH,
    CUDA,
    EPOCH_STEPS,
    RECIPES,
    SGD,
    SHORT4,
    assert_same,
    each_optimiser,
    make_step,
    needs_gpu,
    output_dtypes,
    parameters_of,
    random_batch,
    seeded_model,
    state_of,
    take_steps,
    with_tensor_rate,
)


@pytest.mark.parametrize("name", ["adam", "sgd-momentum"])
def test_a_rate_in_a_tensor_is_written_into_that_tensor(name: str) -> None:
    train_step = make_step(RECIPES[name])
    rate = with_tensor_rate(train_step)
    for value in (0.25, 0.0, 1.0):
        train_step.set_learning_rate(value)
        # A captured step reads the memory that it was captured with.
        assert train_step.optimizer.param_groups[0]["lr"] is rate
        assert float(rate) == value


@pytest.mark.parametrize("tensor", [False, True], ids=["number", "tensor"])
def test_each_step_moves_by_its_own_rate(tensor: bool) -> None:
    # Without momentum and decay a step is minus the rate times the gradient.
    train_step = make_step(replace(SGD, momentum=0.0, weight_decay=0.0))
    if tensor:
        with_tensor_rate(train_step)
    for rate in (0.5, 0.25, 0.0):
        before = parameters_of(train_step)
        train_step.set_learning_rate(rate)
        train_step.step(*random_batch())
        for old, parameter in zip(before, train_step.model.parameters(), strict=True):
            assert parameter.grad is not None
            torch.testing.assert_close(parameter.detach(), old - rate * parameter.grad, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["adam", "sgd-momentum"])
def test_a_schedule_takes_the_same_effect_through_a_tensor(name: str, tiny_digits: Dataset) -> None:
    recipe = replace(RECIPES[name], schedule="one-cycle", epochs=2)
    ours, theirs, constant = map(make_step, (recipe, recipe, replace(recipe, schedule="constant")))
    with_tensor_rate(ours)
    losses = [take_steps(train_step, tiny_digits.train, epochs=2) for train_step in (ours, theirs, constant)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0] != pytest.approx(losses[2], rel=1e-2)


@pytest.mark.parametrize("name", ["adam", "sgd-momentum"])
def test_a_rate_in_a_tensor_stays_there_when_a_state_without_one_is_loaded(name: str, tiny_digits: Dataset) -> None:
    # A captured step would go on with the number that was loaded, whatever the schedule says.
    undisturbed, moved = make_step(RECIPES[name]), make_step(RECIPES[name])
    with_tensor_rate(moved)
    take_steps(undisturbed, tiny_digits.train, epochs=1)
    saved = state_of(undisturbed)
    moved.load_state(saved["model"], saved["optimizer"])
    assert isinstance(moved.optimizer.param_groups[0]["lr"], Tensor)
    losses, expected = (take_steps(each, tiny_digits.train, epochs=2, first=2) for each in (moved, undisturbed))
    assert losses == pytest.approx(expected, rel=1e-4)


def test_a_step_smooths_labels_as_its_recipe_says() -> None:
    images, labels = random_batch()
    for smoothing in (0.0, 0.4):
        train_step, outputs = make_step(replace(SGD, label_smoothing=smoothing)), list[Any]()
        train_step.model.register_forward_hook(lambda *passed, outputs=outputs: outputs.append(passed[-1]))
        loss = float(train_step.step(images, labels).loss)
        per_class = -outputs[0].logits.detach().double().log_softmax(dim=1)
        expected = (1 - smoothing) * per_class.gather(1, labels[:, None]).mean() + smoothing * per_class.mean()
        assert loss == pytest.approx(float(expected), rel=1e-5)


def test_a_steps_result_holds_no_graph() -> None:
    result = make_step(SGD).step(*random_batch())
    assert not result.loss.requires_grad
    assert result.loss.shape == result.wrong.shape == ()


@pytest.mark.parametrize(("precision", "inside"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_precision_is_that_of_convolutions_and_linear_layers_alone(precision: Any, inside: torch.dtype) -> None:
    train_step = make_step(replace(RECIPES["adam"], precision=precision))
    convolutions, linears = (output_dtypes(train_step.model, kind) for kind in (nn.Conv2d, nn.Linear))
    result = train_step.step(*random_batch())
    assert convolutions == linears == {inside}
    assert result.loss.dtype == torch.float32
    kept = [*train_step.model.parameters(), *(parameter.grad for parameter in train_step.model.parameters())]
    kept += [value for state in train_step.optimizer.state.values() for value in state.values()]
    assert {tensor.dtype for tensor in kept if tensor is not None} == {torch.float32}
    statistics = {name: value for name, value in train_step.model.state_dict().items() if "running" in name}
    assert statistics and {value.dtype for value in statistics.values()} == {torch.float32}


def test_bf16_trains_nearly_as_single_precision_does(tiny_digits: Dataset) -> None:
    single, brain = (make_step(replace(SGD, precision=precision)) for precision in ("fp32", "bf16"))
    losses, expected = (np.array(take_steps(each, tiny_digits.train, epochs=4)) for each in (brain, single))
    # bf16 has 8 significant bits, so rounds by 0.4 percent at most; what differs grows over the steps.
    assert losses[0] == pytest.approx(expected[0], rel=0.004)
    np.testing.assert_allclose(
        losses.reshape(4, EPOCH_STEPS).mean(axis=1), expected.reshape(4, EPOCH_STEPS).mean(axis=1), rtol=0.05
    )
    assert (losses != expected).all()
    assert expected[-1] < 0.7 * expected[0]


@each_optimiser
def test_a_loss_that_is_not_finite_never_reaches_the_weights(recipe: Recipe) -> None:
    train_step, (images, labels) = make_step(recipe), random_batch()
    train_step.step(images, labels)
    before = parameters_of(train_step)
    images[0, 0, 0, 0] = torch.inf
    with pytest.raises(Diverged):
        train_step.step(images, labels)
    assert_same(parameters_of(train_step), before)


def test_off_a_cpu_a_step_withholds_its_update(monkeypatch: pytest.MonkeyPatch) -> None:
    train_step = make_step(SGD)
    rate, before = with_tensor_rate(train_step), parameters_of(train_step)
    monkeypatch.setattr(train_step, "device", torch.device("meta"))  # any that is no CPU
    images, labels = random_batch()
    assert not torch.isfinite(train_step.step(images * torch.inf, labels).loss)
    assert_same(parameters_of(train_step), before)
    assert float(rate) == 0


@pytest.mark.gpu
@needs_gpu
@each_optimiser
@pytest.mark.parametrize("engine", ["graph", "eager"])
def test_on_a_gpu_a_loss_that_is_not_finite_never_reaches_the_weights(recipe: Recipe, engine: Engine) -> None:
    train_step = make_step(replace(recipe, weight_decay=0.01), engine=engine, device=CUDA)
    train_step.warm_up(batch_sizes=(BATCH,))
    images, labels = (tensor.to(CUDA) for tensor in random_batch(BATCH))
    train_step.step(images, labels)
    before = parameters_of(train_step)
    spoilt = images.clone()
    spoilt[0, 0, 0, 0] = torch.inf
    assert not torch.isfinite(train_step.step(spoilt, labels).loss)
    assert_same(parameters_of(train_step), before)
    train_step.set_learning_rate(recipe.learning_rate)
    train_step.step(images, labels)
    assert all(not torch.equal(old, new) for old, new in zip(before, parameters_of(train_step), strict=True))


def counted(model: GoogLeNet) -> set[int]:
    """The numbers of batches that the network's batch norms say they have seen."""
    return {int(value) for name, value in model.state_dict().items() if name.endswith("num_batches_tracked")}


def test_batches_counted_apart_keep_the_counters_themselves_even_after_an_error() -> None:
    model = seeded_model()
    before = {name: buffer.data_ptr() for name, buffer in model.named_buffers()}
    with pytest.raises(ZeroDivisionError), batches_counted_apart(model, batches=2):
        raise ZeroDivisionError
    assert {name: buffer.data_ptr() for name, buffer in model.named_buffers()} == before


def test_a_network_without_batch_norm_has_nothing_to_count() -> None:
    model = seeded_model(replace(SHORT4, batch_norm=False))
    with batches_counted_apart(model, batches=2):
        model(random_batch()[0])
    assert counted(model) == set()


def test_a_finished_step_frees_its_network_at_once() -> None:
    # Not when garbage is collected: the next run's memory would count it.
    train_step = make_step(RECIPES["adam"])
    train_step.step(*random_batch())
    network = weakref.ref(train_step.model)
    gc.disable()
    try:
        del train_step
        assert network() is None
    finally:
        gc.enable()
