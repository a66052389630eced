"""``plan.json``: the plan that a suite's report is about."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from googlenet.arch import Architecture

from . import files
from .config import Recipe
from .errors import ConfigError
from .plan import SCHEMA, Plan
from .schema import from_plain, parse_json, to_plain

logger = logging.getLogger(__name__)

PLAN_FILE = "plan.json"


def earlier_plan(suite_dir: Path, *, resume: bool = False) -> Plan | None:
    """The plan that is there; None if there is none, or one that this version cannot read, which is logged.

    Raises:
        ConfigError: with `resume`, if this version cannot read it.
    """
    if not (suite_dir / PLAN_FILE).exists():
        return None
    try:
        return read_plan(suite_dir)
    except ConfigError as error:
        if resume:
            raise ConfigError(
                f"--resume: the earlier plan cannot be read, so nothing shows that its settings are these: {error}. "
                "Without --resume it is replaced, and --fresh starts these runs afresh too"
            ) from error
        logger.warning("the earlier plan could not be read and is replaced: %s", error)
        return None


def write_plan(suite_dir: Path, plan: Plan) -> None:
    """Save the plan that the suite's report is about."""
    files.write_text(suite_dir / PLAN_FILE, json.dumps(to_plain(plan), indent=1, allow_nan=False) + "\n")


def read_plan(suite_dir: Path) -> Plan:
    """The suite's saved plan.

    Raises:
        ConfigError: if there is none, or this version cannot read it.
    """
    path = suite_dir / PLAN_FILE
    try:
        data = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} is not there, so there is nothing to report; run the suite first") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not valid JSON ({error}); run the suite again to replace it") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise ConfigError(f"{path} is not of schema {SCHEMA}, which this version reads; run the suite again")
    seen: dict[str, Any] = {}
    for run in data["runs"] if isinstance(data.get("runs"), list) else ():
        _read_shared(run, seen=seen, where=str(path))
    return from_plain(Plan, data, where=str(path))


def _read_shared(run: Any, *, seen: dict[str, Any], where: str) -> None:
    """Put an architecture and a recipe in the place of their plain data: thousands of runs share a few."""
    for name, kind in (("architecture", Architecture), ("recipe", Recipe)):
        if isinstance(run, dict) and name in run:
            key = json.dumps(run[name])
            if key not in seen:
                seen[key] = from_plain(kind, run[name], where=f"{where}: runs: {name}")
            run[name] = seen[key]
