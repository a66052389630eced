"""What a run leaves on disk: its folder, its epochs and its record."""

from __future__ import annotations

import json
import platform
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from googlenet.checks import check_choice, check_count, check_range

from . import files
from .config import RunConfig
from .errors import ConfigError
from .lines import Lines
from .schema import from_plain, parse_json, to_plain

SCHEMA = 3
PREDICTED = ("classes", "logits", "confidence", "true_probability", "labels")  # arrays of predictions.npz
TOP_K = 5  # most likely classes of an image that are kept
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
class DiagnosedEpoch:
    """Test images that the network got wrong after an epoch: for the diagnostic of selection bias, never a result."""

    epoch: int
    images: int
    top1_wrong: int

    def __post_init__(self) -> None:
        check_count("images", self.images)
        check_range("top1_wrong", self.top1_wrong, low=0, high=self.images)


@dataclass(frozen=True, kw_only=True)
class TestResult:
    """Integer counts over every test image, once, after the last epoch; top-5 is None with fewer than five classes.

    `epoch` is the one whose network was tested: the last, or that with the least validation error.
    """

    epoch: int
    images: int
    top1_wrong: int
    top5_wrong: int | None

    def __post_init__(self) -> None:
        check_count("images", self.images)
        check_range("top1_wrong", self.top1_wrong, low=0, high=self.images)
        if self.top5_wrong is not None:
            check_range("top5_wrong", self.top5_wrong, low=0, high=self.top1_wrong)

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

    `device` is a CPU's or GPU's name, `engine` the way in which its optimisation steps ran, `deterministic` whether
    only kernels that repeat bit for bit were used, `versions` are "package version" pairs.
    """

    device: str
    device_kind: str
    engine: str
    deterministic: bool
    threads: int
    platform: str
    python: str
    versions: tuple[str, ...]
    commit: str

    @staticmethod
    def read(
        *,
        device: str,
        device_kind: str,
        engine: str,
        threads: int,
        deterministic: bool = False,
        runtimes: tuple[str, ...] = (),
    ) -> Environment:
        """The environment of this process on a device of that name ("cpu" or "cuda" by kind).

        `runtimes` are versions beside those of the packages, such as CUDA's.
        """
        return Environment(
            device=device,
            device_kind=device_kind,
            engine=engine,
            deterministic=deterministic,
            threads=threads,
            platform=f"{platform.system()} {platform.machine()}",
            python=platform.python_version(),
            versions=(*(f"{name} {metadata.version(name)}" for name in VERSIONED), *runtimes),
            commit=_commit(),
        )


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """All that is known of one run; `train_images`, `test`, `costs` and `times` only if its status is "done".

    `test_accesses` is how often the run read the test images for its result.
    """

    schema: int
    run_id: str
    config: RunConfig
    status: Status
    message: str
    epochs: tuple[Epoch, ...]
    train_images: int | None
    test: TestResult | None
    test_accesses: int
    costs: Costs | None
    times: Times | None
    environment: Environment

    def __post_init__(self) -> None:
        check_choice("status", self.status, get_args(Status))
        if self.status == "done":
            for name in ("train_images", "test", "costs", "times"):
                if getattr(self, name) is None:
                    raise ValueError(f"status is 'done', but {name} is missing; train the run again")


class RunFolder:
    """The folder of one run. ``result.json`` is written last: it is the commit mark."""

    def __init__(self, runs: Path, config: RunConfig) -> None:
        self.path = runs / config.run_id
        self.config = config
        self.checkpoints = self.path / "checkpoint"
        self.epochs = Lines(self.path / "metrics.jsonl", Epoch)
        self.diagnosed = Lines(self.path / "selection_bias.jsonl", DiagnosedEpoch)
        self._predictions = self.path / "predictions.npz"

    def claim(self) -> None:
        """Write ``config.json``; what is in the folder then belongs to this configuration.

        Raises:
            ConfigError: if the folder belongs to another configuration already.
        """
        path, own = self.path / "config.json", to_plain(self.config)
        there = _read_json(path) if path.is_file() else own
        if isinstance(there, dict) and there != own:
            changes = [
                f"{name} was {there.get(name)!r} and is {value!r}"
                for name, value in own.items()
                if there.get(name) != value
            ]
            raise ConfigError(
                f"{self.path} belongs to another configuration: {'; '.join(changes) or 'it has more keys'}. --fresh "
                "moves it aside and starts afresh"
            )
        files.write_text(path, _json(self.config))

    def rewind(self, *, epochs: int, finished: bool) -> None:
        """Keep what the first `epochs` epochs left; predictions only if with these the training is `finished`."""
        self.epochs.rewrite(self.epochs.read()[:epochs])
        self.diagnosed.rewrite([entry for entry in self.diagnosed.read() if entry.epoch <= epochs])
        if not finished:
            self._predictions.unlink(missing_ok=True)

    @property
    def has_predictions(self) -> bool:
        """Whether the run has been tested."""
        return self._predictions.is_file()

    def write_predictions(
        self,
        *,
        classes: NDArray[Any],
        logits: NDArray[Any],
        confidence: NDArray[Any],
        true_probability: NDArray[Any],
        labels: NDArray[Any],
    ) -> None:
        """Write ``predictions.npz``: for N test images the top-K classes and logits (N, K), and (N,) the probability
        of the most likely class, that of the true class, and the true class itself."""
        needed_bytes = sum(array.nbytes for array in (logits, confidence, true_probability))
        with (
            files.replacing(self._predictions, needed_bytes=needed_bytes) as temporary,
            temporary.open("wb") as file,
        ):
            # Not compressed: floats hardly shrink, and a report reads these files by the thousand.
            narrow = np.min_scalar_type(self.config.num_classes - 1)
            np.savez(
                file,
                classes=classes.astype(narrow),
                logits=logits,
                confidence=confidence,
                true_probability=true_probability,
                labels=labels.astype(narrow),
            )

    def read_predictions(self) -> dict[str, NDArray[Any]]:
        """The arrays of ``predictions.npz``.

        Raises:
            ConfigError: if the file is missing or damaged.
        """
        try:
            with self._predictions.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                return {name: stored[name] for name in PREDICTED}
        except Exception as error:  # damage shows as an archive, a stream, a header or an array that cannot be read
            raise ConfigError(f"{self._predictions} cannot be read ({error}); --fresh trains the run again") from error

    def write_result(self, record: RunRecord) -> None:
        """Write ``result.json``, which makes the run's outcome final."""
        files.write_text(self.path / "result.json", _json(record))

    def read_result(self) -> RunRecord | None:
        """The run's record; None if it has not ended."""
        path = self.path / "result.json"
        return read_record(path, expected=self.config) if path.is_file() else None


def read_record(path: Path, *, expected: RunConfig | None = None) -> RunRecord:
    """Read a ``result.json``; its configuration becomes `expected` itself where it is equal, which is the quicker way.

    Raises:
        ConfigError: if the file is no record, or one of another schema.
    """
    try:
        data = parse_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(
            f"{path} is not valid JSON ({error}); --fresh moves the run aside and trains it anew"
        ) from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        found = data.get("schema") if isinstance(data, dict) else None
        raise ConfigError(
            f"{path} has schema {found!r}; this version reads schema {SCHEMA}. --fresh moves the run aside and trains "
            "it anew; the version that wrote it can still read it"
        )
    if expected is not None and data.get("config") == to_plain(expected):
        data["config"] = expected
    return from_plain(RunRecord, data, where=str(path))


def _read_json(path: Path) -> Any:
    """The file's content; None where it is damaged, which costs nothing here."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None


def _json(value: object) -> str:
    return json.dumps(to_plain(value), indent=2, allow_nan=False) + "\n"


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
