"""The benchmarks, on networks too small to be worth timing: what they compare, count and print, not how fast it is."""

import contextlib
import functools
import io
import itertools
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
import pytest
import torch
from made_records import make_record
from rich.console import Console
from torch import Tensor
from torch.nn import functional

from ablations import augmentation, checkpoint, devices, report
from ablations.complexity import shortest_seconds, training_kernels
from ablations.config import PUBLISHED, Recipe, RunConfig
from ablations.engine import Trainer
from ablations.errors import ConfigError
from ablations.loader import Loader
from ablations.record import RunRecord
from ablations.splits import Dataset, Split
from ablations.train import train
from benchmarks import (
    agreement,
    command,
    contestants,
    gpu_report,
    overhead,
    peaks,
    reference_loop,
    reporting,
    throughput,
    tuning,
)
from benchmarks.contestants import Contest, Contestant, LoaderSpeeds
from benchmarks.peaks import Peaks
from googlenet import VARIANTS, build
from googlenet.counts import count_macs

CPU = torch.device("cpu")
MakeScale = Callable[..., gpu_report.Scale]
Wrong = Callable[[str, Recipe, int], int]  # of a variant, a recipe and a seed
RECIPE = replace(PUBLISHED, batch_size=16).at_precision("fp32")
CONTEST = Contest(variant="short4", image_size=16, width=0.25, recipe=RECIPE, images=3 * 16 + 5, device="cpu")
TINY = Contest(variant="short4", image_size=8, width=0.125, recipe=RECIPE, images=2 * 16, device="cpu")
OVERHEAD = overhead.Arguments(
    variant="short4", images=128, epoch_images=6400, epochs=3, image_size=8, width=0.125, device="cpu"
)
COSTS = [
    "progress: events of steps",
    "progress: drawing",
    "recording: line of metrics",
    "checkpointing",
]


