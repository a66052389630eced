"""Merge: take finished runs of the same plan out of other results folders into a suite's folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ablations.errors import ConfigError, HeldElsewhere
from ablations.records.looks import Look, looks_of
from ablations.records.record import RunRecord
from ablations.records.run_folder import holds_run
from ablations.records.suite_folder import SuiteFolder
from ablations.records.verified_run import VerifiedRun, checksums, verified
from ablations.suites.confounds import check_confounds
from ablations.suites.plan import Plan
from ablations.suites.suite import VERSIONS


@dataclass(frozen=True, kw_only=True)
class MergedFolder:
    """What became of the runs in one folder, the source: how many of each kind, and the number of looks taken over.

    `copied` were taken, `present` were there and are the same, `unfinished` are not done in the source, and `others`
    are not in the plan. `busy` are the ids of those that another process trains here, which were not taken.
    """

    source: Path
    copied: int
    present: int
    unfinished: int
    others: int
    busy: tuple[str, ...]
    looks: int


@dataclass(kw_only=True)
class _Source:
    """A suite's folder to merge from; what was found there and taken from it."""

    folder: SuiteFolder
    plan: Plan | None
    looks: tuple[Look, ...]
    runs: list[VerifiedRun]
    present: int = 0
    unfinished: int = 0
    new_looks: int = 0


def merge(folder: SuiteFolder, directories: Sequence[Path]) -> list[MergedFolder]:
    """Copy the finished runs of other results folders, or suites' folders, that belong in this suite's plan.

    The plan is joined with theirs as with an earlier one (see `Plan.joined`), so their seeds and variants count; a
    folder without a plan takes theirs. Their looks at the same baseline are taken over. Everything is verified before
    the first run is copied. A run is copied whole or not at all, and an interrupted merge can be repeated. A run that
    has begun here and is done there is archived here first.

    Raises:
        ConfigError: if a folder is no other folder of this suite, cannot be read, or has no run of this plan; if a
            record or a file is damaged; if a run is done here and there with different files; if versions differ; or
            if looks were declared otherwise.
        DiskFull: if the disk or a quota has no room for a run.
        HeldElsewhere: if another process holds the suite's folder.
    """
    paths = []
    for directory in directories:
        with _reading(directory):
            paths.append(_suite_path(directory, into=folder.path))
    with folder.locks.suite():
        sources = [_opened(path) for path in paths]
        own_plan = folder.read_plan() if folder.has_plan else None
        plan = _joined_plan(own_plan, sources, name=folder.path.name)
        looks, plan = _united_looks(plan, own_plan, folder, sources)
        check_confounds(plan)
        done = {record.run_id: record for record in folder.records(plan.runs) if record.status == "done"}
        _verify(plan, folder, sources, done=done)
        # The looks first and the plan last: wherever this stops, no report has verdicts without them, or runs missing.
        folder.looks.rewrite(looks)
        busy = {run.run_id for source in sources for run in source.runs if not _take(run, folder, source)}
        if plan != own_plan:
            folder.write_plan(plan)
    return [_outcome(source, plan, busy=busy) for source in sources]


def _suite_path(directory: Path, *, into: Path) -> Path:
    """The suite's folder that a directory is or has in it."""
    candidates = [directory / into.name, directory]
    found = next((path for path in candidates if (path / "runs").is_dir() or SuiteFolder(path).has_plan), None)
    if found is None:
        raise ConfigError(
            f"{directory} has no runs and no plan of suite {into.name}; give a results folder with {into.name}/ in it, "
            "or that folder itself"
        )
    theirs, ours = found.resolve(), into.resolve()
    nested = theirs.is_relative_to(ours) or ours.is_relative_to(theirs)
    if nested or (ours.exists() and ours.samefile(theirs)):
        raise ConfigError(f"{found} is {into} itself, or one is in the other; give another folder")
    return theirs


def _opened(path: Path) -> _Source:
    folder = SuiteFolder(path)
    with _reading(path):
        plan = folder.read_plan() if folder.has_plan else None
        return _Source(folder=folder, plan=plan, looks=folder.looks.read(), runs=[])


