"""The command line and the CSV file of every benchmark."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from rich.console import Console

from benchmarks import command, throughput


def test_a_user_error_is_one_line_and_sets_the_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["throughput", "--device", "cuda"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as stopped:
        command.run(throughput.main, throughput.Arguments, name="throughput")
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --device cuda")
    assert error.count("\n") == 1


def test_a_table_is_saved_and_its_path_printed_where_there_is_a_console(tmp_path: Path) -> None:
    table, path = pd.DataFrame({"loop": ["eager"], "speed": [1.5]}), tmp_path / "new" / "table.csv"
    command.save(table, path)
    assert path.read_bytes() == b"loop,speed\neager,1.5\n"
    console = Console(file=io.StringIO(), width=20)
    command.save(table, path, console=console)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == f"saved: {path}\n"
