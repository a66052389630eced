"""One step, against loops and formulas written out by hand and scikit-learn's log loss."""

import functools
import gc
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch import Tensor
from torch.nn import functional

from ablations.suites.recipe import DIGITS, PUBLISHED, Recipe
from ablations.training.loss import training_loss
from ablations.training.optimizer import make_optimizer
from ablations.training.step import TrainStep, batches_counted_apart
from googlenet import REFERENCES, VARIANTS, Architecture, GoogLeNet, build

SHORT4 = replace(VARIANTS["short4"], width=0.125, image_size=8)
BN_AUX = replace(REFERENCES["bn-aux-224"], stem="cifar", image_size=32, width=0.125)
RECIPES = {
    "adadelta": replace(PUBLISHED, weight_decay=0.01),
    "adam": replace(DIGITS, weight_decay=0.01),
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
ONE_KERNEL: dict[str, dict[str, Any]] = {name: {"fused": True} for name in RECIPES} | {"adadelta": {}}


def seeded_model(arch: Architecture = SHORT4) -> GoogLeNet:
    torch.manual_seed(3)
    return build(arch, num_classes=10).train()


def random_batches(count: int, *, batch: int = 16, image_size: int = 8) -> list[tuple[Tensor, Tensor]]:
    source = torch.Generator().manual_seed(5)
    return [
        (
            torch.randn(batch, 3, image_size, image_size, generator=source),
            torch.randint(10, (batch,), generator=source),
        )
        for _ in range(count)
    ]


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("name", RECIPES)
def test_steps_are_those_of_a_loop_written_out(name: str) -> None:
    ours, theirs, batches = seeded_model(), seeded_model(), random_batches(5)
    train_step = TrainStep(ours, RECIPES[name])
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


@pytest.mark.parametrize("name", RECIPES)
def test_one_kernel_updates_as_torchs_several_do(name: str) -> None:
    model = seeded_model()
    train_step = TrainStep(model, RECIPES[name])
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


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_an_optimiser_has_every_parameter_once(recipe: Recipe) -> None:
    model = seeded_model(BN_AUX)
    optimized = [id(parameter) for group in make_optimizer(model, recipe).param_groups for parameter in group["params"]]
    assert sorted(optimized) == sorted(id(parameter) for parameter in model.parameters())


def test_the_learning_rate_holds_from_the_next_step_on() -> None:
    # Without momentum a step is minus the rate times the gradient.
    model = seeded_model()
    train_step = TrainStep(model, RECIPES["sgd"])
    weight = model.head.get_submodule("linear").weight
    assert isinstance(weight, Tensor)
    for rate, (images, labels) in zip((0.5, 0.25, 0.0), random_batches(3), strict=True):
        before = weight.detach().clone()
        train_step.set_learning_rate(rate)
        train_step.step(images, labels)
        assert weight.grad is not None
        torch.testing.assert_close(weight.detach(), before - rate * weight.grad)


def test_gradients_do_not_add_up_over_steps() -> None:
    model = seeded_model(replace(SHORT4, dropout=0.0))
    train_step = TrainStep(model, RECIPES["sgd"])
    train_step.set_learning_rate(0.0)
    ((images, labels),) = random_batches(1)
    gradients = []
    for _ in range(2):
        train_step.step(images, labels)
        gradients.append([parameter.grad for parameter in model.parameters()])
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=0)


@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_auxiliary_heads_add_their_weighted_cross_entropy(weight: float) -> None:
    assert BN_AUX.aux is not None
    model = seeded_model(replace(BN_AUX, aux=replace(BN_AUX.aux, weight=weight)))
    ((images, labels),) = random_batches(1, batch=4, image_size=32)
    output = model(images)
    assert len(output.aux) == 2
    losses = [
        log_loss(labels.numpy(), softmax(logits.detach().numpy()), labels=range(10))
        for logits in (output.logits, *output.aux)
    ]
    loss = training_loss(model, output, labels)
    assert float(loss.detach()) == pytest.approx(losses[0] + weight * (losses[1] + losses[2]), rel=1e-5)
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_without_auxiliary_heads_the_loss_is_the_cross_entropy() -> None:
    model = seeded_model()
    ((images, labels),) = random_batches(1)
    output = model(images)
    expected = log_loss(labels.numpy(), softmax(output.logits.detach().numpy()), labels=range(10))
    assert float(training_loss(model, output, labels).detach()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.1, 0.9])
