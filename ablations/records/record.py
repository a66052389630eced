"""The record of a run: its epochs, counts on the test images, costs, times and environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ablations.hardware.environment import Environment
from ablations.suites.run_config import RunConfig
from googlenet.validation import MAX_COUNT, check_choice, check_count, check_range

SCHEMA = 3
MAX_LOSS = 1e39  # beyond what single precision holds
MAX_SECONDS = 1e10  # three centuries
Status = Literal["done", "failed", "oom", "diverged", "interrupted"]


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One epoch of training; errors are fractions, `train_error` that of the training-mode outputs as they came.

    Losses are means over images of the cross-entropy: in training with the auxiliary heads' and label smoothing, in
    validation without. What the run did not measure is None: validation without images held out, and its loss and
    top-5 error until version 0.4.
    """

    epoch: int
    train_loss: float
    train_error: float
    validation_error: float | None
    train_seconds: float
    eval_seconds: float
    validation_loss: float | None = None
    validation_top5_error: float | None = None

    def __post_init__(self) -> None:
        # Comparisons first: a report reads a hundred thousand of these.
        if not (
            1 <= self.epoch <= MAX_COUNT
            and -MAX_LOSS <= self.train_loss <= MAX_LOSS
            and 0 <= self.train_error <= 1
            and (self.validation_error is None or 0 <= self.validation_error <= 1)
            and (self.validation_loss is None or 0 <= self.validation_loss <= MAX_LOSS)
            and (self.validation_top5_error is None or 0 <= self.validation_top5_error <= 1)
            and 0 <= self.train_seconds <= MAX_SECONDS
            and 0 <= self.eval_seconds <= MAX_SECONDS
        ):
            self._refuse()

    def _refuse(self) -> None:
        check_count("epoch", self.epoch)
        check_range("train_loss", self.train_loss, low=-MAX_LOSS, high=MAX_LOSS)
        check_range("train_error", self.train_error, low=0, high=1)
        for name, high in (("validation_error", 1), ("validation_top5_error", 1), ("validation_loss", MAX_LOSS)):
            if getattr(self, name) is not None:
                check_range(name, getattr(self, name), low=0, high=high)
        _check_seconds(self, "train_seconds", "eval_seconds")


@dataclass(frozen=True, kw_only=True)
class DiagnosedEpoch:
    """Test images that the network got wrong after an epoch: to measure selection bias, never a result."""

    epoch: int
    images: int
    top1_wrong: int

    def __post_init__(self) -> None:
        check_count("epoch", self.epoch)
        check_count("images", self.images)
        check_count("top1_wrong", self.top1_wrong, low=0, high=self.images)


@dataclass(frozen=True, kw_only=True)
class TestResult:
    """Integer counts over every test image, once, after the last epoch; top-5 is None with fewer than five classes.

    `epoch` is the one whose network was tested: the last, or that with the least validation error. `loss` is the mean
    cross-entropy over the images, None until version 0.4.
    """

    epoch: int
    images: int
    top1_wrong: int
    top5_wrong: int | None
    loss: float | None = None

    def __post_init__(self) -> None:
        check_count("test's epoch", self.epoch)
        check_count("images", self.images)
        check_count("top1_wrong", self.top1_wrong, low=0, high=self.images)
        if self.top5_wrong is not None:
            check_count("top5_wrong", self.top5_wrong, low=0, high=self.top1_wrong)
        if self.loss is not None:
            check_range("test's loss", self.loss, low=0, high=MAX_LOSS)

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

    def __post_init__(self) -> None:
        for name in ("params", "macs", "flops", "activations"):
            check_count(name, getattr(self, name))
        if self.peak_memory_bytes is not None:
            check_count("peak_memory_bytes", self.peak_memory_bytes, low=0)


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

    def __post_init__(self) -> None:
        _check_seconds(self, "startup_seconds", "compile_seconds", "train_seconds", "eval_seconds")


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The outcome of one run; `train_images`, `test`, `costs` and `times` are None unless its status is "done".

    `test_accesses` is how often the run read the test images for its result: once, if it is done. Epochs are numbered
    from 1, and those of a run that is done are all that its recipe has.

    Raises:
        ValueError: on construction, naming the impossible value.
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
        check_count("test_accesses", self.test_accesses, low=0)
        check_count("threads", self.environment.threads)
        if self.train_images is not None:
            check_count("train_images", self.train_images)
        planned = self.config.recipe.epochs
        check_count("the number of epochs", len(self.epochs), low=0, high=planned)
        for number, epoch in enumerate(self.epochs, start=1):
            if epoch.epoch != number:
                raise ValueError(f"epochs: number {number} says that it is {epoch.epoch}; train the run again")
        if self.status == "done":
            self._check_done(planned)

    def _check_done(self, planned: int) -> None:
        for name in ("train_images", "test", "costs", "times"):
            if getattr(self, name) is None:
                raise ValueError(f"status is 'done', but {name} is missing; train the run again")
        if len(self.epochs) != planned:
            raise ValueError(
                f"status is 'done', but there are {len(self.epochs)} of {planned} epochs; train the run again"
            )
        check_count("test_accesses of a run that is done", self.test_accesses, low=1, high=1)
        if self.test is not None:
            check_count("test's epoch", self.test.epoch, high=planned)


def _check_seconds(holder: object, *names: str) -> None:
    for name in names:
        check_range(name, getattr(holder, name), low=0, high=MAX_SECONDS)


# The status of a planned run without a record: never started, or still training or killed after some epochs.
MISSING, UNFINISHED = "missing", "unfinished"
