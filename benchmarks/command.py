"""The command line of every benchmark, and its table as a CSV file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pandas as pd
import tyro
from rich.console import Console

from ablations.errors import UserError

Arguments = TypeVar("Arguments")


def run(main: Callable[[Arguments], object], arguments: type[Arguments], *, name: str) -> None:
    """Parse the command line and call `main`; a user error is printed as one line and sets the exit status."""
    try:
        main(tyro.cli(arguments, prog=f"python -m benchmarks.{name}"))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_status) from error


def save(table: pd.DataFrame, path: Path, *, console: Console | None = None) -> None:
    """Write the table as CSV, and print its path where there is a console."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, lineterminator="\n")
    if console is not None:
        console.print(f"saved: {path}", soft_wrap=True)
