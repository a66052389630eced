"""Prepare a suite's folder for its runs: check the plan against earlier runs, archive what starts afresh, save it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ablations.errors import ConfigError
from ablations.hardware.environment import Environment
from ablations.records.looks import looks_of
from ablations.records.record import RunRecord
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.confounds import check_confounds
from ablations.suites.plan import Plan
from ablations.suites.suite import VERSIONS

logger = logging.getLogger(__name__)


def _check_versions(plan: Plan, *, records: Iterable[RunRecord], environment: Environment) -> None:
    """Refuse to mix runs of this environment with finished ones that other versions computed.

    Raises:
        ConfigError: listing the versions, unless the plan declares "versions".
    """
    now = environment.computing_versions
    others = {}
    for record in records:
        for name, version in record.environment.computing_versions.items():
            if record.status == "done" and name in now and version != now[name]:
                others.setdefault((name, version), []).append(record.run_id)
    if others and VERSIONS not in plan.declared:
        listed = "; ".join(
            f"{len(runs)} of the finished runs (such as {runs[0]}) were computed by {name} {version}, and here it is "
            f"{now[name]}"
            for (name, version), runs in others.items()
        )
        raise ConfigError(
            f"suite {plan.suite}: {listed}. --fresh trains them again, --results DIR starts another folder, and a "
            f'suite file may declare it: declared = ["{VERSIONS}"]'
        )


def prepare(
    planned: Plan, *, suite: SuiteFolder, environment: Environment, resume: bool = False, fresh: bool = False
) -> list[Path]:
    """Save the plan in the suite's folder, joined with the earlier one if only variants and seeds differ.

    With `fresh` the records of these runs are archived, and those of an earlier plan with other settings. Returns the
    paths of archived runs. Logs a warning if the report will be at none of the declared looks. The caller holds the
    lock of the suite.

    Raises:
        ConfigError: if runs do not belong in one table, or with `resume` if settings, variants or data have changed,
            or if the earlier plan cannot be read, or if looks are declared after others were taken.
        HeldElsewhere: if another process trains a run that is to start afresh.
    """
    earlier = suite.earlier_plan(resume=resume)
    if resume and earlier:
        _refuse_changes(planned, earlier, suite=suite)
    reported = planned.joined(earlier) if earlier else planned
    check_confounds(reported)
    replaced = planned.runs if fresh else ()
    if fresh and earlier:
        own = set(reported.runs)
        replaced = (*planned.runs, *(config for config in earlier.runs if config not in own))
    dropped = set(replaced)
    kept = [config for config in reported.runs if config not in dropped]
    _check_versions(reported, records=suite.records(kept), environment=environment)
    reported = _with_looks(reported, planned.looks, suite=suite)
    archived = suite.archive_runs(replaced)
    suite.write_plan(reported)
    return archived


def _with_looks(reported: Plan, declared: tuple[int, ...], *, suite: SuiteFolder) -> Plan:
    """The plan with the looks that were declared before the first one was taken, now or by an earlier plan.

    Raises:
        ConfigError: if looks were taken already, and this plan declares others.
    """
    taken = looks_of(reported, suite.looks.read())
    if taken:
        before = taken[0].declared
        if declared and declared != before:
            counts = ", ".join(str(len(look.seeds)) for look in taken)
            reports = "1 report" if len(taken) == 1 else f"{len(taken)} reports"
            raise ConfigError(
                f"--looks {_flag(declared)} comes after {reports} with verdicts on these runs (at {counts} seeds), for "
                f"which {f'--looks {_flag(before)} was' if before else 'no looks were'} declared; leave it out (also "
                "of the suite file), or train other seeds in another folder, with --seed-list and --results"
            )
        reported = replace(reported, looks=before)
    seeds = len(reported.shared_seeds)
    if reported.looks and seeds not in reported.looks:
        logger.warning(
            "%s of the declared looks %s; verdicts are read at these",
            "1 seed is none" if seeds == 1 else f"{seeds} seeds are none",
            ", ".join(map(str, reported.looks)),
        )
    return reported


def _flag(looks: Iterable[int]) -> str:
    return ",".join(map(str, looks))


def _refuse_changes(planned: Plan, earlier: Plan, *, suite: SuiteFolder) -> None:
    changes = planned.changes_since(earlier) or planned.variant_changes_since(earlier)
    if changes:
        raise ConfigError(
            f"--resume: the runs in {suite.path} are others: {'; '.join(changes)}. Without --resume both are kept, and "
            "--fresh moves the earlier ones aside"
        )
