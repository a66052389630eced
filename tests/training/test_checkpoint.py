"""Training state on disk: what comes back, what a damaged or hostile file does, and a process killed while saving."""

import hashlib
import logging
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ablations.suites.recipe import DIGITS, PUBLISHED, Recipe
from ablations.training import checkpoint
from ablations.training.step import TrainStep
from googlenet import VARIANTS, build

SGD = replace(DIGITS, optimizer="sgd", learning_rate=0.1, momentum=0.9)


class Hostile:
    """Unpickled, it makes a folder."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.trace),)


def trained(recipe: Recipe = DIGITS, *, seed: int = 1) -> TrainStep:
    """A small network and its optimiser after two steps."""
    torch.manual_seed(seed)
    model = build(replace(VARIANTS["short4"], width=0.125, image_size=8), num_classes=10)
    train_step = TrainStep(model, recipe)
    for _ in range(2):
        train_step.step(torch.randn(8, 3, 8, 8), torch.arange(8))
    return train_step


def small_state(number: int) -> dict[str, Any]:
    return {"model": {"weight": torch.full((1000,), float(number))}, "optimizer": {"step": number}}


def newest(folder: Path) -> tuple[int, float]:
    """Epoch and content of the newest state that `small_state` made."""
    found = checkpoint.load_newest(folder, at_most=99)
    assert found is not None
    epoch, state = found
    return epoch, float(state["model"]["weight"][0])


def file_of(folder: Path, stem: str) -> Path:
    (path,) = folder.glob(f"{stem}-*.pt")
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def lose_last_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def overwrite(path: Path) -> None:
    path.write_bytes(b"no checkpoint at all")


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = [empty, cut_in_half, lose_last_byte, overwrite, flip_a_bit]


@pytest.mark.parametrize("recipe", [DIGITS, PUBLISHED, SGD], ids=lambda recipe: recipe.optimizer)
def test_model_and_optimiser_come_back_bit_for_bit_and_train_on_alike(tmp_path: Path, recipe: Recipe) -> None:
    train_step = trained(recipe)
    checkpoint.save(
        tmp_path, {"model": train_step.model.state_dict(), "optimizer": train_step.optimizer.state_dict()}, epoch=7
    )
    found = checkpoint.load_newest(tmp_path, at_most=99)
    assert found is not None
    epoch, state = found
    assert epoch == 7
    saved = {"model": dict(train_step.model.state_dict()), "optimizer": train_step.optimizer.state_dict()}
    loaded = {"model": dict(state["model"]), "optimizer": state["optimizer"]}
    torch.testing.assert_close(loaded, saved, rtol=0, atol=0)

    other = trained(recipe, seed=2)
    other.model.load_state_dict(state["model"])
    other.optimizer.load_state_dict(state["optimizer"])
    for each in (train_step, other):
        torch.manual_seed(3)
        each.step(torch.randn(8, 3, 8, 8), torch.arange(8))
    torch.testing.assert_close(dict(other.model.state_dict()), dict(train_step.model.state_dict()), rtol=0, atol=0)


def test_the_two_newest_states_are_kept(tmp_path: Path) -> None:
    for epoch in range(1, 12):
        checkpoint.save(tmp_path, small_state(epoch), epoch=epoch)
        assert newest(tmp_path) == (epoch, epoch)
        assert [int(name[6:12]) for name in names(tmp_path)] == list(range(max(1, epoch - 1), epoch + 1))


def test_states_beyond_a_million_epochs_are_found_and_forgotten_by_number(tmp_path: Path) -> None:
    for epoch in (999_998, 999_999, 1_000_000, 1_000_001):
        checkpoint.save(tmp_path, small_state(epoch), epoch=epoch)
        found = checkpoint.load_newest(tmp_path, at_most=2_000_000)
        assert found is not None and found[0] == epoch
        assert len(names(tmp_path)) <= 2
    assert [name.split("-")[1] for name in names(tmp_path)] == ["1000000", "1000001"]
    checkpoint.discard_states(tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("state", [{"model": {}}, [1], {}], ids=["part", "list", "empty"])
def test_a_state_without_a_key_that_is_needed_is_moved_aside(state: Any, tmp_path: Path) -> None:
    checkpoint.save(tmp_path, small_state(1), epoch=1)
    checkpoint.save(tmp_path, state, epoch=2)
    found = checkpoint.load_newest(tmp_path, at_most=99, keys=("model", "optimizer"))
    assert found is not None and found[0] == 1
    assert sorted(Path(name).suffix for name in names(tmp_path)) == [".damaged", ".pt"]


def test_a_states_name_holds_its_sha256(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, small_state(1), epoch=1)
    path = file_of(tmp_path, "epoch-000001")
    assert path.name == f"epoch-000001-{hashlib.sha256(path.read_bytes()).hexdigest()}.pt"


@pytest.mark.parametrize("contents", [(1, 2), (2, 1)])
def test_a_state_saved_again_takes_the_earlier_ones_place(tmp_path: Path, contents: tuple[int, int]) -> None:
    # As when an epoch is trained again after its record was lost.
    for content in contents:
        checkpoint.save(tmp_path, small_state(content), epoch=3)
    assert newest(tmp_path) == (3, contents[-1])


@pytest.mark.parametrize("folder", ["", "missing"])
def test_there_may_be_no_state_yet(tmp_path: Path, folder: str) -> None:
    assert checkpoint.load_newest(tmp_path / folder, at_most=99) is None
    checkpoint.discard_states(tmp_path / folder)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_moved_aside_the_one_before_it_used_and_the_log_says_so(
    tmp_path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    for epoch in (1, 2):
        checkpoint.save(tmp_path, small_state(epoch), epoch=epoch)
    path = file_of(tmp_path, "epoch-000002")
    damage(path)
    bad = path.read_bytes()
    assert newest(tmp_path) == (1, 1)
    assert not path.exists()
    assert path.with_name(f"{path.name}.damaged").read_bytes() == bad, "kept for inspection"
    message = (
        f"{path} is damaged ({len(bad)} bytes; its SHA-256 is {hashlib.sha256(bad).hexdigest()}, its name says "
        "another): it was moved aside as .damaged and the state after epoch 1 is taken"
    )
    assert caplog.record_tuples == [("ablations.training.checkpoint", logging.WARNING, message)]
    checkpoint.save(tmp_path, small_state(2), epoch=2)
    assert newest(tmp_path) == (2, 2)
    assert len(caplog.records) == 1


@pytest.mark.parametrize("position", [0.0, 0.01, 0.999])
def test_one_flipped_bit_is_noticed_wherever_it_is(tmp_path: Path, position: float) -> None:
    checkpoint.save(tmp_path, small_state(1), epoch=1)
    path = file_of(tmp_path, "epoch-000001")
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] ^= 0x80
    path.write_bytes(content)
    assert checkpoint.load_newest(tmp_path, at_most=99) is None


def test_with_every_state_damaged_there_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for epoch in (1, 2):
        checkpoint.save(tmp_path, small_state(epoch), epoch=epoch)
    for path in tmp_path.iterdir():
        cut_in_half(path)
    assert checkpoint.load_newest(tmp_path, at_most=99) is None
    assert [name[-8:] for name in names(tmp_path)] == [".damaged"] * 2
    messages = [message.partition("moved aside")[2] for message in caplog.messages]
    assert messages == [" as .damaged and the state after epoch 1 is taken", " as .damaged and the run starts anew"]


def test_files_of_other_names_are_left_alone(tmp_path: Path) -> None:
    others = ("epoch-000009.pt", f"epoch-9-{'0' * 64}.pt", f"epoch-000009-{'0' * 64}.pt.damaged", "notes.txt")
    for name in others:
        (tmp_path / name).write_text("something else")
    checkpoint.save(tmp_path, small_state(1), epoch=1)
    assert newest(tmp_path) == (1, 1)
    checkpoint.discard_states(tmp_path)
    assert names(tmp_path) == sorted(others)


@pytest.mark.parametrize("archived", [True, False], ids=["torch-archive", "bare-pickle"])
def test_a_hostile_file_whose_checksum_is_wrong_is_not_even_opened(tmp_path: Path, archived: bool) -> None:
    trace = tmp_path / "trace"
    write_hostile(tmp_path / "c", trace, archived=archived, stem="epoch-000001", checksum="0" * 64)
    assert checkpoint.load_newest(tmp_path / "c", at_most=99) is None
    assert not trace.exists()


@pytest.mark.parametrize("archived", [True, False], ids=["torch-archive", "bare-pickle"])
def test_a_hostile_file_is_refused_even_with_its_checksum(tmp_path: Path, archived: bool) -> None:
    trace = tmp_path / "trace"
    write_hostile(tmp_path / "c", trace, archived=archived, stem="epoch-000001")
    assert checkpoint.load_newest(tmp_path / "c", at_most=99) is None
    assert [path.suffix for path in (tmp_path / "c").iterdir()] == [".damaged"]
    write_hostile(tmp_path / "w", trace, archived=archived, stem="weights")
    with pytest.raises(pickle.UnpicklingError):
        checkpoint.load_weights(tmp_path / "w")
    assert not trace.exists()
    # The file does harm to whoever trusts it, so the test above means something.
    torch.load(file_of(tmp_path / "w", "weights"), weights_only=False)
    assert trace.is_dir()


def write_hostile(folder: Path, trace: Path, *, archived: bool, stem: str, checksum: str | None = None) -> None:
    folder.mkdir()
    path = folder / "hostile"
    torch.save(Hostile(trace), path, _use_new_zipfile_serialization=archived)  # False: the format of before torch 1.6
    path.rename(folder / f"{stem}-{checksum or hashlib.sha256(path.read_bytes()).hexdigest()}.pt")


def test_weights_come_back_bit_for_bit(tmp_path: Path) -> None:
    model = trained().model
    checkpoint.save_weights(tmp_path, model)
    loaded = checkpoint.load_weights(tmp_path)
    torch.testing.assert_close(dict(loaded), dict(model.state_dict()), rtol=0, atol=0)
    fresh = build(model.arch, num_classes=10)
    assert fresh.load_state_dict(loaded) == ([], [])


@pytest.mark.parametrize("seeds", [(1, 2), (2, 1)])
def test_weights_saved_again_take_the_earlier_ones_place(tmp_path: Path, seeds: tuple[int, int]) -> None:
    models = [trained(seed=seed).model for seed in seeds]
    for model in models:
        checkpoint.save_weights(tmp_path, model)
    torch.testing.assert_close(dict(checkpoint.load_weights(tmp_path)), dict(models[-1].state_dict()), rtol=0, atol=0)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_weights_are_an_error_that_names_the_file(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    checkpoint.save_weights(tmp_path, trained().model)
    path = file_of(tmp_path, "weights")
    damage(path)
    with pytest.raises(ValueError, match="damaged") as raised:
        checkpoint.load_weights(tmp_path)
    assert str(path) in str(raised.value)


def test_weights_of_an_unfinished_run_are_an_error_that_names_the_folder(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, small_state(1), epoch=1)
    with pytest.raises(FileNotFoundError, match="not finished") as raised:
        checkpoint.load_weights(tmp_path)
    assert str(tmp_path) in str(raised.value)


def test_discarding_states_leaves_the_weights(tmp_path: Path) -> None:
    model = trained().model
    for epoch in (1, 2):
        checkpoint.save(tmp_path, small_state(epoch), epoch=epoch)
    checkpoint.save_weights(tmp_path, model)
    checkpoint.discard_states(tmp_path)
    assert names(tmp_path) == [file_of(tmp_path, "weights").name]
    assert checkpoint.load_newest(tmp_path, at_most=99) is None
    assert checkpoint.load_weights(tmp_path)


def test_two_processes_may_discard_the_states_of_one_finished_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path, small_state(1), epoch=1)
    seen = checkpoint._newest_first(tmp_path)
    checkpoint.discard_states(tmp_path)  # the other process is quicker
    monkeypatch.setattr(checkpoint, "_newest_first", lambda folder: seen)
    checkpoint.discard_states(tmp_path)
    assert names(tmp_path) == []


def test_states_past_what_was_recorded_are_dropped(tmp_path: Path) -> None:
    for epoch in (2, 3):
        checkpoint.save(tmp_path, small_state(epoch), epoch=epoch)
    found = checkpoint.load_newest(tmp_path, at_most=2)
    assert found is not None and found[0] == 2
    assert len(names(tmp_path)) == 1
    assert checkpoint.load_newest(tmp_path, at_most=0) is None
    assert names(tmp_path) == []


# Saves epoch 1 into each folder; then a child for each saves epoch 2 and kills itself on the way.
KILLED_WHILE_SAVING = """
import io, os, pathlib, signal, sys
import torch
from ablations.training import checkpoint

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def write_half(state, file):
    whole = io.BytesIO()
    real_save(state, whole)
    file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
    file.flush()
    die()

