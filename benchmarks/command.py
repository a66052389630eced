"""The way in from a shell that all benchmarks share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import tyro

from ablations.errors import UserError

Arguments = TypeVar("Arguments")


def run(main: Callable[[Arguments], object], arguments: type[Arguments], *, name: str) -> None:
    """Parse the command line and call `main`; an error of the user's is one line, with its exit status."""
    try:
        main(tyro.cli(arguments, prog=f"python -m benchmarks.{name}"))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_status) from error