@pytest.fixture(scope="module", autouse=True)
def small_peaks() -> Iterator[None]:
    """Matrices and copies that take no time, as what they measure is no matter here."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(peaks, "SECONDS", 0.01)
        patched.setattr(peaks, "CPU_SIDE", 64)
        patched.setattr(peaks, "CPU_BYTES", 2**16)
        patched.setattr(peaks, "CPU_IMAGES", 1)
        yield


def table_cells(text: str) -> list[list[str]]:
    """The cells of each line of a printed table, without its head."""
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if line[:1] == "│"]


# Agreement


def test_eager_is_the_reference_loop_in_double_precision() -> None:
    assert agreement.eager_to_reference(CONTEST, dtype=torch.float64) <= 1e-10
    # And not because nothing was compared.
    losses = agreement.product_losses(CONTEST, "eager", dtype=torch.float64)
    assert len(set(losses)) == 4
    assert all(1 < loss < 5 for loss in losses)  # about log 10


def test_eager_is_the_reference_loop_in_single_precision_at_a_small_rate() -> None:
    contest = agreement.at_small_rate(replace(CONTEST, images=20 * 16))
    assert contest.recipe.learning_rate == 1e-3
    assert agreement.eager_to_reference(contest) <= 1e-4


def never_flipping(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(augmentation, "flip", lambda images, flipped: images)


def a_thousandth_faster(patched: pytest.MonkeyPatch) -> None:
    def make(model: Any, recipe: Recipe, **named: Any) -> Trainer:
        return Trainer(model, replace(recipe, learning_rate=1.001 * recipe.learning_rate), **named)

    patched.setattr(agreement, "Trainer", make)


def in_another_order(patched: pytest.MonkeyPatch) -> None:
    batches = Loader.train_batches
    patched.setattr(Loader, "train_batches", lambda loader, seed, epoch: batches(loader, seed=seed + 1, epoch=epoch))


@pytest.mark.parametrize("change", [never_flipping, a_thousandth_faster, in_another_order])
def test_a_product_that_differs_does_not_agree(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[pytest.MonkeyPatch], None]
) -> None:
    change(monkeypatch)
    assert agreement.eager_to_reference(CONTEST, dtype=torch.float64) > 1e-5


@pytest.mark.parametrize("flip", [0.0, 0.5, 1.0])
def test_torchvisions_batches_are_the_loaders_bit_for_bit(flip: float) -> None:
    recipe, split = replace(RECIPE, flip=flip, mean=0.4, std=0.3), CONTEST.split()
    ours = list(Loader(split, recipe=recipe, device=CPU).train_batches(seed=agreement.SEED, epoch=1))
    theirs = list(agreement.torchvision_batches(split, recipe))
    assert [len(labels) for _, labels in theirs] == [16, 16, 16, 5]
    for (images, labels), (expected, expected_labels) in zip(ours, theirs, strict=True):
        assert torch.equal(images, expected)
        assert torch.equal(labels, expected_labels)


def test_the_largest_difference_is_relative() -> None:
    assert agreement.largest_difference([1.0, 2.2, 40.0], [1.0, 2.0, 50.0]) == pytest.approx(0.2)
    with pytest.raises(ValueError, match="cannot be compared"):
        agreement.largest_difference([1.0], [1.0, 2.0])


def test_agreement_prints_a_row_a_pair(capsys: pytest.CaptureFixture[str]) -> None:
    agreement.main(
        agreement.Arguments(variant="short4", steps=2, batch_size=8, image_size=8, width=0.125, device="cpu")
    )
    rows = table_cells(capsys.readouterr().out)
    assert [name for name, _ in rows] == [
        "eager / reference loop, fp64, rate 0.001",
        "eager / reference loop, fp32, rate 0.001",
        "eager / reference loop, fp32",
    ]
    assert float(rows[0][1]) <= 1e-10
    assert float(rows[1][1]) <= 1e-4


# The reference loop


def numbered(count: int) -> Split:
    """Images of one grey each, which flips do not change, with that grey as the label."""
    greys = np.arange(count)
    images = np.broadcast_to(greys[:, None, None, None], (count, 8, 8, 3)).astype(np.uint8)
    return Split(images=images, labels=greys)


def test_the_reference_loop_loads_every_image_once_in_a_new_order() -> None:
    torch.manual_seed(0)
    batches = reference_loop.make_batches(numbered(37), device=CPU, batch_size=8)
    assert batches.num_workers == 0  # on a CPU they would take the cores that train
    orders = []
    for _ in range(2):
        epoch = list(batches)
        assert [len(labels) for _, labels in epoch] == [8, 8, 8, 8, 5]
        images, labels = (torch.cat(column) for column in zip(*epoch, strict=True))
        assert sorted(labels.tolist()) == list(range(37))
        expected = (labels[:, None, None, None].float() / 255 - 0.5) / 0.5
        torch.testing.assert_close(images, expected.expand(37, 3, 8, 8), rtol=0, atol=1e-6)
        orders.append(labels.tolist())
    assert len({tuple(order) for order in [*orders, list(range(37))]}) == 3


def test_the_reference_loop_flips_half_of_the_images() -> None:
    torch.manual_seed(0)
    images = np.zeros((400, 8, 8, 3), dtype=np.uint8)
    images[:, :, 0] = 255  # the left edge is white
    batches = reference_loop.make_batches(
        Split(images=images, labels=np.zeros(400, dtype=np.int64)), device=CPU, batch_size=64
    )
    shown = torch.cat([batch for batch, _ in batches])
    flipped = shown[:, 0, 0, -1] == 1
    assert torch.equal(flipped, shown[:, 0, 0, 0] == -1)
    assert 150 < int(flipped.sum()) < 250  # five standard deviations on either side of 200


def test_a_reference_step_is_adadeltas_on_the_cross_entropy() -> None:
    torch.manual_seed(3)
    trainer = reference_loop.ReferenceTrainer(TINY.architecture, num_classes=10, device=CPU, dtype=torch.float64)
    torch.manual_seed(3)
    model = build(TINY.architecture, num_classes=10).double()
    source = torch.Generator().manual_seed(0)
    images = torch.randn(6, 3, 8, 8, generator=source, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 3, 4, 4])

    torch.manual_seed(4)  # of dropout
    loss = trainer.step(images, labels)
    torch.manual_seed(4)
    expected = functional.cross_entropy(model.train()(images).logits, labels)
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    for ours, theirs in zip(trainer.model.parameters(), model.parameters(), strict=True):
        assert theirs.grad is not None
        # arXiv:1212.5701, algorithm 1, with rho 0.9, eps 1e-6 and nothing accumulated yet.
        update = (1e-6**0.5) / (0.1 * theirs.grad**2 + 1e-6).sqrt() * theirs.grad
        torch.testing.assert_close(ours.detach(), (theirs - update).detach(), rtol=1e-9, atol=1e-12)


def test_a_reference_epoch_is_torchs_loop_over_its_batches() -> None:
    def make() -> tuple[reference_loop.ReferenceTrainer, Any]:
        torch.manual_seed(0)
        trainer = reference_loop.ReferenceTrainer(TINY.architecture, num_classes=10, device=CPU, dtype=torch.float64)
        split = replace(TINY, images=21).split()
        images = torch.tensor(split.images).permute(0, 3, 1, 2).double() / 255
        return trainer, list(zip(images.split(8), torch.tensor(split.labels).split(8), strict=True))

    trainer, batches = make()
    torch.manual_seed(1)
    mean = trainer.train_epoch(batches)
    plain, batches = make()
    optimizer = torch.optim.Adadelta(plain.model.parameters(), lr=1.0)
    losses = []
    torch.manual_seed(1)
    for images, labels in batches:
        loss = functional.cross_entropy(plain.model(images).logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert mean == pytest.approx(statistics.mean(losses), rel=1e-12)
    for ours, theirs in zip(trainer.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


# Contestants


class Scripted(Contestant):
    """A contestant whose speeds are known beforehand; each turn goes into the common log."""

    def __init__(self, name: str, speeds: Sequence[float], log: list[str]) -> None:
        self.name, self.log = name, log
        self.speeds = iter(speeds)

    def train_epoch(self) -> float:
        self.log.append(self.name)
        return next(self.speeds)


def test_contestants_take_turns_and_their_first_epoch_does_not_count() -> None:
    log: list[str] = []
    teams = {"a": [99, 1, 2, 3], "b": [99, 4, 5, 6], "c": [99, 7, 8, 9]}
    speeds = contestants.interleave([Scripted(name, found, log) for name, found in teams.items()], rounds=3)
    assert speeds == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    # Each round the other way round, so that what grows over a round favours nobody.
    assert "".join(log) == "abc" + "abc" + "cba" + "abc"


def test_the_median_ratio_is_that_of_rounds() -> None:
    # 2, 3 and 1 times; the ratio of the medians would be 4 / 3.
    assert contestants.median_ratio([2, 9, 4], [1, 3, 4]) == 2
    with pytest.raises(ValueError, match="argument 2 is longer"):
        contestants.median_ratio([1], [1, 2])


@pytest.mark.parametrize("kind", ["reference", "eager"])
def test_a_contestants_speed_is_all_of_its_images_over_its_seconds(
    monkeypatch: pytest.MonkeyPatch, kind: contestants.Kind
) -> None:
    seen: list[int] = []
    for trainer in (Trainer, reference_loop.ReferenceTrainer):
        step = trainer.step

        def noting(loop: Any, images: Tensor, labels: Tensor, *, step: Callable[..., Any] = step) -> Any:
            seen.append(len(images))
            return step(loop, images, labels)

        monkeypatch.setattr(trainer, "step", noting)
    contestant = Contestant(kind, replace(TINY, images=37), replace(TINY, images=37).split())
    began = time.perf_counter()
    speed = contestant.train_epoch()
    seconds = time.perf_counter() - began
    assert seen == [16, 16, 5]
    assert 37 / seconds <= speed < 20 * 37 / seconds


def test_a_contestant_trains_for_more_epochs_than_its_recipe_has(monkeypatch: pytest.MonkeyPatch) -> None:
    epochs: list[int] = []
    monkeypatch.setattr(contestants, "train_epoch", lambda *_, epoch, **__: epochs.append(epoch))
    contestant = Contestant("eager", replace(TINY, recipe=replace(RECIPE, epochs=2)), TINY.split())
    for _ in range(5):
        contestant.train_epoch()
    assert epochs == [1, 2, 1, 2, 1]  # the schedule is defined for these only


def test_a_contests_images_are_random_and_always_the_same() -> None:
    split, again = TINY.split(), TINY.split()
    assert split.images.shape == (32, 8, 8, 3)
    assert np.array_equal(split.images, again.images) and np.array_equal(split.labels, again.labels)
    assert len({image.tobytes() for image in split.images}) == 32
    assert set(split.labels.tolist()) <= set(range(10))
    assert TINY.architecture == replace(VARIANTS["short4"], image_size=8, width=0.125)


def test_loaders_are_timed_on_the_same_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)  # one worker process
    speeds = contestants.loader_speeds(CPU, images=128, image_size=8, rounds=1)
    assert speeds.product > 0 and speeds.reference > 0
    assert speeds.ratio == pytest.approx(speeds.product / speeds.reference)  # of the only round
    assert speeds.workers in (0, 1)


def test_peak_memory_is_that_of_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contestants, "MEMORY_PROCESSES", 1)
    # At least torch itself, and not as much as a machine has.
    assert 100e6 < contestants.peak_memory_bytes("eager", TINY) < 8e9


# Peaks


@pytest.mark.parametrize(
    ("channels", "multiply_adds"),
    [
        (1, 64**3),  # the product of 64 x 64 matrices, against 32 x 32 x 9 of the convolution
        (256, 32 * 32 * 256 * 256 * 9),  # the convolution of one image of 32 x 32
    ],
)
def test_peaks_are_operations_and_bytes_over_the_fastest_seconds(
    monkeypatch: pytest.MonkeyPatch, channels: int, multiply_adds: int
) -> None:
    monkeypatch.setattr(peaks, "CHANNELS", channels)
    monkeypatch.setattr(peaks, "SECONDS", 0.5)  # of real time, enough for several repeats
    # Read before and after each repeat, which so takes 4, 2, 3, 4, ... seconds.
    times = itertools.accumulate(
        itertools.chain.from_iterable((100.0, seconds) for seconds in itertools.cycle((4, 2, 3)))
    )
    monkeypatch.setattr(devices, "clock", lambda device: next(times))
    # A copy of 2^16 bytes reads and writes them.
    assert peaks.measure(CPU, "fp32") == Peaks(2 * multiply_adds / 2, 2 * 2**16 / 2)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_measured_peaks_are_positive(precision: Any) -> None:
    assert min(peaks.measure(CPU, precision)) > 0


def test_the_highest_peaks_are_rate_by_rate() -> None:
    assert Peaks(3.0, 10.0).highest(Peaks(2.0, 20.0)) == Peaks(3.0, 20.0)
    assert Peaks(2.0, 20.0).highest(Peaks(3.0, 10.0)) == Peaks(3.0, 20.0)


# Throughput


class Printed(NamedTuple):
    """What a benchmark returned, saved and printed."""

    table: pd.DataFrame
    saved: pd.DataFrame
    text: str


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Printed:
    """Both loops on a CPU, two rounds of two steps."""
    arguments = throughput.Arguments(
        variants=("short4",),
        batch_size=16,
        image_size=8,
        width=0.125,
        steps=2,
        rounds=2,
        device="cpu",
        memory=False,
        output=tmp_path_factory.mktemp("throughput") / "new" / "table.csv",
    )
    text = io.StringIO()
    with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stdout(text):
        patched.setattr(os, "cpu_count", lambda: 1)
        few = functools.partial(contestants.loader_speeds, images=64, image_size=8, rounds=1)
        patched.setattr(throughput, "loader_speeds", few)
        table = throughput.main(arguments)
    return Printed(table, pd.read_csv(arguments.output), text.getvalue())


def test_throughput_saves_a_row_a_loop(compared: Printed) -> None:
    pd.testing.assert_frame_equal(compared.saved, compared.table.fillna(float("nan")), check_dtype=False)
    assert compared.saved["loop"].tolist() == ["reference", "eager"]
    assert compared.saved["times_reference"][0] == 1
    assert compared.saved["times_reference"][1] > 0
    assert compared.saved["peak_memory_bytes"].isna().all()
    for column, value in {"variant": "short4", "batch_size": 16, "image_size": 8, "width": 0.125, "rounds": 2}.items():
        assert (compared.saved[column] == value).all()


def test_throughputs_columns_are_consistent(compared: Printed) -> None:
    kernels = training_kernels(TINY.architecture, num_classes=10, recipe=RECIPE, batch_size=16)
    macs = count_macs(TINY.architecture, num_classes=10)
    for row in compared.saved.to_dict("records"):
        speed, peak = row["images_per_second"], row["peak_flops_per_second"]
        assert 0 < row["images_per_second_min"] <= speed <= row["images_per_second_max"]
        assert row["seconds_per_epoch_of_50000"] == pytest.approx(50_000 / speed)
        # Forward, and the gradients of inputs and of weights: three times two operations for each multiply-add.
        assert row["mfu"] == pytest.approx(3 * 2 * macs * speed / peak)
        least = sum(max(part.flops / peak, part.bytes / row["peak_bytes_per_second"]) for part in kernels)
        assert row["roofline_share"] == pytest.approx(speed * least / 16)
        assert row["step_flops"] == sum(part.flops for part in kernels)
        assert row["step_bytes"] == sum(part.bytes for part in kernels)


def test_throughput_prints_both_loops_and_the_loading(compared: Printed) -> None:
    rows = table_cells(compared.text)
    assert [row[:4] for row in rows] == [["short4", loop, "fp32", "16"] for loop in ("reference", "eager")]
    for row, (_, saved) in zip(rows, compared.saved.iterrows(), strict=True):
        assert row[4].startswith(f"{saved['images_per_second']:,.1f} (")
        assert row[6] == f"{saved['times_reference']:.2f}"
        assert float(row[8]) == pytest.approx(100 * saved["mfu"], abs=0.051)
    assert "loading alone" in compared.text
    assert "table.csv" in compared.text


def test_throughput_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    raced: list[str] = []

    def race(entered: Sequence[Contestant], *, rounds: int) -> list[list[float]]:
        raced.extend(contestant.kind for contestant in entered)
        assert rounds == 3
        return [[100.0, 200.0, 400.0], [300.0, 500.0, 800.0]]

    measured = iter([Peaks(1e9, 5e9), Peaks(2e9, 4e9)])
    monkeypatch.setattr(throughput, "interleave", race)
    monkeypatch.setattr(peaks, "measure", lambda device, precision: next(measured))
    monkeypatch.setattr(throughput, "peak_memory_bytes", lambda kind, contest: {"reference": 7, "eager": 8}[kind])
    table = throughput.measure(TINY, throughput.Arguments(rounds=3), CPU)
    assert raced == table["loop"].tolist() == ["reference", "eager"]
    assert table["images_per_second"].tolist() == [200, 500]
    assert table["images_per_second_min"].tolist() == [100, 300]
    assert table["images_per_second_max"].tolist() == [400, 800]
    assert table["times_reference"].tolist() == [1, 2.5]  # of 3, 2.5 and 2
    assert table["seconds_per_epoch_of_50000"].tolist() == [250, 100]
    assert table["peak_memory_bytes"].tolist() == [7, 8]
    # The higher of those measured before and after.
    assert set(table["peak_flops_per_second"]) == {2e9} and set(table["peak_bytes_per_second"]) == {5e9}
    macs = count_macs(TINY.architecture, num_classes=10)
    assert table["mfu"].tolist() == pytest.approx([6 * macs * 200 / 2e9, 6 * macs * 500 / 2e9])
    kernels = training_kernels(TINY.architecture, num_classes=10, recipe=RECIPE, batch_size=16)
    seconds = shortest_seconds(kernels, flops_per_second=2e9, bytes_per_second=5e9)
    assert table["roofline_share"].tolist() == pytest.approx([200 * seconds / 16, 500 * seconds / 16])


def test_throughput_without_the_reference_compares_with_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "interleave", lambda entered, *, rounds: [[100.0]])
    table = throughput.measure(TINY, throughput.Arguments(reference=False, memory=False, rounds=1), CPU)
    assert table["loop"].tolist() == ["eager"]
    assert table["times_reference"].isna().all()


def test_the_loaders_speeds_in_a_line() -> None:
    line = throughput.describe(LoaderSpeeds(product=123_456.7, reference=2_345.6, workers=8, ratio=52.63))
    assert "123,457 images/s" in line and "2,346 images/s (8 workers)" in line and "52.6 times" in line


# Overhead


@pytest.fixture(scope="module")
def overhead_and_saves(tmp_path_factory: pytest.TempPathFactory) -> tuple[Printed, list[float]]:
    """The overhead of three epochs, and the seconds of each checkpoint by a clock of our own."""
    save, seconds = checkpoint.save, list[float]()

    def timed_save(folder: Path, state: dict[str, Any], *, epoch: int) -> None:
        began = time.perf_counter()
        save(folder, state, epoch=epoch)
        seconds.append(time.perf_counter() - began)

    arguments = replace(OVERHEAD, output=tmp_path_factory.mktemp("overhead") / "new" / "table.csv")
    text = io.StringIO()
    with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stdout(text):
        patched.setattr(checkpoint, "save", timed_save)
        table = overhead.main(arguments)
        assert checkpoint.save is timed_save  # put back
    return Printed(table, pd.read_csv(arguments.output), text.getvalue()), seconds


def test_overheads_shares_add_up(overhead_and_saves: tuple[Printed, list[float]]) -> None:
    measured, _ = overhead_and_saves
    pd.testing.assert_frame_equal(measured.saved, measured.table, check_dtype=False)
    table = measured.saved.set_index("cost")
    assert table.index.tolist() == [*COSTS, "all"]
    for column in ("seconds", "share"):
        assert (table[column] > 0).all()
        assert table[column][COSTS].sum() == pytest.approx(table[column]["all"])
    assert (table["seconds"] / table["share"]).tolist() == pytest.approx(table["epoch_seconds"].tolist())
    assert [row[0] for row in table_cells(measured.text)] == [*COSTS, "all"]


def test_a_checkpoints_cost_is_that_of_saving_it(overhead_and_saves: tuple[Printed, list[float]]) -> None:
    measured, saves = overhead_and_saves
    seconds = measured.table.set_index("cost")["seconds"]["checkpointing"]
    assert len(saves) == 3
    assert statistics.median(saves) <= seconds < 20 * statistics.median(saves)


def test_overheads_costs_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    records: list[RunRecord] = []

    def noting(config: RunConfig, **named: Any) -> RunRecord:
        records.append(train(config, **named))
        return records[-1]

    # A stopwatch whose every reading is a second after the last, so that each call takes one.
    monkeypatch.setattr(overhead, "time", SimpleNamespace(perf_counter=itertools.count().__next__))
    monkeypatch.setattr(overhead, "train", noting)
    table = overhead.measure(OVERHEAD).set_index("cost")
    (record,) = records
    epoch_seconds = 6400 / 128 * statistics.median(epoch.train_seconds for epoch in record.epochs)
    # An epoch of 6400 images has 100 steps of 64, ten drawings a second, and one line of metrics and checkpoint.
    expected = [100, 10 * epoch_seconds, 1, 1, 102 + 10 * epoch_seconds]
    assert table["seconds"].tolist() == pytest.approx(expected)
    assert table["share"].tolist() == pytest.approx([seconds / epoch_seconds for seconds in expected])


# The report on a GPU's figures


def test_the_gpu_report_needs_a_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="needs a GPU"):
        gpu_report.main(gpu_report.Arguments(output=tmp_path / "table.csv"))
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_part_is_named_with_those_allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    arguments = gpu_report.Arguments(parts=("fast", "nonsense"), output=tmp_path / "table.csv")
    with pytest.raises(ConfigError) as stopped:
        gpu_report.main(arguments)
    message = str(stopped.value)
    assert "--parts nonsense" in message
    assert message.endswith("allowed: agreement, throughput, overhead, published, suite, gap, fast")


def test_an_error_of_the_users_is_one_line_with_its_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["throughput", "--device", "cuda"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as stopped:
        command.run(throughput.main, throughput.Arguments, name="throughput")
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --device cuda")
    assert error.count("\n") == 1


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_losses_that_are_not_finite_agree_with_nothing(bad: float) -> None:
    for ours, theirs in (([1.0, bad, 3.0], [1.0, 2.0, 3.0]), ([1.0, 2.0], [1.0, bad]), ([bad], [bad])):
        assert not agreement.largest_difference(ours, theirs) <= 1e30


@pytest.fixture(scope="module")
def few_digits(tiny_digits: Dataset) -> Dataset:
    """As much data as four batches of eight need."""
    return replace(
        tiny_digits,
        train=tiny_digits.train.take(np.arange(32)),
        test=tiny_digits.test.take(np.arange(16)),
        fingerprint=f"few-of-{tiny_digits.fingerprint}",
    )


@pytest.fixture
def make_scale(few_digits: Dataset) -> Callable[..., gpu_report.Scale]:
    """Makes work that a CPU does in seconds."""
    epochs = dict.fromkeys(("full_epochs", "suite_epochs", "gap_epochs", "fast_epochs", "long_epochs"), 1)

    def make(*, real_data: bool, **changes: Any) -> gpu_report.Scale:
        small = gpu_report.Scale(
            device=CPU,
            dataset=few_digits,
            real_data=real_data,
            steps=1,
            speed_steps=1,
            width=0.125,
            speed=throughput.Arguments(memory=False, rounds=1, steps=1, device="cpu"),
        )
        return replace(small, **{**epochs, **changes})

    return make


def make_report(scale: gpu_report.Scale, *, parts: Sequence[str], output: Path) -> Printed:
    console = Console(file=io.StringIO(), width=400)  # so wide that each row is a line
    table = gpu_report.report(scale, parts=tuple(parts), output=output, console=console)
    assert isinstance(console.file, io.StringIO)
    return Printed(table, pd.read_csv(output), console.file.getvalue())


def test_random_data_are_in_cifars_format() -> None:
    dataset = gpu_report.random_dataset(train_images=500, test_images=100)
    assert dataset.train.images.shape == (500, 32, 32, 3) and dataset.test.images.shape == (100, 32, 32, 3)
    assert dataset.num_classes == len(np.unique(dataset.train.labels)) == 10
    assert dataset.train.images.mean() == pytest.approx(127.5, abs=0.5)
    assert not np.array_equal(dataset.train.images[:100], dataset.test.images)


def test_every_part_of_the_gpu_report_runs_through(
    monkeypatch: pytest.MonkeyPatch, make_scale: MakeScale, tmp_path: Path
) -> None:
    monkeypatch.setattr(gpu_report, "LARGE_BATCH", 8)
    made = make_report(make_scale(real_data=False), parts=list(gpu_report.PARTS), output=tmp_path / "new" / "table.csv")
    assert made.saved["part"].tolist() == [
        "agreement",
        *["throughput"] * 3,
        "overhead",
        "published",
        "suite",
        "gap",
        *["fast"] * 2,
    ]
    bars = ["<= 0.0001", ">= 3", ">= 50 %", ">= 60 %", "<= 2 %", "<= 45", "<= 8", "within 0.5 points"]
    assert made.saved["bar"].tolist() == [*bars, "<= 10 % in <= 30 s", "<= 6 % in <= 180 s"]
    # Errors on random images say nothing.
    unmeasured = made.saved["part"].isin(["gap", "fast"])
    assert made.saved["met"].isna().equals(unmeasured)
    assert made.saved["measured"].str.contains("unmeasured, needs --data-dir").equals(unmeasured)
    assert not made.saved["measured"].str.contains("test error").any()
    verdicts = {True: "yes", False: "NO"}
    expected = [
        [row["figure"], row["bar"], row["measured"], "-" if pd.isna(row["met"]) else verdicts[bool(row["met"])]]
        for row in made.saved.to_dict("records")
    ]
    assert table_cells(made.text) == expected
    assert (made.saved["commit"].str.len() > 0).all() and (made.saved["device"].str.len() > 0).all()


def test_errors_are_measured_on_real_data(make_scale: MakeScale, tmp_path: Path) -> None:
    made = make_report(make_scale(real_data=True), parts=("gap", "fast"), output=tmp_path / "table.csv")
    assert made.saved["part"].tolist() == ["gap", "fast", "fast"]
    assert made.saved["met"].notna().all()
    assert made.saved["measured"].str.fullmatch(r"[+-]\d+\.\d\d ± \d+\.\d\d points|\d+\.\d\d % in \d+\.\d s").all()
    assert not made.saved["measured"].str.contains("unmeasured").any()


def test_what_was_measured_before_a_failure_is_saved(
    monkeypatch: pytest.MonkeyPatch, make_scale: MakeScale, tmp_path: Path
) -> None:
    def failing(scale: gpu_report.Scale) -> Iterator[gpu_report.Figure]:
        yield gpu_report.Figure("second", "half of it", "<= 1", "0", True)
        raise RuntimeError("out of memory")

    def passing(scale: gpu_report.Scale) -> Iterator[gpu_report.Figure]:
        yield gpu_report.Figure("first", "all of it", "<= 1", "0", True)

    monkeypatch.setattr(gpu_report, "PARTS", {"first": passing, "second": failing, "third": passing})
    output = tmp_path / "table.csv"
    with pytest.raises(RuntimeError, match="out of memory"):
        make_report(make_scale(real_data=False), parts=("first", "second", "third"), output=output)
    saved = pd.read_csv(output)
    assert saved["part"].tolist() == ["first"]
    assert saved["figure"].tolist() == ["all of it"]


def use_made_runs(
    monkeypatch: pytest.MonkeyPatch, *, wrong: Wrong = lambda *_: 0, train_seconds: float = 1, seconds: float = 1
) -> list[tuple[str, Recipe, int]]:
    """Replace each run by a record with so many of 10,000 images wrong; returns the list of what was run."""
    asked: list[tuple[str, Recipe, int]] = []

    def run(scale: gpu_report.Scale, variant: str, recipe: Recipe, *, seed: int = 1) -> tuple[RunRecord, float]:
        asked.append((variant, recipe, seed))
        config = RunConfig(
            architecture=VARIANTS[variant], dataset="made", fingerprint="", num_classes=10, recipe=recipe, seed=seed
        )
        return make_record(config, wrong=wrong(variant, recipe, seed), seconds=train_seconds), seconds

    monkeypatch.setattr(gpu_report, "_run", run)
    return asked


def figures_of(part: str, scale: gpu_report.Scale) -> list[tuple[str, bool | None]]:
    return [(figure.measured, figure.met) for figure in gpu_report.PARTS[part](scale)]


@pytest.mark.parametrize(
    ("worst", "text", "met"), [(1040, "+0.23 ± 0.51 points", True), (1121, "+0.50 ± 0.97 points", False)]
)
def test_the_gap_is_the_mean_over_seeds(
    monkeypatch: pytest.MonkeyPatch, make_scale: MakeScale, worst: int, text: str, met: bool
) -> None:
    # In points: 10.00 - 9.90, 10.10 - 10.30 and 10.40 - 9.60, so 0.10, -0.20 and 0.80. With 11.21 the last is 1.61
    # and the mean 0.503.
    wrong = {"bf16": (1000, 1010, worst), "fp32": (990, 1030, 960)}
    asked = use_made_runs(monkeypatch, wrong=lambda _, recipe, seed: wrong[recipe.precision][seed - 1])
    assert figures_of("gap", make_scale(real_data=True, gap_epochs=6)) == [(text, met)]
    assert {(variant, recipe.name, recipe.epochs) for variant, recipe, _ in asked} == {("short3", "fast", 6)}
    assert len(asked) == 6


@pytest.mark.parametrize(
    ("wrong", "seconds", "met"),
    [((1000, 600), 30.0, [True, True]), ((1001, 601), 30.0, [False, False]), ((1000, 600), 181.0, [False, False])],
)
def test_the_fast_figures_hold_error_and_seconds_against_their_bars(
    monkeypatch: pytest.MonkeyPatch, make_scale: MakeScale, wrong: tuple[int, int], seconds: float, met: list[bool]
) -> None:
    counts: dict[int, int] = dict(zip((12, 60), wrong, strict=True))
    asked = use_made_runs(monkeypatch, wrong=lambda _, recipe, __: counts[recipe.epochs], train_seconds=seconds)
    figures = figures_of("fast", make_scale(real_data=True, fast_epochs=12, long_epochs=60))
    assert [verdict for _, verdict in figures] == met
    assert [text for text, _ in figures] == [f"{count / 100:.2f} % in {seconds:.1f} s" for count in wrong]
    assert [(variant, recipe.name) for variant, recipe, _ in asked] == [("reduced", "fast")] * 2


def test_the_fast_figures_on_random_data_are_seconds_from_two_epochs(
    monkeypatch: pytest.MonkeyPatch, make_scale: MakeScale
) -> None:
    asked = use_made_runs(monkeypatch, train_seconds=3.0)
    figures = figures_of("fast", make_scale(real_data=False, fast_epochs=12, long_epochs=60))
    assert [recipe.epochs for _, recipe, _ in asked] == [2, 2]
    assert [text.split(" from ")[0] for text, _ in figures] == ["18.0 s", "90.0 s"]  # 6 and 30 times as many epochs
    assert [verdict for _, verdict in figures] == [None, None]


@pytest.mark.parametrize(
    ("train_seconds", "seconds", "minutes", "met"),
    # Of a run's 30 s, 20 are two of fourteen epochs: 10 + 20 x 7 = 150 s, and seven of them 17.5 minutes.
    [(20, 30, "17.5", False), (8, 12, "7.0", True)],
)
def test_the_suites_minutes_are_extrapolated_from_a_few_epochs(
    monkeypatch: pytest.MonkeyPatch,
    make_scale: MakeScale,
    train_seconds: float,
    seconds: float,
    minutes: str,
    met: bool,
) -> None:
    asked = use_made_runs(monkeypatch, train_seconds=train_seconds, seconds=seconds)
    assert figures_of("suite", make_scale(real_data=False, suite_epochs=2, full_epochs=14)) == [(minutes, met)]
    assert [variant for variant, _, _ in asked] == list(VARIANTS)
    assert {(recipe.name, recipe.epochs) for _, recipe, _ in asked} == {("published", 2)}


@pytest.mark.parametrize(("train_seconds", "met"), [(45.0, True), (45.1, False)])
@pytest.mark.parametrize("real_data", [True, False])
def test_the_published_figure_is_of_training_alone(
    monkeypatch: pytest.MonkeyPatch, make_scale: MakeScale, train_seconds: float, met: bool, real_data: bool
) -> None:
    use_made_runs(monkeypatch, wrong=lambda *_: 1234, train_seconds=train_seconds, seconds=60)
    ((measured, verdict),) = figures_of("published", make_scale(real_data=real_data, full_epochs=14))
    assert verdict is met
    assert measured.startswith(f"{train_seconds} (with ") and "60.0" in measured
    assert ("test error 12.34 %" in measured) == real_data


@pytest.mark.parametrize(("share", "met"), [(0.02, True), (0.0201, False)])
def test_the_overheads_figure_is_all_of_it(
    monkeypatch: pytest.MonkeyPatch, make_scale: MakeScale, share: float, met: bool
) -> None:
    asked: list[overhead.Arguments] = []

    def measure(arguments: overhead.Arguments) -> pd.DataFrame:
        asked.append(arguments)
        return pd.DataFrame({"cost": ["checkpointing", "all"], "share": [0.001, share]})

    monkeypatch.setattr(overhead, "measure", measure)
    assert figures_of("overhead", make_scale(real_data=False)) == [(f"{100 * share:.2f} %", met)]
    assert (asked[0].images, asked[0].epoch_images) == (32, 32)  # a whole epoch of the data


@pytest.mark.parametrize(("difference", "met"), [(1e-4, True), (1.1e-4, False), (float("nan"), False)])
def test_the_agreements_figure_is_at_the_small_rate(
    monkeypatch: pytest.MonkeyPatch, make_scale: MakeScale, difference: float, met: bool
) -> None:
    asked: list[Contest] = []
    monkeypatch.setattr(agreement, "eager_to_reference", lambda contest: asked.append(contest) or difference)
    assert figures_of("agreement", make_scale(real_data=False)) == [(f"{difference:.1e}", met)]
    assert [contest.recipe.learning_rate for contest in asked] == [1e-3]


def test_the_throughputs_figures_are_the_fastest_engine_and_shares_of_the_roofline(
    monkeypatch: pytest.MonkeyPatch,
    make_scale: MakeScale,
) -> None:
    asked: list[tuple[str, int, bool]] = []

    def measure(contest: Contest, arguments: throughput.Arguments, device: torch.device) -> pd.DataFrame:
        asked.append((contest.variant, contest.recipe.batch_size, arguments.reference))
        table = pd.DataFrame(
            {
                "loop": ["reference", "graph", "eager"],
                "precision": "bf16",
                "images_per_second": [1000.0, 3500.0, 2000.0],
                "times_reference": [1.0, 3.0, 2.0],
                "mfu": 0.25,
                "roofline_share": 0.5,
            }
        )
        return table if arguments.reference else table.iloc[[1]].reset_index(drop=True)

    monkeypatch.setattr(throughput, "measure", measure)
    assert figures_of("throughput", make_scale(real_data=False)) == [
        ("3.00 (3,500 images/s, MFU 25 %)", True),
        ("50 % (3,500 images/s, MFU 25 %)", True),
        ("50 % (3,500 images/s, MFU 25 %)", False),
    ]
    assert asked == [("reduced", 64, True), ("reduced", 512, False), ("naive", 512, False)]


# Tuning


def test_tuning_measures_held_out_images_and_never_reads_the_test_images(
    monkeypatch: pytest.MonkeyPatch, tiny_digits: Dataset, tmp_path: Path
) -> None:
    without_test = replace(tiny_digits, test=cast(Split, None))
    monkeypatch.setattr(tuning.datasets, "load", lambda name, folder: without_test)
    arguments = tuning.Arguments(
        variant="short4",
        width=0.125,
        rates=(0.4, 1e-6),
        batch_size=32,
        epochs=2,
        validation_fraction=0.2,
        seeds=2,
        device="cpu",
        output=tmp_path / "tuning.csv",
    )
    table = tuning.main(arguments)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "tuning.csv"), table, check_dtype=False)
    # Rates are those of batch size 512, of which this is a sixteenth.
    assert table["learning_rate"].tolist() == pytest.approx([0.025, 0.025, 6.25e-8, 6.25e-8])
    assert table["seed"].tolist() == [1, 2, 1, 2]
    assert set(table["validation_images"]) == {30} and set(table["train_images"]) == {120}
    assert (table["validation_error"] * 30).round(9).isin(range(31)).all()  # counts of 30 images
    # A rate that hardly moves the weights leaves the loss where the same seed began.
    assert table["train_loss"][0] < table["train_loss"][2] and table["train_loss"][1] < table["train_loss"][3]


def test_reporting_makes_a_complete_suite_and_says_what_its_report_took(tmp_path: Path) -> None:
    table = reporting.main(reporting.Arguments(records=(20,), output=tmp_path / "reporting.csv"))
    assert list(table["records"]) == [20]
    assert 0 < table["seconds"].iloc[0] < 300
    assert 50e6 < table["peak_bytes"].iloc[0] < 2e9, "pandas and matplotlib alone take more than 50 MB"
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "reporting.csv"), table, check_dtype=False)
    plan = reporting.make_records(tmp_path / "suite", seeds=1)
    analysis = report.analyse(tmp_path / "suite")
    assert analysis.results.complete and len(plan.runs) == 20
    assert int(analysis.found.calibration["n"].sum()) == 20, "the predictions are those of the records"
