"""A suite that is killed repeatedly and restarted until it is done loses no run and trains none twice."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from ablations.data.dataset import Dataset
from ablations.execution.serial import run_serially
from ablations.records.run_folder import RunFolder
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.run_config import RunConfig
from ablations.training.events import EpochDone, Event, StepDone
from ablations.training.options import ExecutionOptions

pytestmark = pytest.mark.process
EPOCHS = 3
KILLS_A_SUITE = 6
OutcomeOf = Callable[[RunFolder], dict[str, Any]]


class Attempt(NamedTuple):
    """One process that ran the suite: whether it finished, and the epochs that it trained, by run."""

    finished: bool
    epochs: list[tuple[str, int]]


@pytest.fixture
def configs(make_config: Callable[..., RunConfig]) -> list[RunConfig]:
    """Two runs, one of which chooses its epoch by validation, with everything that draws at random."""
    return [
        make_config(epochs=EPOCHS, flip=0.5, crop_padding=1, cutout=2),
        make_config(epochs=EPOCHS, validation_fraction=0.2, variant="short3"),
    ]


def attempt(configs: list[RunConfig], dataset: Dataset, suite_dir: Path, *, kill_after: float | None) -> Attempt:
    """Run the suite in a forked process; kill it with SIGKILL after so many seconds."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        status = 1
        try:
            run_serially(
                configs,
                dataset=dataset,
                suite=SuiteFolder(suite_dir),
                on_event=_telling(writing),
                options=ExecutionOptions(),
            )
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reading, encoding="utf-8") as told:
        lines = [line.rstrip("\n").split(" ") for line in told if line.endswith("\n")]
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), "the suite failed by itself"
    return Attempt(status == 0, [(run_id, int(epoch)) for run_id, epoch in lines])


def _telling(pipe: int) -> Callable[[Event], None]:
    def tell(event: Event) -> None:
        if isinstance(event, EpochDone):
            os.write(pipe, f"{event.run_id} {event.epoch.epoch}\n".encode())

    return tell


def kill_until_done(configs: list[RunConfig], dataset: Dataset, suite_dir: Path, *, seed: int) -> None:
    """Kill at random moments; then let it finish. Between two starts at most one epoch of a run is trained again."""
    chosen = random.Random(seed)
    trained: dict[str, int] = {}
    finished = False
    for number in range(KILLS_A_SUITE + 1):
        delay = chosen.uniform(0.0, 0.25) if number < KILLS_A_SUITE else None
        found = attempt(configs, dataset, suite_dir, kill_after=delay)
        begun: set[str] = set()
        for run_id, epoch in found.epochs:
            if run_id not in begun:
                assert epoch >= trained.get(run_id, 0), "more than one epoch was trained again"
                begun.add(run_id)
            trained[run_id] = epoch
        finished = found.finished
    assert finished


def assert_whole(configs: list[RunConfig], suite_dir: Path, undisturbed: Path, outcome_of: OutcomeOf) -> None:
    """The same records, weights, predictions and metrics as a suite that was never killed."""
    assert sorted(path.name for path in (suite_dir / "runs").iterdir()) == sorted(c.run_id for c in configs)
    for config in configs:
        ours, theirs = (SuiteFolder(path).run(config) for path in (suite_dir, undisturbed))
        torch.testing.assert_close(outcome_of(ours), outcome_of(theirs), rtol=0, atol=0)
        record, expected = ours.read_result(), theirs.read_result()
        assert record is not None and expected is not None
        assert record.status == "done" and record.test == expected.test and record.test_accesses == 1
        lines = (ours.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["epoch"] for line in lines] == list(range(1, EPOCHS + 1))
        assert not list(ours.path.rglob("*.damaged"))


@pytest.mark.parametrize("suites", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments_and_started_again(
    configs: list[RunConfig], tiny_digits: Dataset, tmp_path: Path, outcome_of: OutcomeOf, suites: int
) -> None:
    undisturbed = tmp_path / "undisturbed"
    run_serially(configs, dataset=tiny_digits, suite=SuiteFolder(undisturbed), options=ExecutionOptions())
    for seed in range(suites):
        suite_dir = tmp_path / f"killed-{seed}"
        kill_until_done(configs, tiny_digits, suite_dir, seed=seed)
        assert_whole(configs, suite_dir, undisturbed, outcome_of)


@pytest.mark.slow  # tests/training/test_train.py stops one variant after every epoch
@pytest.mark.parametrize("variant", ["naive", "reduced", "long", "short", "short2", "short3", "short4"])
def test_stopped_after_every_epoch_a_variant_gives_the_same_bits(
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    tmp_path: Path,
    stop_at: Callable[[type[Event], int], Callable[[Event], None]],
    outcome_of: OutcomeOf,
    variant: str,
) -> None:
    config = make_config(variant=variant, width=0.0625, epochs=3, limit_train=64, validation_fraction=0.25)
    run_serially([config], dataset=tiny_digits, suite=SuiteFolder(tmp_path / "undisturbed"), options=ExecutionOptions())
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run_serially(
                [config],
                dataset=tiny_digits,
                suite=SuiteFolder(tmp_path / "stopped"),
                on_event=stop_at(EpochDone, 1),
                options=ExecutionOptions(),
            )
    steps: list[Event] = []
    run_serially(
        [config],
        dataset=tiny_digits,
        suite=SuiteFolder(tmp_path / "stopped"),
        on_event=steps.append,
        options=ExecutionOptions(),
    )
    assert len([event for event in steps if isinstance(event, StepDone)]) == 2, "48 images in batches of 32, one epoch"
    ours, theirs = (SuiteFolder(tmp_path / name).run(config) for name in ("stopped", "undisturbed"))
    torch.testing.assert_close(outcome_of(ours), outcome_of(theirs), rtol=0, atol=0)
    record, expected = ours.read_result(), theirs.read_result()
    assert record is not None and expected is not None and record.test == expected.test
