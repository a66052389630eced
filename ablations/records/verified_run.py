"""A finished run in another results folder, verified, then copied: its files, record and predictions."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import NamedTuple

from ablations.errors import ConfigError
from ablations.records import merged
from ablations.records.merged import FileChecksum, Merged
from ablations.records.record import RunRecord
from ablations.records.run_folder import RESULT_FILE, RunFolder
from ablations.storage import atomic


class VerifiedRun(NamedTuple):
    """A run that is done: its folder, its record and, by path in the folder, the SHA-256 of each file it keeps.

    `sources` are the suites' folders that it was merged from before.
    """

    path: Path
    record: RunRecord
    checksums: Mapping[str, str]
    sources: tuple[str, ...]

    @property
    def run_id(self) -> str:
        """The run's id, which is its folder's name."""
        return self.path.name

    def check_same(self, other: Path, checksums: Mapping[str, str]) -> None:
        """Hold it against another folder of the same run; a file that only one of them has is no difference.

        Raises:
            ConfigError: naming both folders and the files that differ.
        """
        different = [name for name, sha256 in self.checksums.items() if checksums.get(name, sha256) != sha256]
        if different:
            raise ConfigError(
                f"nothing was merged: {self.path} and {other} are the same run with different {', '.join(different)}; "
                "decide which one counts and move the other out of its runs/"
            )

    def copy_to(self, target: Path, *, source: Path) -> None:
        """Copy the run into a hidden folder beside the target, hold it against its checksums, and rename it.

        `source` is the suite's folder that it is taken from, which its ``merged.json`` names.

        Raises:
            ConfigError: if a file has changed since it was verified.
            DiskFull: if the disk or a quota has no room for it; nothing is left of it then.
        """
        temporary = target.with_name(f".{target.name}.merging")
        shutil.rmtree(temporary, ignore_errors=True)  # of a merge that was killed
        try:
            for name, sha256 in self.checksums.items():
                original = self.path / name
                with atomic.replacing(temporary / name, needed_bytes=original.stat().st_size) as part:
                    shutil.copyfile(original, part)
                    if sha256_of(part) != sha256:
                        raise ConfigError(f"{original} changed while it was copied; merge again once it is left alone")
            files = tuple(FileChecksum(name=name, sha256=sha256) for name, sha256 in self.checksums.items())
            merged.write(temporary, Merged(sources=(*self.sources, str(source)), files=files))
            temporary.rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def verified(run: RunFolder) -> VerifiedRun | None:
    """The run if it is done, once its files are known to be whole and to belong together; else None.

    Raises:
        ConfigError: naming the file that is damaged, a link out of the folder, or of another run.
    """
    names = run.kept_files()
    if RESULT_FILE not in names:
        return None
    for name in (*names, merged.FILE_NAME):
        path = run.path / name
        if not path.resolve().is_relative_to(run.path.resolve()):
            raise ConfigError(f"{path} is a link to {path.resolve()}; replace it by the file")
    record = run.read_result()
    if record is None or record.status != "done":
        return None
    run.epochs.read()
    run.diagnosed.read()
    _check_predictions(run, record)
    found = checksums(run)
    for name, sha256 in found.items():
        if PurePath(name).suffix == ".pt" and not PurePath(name).stem.endswith(f"-{sha256}"):
            raise ConfigError(
                f"{run.path / name} is damaged: its SHA-256 is {sha256}, its name says another; train the run again "
                "there, or remove the file"
            )
    earlier = merged.read(run.path)
    return VerifiedRun(run.path, record, found, earlier.sources if earlier else ())


def checksums(run: RunFolder) -> dict[str, str]:
    """The SHA-256 of each file that a finished run keeps, by its path in the folder."""
    return {name: sha256_of(run.path / name) for name in run.kept_files()}


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_predictions(run: RunFolder, record: RunRecord) -> None:
    """Hold the predictions against the record's counts."""
    test = record.test
    assert test is not None  # as the run is done
    try:
        found = run.read_predictions(fields=("classes", "labels"))
        top5 = found.top5_wrong
        counts = (len(found.labels), int(found.wrong.sum()), None if top5 is None else int(top5.sum()))
    except ValueError as error:
        raise ConfigError(f"{run.path}: its predictions cannot be read ({error}); train the run again there") from error
    recorded = (test.images, test.top1_wrong, test.top5_wrong)
    if counts != recorded:
        raise ConfigError(
            f"{run.path}: its predictions and its record have other counts of images, wrong ones and top-5 wrong ones, "
            f"{counts} and {recorded}; its files do not belong together, so train the run again there"
        )
