"""The training loops whose speed and memory are compared: the reference loop, and ours with each engine."""

from __future__ import annotations

import itertools
import os
import statistics
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ablations.data.dataset import Split
from ablations.hardware.device import clock, exact_kernels, peak_memory_bytes
from ablations.suites.recipe import PUBLISHED, Recipe
from ablations.training.epoch import train_epoch
from ablations.training.inputs.loader import Loader
from ablations.training.step import Engine, TrainStep
from benchmarks import reference_loop
from benchmarks.random_data import NUM_CLASSES, random_split
from googlenet import VARIANTS, Architecture, build

LoopKind = Literal["reference"] | Engine
MEMORY_PROCESSES = 5


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What every loop trains: a variant at an image size, by a recipe, on a number of images."""

    variant: str
    image_size: int
    recipe: Recipe
    images: int
    device: str
    width: float = 1.0

    @property
    def architecture(self) -> Architecture:
        """The variant at the workload's image size and width."""
        return VARIANTS[self.variant].at_size(self.image_size, width=self.width)

    def split(self) -> Split:
        """The workload's random images, the same on every call."""
        return random_split(self.images, image_size=self.image_size, rng=np.random.default_rng(0))


class TimedLoop:
    """A training loop over the workload's images, one epoch at a time."""

    def __init__(self, kind: LoopKind, workload: Workload, split: Split) -> None:
        self.kind = kind
        self._device = torch.device(workload.device)
        self._images = workload.images
        torch.manual_seed(0)
        self._train_once = (
            self._reference(workload, split) if kind == "reference" else self._ours(kind, workload, split)
        )

    def train_epoch(self) -> float:
        """Train on every image once, loading included; returns images per second."""
        began = clock(self._device)
        self._train_once()
        return self._images / (clock(self._device) - began)

    def _reference(self, workload: Workload, split: Split) -> Callable[[], object]:
        trainer = reference_loop.ReferenceTrainer(workload.architecture, num_classes=NUM_CLASSES, device=self._device)
        batches = reference_loop.make_batches(split, device=self._device, batch_size=workload.recipe.batch_size)
        return lambda: trainer.train_epoch(batches)

    def _ours(self, engine: Engine, workload: Workload, split: Split) -> Callable[[], object]:
        model = build(workload.architecture, num_classes=NUM_CLASSES)
        model = model.to(device=self._device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        train_step = TrainStep(model, workload.recipe, engine=engine)
        loader = Loader(split, recipe=workload.recipe, device=self._device)
        with exact_kernels(self._device):
            train_step.warm_up(batch_sizes=loader.batch_sizes)
        epochs = itertools.cycle(range(1, workload.recipe.epochs + 1))

        def train_once() -> None:
            with exact_kernels(self._device):
                train_epoch(train_step, loader, seed=1, epoch=next(epochs), on_step=lambda images, loss: None)

        return train_once


def interleave(loops: Sequence[TimedLoop], *, rounds: int) -> list[list[float]]:
    """Images per second of each loop in each of `rounds` epochs, after a warm-up epoch that is not counted.

    The loops take turns, so that other load on the machine affects all of them.
    """
    for loop in loops:
        loop.train_epoch()
    speeds: list[list[float]] = [[] for _ in loops]
    for number in range(rounds):
        turn = list(zip(loops, speeds, strict=True))
        for loop, found in reversed(turn) if number % 2 else turn:
            found.append(loop.train_epoch())
    return speeds


class LoaderSpeeds(NamedTuple):
    """Images per second of loading alone: medians of our loader and of the reference's, and the median ratio."""

    loader: float
    reference: float
    workers: int
    ratio: float


def loader_speeds(device: torch.device, *, images: int = 12_800, image_size: int = 32, rounds: int = 5) -> LoaderSpeeds:
    """Load the published recipe's training batches of random images with both loaders in turns.

    The reference uses no worker processes or one per core, whichever is faster. The ratio is taken round by round.
    """
    recipe = PUBLISHED.at_precision("fp32")
    workload = Workload(variant="reduced", image_size=image_size, recipe=recipe, images=images, device=device.type)
    split = workload.split()
    loader = Loader(split, recipe=recipe, device=device)

    def load(batches: Iterable[tuple[Tensor, Tensor]]) -> float:
        began = clock(device)
        for batch in batches:
            for tensor in batch:
                tensor.to(device)
        return images / (clock(device) - began)

    candidates = {
        workers: reference_loop.make_batches(split, device=device, batch_size=recipe.batch_size, workers=workers)
        for workers in (0, os.cpu_count() or 1)
    }
    for batches in candidates.values():
        load(batches)  # starts the processes
    trials = {workers: load(batches) for workers, batches in candidates.items()}
    workers = max(trials, key=lambda count: trials[count])
    load(loader.train_batches(seed=1, epoch=1))
    pairs = [
        (load(loader.train_batches(seed=1, epoch=number)), load(candidates[workers])) for number in range(1, rounds + 1)
    ]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    return LoaderSpeeds(ours, theirs, workers, statistics.median(a / b for a, b in pairs))


def median_ratio(speeds: Sequence[float], reference: Sequence[float]) -> float:
    """The median over rounds of a loop's speed divided by the reference's in the same round."""
    return statistics.median(ours / theirs for ours, theirs in zip(speeds, reference, strict=True))


def epoch_peak_memory(kind: LoopKind, workload: Workload) -> int:
    """Peak memory of an epoch in a process of its own, in bytes: the GPU allocator's, or a CPU's resident set.

    The median of `MEMORY_PROCESSES` processes, as resident sets repeat only to within some percent.
    """

    def peak() -> int:
        with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
            return pool.submit(_peak_of_an_epoch, kind, workload).result()

    return statistics.median_low(peak() for _ in range(MEMORY_PROCESSES))


def _peak_of_an_epoch(kind: LoopKind, workload: Workload) -> int:
    TimedLoop(kind, workload, workload.split()).train_epoch()
    return peak_memory_bytes(torch.device(workload.device))
