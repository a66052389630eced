"""The arrays of predictions.npz there and back, and what is wrong in them: cases by hand and scikit-learn's metrics."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import top_k_accuracy_score

from ablations.errors import ConfigError
from ablations.records import predictions
from ablations.records.predictions import Predictions

ARRAYS = ("classes", "logits", "confidence", "labels", "loss")


@dataclass(frozen=True)
class Made:
    """Random scores (N, C) and labels, and the predictions that they come to."""

    scores: NDArray[np.float32]
    found: Predictions


def made(*, images: int = 70, classes: int = 10, seed: int = 0) -> Made:
    random = np.random.default_rng(seed)
    scores, labels = random.normal(size=(images, classes)).astype(np.float32), random.integers(classes, size=images)
    order = np.argsort(-scores, axis=1)[:, :5]
    confidence = random.random(images).astype(np.float32)
    logits = np.take_along_axis(scores, order, axis=1)
    loss = random.random(images).astype(np.float32)
    return Made(scores, Predictions(order, logits, confidence, labels, loss))


def test_what_is_wrong_in_a_case_made_by_hand() -> None:
    classes = np.array([[0, 1, 2, 3, 4], [6, 5, 4, 3, 2], [0, 1, 2, 3, 4]])
    single = np.zeros(3, np.float32)
    found = Predictions(classes, np.zeros((3, 5), np.float32), single, np.array([0, 2, 5]))
    assert found.wrong.tolist() == [False, True, True]
    assert found.top5_wrong is not None and found.top5_wrong.tolist() == [False, False, True]


@pytest.mark.parametrize("images", [1, 7, 501])
@pytest.mark.parametrize("classes", [6, 10, 100])
def test_counts_are_those_of_scikit_learn(images: int, classes: int) -> None:
    case = made(images=images, classes=classes, seed=images + classes)
    assert case.found.top5_wrong is not None
    for wrong, k in ((case.found.wrong, 1), (case.found.top5_wrong, 5)):
        right = top_k_accuracy_score(case.found.labels, case.scores, k=k, normalize=False, labels=np.arange(classes))
        assert wrong.shape == (images,) and wrong.sum() == images - right


@pytest.mark.parametrize("classes", [2, 4])
def test_there_is_no_top5_with_fewer_than_five_classes(classes: int) -> None:
    found = made(classes=classes).found
    assert found.top5_wrong is None
    assert found.wrong.any()


def test_of_five_classes_none_is_top5_wrong() -> None:
    found = made(classes=5).found
    assert found.top5_wrong is not None and not found.top5_wrong.any() and found.wrong.any()


@pytest.mark.parametrize(("classes", "narrow"), [(10, np.uint8), (256, np.uint8), (257, np.uint16)])
def test_arrays_come_back_without_pickle_in_the_narrowest_type(
    tmp_path: Path, classes: int, narrow: type[np.integer]
) -> None:
    path, written = tmp_path / "predictions.npz", made(classes=classes).found
    predictions.write(path, written, num_classes=classes)
    with np.load(path, allow_pickle=False) as stored:
        assert tuple(stored.files) == ARRAYS
    for name, there, back in zip(ARRAYS, written, predictions.read(path), strict=True):
        assert back.dtype == (narrow if name in ("classes", "labels") else np.float32)
        np.testing.assert_array_equal(back, there)


def test_only_the_arrays_asked_for_are_read(tmp_path: Path) -> None:
    path, written = tmp_path / "predictions.npz", made().found
    predictions.write(path, written, num_classes=10)
    with zipfile.ZipFile(path) as archive:
        logits = archive.getinfo("logits.npy")
    content = bytearray(path.read_bytes())
    content[logits.header_offset + 200] ^= 0xFF  # in the array itself, as its checksum tells whoever reads it
    path.write_bytes(content)
    found = predictions.read(path, fields=("classes", "labels"))
    np.testing.assert_array_equal(found.wrong, written.wrong)
    assert not found.logits.size and not found.confidence.size
    with pytest.raises(ConfigError, match="CRC"):
        predictions.read(path)


def test_files_of_earlier_versions_are_read(tmp_path: Path) -> None:
    path, written = tmp_path / "predictions.npz", made().found
    arrays = written._asdict()
    del arrays["loss"]  # of version 0.5
    np.savez(path, **arrays, true_probability=written.confidence)  # of version 0.3
    back = predictions.read(path)
    for name, there in arrays.items():
        np.testing.assert_array_equal(getattr(back, name), there)
    assert len(back.loss) == 0


@pytest.mark.parametrize("content", [None, b"", b"no archive", b"PK\x03\x04"])
def test_what_cannot_be_read_is_named_with_a_remedy(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "predictions.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="--fresh trains the run again") as raised:
        predictions.read(path)
    assert str(path) in str(raised.value)


def test_an_array_that_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "predictions.npz"
    labels = np.zeros(3)
    np.savez(path, classes=labels, logits=labels, labels=labels)
    with pytest.raises(ConfigError, match="confidence"):
        predictions.read(path)


@pytest.mark.parametrize(
    "change", [{"labels": np.zeros(3)}, {"classes": np.zeros(70)}, {"confidence": np.zeros((70, 2))}]
)
def test_arrays_that_do_not_fit_together_are_refused(tmp_path: Path, change: dict[str, NDArray[np.float64]]) -> None:
    path = tmp_path / "predictions.npz"
    arrays: dict[str, Any] = made().found._asdict() | change
    np.savez(path, **arrays)
    with pytest.raises(ConfigError, match="predictions.npz cannot be read .its arrays have shapes .*--fresh"):
        predictions.read(path)
