"""A full disk: the old file stays, no partial file is left, and the error names the sizes needed and free."""

from __future__ import annotations

import errno
import os
import pickle
import re
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ablations.cli.main import main
from ablations.errors import DiskFull
from ablations.records.merge import merge
from ablations.records.record import Epoch
from ablations.records.suite_folder import SuiteFolder
from ablations.storage.atomic import write_text
from ablations.storage.jsonl import JsonLines
from ablations.training import checkpoint
from tests.faults.conftest import DISK_BYTES
from tests.support.synthetic_suites import make_plan, make_record, save, save_predictions

MESSAGE = re.compile(r"(.+) cannot be written \((.+)\): it needs at least ([\d,]+) bytes and ([\d,]+) are free\. ")


def state(value: float, *, count: int = 50_000) -> dict[str, Any]:
    return {"model": {"weight": torch.full((count,), value)}, "optimizer": [torch.zeros(count)]}


def sizes(error: DiskFull) -> tuple[int, int]:
    """Bytes needed and bytes free, as the message says."""
    match = MESSAGE.match(str(error))
    assert match is not None, error
    return int(match[3].replace(",", "")), int(match[4].replace(",", ""))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before_it(small_disk: Path) -> None:
    checkpoint.save(small_disk, state(1.0), epoch=1)  # 400 kB of the 1 MiB
    before = contents(small_disk)
    free = shutil.disk_usage(small_disk).free
    with pytest.raises(DiskFull, match="No space left on device") as raised:
        checkpoint.save(small_disk, state(2.0, count=100_000), epoch=2)
    needed, named_free = sizes(raised.value)
    assert needed >= 2 * 100_000 * 4, "both tensors of it"
    assert named_free == free < needed
    assert str(small_disk) in str(raised.value)
    assert contents(small_disk) == before
    found = checkpoint.load_newest(small_disk, at_most=99)
    assert found is not None and found[0] == 1 and float(found[1]["model"]["weight"][0]) == 1.0
    # With less to write it goes on.
    checkpoint.save(small_disk, state(2.0, count=10_000), epoch=2)
    assert len(contents(small_disk)) == 2


def test_weights_and_texts_that_do_not_fit_leave_the_ones_before_them(small_disk: Path) -> None:
    checkpoint.save_weights(small_disk, torch.nn.Linear(100, 100))
    write_text(small_disk / "result.json", "old")
    before = contents(small_disk)
    with pytest.raises(DiskFull) as raised:
        checkpoint.save_weights(small_disk, torch.nn.Linear(1000, 1000))
    assert sizes(raised.value)[0] >= 1001 * 1000 * 4
    with pytest.raises(DiskFull) as raised:
        write_text(small_disk / "result.json", "€" * DISK_BYTES)
    assert sizes(raised.value)[0] == 3 * DISK_BYTES
    assert contents(small_disk) == before


def test_a_line_that_does_not_fit_is_dropped_and_those_before_it_stay(small_disk: Path) -> None:
    lines = JsonLines(small_disk / "metrics.jsonl", Epoch)
    epoch = Epoch(epoch=1, train_loss=0.5, train_error=0.1, validation_error=None, train_seconds=1.0, eval_seconds=0.0)
    lines.append(epoch)
    (small_disk / "filler").write_bytes(bytes(shutil.disk_usage(small_disk).free))
    page = os.sysconf("SC_PAGE_SIZE")  # the file's first page is its own already
    written = 1
    with pytest.raises(DiskFull, match=r"metrics\.jsonl"):
        for _ in range(page):
            lines.append(epoch)
            written += 1
    (small_disk / "filler").unlink()
    assert lines.read() == (epoch,) * written


def test_a_run_that_does_not_fit_is_not_merged_in_part(small_disk: Path, tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=1, variants=("reduced",))
    save(tmp_path / "cifar10", plan, [make_record(plan.runs[0], wrong=30)])
    theirs = SuiteFolder(tmp_path / "cifar10").run(plan.runs[0])
    save_predictions(theirs, wrong=np.arange(30))
    checkpoint.save_weights(theirs.checkpoints, torch.nn.Linear(1000, 1000))
    own = SuiteFolder(small_disk / "cifar10")
    own.write_plan(plan)
    with pytest.raises(DiskFull) as raised:
        merge(own, [tmp_path])
    assert sizes(raised.value)[0] >= 1001 * 1000 * 4
    assert [*own.runs.iterdir()] == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT], ids=["disk", "quota"])
def test_a_write_that_fails_for_lack_of_room_says_how_much_is_needed(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path, state(1.0), epoch=1)
    before = contents(tmp_path)
    real_open = Path.open

    def open_failing(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        file = real_open(path, mode, *arguments, **options)
        if "w" not in mode:
            return file

        class Full:
            def __enter__(self) -> Full:
                return self

            def __exit__(self, *problem: object) -> None:
                file.close()

            def write(self, content: Any) -> int:
                if file.tell() + len(content) > 100_000:
                    raise OSError(number, os.strerror(number))
                return file.write(content)

            def flush(self) -> None:
                file.flush()

        return Full()

    monkeypatch.setattr(Path, "open", open_failing)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=123_456))
    with pytest.raises(DiskFull) as raised:
        checkpoint.save(tmp_path, state(2.0), epoch=2)
    assert os.strerror(number) in str(raised.value)
    assert "\n" not in str(raised.value)
    needed, free = sizes(raised.value)
    assert needed >= 2 * 50_000 * 4
    assert free == 123_456
    monkeypatch.undo()
    assert contents(tmp_path) == before


def test_the_error_can_be_pickled_for_another_process() -> None:
    error = pickle.loads(pickle.dumps(DiskFull("full")))
    assert (type(error), str(error), error.exit_status) == (DiskFull, "full", 3)


@pytest.mark.process
def test_a_suite_on_a_full_disk_ends_with_3_and_one_line(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (small_disk / "filler").write_bytes(bytes(DISK_BYTES - 200_000))  # the plan fits, a checkpoint does not
    handler = signal.getsignal(signal.SIGTERM)
    try:
        status = main(
            ["--variants", "short4", "--limit-train", "150", "--epochs", "1", "--device", "cpu"]
            + ["--results", str(small_disk)]
        )
    finally:
        signal.signal(signal.SIGTERM, handler)
    err = capsys.readouterr().err
    assert status == 3
    assert err.startswith("error: ") and err.count("\n") == 1
    assert re.search(r"checkpoint/epoch-000001 cannot be written \(No space left on device\)", err)
    assert [path for path in small_disk.rglob("*.tmp")] == []
    assert [path for path in small_disk.rglob("*.pt")] == []