def test_smoothed_labels_give_every_class_a_share(smoothing: float) -> None:
    # arXiv:1512.00567, section 7: of each label, that share is spread evenly over the classes.
    assert BN_AUX.aux is not None
    model = seeded_model(BN_AUX)
    ((images, labels),) = random_batches(1, batch=4, image_size=32)
    output = model(images)
    targets = (1 - smoothing) * np.eye(10)[labels.numpy()] + smoothing / 10
    losses = [
        -(targets * np.log(softmax(logits.detach().numpy()))).sum(axis=1).mean()
        for logits in (output.logits, *output.aux)
    ]
    loss = training_loss(model, output, labels, label_smoothing=smoothing)
    assert float(loss.detach()) == pytest.approx(losses[0] + BN_AUX.aux.weight * (losses[1] + losses[2]), rel=1e-5)


def test_a_step_smooths_labels_as_its_recipe_says() -> None:
    ((images, labels),) = random_batches(1)
    for smoothing in (0.0, 0.4):
        train_step, outputs = TrainStep(seeded_model(), replace(DIGITS, label_smoothing=smoothing)), list[Any]()
        train_step.model.register_forward_hook(lambda *passed, outputs=outputs: outputs.append(passed[-1]))
        loss = float(train_step.step(images, labels).loss)
        per_class = -outputs[0].logits.detach().double().log_softmax(dim=1)
        expected = (1 - smoothing) * per_class.gather(1, labels[:, None]).mean() + smoothing * per_class.mean()
        assert loss == pytest.approx(float(expected), rel=1e-5)


def test_a_steps_result_holds_no_graph() -> None:
    model = seeded_model()
    ((images, labels),) = random_batches(1)
    result = TrainStep(model, DIGITS).step(images, labels)
    assert not result.loss.requires_grad
    assert result.loss.shape == result.wrong.shape == ()


def counted(model: GoogLeNet) -> set[int]:
    """The numbers of batches that the network's batch norms say they have seen."""
    return {int(value) for name, value in model.state_dict().items() if name.endswith("num_batches_tracked")}


def test_batches_counted_apart_leave_the_state_as_counting_does() -> None:
    batches = random_batches(3)
    counting, apart = (TrainStep(seeded_model(replace(SHORT4, dropout=0.0)), DIGITS) for _ in range(2))
    for train_step in (counting, apart):
        train_step.step(*batches[0])
    for images, labels in batches[1:]:
        counting.step(images, labels)
    with batches_counted_apart(apart.model, batches=2):
        for images, labels in batches[1:]:
            apart.step(images, labels)
    assert counted(apart.model) == {3}
    torch.testing.assert_close(dict(apart.model.state_dict()), dict(counting.model.state_dict()), rtol=0, atol=0)


def test_batches_counted_apart_keep_the_counters_themselves_even_after_an_error() -> None:
    model = seeded_model()
    before = {name: buffer.data_ptr() for name, buffer in model.named_buffers()}
    with pytest.raises(ZeroDivisionError), batches_counted_apart(model, batches=2):
        raise ZeroDivisionError
    assert {name: buffer.data_ptr() for name, buffer in model.named_buffers()} == before


def test_a_network_without_batch_norm_has_nothing_to_count() -> None:
    model = seeded_model(replace(SHORT4, batch_norm=False))
    with batches_counted_apart(model, batches=2):
        model(random_batches(1)[0][0])
    assert counted(model) == set()


def test_a_finished_trainer_frees_its_network_at_once() -> None:
    # Not when garbage is collected: the next run's memory would count it.
    train_step = TrainStep(seeded_model(), RECIPES["adam"])
    train_step.step(*random_batches(1)[0])
    network = weakref.ref(train_step.model)
    gc.disable()
    try:
        del train_step
        assert network() is None
    finally:
        gc.enable()