def die_at_replace(number):
    calls = []
    def replace(source, target):
        calls.append(target)
        if len(calls) == number:
            die()
        return real_replace(source, target)
    return replace

real_save, real_replace = torch.save, pathlib.Path.replace
folders = [pathlib.Path(name) for name in sys.argv[1:]]
moments = [
    lambda: setattr(torch, "save", write_half),
    lambda: setattr(os, "fsync", lambda number: die()),
    lambda: setattr(pathlib.Path, "replace", die_at_replace(1)),
    lambda: setattr(pathlib.Path, "replace", die_at_replace(2)),
]
for folder, moment in zip(folders, moments, strict=True):
    checkpoint.save(folder, {"model": {"weight": torch.full((1000,), 1.0)}}, epoch=1)
    child = os.fork()
    if child == 0:
        moment()
        checkpoint.save(folder, {"model": {"weight": torch.full((1000,), 2.0)}}, epoch=2)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.process
def test_a_process_killed_while_saving_leaves_the_state_before(tmp_path: Path) -> None:
    folders = [tmp_path / moment for moment in ("half-written", "unflushed", "not-in-place", "not-named")]
    ended = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_SAVING, *map(str, folders)], capture_output=True, text=True, timeout=60
    )
    assert ended.stdout.split() == [str(-signal.SIGKILL)] * len(folders), ended.stderr
    for folder in folders:
        assert newest(folder) == (1, 1)
        checkpoint.save(folder, small_state(2), epoch=2)
        assert newest(folder) == (2, 2)
        # The next two saves leave nothing of the one that was killed.
        checkpoint.save(folder, small_state(3), epoch=3)
        assert [int(name[6:12]) for name in names(folder) if name.endswith(".pt")] == [2, 3]
