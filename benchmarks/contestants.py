"""What is timed against each other: the reference loop, and the product's loop with each engine."""

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
from ablations.hardware.device import clock, exact_kernels
from ablations.suites.recipe import PUBLISHED, Recipe
from ablations.training.loader import Loader
from ablations.training.step import Engine, TrainStep
from ablations.training.train import train_epoch
from benchmarks import reference_loop
from benchmarks.random_data import NUM_CLASSES, random_split
from googlenet import VARIANTS, Architecture, build

Kind = Literal["reference"] | Engine
MEMORY_PROCESSES = 5


@dataclass(frozen=True, kw_only=True)
class Contest:
    """The work that all contestants do: a variant at an image size, trained by a recipe, on so many images."""

    variant: str
    image_size: int
    recipe: Recipe
    images: int
    device: str
    width: float = 1.0

    @property
    def architecture(self) -> Architecture:
        """The variant at this contest's size."""
        return VARIANTS[self.variant].at_size(self.image_size, width=self.width)

    def split(self) -> Split:
        """Random images, always the same."""
        return random_split(self.images, image_size=self.image_size, rng=np.random.default_rng(0))


class Contestant:
    """A loop over the contest's images, one epoch at a time."""

    def __init__(self, kind: Kind, contest: Contest, split: Split) -> None:
        self.kind = kind
        self._device = torch.device(contest.device)
        self._images = contest.images
        torch.manual_seed(0)
        self._train_once = (
            self._reference(contest, split) if kind == "reference" else self._product(kind, contest, split)
        )

    def train_epoch(self) -> float:
        """Train on every image once, loading included; returns images a second."""
        began = clock(self._device)
        self._train_once()
        return self._images / (clock(self._device) - began)

    def _reference(self, contest: Contest, split: Split) -> Callable[[], object]:
        trainer = reference_loop.ReferenceTrainer(contest.architecture, num_classes=NUM_CLASSES, device=self._device)
        batches = reference_loop.make_batches(split, device=self._device, batch_size=contest.recipe.batch_size)
        return lambda: trainer.train_epoch(batches)

    def _product(self, engine: Engine, contest: Contest, split: Split) -> Callable[[], object]:
        model = build(contest.architecture, num_classes=NUM_CLASSES)
        model = model.to(device=self._device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        trainer = TrainStep(model, contest.recipe, engine=engine)
        loader = Loader(split, recipe=contest.recipe, device=self._device)
        with exact_kernels(self._device):
            trainer.warm_up(batch_sizes=loader.batch_sizes)
        epochs = itertools.cycle(range(1, contest.recipe.epochs + 1))

        def train_once() -> None:
            with exact_kernels(self._device):
                train_epoch(trainer, loader, seed=1, epoch=next(epochs), on_step=lambda images, loss: None)

        return train_once


def interleave(contestants: Sequence[Contestant], *, rounds: int) -> list[list[float]]:
    """Images a second of each contestant in each of `rounds` epochs, after one that is not counted.

    They take turns so that whatever else the machine does falls on all of them.
    """
    for contestant in contestants:
        contestant.train_epoch()
    speeds: list[list[float]] = [[] for _ in contestants]
    for number in range(rounds):
        turn = list(zip(contestants, speeds, strict=True))
        for contestant, found in reversed(turn) if number % 2 else turn:
            found.append(contestant.train_epoch())
    return speeds


class LoaderSpeeds(NamedTuple):
    """Images a second of loading alone, and the median over rounds of their ratio in the same round."""

    product: float
    reference: float
    workers: int
    ratio: float


def loader_speeds(device: torch.device, *, images: int = 12_800, image_size: int = 32, rounds: int = 5) -> LoaderSpeeds:
    """Load the published recipe's training batches of random images with both loaders in turns.

    The reference gets the better of no worker processes and one for each core.
    """
    recipe = PUBLISHED.at_precision("fp32")
    contest = Contest(variant="reduced", image_size=image_size, recipe=recipe, images=images, device=device.type)
    split = contest.split()
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
    """The median over rounds of how many times as fast as the reference a contestant was in the same round."""
    return statistics.median(ours / theirs for ours, theirs in zip(speeds, reference, strict=True))


def peak_memory_bytes(kind: Kind, contest: Contest) -> int:
    """Peak memory of an epoch in a process of its own: the GPU allocator's, or the resident set on a CPU.

    The median of several processes, as resident sets repeat only to within some percent.
    """

    def peak() -> int:
        with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
            return pool.submit(_peak_of_an_epoch, kind, contest).result()

    return statistics.median_low(peak() for _ in range(MEMORY_PROCESSES))


def _peak_of_an_epoch(kind: Kind, contest: Contest) -> int:
    Contestant(kind, contest, contest.split()).train_epoch()
    return peak_memory_bytes(torch.device(contest.device))
