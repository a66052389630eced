"""Where a loader keeps its images: on the device, or in host memory where they would take too much of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from ablations.data.dataset import Split
from ablations.suites.recipe import DIGITS
from ablations.training.inputs.loader import EVAL_BATCH, Loader
from tests.support.training import needs_gpu

META = torch.device("meta")  # shapes without numbers: a device that is not the host and is there on every machine
COUNT, HEIGHT, WIDTH = 300, 4, 6
IMAGE_BYTES = HEIGHT * WIDTH * 3
RECIPE = replace(DIGITS, batch_size=64, flip=0.5, crop_padding=2, cutout=3)

SetFree = Callable[[int], None]


@pytest.fixture
def set_free_memory(monkeypatch: pytest.MonkeyPatch) -> SetFree:
    """Makes every device say that it has so many bytes free."""
    return lambda free: monkeypatch.setattr("ablations.training.inputs.loader.free_memory_bytes", lambda device: free)


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """What was pinned, which without a driver is left as it is."""
    tensors: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        assert tensor.device.type == "cpu"
        tensors.append(tensor)
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", note)
    return tensors


def random_split() -> Split:
    images = np.random.default_rng(0).integers(0, 256, size=(COUNT, HEIGHT, WIDTH, 3), dtype=np.uint8)
    return Split(images=images, labels=np.arange(COUNT))


@pytest.mark.parametrize(
    ("free", "resident"),
    [
        (2 * COUNT * IMAGE_BYTES, True),
        (2 * COUNT * IMAGE_BYTES - 1, False),
        (COUNT * IMAGE_BYTES, False),
        (0, False),
        (10**12, True),
    ],
)
def test_images_live_on_the_device_if_they_take_at_most_half_of_what_is_free(
    set_free_memory: SetFree, free: int, resident: bool
) -> None:
    set_free_memory(free)
    assert Loader(random_split(), recipe=RECIPE, device=META).resident == resident


@pytest.mark.parametrize("free", [0, 10**12], ids=["streaming", "resident"])
def test_batches_arrive_on_the_device(set_free_memory: SetFree, pinned: list[Tensor], free: int) -> None:
    set_free_memory(free)
    loader = Loader(random_split(), recipe=RECIPE, device=META)
    for batches, sizes in (
        (loader.train_batches(seed=1, epoch=1), [64, 64, 64, 64, 44]),
        (loader.eval_batches(), [EVAL_BATCH, EVAL_BATCH, COUNT - 2 * EVAL_BATCH]),
    ):
        held = list(batches)
        assert [tuple(images.shape) for images, _ in held] == [(size, 3, HEIGHT, WIDTH) for size in sizes]
        assert [tuple(labels.shape) for _, labels in held] == [(size,) for size in sizes]
        for images, labels in held:
            assert (images.device, labels.device) == (META, META)
            assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
            assert images.is_contiguous(memory_format=torch.channels_last)


def test_images_that_do_not_fit_are_copied_batch_by_batch_as_bytes(
    set_free_memory: SetFree, pinned: list[Tensor]
) -> None:
    set_free_memory(0)
    loader = Loader(random_split(), recipe=RECIPE, device=META)
    copied: list[int] = []
    for images, _ in loader.train_batches(seed=1, epoch=1):
        # One batch a turn: nothing is copied ahead that would fill the device after all.
        copied += [tensor.nbytes for tensor in pinned if tensor.dtype == torch.uint8]
        assert copied[-1] == len(images) * IMAGE_BYTES
        pinned.clear()
    assert sum(copied) == COUNT * IMAGE_BYTES


def test_images_on_the_device_are_not_copied_again(set_free_memory: SetFree, pinned: list[Tensor]) -> None:
    set_free_memory(10**12)
    loader = Loader(random_split(), recipe=RECIPE, device=META)
    assert len([*loader.train_batches(seed=1, epoch=1), *loader.eval_batches()]) == 5 + 3
    assert not [tensor for tensor in pinned if tensor.dtype == torch.uint8]


def test_on_a_cpu_the_splits_own_arrays_are_read() -> None:
    split = random_split()
    loader = Loader(split, recipe=replace(DIGITS, batch_size=64), device=torch.device("cpu"))
    assert loader.resident
    # Shared memory shows by a change of the array; a dataset's own is read-only and suites share it.
    split.images[:] = 255
    split.labels[:] = 7
    for images, labels in [*loader.train_batches(seed=1, epoch=1), *loader.eval_batches()]:
        assert (images == 1).all()
        assert (labels == 7).all()


def test_on_a_cpu_no_memory_is_pinned(pinned: list[Tensor]) -> None:
    loader = Loader(random_split(), recipe=RECIPE, device=torch.device("cpu"))
    assert len([*loader.train_batches(seed=1, epoch=1), *loader.eval_batches()]) == 5 + 3
    assert not pinned


@pytest.mark.gpu
@needs_gpu
def test_streaming_and_resident_images_give_equal_batches(set_free_memory: SetFree) -> None:
    cuda = torch.device("cuda")
    resident = Loader(random_split(), recipe=RECIPE, device=cuda)
    set_free_memory(0)
    streaming = Loader(random_split(), recipe=RECIPE, device=cuda)
    assert (resident.resident, streaming.resident) == (True, False)
    for name, given in (("train_batches", {"seed": 1, "epoch": 1}), ("eval_batches", {})):
        # Held all at once, so that a pinned buffer used again too early would show in an earlier batch.
        ours, theirs = (list(getattr(loader, name)(**given)) for loader in (streaming, resident))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
        assert all(images.device.type == labels.device.type == "cuda" for images, labels in ours)


@pytest.mark.gpu
@needs_gpu
def test_a_gpu_and_a_cpu_give_equal_batches() -> None:
    on_cpu, on_gpu = (Loader(random_split(), recipe=RECIPE, device=torch.device(name)) for name in ("cpu", "cuda"))
    for ours, theirs in zip(on_gpu.train_batches(seed=1, epoch=1), on_cpu.train_batches(seed=1, epoch=1), strict=True):
        torch.testing.assert_close(ours[0].cpu(), theirs[0])
        assert ours[1].tolist() == theirs[1].tolist()
