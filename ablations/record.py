"""What a run leaves on disk: its folder, its epochs and its record."""

from __future__ import annotations

import json
import platform
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from googlenet.checks import check_choice

from . import files
from .config import RunConfig
from .errors import ConfigError
from .schema import from_plain, to_plain

SCHEMA = 2
Status = Literal["done", "failed", "oom", "diverged", "interrupted"]
VERSIONED = ("torch", "torchvision", "numpy", "fvcore")
REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One epoch of training; errors are fractions, `train_error` that of the training-mode outputs as they came."""

    epoch: int
    train_loss: float
    train_error: float
    validation_error: float | None
    train_seconds: float
    eval_seconds: float


@dataclass(frozen=True, kw_only=True)
class TestResult:
    """Integer counts over every test image, once, after the last epoch; top-5 is None with fewer than five classes."""

    images: int
    top1_wrong: int
    top5_wrong: int | None

    @property
    def top1_error(self) -> float:
        """Fraction of images whose most likely class is wrong."""
        return self.top1_wrong / self.images

    @property
    def top5_error(self) -> float | None:
        """Fraction of images whose class is not among the five most likely."""
        return None if self.top5_wrong is None else self.top5_wrong / self.images


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Parameters with auxiliary heads; MACs, FLOPs and activations for one image in evaluation; peak memory.

    Peak memory is that of training: the device allocator's on a GPU and the process's resident set on a CPU. It is
    None if the run was resumed with no epoch left to train.
    """

    params: int
    macs: int
    flops: int
    activations: int
    peak_memory_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds with the device synchronised at the ends; those of compiling, capturing and choosing kernels apart.

    Not comparable (`timing_valid`) if the run was resumed or shared its device.
    """

    startup_seconds: float
    compile_seconds: float
    train_seconds: float
    eval_seconds: float
    timing_valid: bool


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where and how a run took place.

    `device` is a CPU's or GPU's name, `engine` the way in which its optimisation steps ran, `versions` are "package
    version" pairs.
    """

    device: str
    device_kind: str
    engine: str
    threads: int
    platform: str
    python: str
    versions: tuple[str, ...]
    commit: str

    @staticmethod
    def read(
        *, device: str, device_kind: str, engine: str, threads: int, runtimes: tuple[str, ...] = ()
    ) -> Environment:
        """The environment of this process on a device of that name ("cpu" or "cuda" by kind).

        `runtimes` are versions beside those of the packages, such as CUDA's.
        """
        return Environment(
            device=device,
            device_kind=device_kind,
            engine=engine,
            threads=threads,
            platform=f"{platform.system()} {platform.machine()}",
            python=platform.python_version(),
            versions=(*(f"{name} {metadata.version(name)}" for name in VERSIONED), *runtimes),
            commit=_commit(),
        )


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """All that is known of one run; `train_images`, `test`, `costs` and `times` only if its status is "done"."""

    schema: int
    run_id: str
    config: RunConfig
    status: Status
    message: str
    epochs: tuple[Epoch, ...]
    train_images: int | None
    test: TestResult | None
    costs: Costs | None
    times: Times | None
    environment: Environment

    def __post_init__(self) -> None:
        check_choice("status", self.status, get_args(Status))


class RunFolder:
    """The folder of one run. ``result.json`` is written last: it is the commit mark."""

    def __init__(self, runs: Path, config: RunConfig) -> None:
        self.path = runs / config.run_id
        self.config = config
        self.checkpoints = self.path / "checkpoint"
        self._metrics = self.path / "metrics.jsonl"

    def write_config(self) -> None:
        """Write ``config.json``."""
        files.write_text(self.path / "config.json", _json(self.config, indent=2))

    def append_epoch(self, epoch: Epoch) -> None:
        """Append a line to ``metrics.jsonl`` and flush it."""
        with self._metrics.open("a", encoding="utf-8", newline="\n") as file:
            file.write(_json(epoch))

    def read_epochs(self) -> tuple[Epoch, ...]:
        """The epochs that were recorded whole."""
        return tuple(_parse_epochs(self._metrics)) if self._metrics.is_file() else ()

    def rewind(self, epochs: tuple[Epoch, ...]) -> None:
        """Keep exactly these epochs in ``metrics.jsonl``."""
        files.write_text(self._metrics, "".join(_json(epoch) for epoch in epochs))

    def write_predictions(
        self,
        *,
        classes: NDArray[Any],
        logits: NDArray[Any],
        true_probability: NDArray[Any],
        labels: NDArray[Any],
    ) -> None:
        """Write ``predictions.npz``: for N test images the top-K classes and logits (N, K), and for the true class
        its probability and number (N,)."""
        with files.replacing(self.path / "predictions.npz") as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, classes=classes, logits=logits, true_probability=true_probability, labels=labels)

    def read_predictions(self) -> dict[str, NDArray[Any]]:
        """The arrays of ``predictions.npz``.

        Raises:
            ConfigError: if the file is missing or damaged.
        """
        path = self.path / "predictions.npz"
        try:
            with np.load(path, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise ConfigError(f"{path} cannot be read ({error}); --fresh trains the run again") from error

    def write_result(self, record: RunRecord) -> None:
        """Write ``result.json``, which makes the run's outcome final."""
        files.write_text(self.path / "result.json", _json(record, indent=2))

    def read_result(self) -> RunRecord | None:
        """The run's record; None if it has not ended."""
        path = self.path / "result.json"
        return read_record(path) if path.is_file() else None


def read_record(path: Path) -> RunRecord:
    """Read a ``result.json``.

    Raises:
        ConfigError: if the file is no record, or one of another schema.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path} is not valid JSON ({error}); move its folder away to train the run again") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        found = data.get("schema") if isinstance(data, dict) else None
        raise ConfigError(f"{path} has schema {found!r}; this version reads schema {SCHEMA}. Move its folder away")
    return from_plain(RunRecord, data, where=str(path))


def _json(value: object, *, indent: int | None = None) -> str:
    return json.dumps(to_plain(value), indent=indent, allow_nan=False) + "\n"


def _parse_epochs(path: Path) -> Iterator[Epoch]:
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):  # the last: empty, or a torn line
        try:
            data = json.loads(line)
        except ValueError as error:
            raise ConfigError(f"{path}, line {number} is damaged ({error}); --fresh moves the run aside") from error
        yield from_plain(Epoch, data, where=f"{path}, line {number}")


def _commit() -> str:
    """The commit of this checkout, with "-dirty" when files differ from it; "unknown" outside of one."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return described.stdout.strip()
