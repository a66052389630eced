"""What is known of a run: its epochs, the counts of its test, its costs and times, and its record of them all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from googlenet.checks import check_choice, check_count

from .config import RunConfig
from .environment import Environment

SCHEMA = 3
Status = Literal["done", "failed", "oom", "diverged", "interrupted"]


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
        check_count("top1_wrong", self.top1_wrong, low=0, high=self.images)


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
        check_count("top1_wrong", self.top1_wrong, low=0, high=self.images)
        if self.top5_wrong is not None:
            check_count("top5_wrong", self.top5_wrong, low=0, high=self.top1_wrong)

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
