"""Before a suite's runs begin: refuse what does not belong together, move aside what starts afresh, save the plan."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from . import confounds, plan_file
from .config import RunConfig
from .environment import Environment
from .errors import ConfigError, HeldElsewhere
from .locks import Locks
from .plan import Plan
from .record import RunRecord
from .run_folder import RunFolder


def prepare(
    planned: Plan, *, suite_dir: Path, environment: Environment, resume: bool = False, fresh: bool = False
) -> list[Path]:
    """Make the suite's folder that of the plan, joined with an earlier one where only variants and seeds differ.

    With `fresh` the records of these runs, and those of an earlier plan that was another one, are moved aside; returns
    where they are. Hold the lock of the suite around it.

    Raises:
        ConfigError: if runs do not belong in one table, or with `resume` if settings, variants or data have changed,
            or if the earlier plan cannot be read.
        HeldElsewhere: if another process trains a run that is to start afresh.
    """
    earlier = plan_file.earlier_plan(suite_dir, resume=resume)
    if resume and earlier:
        _refuse_changes(planned, earlier, suite_dir=suite_dir)
    reported = planned.joined(earlier) if earlier else planned
    confounds.check(reported)
    replaced = planned.runs if fresh else ()
    if fresh and earlier:
        own = set(reported.runs)
        replaced = (*planned.runs, *(config for config in earlier.runs if config not in own))
    left = set(reported.runs) - set(replaced)
    kept = [config for config in reported.runs if config in left]
    confounds.check_versions(reported, records=_records(kept, suite_dir=suite_dir), environment=environment)
    moved = set_aside(replaced, suite_dir=suite_dir)
    plan_file.write_plan(suite_dir, reported)
    return moved


def _refuse_changes(planned: Plan, earlier: Plan, *, suite_dir: Path) -> None:
    changes = planned.changes_since(earlier) or planned.variant_changes_since(earlier)
    if changes:
        raise ConfigError(
            f"--resume: the runs in {suite_dir} are others: {'; '.join(changes)}. Without --resume both are kept, and "
            "--fresh moves the earlier ones aside"
        )


def set_aside(configs: Sequence[RunConfig], *, suite_dir: Path) -> list[Path]:
    """Move these runs' folders out of the way, to ``superseded/<time>-<n>/``, so that they start afresh.

    Raises:
        HeldElsewhere: if another process trains one of them; none is moved then, unless it began at this very moment.
    """
    now = time.strftime("%Y%m%dT%H%M%S")
    candidates = (suite_dir / "superseded" / f"{now}-{number}" for number in itertools.count(1))
    target = next(path for path in candidates if not path.exists())
    locks = Locks(suite_dir)
    folders = [RunFolder(suite_dir / "runs", config).path for config in configs]
    there = [folder for folder in folders if folder.is_dir()]
    _refuse_taken(folder.name for folder in there if locks.is_taken(folder.name))
    moved = []
    for folder in there:
        with locks.run(folder.name) as mine:
            _refuse_taken(() if mine else (folder.name,))
            target.mkdir(parents=True, exist_ok=True)
            moved.append(folder.rename(target / folder.name))
    return moved


def _refuse_taken(run_ids: Iterable[str]) -> None:
    for run_id in run_ids:
        raise HeldElsewhere(f"another process trains {run_id}; stop it before --fresh moves it aside")


def _records(configs: Iterable[RunConfig], *, suite_dir: Path) -> Iterable[RunRecord]:
    found = (RunFolder(suite_dir / "runs", config).read_result() for config in configs)
    return [record for record in found if record is not None]
