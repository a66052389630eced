"""A damaged checkpoint is noticed by its SHA-256, put in quarantine and named in the log; the one before it is used."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ablations.data.dataset import Dataset
from ablations.execution.serial import run_serially
from ablations.records.run_folder import RunFolder
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.run_config import RunConfig
from ablations.training import checkpoint
from ablations.training.events import EpochDone, Event, TrainingStarted
from ablations.training.options import ExecutionOptions

CPU = torch.device("cpu")
LOGGER = "ablations.checkpoint"
Damage = Callable[[bytes], bytes]


def flip_a_bit(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0x10]) + content[middle + 1 :]


DAMAGES = [
    pytest.param(lambda content: b"", id="empty"),
    pytest.param(lambda content: content[: len(content) // 1000], id="0.1-percent"),
    pytest.param(lambda content: content[: len(content) // 2], id="half"),
    pytest.param(lambda content: bytes(range(256)) * (len(content) // 256), id="garbage"),
    pytest.param(flip_a_bit, id="one-bit"),
]


def save(folder: Path, *epochs: int) -> None:
    for epoch in epochs:
        checkpoint.save(folder, {"weight": torch.full((10_000,), float(epoch))}, epoch=epoch)


def state_file(folder: Path, epoch: int) -> Path:
    (path,) = folder.glob(f"epoch-{epoch:06d}-*.pt")
    return path


def spoil(path: Path, damage: Damage) -> bytes:
    bad = damage(path.read_bytes())
    path.write_bytes(bad)
    return bad


def load(folder: Path) -> tuple[int, float] | None:
    found = checkpoint.load_newest(folder, at_most=99)
    return found and (found[0], float(found[1]["weight"][0]))


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_state_before_a_damaged_one_is_used_and_the_log_says_so(
    damage: Damage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, 6, 7, 8)
    sound, newest = state_file(tmp_path, 7), state_file(tmp_path, 8)
    bad = spoil(newest, damage)
    assert load(tmp_path) == (7, 7.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == [sound.name, f"{newest.name}.damaged"]
    assert newest.with_name(f"{newest.name}.damaged").read_bytes() == bad, "kept for whoever wants to look at it"
    ((name, level, message),) = caplog.record_tuples
    assert (name, level) == (LOGGER, logging.WARNING)
    assert message == (
        f"{newest} is damaged ({len(bad)} bytes; its SHA-256 is {hashlib.sha256(bad).hexdigest()}, its name says "
        "another): it was moved aside as .damaged and the state after epoch 7 is taken"
    )


@pytest.mark.parametrize("damage", DAMAGES)
def test_with_both_states_damaged_the_run_starts_anew_and_the_log_says_so(
    damage: Damage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, 1, 2)
    for epoch in (1, 2):
        spoil(state_file(tmp_path, epoch), damage)
    assert load(tmp_path) is None
    assert [path.suffix for path in tmp_path.iterdir()] == [".damaged"] * 2
    messages = [message.partition("moved aside")[2] for message in caplog.messages]
    assert messages == [" as .damaged and the state after epoch 1 is taken", " as .damaged and the run starts anew"]


def test_a_sound_state_is_loaded_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(tmp_path, 1, 2)
    assert load(tmp_path) == (2, 2.0)
    assert caplog.messages == []


def test_a_run_whose_newest_state_is_damaged_ends_like_one_that_was_never_stopped(
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    stop_at: Callable[[type[Event], int], Callable[[Event], None]],
    outcome_of: Callable[[RunFolder], dict[str, Any]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = make_config(epochs=4)

    def run(suite_dir: Path, on_event: Callable[[Event], None]) -> None:
        run_serially(
            [config], dataset=tiny_digits, suite=SuiteFolder(suite_dir), on_event=on_event, options=ExecutionOptions()
        )

    def outcome(suite_dir: Path) -> dict[str, Any]:
        return outcome_of(SuiteFolder(suite_dir).run(config))

    run(tmp_path / "undisturbed", lambda event: None)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", stop_at(EpochDone, 3))
    checkpoints = SuiteFolder(tmp_path / "stopped").run(config).checkpoints
    spoil(state_file(checkpoints, 3), flip_a_bit)
    started: list[int] = []

    def note_start(event: Event) -> None:
        if isinstance(event, TrainingStarted):
            started.append(event.finished_epochs)

    run(tmp_path / "stopped", note_start)
    assert started == [2]
    assert [record.name for record in caplog.records if record.levelno == logging.WARNING] == [LOGGER]
    torch.testing.assert_close(outcome(tmp_path / "stopped"), outcome(tmp_path / "undisturbed"), rtol=0, atol=0)
