"""The tables of docs/command-line.md hold every flag with its choices and default, and every exit status."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

from ablations import errors
from ablations.cli import main
from ablations.cli.arguments import MODES, Arguments, flag_of
from tests.support.markdown import page, plain, tables

TABLES = tables(page("docs/command-line.md"))
# What a flag that is left out means where its default is None.
LEFT_OUT = {
    **dict.fromkeys(
        ("--variants", "--control", "--width", "--dataset", "--seeds", "--seed-list", "--looks", "--recipe"),
        "the suite's",
    ),
    **dict.fromkeys(("--epochs", "--keep-epochs"), "the recipe's"),
    "--limit-train": "all images",
    "--image-size": "32x32 only",
    "--ray-address": "this machine",
    "--cpus-per-run": "1 on a CPU",
    **dict.fromkeys(("--compare-with", "--describe", "--merge", "--budget"), "none"),
    "--expect-sd": "from runs",
}


def _default(flag: str, value: object) -> str:
    if value is None:
        return LEFT_OUT[flag]
    return "off" if value is False else value.as_posix() if isinstance(value, Path) else str(value)


def test_flags_with_their_choices_and_defaults() -> None:
    rows = {plain(row["flag"]): row for table in TABLES for row in table if "flag" in row}
    hints = get_type_hints(Arguments)
    known = {f"--{field.name.replace('_', '-')}": field for field in fields(Arguments)}
    assert set(rows) == set(known)
    for flag, field in known.items():
        value, default = (plain(rows[flag][name]) for name in ("value", "default"))
        assert default == _default(flag, field.default), flag
        if get_origin(hints[field.name]) is Literal:
            assert value == ", ".join(get_args(hints[field.name])), flag
        assert (value == "") == (hints[field.name] is bool), flag


def test_flags_that_go_with_each_mode() -> None:
    rows = {plain(row["flag"]): row["goes with"] for table in TABLES for row in table if "goes with" in row}
    assert set(rows) == {flag_of(mode) for mode in MODES}
    running = {flag_of(field.name) for field in fields(Arguments)} - set(rows)
    for mode, usable in MODES.items():
        named = set(re.findall(r"--[a-z-]+", rows[flag_of(mode)]))
        said = running - named if rows[flag_of(mode)].startswith("every flag but") else named
        assert said == {flag_of(name) for name in usable}, mode


def test_exit_statuses() -> None:
    shown = [row["exit status"] for table in TABLES for row in table if "exit status" in row]
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.UserError)]
    statuses = {kind.exit_status for kind in kinds} | {main.DONE, main.SOME_FAILED, main.INTERRUPTED, main.TERMINATED}
    assert sorted(int(number) for cell in shown for number in cell.split(",")) == sorted(statuses)
