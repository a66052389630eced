"""Numbers that go wrong: losses that are not finite, odd counts of images, and bits that have to repeat."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ablations.data.dataset import Dataset, Split
from ablations.execution.serial import run_serially
from ablations.records.run_folder import RunFolder
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.run_config import RunConfig
from ablations.training.events import EpochDone, Event
from ablations.training.options import ExecutionOptions
from ablations.training.train import train

ROOT = Path(__file__).resolve().parents[2]
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def test_an_absurd_learning_rate_diverges_at_a_named_step_and_leaves_no_error_to_average(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path
) -> None:
    config = make_config(optimizer="sgd", learning_rate=1e20, schedule="constant")
    (record,) = run_serially([config], dataset=tiny_digits, suite=SuiteFolder(tmp_path), options=ExecutionOptions())
    assert record.status == "diverged" and record.test is None and record.test_accesses == 0
    assert record.message.startswith("the training loss stopped being finite in step 2 of epoch 1")
    folder = SuiteFolder(tmp_path).run(config)
    assert not folder.has_predictions and not list(folder.checkpoints.glob("*"))
    assert "NaN" not in (folder.path / "result.json").read_text() and "Infinity" not in record.message


def test_with_fewer_than_five_classes_there_is_no_top5(
    make_config: Callable[..., RunConfig], digits: Dataset, tmp_path: Path
) -> None:
    def of_four(split: Split) -> Split:
        return split.take(np.flatnonzero(split.labels < 4)[:100])

    four = replace(digits, train=of_four(digits.train), test=of_four(digits.test), class_names=("0", "1", "2", "3"))
    config = replace(make_config(dataset=digits, epochs=1), num_classes=4)
    (record,) = run_serially([config], dataset=four, suite=SuiteFolder(tmp_path), options=ExecutionOptions())
    assert record.test is not None and record.test.top5_wrong is None and record.test.top5_error is None
    data = json.loads((SuiteFolder(tmp_path).run(config).path / "result.json").read_text(encoding="utf-8"))
    assert data["test"]["top5_wrong"] is None


DETERMINISTIC = """
import sys
from dataclasses import replace
from pathlib import Path
from ablations.data.digits import load_digits
from ablations.execution.serial import run_serially
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.recipe import DIGITS
from ablations.suites.run_config import RunConfig
from ablations.training.options import ExecutionOptions
from googlenet import VARIANTS

digits = load_digits()
config = RunConfig(
    architecture=replace(VARIANTS["short4"], width=0.25, image_size=8), dataset="digits",
    fingerprint=digits.fingerprint, num_classes=10, recipe=replace(DIGITS, epochs=2, precision="fp32"), seed=1,
    limit_train=200,
)
options = ExecutionOptions(deterministic=True)
run_serially([config], dataset=digits, suite=SuiteFolder(Path(sys.argv[1])), options=options)
"""


@pytest.mark.process
def test_a_deterministic_run_repeats_its_bits_in_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / name for name in ("here", "elsewhere")]
    monkeypatch.setattr(sys, "argv", ["", str(folders[0])])
    exec(DETERMINISTIC, {})
    command = [sys.executable, "-c", DETERMINISTIC, str(folders[1])]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    finished = subprocess.run(command, cwd=ROOT, env=one_thread, capture_output=True, text=True, timeout=120)
    assert finished.returncode == 0, finished.stderr
    digests: list[dict[str, str]] = []
    for folder in folders:
        (run,) = (folder / "runs").iterdir()
        files = [*run.glob("checkpoint/weights-*.pt"), run / "predictions.npz", run / "config.json"]
        digests.append({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files})
        record: dict[str, Any] = json.loads((run / "result.json").read_text(encoding="utf-8"))
        assert record["status"] == "done" and record["environment"]["deterministic"] is True
    assert len(digests[0]) == 3 and digests[0] == digests[1]


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("variant", ["naive", "reduced", "long", "short", "short2", "short3", "short4"])
def test_on_a_gpu_a_deterministic_run_that_was_stopped_repeats_its_bits(
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    tmp_path: Path,
    stop_at: Callable[[type[Event], int], Callable[[Event], None]],
    outcome_of: Callable[[RunFolder], dict[str, Any]],
    variant: str,
) -> None:
    config = make_config(variant=variant, flip=0.5)
    outcomes = []
    for name in ("undisturbed", "stopped"):
        folder = RunFolder(tmp_path / name, config)
        options = ExecutionOptions(device=torch.device("cuda"), engine="graph", deterministic=True)
        run = partial(train, config, dataset=tiny_digits, folder=folder, options=options)
        if name == "stopped":
            with pytest.raises(KeyboardInterrupt):
                run(on_event=stop_at(EpochDone, 1))
        run()
        outcomes.append(outcome_of(folder))
    torch.testing.assert_close(outcomes[1], outcomes[0], rtol=0, atol=0)


def test_deterministic_kernels_are_asked_for_during_the_run_only(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path
) -> None:
    asked: list[bool] = []
    config = make_config(epochs=1)
    for deterministic in (True, False):
        train(
            config,
            dataset=tiny_digits,
            folder=RunFolder(tmp_path / str(deterministic), config),
            on_event=lambda event: asked.append(torch.are_deterministic_algorithms_enabled()),
            options=ExecutionOptions(deterministic=deterministic),
        )
        assert not torch.are_deterministic_algorithms_enabled()
    half = len(asked) // 2
    assert asked == [True] * half + [False] * half
