"""Predictions of finished runs: counted by hand, held against their records, and named where they are damaged."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ablations.analysis.images import per_image
from ablations.analysis.images.per_image import PerImageErrors, read_per_image_errors
from ablations.analysis.results import load_results
from ablations.errors import ConfigError
from ablations.records.predictions import Predictions
from ablations.records.run_folder import RunFolder
from ablations.records.suite_folder import SuiteFolder
from ablations.suites import plan as plans
from ablations.suites.builtin import SUITES
from ablations.suites.run_config import RunConfig
from ablations.suites.suite import select
from benchmarks.synthetic_records import make_data
from tests.support.synthetic_suites import failed, make_plan, make_record, save

LABELS = np.repeat(np.arange(10), 20)
# By variant and seed the wrong images of each class, of 20.
WRONG = {
    "reduced": [[10, 9, 8, 7, 6, 5, 4, 3, 2, 1], [11, 9, 8, 7, 6, 5, 4, 3, 2, 0]],
    "short": [[10, 9, 8, 17, 6, 5, 4, 3, 2, 1], [11, 9, 8, 16, 6, 5, 4, 3, 2, 0]],
}


def arrays(wrong: list[int], *, labels: NDArray[Any] = LABELS, confidence: float = 0.75) -> dict[str, NDArray[Any]]:
    """Predictions with the first `wrong[c]` images of each class c wrong, a third of all these in top-5 too."""
    guesses = min(5, len(wrong))
    classes = (labels[:, None] + np.arange(guesses)) % len(wrong)
    missed = np.flatnonzero(np.concatenate([np.arange((labels == c).sum()) < wrong[c] for c in range(len(wrong))]))
    classes[missed] = classes[missed][:, [*range(1, guesses), 0]]
    if guesses == 5:
        top5_missed = missed[: len(missed) // 3]
        classes[top5_missed] = (labels[top5_missed, None] + np.arange(1, 6)) % len(wrong)
    return {
        "classes": classes,
        "logits": np.zeros(classes.shape, np.float32),
        "confidence": np.full(len(labels), confidence, np.float32),
        "labels": labels,
    }


def save_run(suite_dir: Path, config: RunConfig, predictions: dict[str, NDArray[Any]]) -> RunFolder:
    """Save predictions and the record of a finished run that has their errors."""
    folder = SuiteFolder(suite_dir).run(config)
    record = make_record(config, wrong=int((predictions["classes"][:, 0] != predictions["labels"]).sum()))
    assert record.test is not None
    test = replace(record.test, images=len(predictions["labels"]))
    if predictions["classes"].shape[1] < 5:
        test = replace(test, top5_wrong=None)
    folder.write_result(replace(record, test=test))
    folder.write_predictions(Predictions(**predictions))
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> list[RunFolder]:
    """The folders of the four runs of `WRONG`, seed by seed."""
    plan = make_plan("cifar10", seeds=2, variants=tuple(WRONG))
    plan = replace(plan, data=replace(plan.data, test_images=len(LABELS)))
    save(tmp_path, plan, [])
    return [save_run(tmp_path, run, arrays(WRONG[run.architecture.name][run.seed - 1])) for run in plan.runs]


def read(suite_dir: Path) -> PerImageErrors:
    return read_per_image_errors(load_results(suite_dir), SuiteFolder(suite_dir))


def test_runs_have_their_counts_by_class_and_their_calibration(tmp_path: Path, folders: list[RunFolder]) -> None:
    config = folders[-1].config
    save_run(tmp_path, config, arrays(WRONG["short"][1], confidence=0.9))
    found = read(tmp_path)
    assert found.unread == ()
    assert [run.run_id for run in found.runs] == [folder.config.run_id for folder in folders]
    for run in found.runs:
        assert run.wrong.tolist() == WRONG[run.variant][run.seed - 1]
        assert run.images.tolist() == [20] * 10
        # One confidence for all images: the calibration error is its distance from the accuracy.
        assert run.confidence == pytest.approx(0.9 if run.run_id == config.run_id else 0.75)
        accuracy = 1 - sum(WRONG[run.variant][run.seed - 1]) / 200
        assert run.calibration_error == pytest.approx(abs(run.confidence - accuracy))


@pytest.mark.parametrize(
    ("changes", "recorded"),
    [
        ({"top1_wrong": 54}, "54 of 200 images wrong and 18 in top-5"),
        ({"top5_wrong": 19}, "55 of 200 images wrong and 19 in top-5"),
        ({"top5_wrong": None}, "55 of 200 images wrong;"),
    ],
)
def test_predictions_that_contradict_their_record_are_refused(
    tmp_path: Path, folders: list[RunFolder], changes: dict[str, int], recorded: str
) -> None:
    folder = folders[0]  # with 55 wrong
    record = folder.read_result()
    assert record is not None and record.test is not None
    folder.write_result(replace(record, test=replace(record.test, **changes)))
    with pytest.raises(ConfigError, match="--fresh moves them aside") as caught:
        read(tmp_path)
    said = str(caught.value)
    assert said.startswith(f"{folder.config.run_id}: its predictions have 55 of 200 images wrong and 18 in top-5")
    assert f"its record {recorded}" in said


def test_predictions_for_other_test_images_are_refused(tmp_path: Path, folders: list[RunFolder]) -> None:
    labels = LABELS.copy()
    labels[19] = 1
    folders[-1].write_predictions(Predictions(**arrays(WRONG["short"][1], labels=labels)))
    with pytest.raises(ConfigError, match="other test images") as caught:
        read(tmp_path)
    assert folders[-1].config.run_id in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"labels": LABELS + 1}, "10 classes"),
        ({"labels": LABELS - 1}, "10 classes"),
        ({"labels": LABELS[1:]}, "shapes"),
        ({"classes": np.zeros((len(LABELS), 4), np.uint8)}, "4 classes an image, where 5 are kept"),
        ({"classes": np.zeros((len(LABELS), 0), np.uint8)}, "0 classes an image, where 5 are kept"),
        ({"labels": LABELS.astype(float)}, "10 classes"),
        ({"labels": LABELS.astype(str)}, "10 classes"),
        ({"labels": np.array(3)}, "shapes"),
        ({"confidence": np.full(len(LABELS), 2.0)}, "fractions"),
        ({"confidence": np.full(len(LABELS), "likely")}, "fractions"),
    ],
)
def test_arrays_that_make_no_sense_are_named(
    tmp_path: Path, folders: list[RunFolder], damage: dict[str, NDArray[Any]], said: str
) -> None:
    stored: dict[str, Any] = arrays(WRONG["reduced"][0]) | damage
    np.savez(folders[0].path / "predictions.npz", **stored)
    found = read(tmp_path)
    (line,) = found.unread
    assert line.startswith(f"{folders[0].config.run_id}/predictions.npz") and said in line
    assert line.endswith("; --fresh trains the run again")
    assert [run.run_id for run in found.runs] == [folder.config.run_id for folder in folders[1:]]


def test_damaged_and_missing_files_are_named_without_their_place(tmp_path: Path, folders: list[RunFolder]) -> None:
    rng = np.random.default_rng(1)
    paths = [folder.path / "predictions.npz" for folder in folders]
    paths[0].unlink()
    paths[1].write_bytes(b"no archive")
    paths[2].write_bytes(paths[2].read_bytes()[:-1000])
    content = bytearray(paths[3].read_bytes())
    content[80:200] = rng.bytes(120)  # in the first array
    paths[3].write_bytes(content)
    found = read(tmp_path)
    assert found.runs == ()
    assert found.unread[0] == f"{folders[0].config.run_id}/predictions.npz is missing; --fresh trains the run again"
    for line, folder in zip(found.unread[1:], folders[1:], strict=True):
        assert line.startswith(f"{folder.config.run_id}/predictions.npz cannot be read (")
        assert str(tmp_path) not in line, "a report does not depend on where its suite is stored"


def test_runs_that_are_not_done_are_not_read(tmp_path: Path, folders: list[RunFolder]) -> None:
    record = make_record(folders[-1].config, wrong=1)  # which the predictions would contradict
    folders[-1].write_result(failed(record, status="diverged", message="the loss is not finite"))
    found = read(tmp_path)
    assert found.unread == () and len(found.runs) == 3


def test_fewer_than_five_classes_have_no_top5_to_check(tmp_path: Path) -> None:
    data = replace(make_data("cifar10", title="four classes", num_classes=4), test_images=40)
    plan = plans.make_plan(select(SUITES["cifar10"], variants=("reduced",)), data=data, command="")
    save(tmp_path, plan, [])
    save_run(tmp_path, plan.runs[0], arrays([1, 0, 3, 0], labels=np.repeat(np.arange(4), 10)))
    (run,) = read(tmp_path).runs
    assert (run.wrong.tolist(), run.images.tolist()) == ([1, 0, 3, 0], [10] * 4)


def test_runs_are_in_plan_order_whichever_is_read_first(
    tmp_path: Path, folders: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [folder.path for folder in folders]
    ended = [threading.Event() for _ in places]
    order: list[int] = []
    real = np.load

    def last_first(file: Any, **options: Any) -> Any:
        place = places.index(Path(file.name).parent)
        assert place + 1 == len(places) or ended[place + 1].wait(timeout=30)
        order.append(place)
        ended[place].set()
        return real(file, **options)

    monkeypatch.setattr(per_image, "READERS", len(places))
    monkeypatch.setattr(np, "load", last_first)
    assert [run.run_id for run in read(tmp_path).runs] == [folder.config.run_id for folder in folders]
    assert order == [3, 2, 1, 0]
