"""Predictions and counts of errors, against cases made by hand, the network itself and scikit-learn's metrics."""

from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch
from sklearn.metrics import top_k_accuracy_score
from torch import Tensor, nn

from ablations.records.predictions import Predictions
from ablations.suites.recipe import DIGITS
from ablations.training.evaluation import predict
from ablations.training.step import TrainStep
from googlenet import VARIANTS, GoogLeNet, Output, build


class Echo(nn.Module):
    """Stands in for a network: it gives as logits the images that it gets."""

    def forward(self, x: Tensor) -> Output:
        assert not self.training
        return Output(x, ())


def seeded_model() -> GoogLeNet:
    torch.manual_seed(3)
    return build(replace(VARIANTS["short4"], width=0.125, image_size=8), num_classes=10).train()


def predict_logits(logits: np.ndarray, labels: np.ndarray, *, batch: int = 500) -> Predictions:
    batches = zip(torch.tensor(logits).split(batch), torch.tensor(labels).split(batch), strict=True)
    return predict(cast(GoogLeNet, Echo()), batches)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


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


@pytest.mark.parametrize("count", [1, 7, 501])
@pytest.mark.parametrize("classes", [6, 10, 100])
def test_counts_are_those_of_scikit_learn(classes: int, count: int) -> None:
    random = np.random.default_rng(classes + count)
    logits = random.normal(size=(count, classes)).astype(np.float32)
    labels = random.integers(classes, size=count)
    found = predict_logits(logits, labels, batch=50)
    assert found.top5_wrong is not None
    for wrong, k in ((found.wrong, 1), (found.top5_wrong, 5)):
        right = top_k_accuracy_score(labels, logits, k=k, normalize=False, labels=np.arange(classes))
        assert wrong.sum() == count - right
    expected = softmax(logits)[np.arange(count), labels]
    np.testing.assert_allclose(found.true_probability, expected, rtol=1e-5)


@pytest.mark.parametrize("classes", [2, 4])
def test_fewer_than_five_classes_are_all_kept(classes: int) -> None:
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(30, classes)).astype(np.float32), random.integers(classes, size=30)
    found = predict_logits(logits, labels)
    np.testing.assert_array_equal(found.wrong, logits.argmax(axis=1) != labels)
    assert found.classes.shape == found.logits.shape == (30, classes)


@pytest.mark.parametrize("count", [1, 7, 501])
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


def test_predictions_in_bf16_are_near_those_in_fp32_and_of_single_precision() -> None:
    model = seeded_model()
    images = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    batches = [(images, torch.arange(64) % 10)]
    exact, rounded = predict(model, batches), predict(model, batches, precision="bf16")
    assert rounded.logits.dtype == rounded.true_probability.dtype == np.float32
    assert not np.array_equal(rounded.logits, exact.logits)
    # bfloat16 has 8 bits of precision.
    scale = float(np.abs(exact.logits).max())
    np.testing.assert_allclose(rounded.logits, exact.logits, rtol=0, atol=0.05 * scale)