@contextmanager
def _reading(source: Path) -> Iterator[None]:
    """Say of an error inside that the merge was refused because of it."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"nothing was merged: {error}") from error
    except OSError as error:
        raise ConfigError(
            f"nothing was merged: {error.filename or source} cannot be read ({error.strerror or error}); make it "
            "readable, or merge a copy"
        ) from error


def _joined_plan(own: Plan | None, sources: Iterable[_Source], *, name: str) -> Plan:
    plan = own
    for source in sources:
        if source.plan is not None:
            plan = plan.joined(source.plan) if plan else source.plan
    if plan is None or (own is None and plan.suite != name):
        found = (
            "none of these folders has one" if plan is None else f"that of the first folder is of suite {plan.suite}"
        )
        raise ConfigError(f"nothing was merged: suite {name} has no plan here, and {found}; run the suite here first")
    return plan


def _united_looks(
    plan: Plan, own: Plan | None, folder: SuiteFolder, sources: Iterable[_Source]
) -> tuple[list[Look], Plan]:
    """All looks on record here, with those of the sources at the plan's baseline, and the plan with their declaration.

    Looks that were taken stand for what was declared before them; else the own plan does.
    """
    looks = list(folder.looks.read())
    taken = looks_of(plan, looks)
    declared = taken[0].declared if taken else (own.looks or None) if own else None
    for source in sources:
        for look in looks_of(plan, source.looks):
            declared = look.declared if declared is None else declared
            if look.declared != declared:
                raise ConfigError(
                    f"nothing was merged: {source.folder.looks.path} has a look at these runs with "
                    f"{_declared(look.declared)}, and here with {_declared(declared)}, so they have no level in "
                    "common; report the folders apart"
                )
            if look not in looks:
                looks.append(look)
                source.new_looks += 1
    return looks, plan if declared is None else replace(plan, looks=declared)


def _declared(looks: Sequence[int]) -> str:
    return f"--looks {','.join(map(str, looks))}" if looks else "no looks declared"


def _verify(plan: Plan, folder: SuiteFolder, sources: Sequence[_Source], *, done: dict[str, RunRecord]) -> None:
    """Find the runs to take, each once, by source; `done` are the records of those that are here."""
    found: dict[str, VerifiedRun] = {}
    for source in sources:
        for config in plan.runs:
            run = source.folder.run(config)
            with _reading(source.folder.path):
                theirs = verified(run) if holds_run(run.path) else None
            if theirs is None:
                source.unfinished += holds_run(run.path)
                continue
            run_id = theirs.run_id
            if run_id in done:
                theirs.check_same(folder.run_path(run_id), checksums(folder.run(config)))
            elif run_id in found:
                theirs.check_same(found[run_id].path, found[run_id].checksums)
            else:
                found[run_id] = theirs
                source.runs.append(theirs)
                continue
            source.present += 1
        _refuse_strangers(source, plan)
    here = [(folder.run_path(run_id), record) for run_id, record in done.items()]
    _check_versions(plan, [*here, *((run.path, run.record) for run in found.values())])


def _refuse_strangers(source: _Source, plan: Plan) -> None:
    """Refuse a folder that has runs but none of the plan, and say what differs."""
    run_ids = source.folder.run_ids()
    if not run_ids or source.runs or source.present or source.unfinished:
        return
    then = source.plan
    changes = (plan.changes_since(then) or plan.variant_changes_since(then)) if then else []
    differs = f" (there and here: {'; '.join(changes)})" if changes else ""
    raise ConfigError(
        f"nothing was merged: none of the {len(run_ids)} runs in {source.folder.path} is in the plan of suite "
        f"{plan.suite}{differs}; merge runs of the same settings and data"
    )


def _check_versions(plan: Plan, runs: Iterable[tuple[Path, RunRecord]]) -> None:
    """Refuse runs that other versions computed, as an executor does, unless the plan declares them."""
    first: dict[str, tuple[str, Path]] = {}
    for path, record in runs:
        for name, version in record.environment.computing_versions.items():
            known, where = first.setdefault(name, (version, path))
            if known != version and VERSIONS not in plan.declared:
                raise ConfigError(
                    f"nothing was merged: {path} was computed by {name} {version}, and {where} by {name} {known}; "
                    f'train one of them again, or declare it in the suite file: declared = ["{VERSIONS}"]'
                )


def _take(run: VerifiedRun, folder: SuiteFolder, source: _Source) -> bool:
    """Copy a run to where nothing is, or what has begun is archived first; False if another process trains it."""
    target = folder.run_path(run.run_id)
    try:
        folder.archive_runs([run.record.config])
    except HeldElsewhere:
        return False
    with folder.locks.run(run.run_id) as mine:
        if not mine or target.exists():
            return False
        run.copy_to(target, source=source.folder.path)
    return True


def _outcome(source: _Source, plan: Plan, *, busy: set[str]) -> MergedFolder:
    planned = {config.run_id for config in plan.runs}
    skipped = tuple(run.run_id for run in source.runs if run.run_id in busy)
    return MergedFolder(
        source=source.folder.path,
        copied=len(source.runs) - len(skipped),
        present=source.present,
        unfinished=source.unfinished,
        others=sum(run_id not in planned for run_id in source.folder.run_ids()),
        busy=skipped,
        looks=source.new_looks,
    )
