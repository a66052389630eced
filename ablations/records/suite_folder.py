"""The folder of a suite: its plan, runs, locks and archived runs."""

from __future__ import annotations

import itertools
import json
import logging
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ablations.errors import ConfigError, HeldElsewhere
from ablations.records import looks
from ablations.records.locks import Locks
from ablations.records.looks import Look
from ablations.records.record import RunRecord
from ablations.records.run_folder import RunFolder, holds_run
from ablations.storage import atomic
from ablations.storage.jsonl import JsonLines
from ablations.storage.serialization import from_plain, parse_json, to_plain
from ablations.suites.plan import SCHEMA, Plan
from ablations.suites.plan_checks import check_against_runs
from ablations.suites.recipe import Recipe
from ablations.suites.run_config import RunConfig
from googlenet.architecture import Architecture

logger = logging.getLogger(__name__)

PLAN_FILE = "plan.json"


class SuiteFolder:
    """The folder of a suite, ``<results>/<suite>``; only this class knows its layout."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runs = path / "runs"
        self.figures = path / "figures"
        self.tensorboard = path / "tensorboard"
        self.dry_run_report = path / "dry_run.md"
        self.superseded = path / "superseded"
        self.looks = JsonLines(path / looks.FILE_NAME, Look, remedy=looks.REMEDY)
        self.locks = Locks(path)

    def run(self, config: RunConfig) -> RunFolder:
        """The folder of a run."""
        return RunFolder(self.runs, config)

    def run_path(self, run_id: str) -> Path:
        """The path of a run's folder; quicker than `run` where the id is known, as that has to be derived."""
        return self.runs / run_id

    def run_ids(self) -> list[str]:
        """The ids of all runs that have a folder, planned or not, sorted."""
        return sorted(path.name for path in self.runs.glob("[!.]*/") if holds_run(path))

    def records(self, configs: Iterable[RunConfig]) -> list[RunRecord]:
        """The records of those of these runs that have ended.

        Raises:
            ConfigError: if a record cannot be read.
        """
        found = (self.run(config).read_result() for config in configs)
        return [record for record in found if record is not None]

    def write_plan(self, plan: Plan) -> None:
        """Save the plan that the suite's report is about."""
        atomic.write_text(self.path / PLAN_FILE, json.dumps(to_plain(plan), indent=1, allow_nan=False) + "\n")

    @property
    def has_plan(self) -> bool:
        """Whether there is a saved plan."""
        return (self.path / PLAN_FILE).exists()

    def read_plan(self) -> Plan:
        """The suite's saved plan.

        Raises:
            ConfigError: if there is none, this version cannot read it, or it says something else than its runs.
        """
        path = self.path / PLAN_FILE
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
        plan = from_plain(Plan, data, where=str(path))
        try:
            check_against_runs(plan)
        except ValueError as error:
            raise ConfigError(f"{path}: {error}") from error
        return plan

    def earlier_plan(self, *, resume: bool = False) -> Plan | None:
        """The saved plan; None without one, or if this version cannot read it, which is logged.

        Raises:
            ConfigError: with `resume`, if this version cannot read it.
        """
        if not self.has_plan:
            return None
        try:
            return self.read_plan()
        except ConfigError as error:
            if resume:
                raise ConfigError(
                    "--resume: the earlier plan cannot be read, so nothing shows that its settings are these: "
                    f"{error}. Without --resume it is replaced, and --fresh starts these runs afresh too"
                ) from error
            logger.warning("the earlier plan could not be read and is replaced: %s", error)
            return None

    def archive_runs(self, configs: Sequence[RunConfig]) -> list[Path]:
        """Move these runs' folders to ``superseded/<time>-<n>/``, so that they start afresh; return their new paths.

        Raises:
            HeldElsewhere: if another process trains one of them; none is moved then, unless it began at this very
                moment.
        """
        now = time.strftime("%Y%m%dT%H%M%S")
        candidates = (self.superseded / f"{now}-{number}" for number in itertools.count(1))
        target = next(path for path in candidates if not path.exists())
        present = [folder for folder in (self.run(config).path for config in configs) if folder.is_dir()]
        _refuse_taken(folder.name for folder in present if self.locks.is_taken(folder.name))
        moved = []
        for folder in present:
            with self.locks.run(folder.name) as mine:
                _refuse_taken(() if mine else (folder.name,))
                target.mkdir(parents=True, exist_ok=True)
                moved.append(folder.rename(target / folder.name))
        return moved


def _refuse_taken(run_ids: Iterable[str]) -> None:
    for run_id in run_ids:
        raise HeldElsewhere(f"another process trains {run_id}; stop it before --fresh moves it aside")


def _read_shared(run: Any, *, seen: dict[str, Any], where: str) -> None:
    """Replace a run's architecture and recipe by shared objects: thousands of runs have a few of them."""
    for name, kind in (("architecture", Architecture), ("recipe", Recipe)):
        if isinstance(run, dict) and name in run:
            key = json.dumps(run[name])
            if key not in seen:
                seen[key] = from_plain(kind, run[name], where=f"{where}: runs: {name}")
            run[name] = seen[key]
