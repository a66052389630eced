"""One step and one evaluation pass, against loops and formulas written out by hand and scikit-learn's metrics."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, top_k_accuracy_score
from torch import Tensor, nn
from torch.nn import functional

from ablations import engine
from ablations.config import DIGITS, PUBLISHED, Recipe
from googlenet import REFERENCES, VARIANTS, Architecture, GoogLeNet, Output, build

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
WRITTEN_OUT: dict[str, Callable[[list[Tensor]], torch.optim.Optimizer]] = {
    "adadelta": lambda parameters: torch.optim.Adadelta(parameters, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.01),
    "adam": lambda parameters: torch.optim.Adam(
        parameters, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, amsgrad=False
    ),
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1),
    "sgd-momentum": lambda parameters: torch.optim.SGD(
        parameters, lr=0.1, momentum=0.9, dampening=0, weight_decay=5e-4, nesterov=True
    ),
}


class Echo(nn.Module):
    """Stands in for a network: it gives as logits the images that it gets."""

    def forward(self, x: Tensor) -> Output:
        assert not self.training
        return Output(x, ())


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


def predict_logits(logits: np.ndarray, labels: np.ndarray, *, batch: int = 500) -> engine.Predictions:
    batches = zip(torch.tensor(logits).split(batch), torch.tensor(labels).split(batch), strict=True)
    return engine.predict(cast(GoogLeNet, Echo()), batches)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("name", RECIPES)
def test_steps_are_those_of_a_loop_written_out(name: str) -> None:
    ours, theirs, batches = seeded_model(), seeded_model(), random_batches(5)
    optimizer = engine.make_optimizer(ours, RECIPES[name])
    torch.manual_seed(11)  # of dropout
    results = [engine.train_step(ours, optimizer, images, labels) for images, labels in batches]

    written_out = WRITTEN_OUT[name](list(theirs.parameters()))
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


def test_adadelta_follows_its_paper() -> None:
    # Zeiler 2012, arXiv:1212.5701, algorithm 1, with the learning rate that torch adds, over three steps.
    model = seeded_model()
    optimizer = engine.make_optimizer(model, replace(PUBLISHED, learning_rate=0.5))
    weight = model.head.get_submodule("linear").weight
    assert isinstance(weight, Tensor)
    expected = weight.detach().double()
    squares, updates = torch.zeros_like(expected), torch.zeros_like(expected)
    for images, labels in random_batches(3):
        engine.train_step(model, optimizer, images, labels)
        assert weight.grad is not None
        gradient = weight.grad.double()
        squares = 0.9 * squares + 0.1 * gradient**2
        update = ((updates + 1e-6) / (squares + 1e-6)).sqrt() * gradient
        updates = 0.9 * updates + 0.1 * update**2
        expected = expected - 0.5 * update
    torch.testing.assert_close(weight.detach().double(), expected, rtol=1e-5, atol=1e-7)


def test_the_published_recipes_adadelta_is_torchs_default() -> None:
    optimizer = engine.make_optimizer(seeded_model(), PUBLISHED)
    assert isinstance(optimizer, torch.optim.Adadelta)
    assert optimizer.defaults == torch.optim.Adadelta([torch.zeros(1)]).defaults


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_an_optimiser_has_every_parameter_once(recipe: Recipe) -> None:
    model = seeded_model(BN_AUX)
    optimized = [
        id(parameter) for group in engine.make_optimizer(model, recipe).param_groups for parameter in group["params"]
    ]
    assert sorted(optimized) == sorted(id(parameter) for parameter in model.parameters())


def test_the_learning_rate_holds_from_the_next_step_on() -> None:
    # Without momentum a step is minus the rate times the gradient.
    model = seeded_model()
    optimizer = engine.make_optimizer(model, RECIPES["sgd"])
    weight = model.head.get_submodule("linear").weight
    assert isinstance(weight, Tensor)
    for rate, (images, labels) in zip((0.5, 0.25, 0.0), random_batches(3), strict=True):
        before = weight.detach().clone()
        engine.set_learning_rate(optimizer, rate)
        engine.train_step(model, optimizer, images, labels)
        assert weight.grad is not None
        torch.testing.assert_close(weight.detach(), before - rate * weight.grad)


def test_gradients_do_not_add_up_over_steps() -> None:
    model = seeded_model(replace(SHORT4, dropout=0.0))
    optimizer = engine.make_optimizer(model, RECIPES["sgd"])
    engine.set_learning_rate(optimizer, 0.0)
    ((images, labels),) = random_batches(1)
    gradients = []
    for _ in range(2):
        engine.train_step(model, optimizer, images, labels)
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
    loss = engine.training_loss(model, output, labels)
    assert float(loss.detach()) == pytest.approx(losses[0] + weight * (losses[1] + losses[2]), rel=1e-5)
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_without_auxiliary_heads_the_loss_is_the_cross_entropy() -> None:
    model = seeded_model()
    ((images, labels),) = random_batches(1)
    output = model(images)
    expected = log_loss(labels.numpy(), softmax(output.logits.detach().numpy()), labels=range(10))
    assert float(engine.training_loss(model, output, labels).detach()) == pytest.approx(expected, rel=1e-5)


def test_a_steps_result_holds_no_graph() -> None:
    model = seeded_model()
    ((images, labels),) = random_batches(1)
    result = engine.train_step(model, engine.make_optimizer(model, DIGITS), images, labels)
    assert not result.loss.requires_grad
    assert result.loss.shape == result.wrong.shape == ()


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
    # By hand: exp(label's logit) over 1 + e + ... + e^6 = (e^7 - 1) / (e - 1).
    total = (np.e**7 - 1) / (np.e - 1)
    assert found.true_probability.tolist() == pytest.approx([np.e**6 / total, np.e**2 / total, np.e / total], rel=1e-5)
    assert (found.wrong, found.wrong_in_top5) == (2, 1)


@pytest.mark.parametrize("count", [1, 7, 501])
@pytest.mark.parametrize("classes", [6, 10, 100])
def test_counts_are_those_of_scikit_learn(classes: int, count: int) -> None:
    random = np.random.default_rng(classes + count)
    logits = random.normal(size=(count, classes)).astype(np.float32)
    labels = random.integers(classes, size=count)
    found = predict_logits(logits, labels, batch=50)
    for wrong, k in ((found.wrong, 1), (found.wrong_in_top5, 5)):
        right = top_k_accuracy_score(labels, logits, k=k, normalize=False, labels=np.arange(classes))
        assert wrong == count - right
    expected = softmax(logits)[np.arange(count), labels]
    np.testing.assert_allclose(found.true_probability.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("classes", [2, 4])
def test_top5_is_none_with_fewer_than_five_classes(classes: int) -> None:
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(30, classes)).astype(np.float32), random.integers(classes, size=30)
    found = predict_logits(logits, labels)
    assert found.wrong_in_top5 is None
    assert found.wrong == (logits.argmax(axis=1) != labels).sum() > 0
    assert found.classes.shape == found.logits.shape == (30, classes)


def test_with_five_classes_none_is_wrong_in_top5() -> None:
    random = np.random.default_rng(0)
    found = predict_logits(random.normal(size=(30, 5)).astype(np.float32), random.integers(5, size=30))
    assert found.wrong_in_top5 == 0 < found.wrong


@pytest.mark.parametrize("count", [1, 7, 501])
def test_predictions_are_the_networks_in_evaluation_whatever_the_batches(count: int) -> None:
    model = seeded_model()
    images = torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(count) % 10
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = engine.predict(model, zip(images.split(50), labels.split(50), strict=True))
    assert not model.training
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)  # batch norm's statistics included

    with torch.no_grad():
        logits = model(images).logits
    expected = logits.sort(dim=1, descending=True)
    assert found.classes.shape == (count, 5)
    torch.testing.assert_close(found.logits, expected.values[:, :5])
    torch.testing.assert_close(logits.gather(1, found.classes), expected.values[:, :5])
    assert found.labels.tolist() == labels.tolist()
    assert found.wrong == int((logits.argmax(dim=1) != labels).sum())


def test_a_model_trains_on_after_predicting() -> None:
    model = seeded_model()
    engine.predict(model, random_batches(1))
    model.train()
    ((images, labels),) = random_batches(1)
    result = engine.train_step(model, engine.make_optimizer(model, DIGITS), images, labels)
    assert result.loss.isfinite()
