"""Optimisers, against torch's with every number written out and the paper's algorithm; updates that are withheld."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from ablations.suites.recipe import DIGITS, PUBLISHED, Recipe
from ablations.training.loss import training_loss
from ablations.training.optimizer import make_optimizer, withhold_update
from ablations.training.step import TrainStep
from tests.support.training import (
    BN_AUX,
    assert_same,
    each_optimiser,
    make_step,
    parameters_of,
    random_batch,
    random_batches,
    seeded_model,
    state_of,
    with_tensor_rate,
)

WITH_DECAY = {
    "adadelta": replace(PUBLISHED, weight_decay=0.01),
    "adam": replace(DIGITS, learning_rate=2e-3, weight_decay=0.01),
    "sgd": replace(DIGITS, optimizer="sgd", learning_rate=0.1),
    "sgd-momentum": replace(DIGITS, optimizer="sgd", learning_rate=0.1, momentum=0.9, weight_decay=5e-4),
}
# What each recipe stands for, every number written out: Adadelta's and Adam's are those of their papers,
# arXiv:1212.5701 and arXiv:1412.6980, which torch took for its defaults (eps of Adadelta: torch's own).
WRITTEN_OUT: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adadelta": functools.partial(torch.optim.Adadelta, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.01),
    "adam": functools.partial(
        torch.optim.Adam, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, amsgrad=False
    ),
    "sgd": functools.partial(torch.optim.SGD, lr=0.1),
    "sgd-momentum": functools.partial(
        torch.optim.SGD, lr=0.1, momentum=0.9, dampening=0, weight_decay=5e-4, nesterov=True
    ),
}
# One kernel for the whole update, which rounds otherwise than several; Adadelta has none.
ONE_KERNEL: dict[str, dict[str, Any]] = {name: {"fused": True} for name in WITH_DECAY} | {"adadelta": {}}


@pytest.mark.parametrize("name", WITH_DECAY)
def test_steps_are_those_of_a_loop_written_out(name: str) -> None:
    ours, theirs, batches = seeded_model(), seeded_model(), random_batches(5)
    train_step = TrainStep(ours, WITH_DECAY[name])
    torch.manual_seed(11)  # of dropout
    results = [train_step.step(images, labels) for images, labels in batches]

    written_out = WRITTEN_OUT[name](theirs.parameters(), **ONE_KERNEL[name])
    torch.manual_seed(11)
    for result, (images, labels) in zip(results, batches, strict=True):
        logits = theirs(images).logits
        loss = functional.cross_entropy(logits, labels)
        for parameter in theirs.parameters():
            parameter.grad = None
        loss.backward()
        written_out.step()
        assert float(result.loss) == float(loss.detach())
        assert int(result.wrong) == sum(
            int(row.argmax()) != int(label) for row, label in zip(logits, labels, strict=True)
        )
    torch.testing.assert_close(dict(ours.state_dict()), dict(theirs.state_dict()), rtol=0, atol=0)


@pytest.mark.parametrize("name", WITH_DECAY)
def test_one_kernel_updates_as_torchs_several_do(name: str) -> None:
    model = seeded_model()
    train_step = TrainStep(model, WITH_DECAY[name])
    # Apart from the network: the same gradients for both, as rounding would lead two networks apart.
    copies = [parameter.detach().clone() for parameter in model.parameters()]
    written_out = WRITTEN_OUT[name](copies, foreach=False)
    for images, labels in random_batches(5):
        train_step.step(images, labels)
        for copy, parameter in zip(copies, model.parameters(), strict=True):
            assert parameter.grad is not None
            copy.grad = parameter.grad.clone()
        written_out.step()
        torch.testing.assert_close(copies, [parameter.detach() for parameter in model.parameters()])


def test_adadelta_follows_its_paper() -> None:
    # Zeiler 2012, arXiv:1212.5701, algorithm 1, with the learning rate that torch adds, over three steps.
    model = seeded_model()
    train_step = TrainStep(model, replace(PUBLISHED, learning_rate=0.5))
    weight = model.head.get_submodule("linear").weight
    assert isinstance(weight, Tensor)
    expected = weight.detach().double()
    squares, updates = torch.zeros_like(expected), torch.zeros_like(expected)
    for images, labels in random_batches(3):
        train_step.step(images, labels)
        assert weight.grad is not None
        gradient = weight.grad.double()
        squares = 0.9 * squares + 0.1 * gradient**2
        update = ((updates + 1e-6) / (squares + 1e-6)).sqrt() * gradient
        updates = 0.9 * updates + 0.1 * update**2
        expected = expected - 0.5 * update
    torch.testing.assert_close(weight.detach().double(), expected, rtol=1e-5, atol=1e-7)


def test_the_published_recipes_adadelta_is_torchs_default() -> None:
    optimizer = make_optimizer(seeded_model(), PUBLISHED)
    assert isinstance(optimizer, torch.optim.Adadelta)
    assert optimizer.defaults == torch.optim.Adadelta([torch.zeros(1)]).defaults


@pytest.mark.parametrize("recipe", WITH_DECAY.values(), ids=WITH_DECAY)
def test_an_optimiser_has_every_parameter_once(recipe: Recipe) -> None:
    model = seeded_model(BN_AUX)
    optimized = [id(parameter) for group in make_optimizer(model, recipe).param_groups for parameter in group["params"]]
    assert sorted(optimized) == sorted(id(parameter) for parameter in model.parameters())


@each_optimiser
@pytest.mark.parametrize("spoilt", [torch.nan, torch.inf])
def test_a_withheld_update_leaves_the_weights_as_they_are(recipe: Recipe, spoilt: float) -> None:
    # Weight decay and momentum would move the weights without a gradient.
    train_step = make_step(replace(recipe, weight_decay=0.01))
    rate = with_tensor_rate(train_step)
    train_step.step(*random_batch())
    before = parameters_of(train_step)
    for parameter in train_step.model.parameters():
        parameter.grad = torch.full_like(parameter, spoilt)
    withhold_update(train_step.optimizer, unless=torch.tensor(False))
    train_step.optimizer.step()
    assert_same(parameters_of(train_step), before)
    assert train_step.optimizer.param_groups[0]["lr"] is rate and float(rate) == 0


@each_optimiser
def test_an_update_that_is_not_withheld_is_the_same_to_the_bit(recipe: Recipe) -> None:
    ours, theirs = make_step(recipe), make_step(recipe)
    for train_step in (ours, theirs):
        with_tensor_rate(train_step)
    for _ in range(3):
        for train_step in (ours, theirs):
            train_step.optimizer.zero_grad()
            images, labels = random_batch()
            torch.manual_seed(1)
            training_loss(train_step.model, train_step.model(images), labels).backward()
            if train_step is ours:
                withhold_update(train_step.optimizer, unless=torch.tensor(True))
            train_step.optimizer.step()
    assert_same(state_of(ours), state_of(theirs))
