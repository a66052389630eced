"""Batches: order, flips and normalisation, against torchvision's transforms."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision import transforms
from torchvision.transforms import functional as transforms_functional

from ablations.data.dataset import Dataset, Split
from ablations.suites.recipe import DIGITS, Recipe
from ablations.training.inputs.loader import EVAL_BATCH, Loader

CPU = torch.device("cpu")
FLIPPING = replace(DIGITS, flip=0.5)
AUGMENTING = replace(DIGITS, flip=0.5, crop_padding=2, cutout=3)


@pytest.fixture
def make_loader() -> Callable[..., Loader]:
    """Makes a loader of random images whose labels are their positions, so that a label tells which image it is."""

    def make(count: int, *, recipe: Recipe = DIGITS) -> Loader:
        return Loader(random_split(count), recipe=recipe, device=CPU)

    return make


def random_split(count: int) -> Split:
    """Images of 4x6 pixels: unlike any other, their own mirror image, and themselves with the axes swapped."""
    images = np.random.default_rng(0).integers(0, 256, size=(count, 4, 6, 3), dtype=np.uint8)
    images.setflags(write=False)  # as those of a dataset are
    return Split(images=images, labels=np.arange(count))


def torchvision_tensor(image: np.ndarray, *, mean: float = 0.5, std: float = 0.5) -> Tensor:
    # A copy, as torch warns about read-only arrays.
    return transforms.Normalize(mean, std)(transforms.ToTensor()(image.copy()))


def epoch_of(loader: Loader, *, seed: int = 1, epoch: int = 1) -> tuple[Tensor, Tensor]:
    """All images and labels of an epoch, in the order in which they are trained on."""
    images, labels = zip(*loader.train_batches(seed=seed, epoch=epoch), strict=True)
    return torch.cat(images), torch.cat(labels)


def flipped(loader: Loader, *, seed: int, epoch: int) -> Tensor:
    """By position in the split, whether the epoch shows that image flipped; it must be one or the other."""
    images, labels = epoch_of(loader, seed=seed, epoch=epoch)
    originals = torch.cat([batch for batch, _ in loader.eval_batches()])[labels]
    same = (images == originals).flatten(1).all(dim=1)
    mirrored = (images == transforms_functional.hflip(originals)).flatten(1).all(dim=1)
    assert (same ^ mirrored).all()
    return mirrored[labels.argsort()]


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"),
    [(1437, 64, [64] * 22 + [29]), (128, 64, [64, 64]), (5, 64, [5]), (65, 64, [64, 1]), (7, 2, [2, 2, 2, 1])],
)
def test_an_epoch_holds_every_image_once(
    make_loader: Callable[..., Loader], count: int, batch_size: int, sizes: list[int]
) -> None:
    loader = make_loader(count, recipe=replace(FLIPPING, batch_size=batch_size))
    batches = list(loader.train_batches(seed=1, epoch=1))
    assert [len(images) for images, _ in batches] == [len(labels) for _, labels in batches] == sizes
    assert loader.steps == len(sizes)
    assert sorted(loader.batch_sizes) == sorted(set(sizes))
    assert len(loader) == count
    assert sorted(torch.cat([labels for _, labels in batches]).tolist()) == list(range(count))


def test_the_same_seed_and_epoch_give_the_same_epoch_whatever_else_was_drawn(
    make_loader: Callable[..., Loader],
) -> None:
    loader = make_loader(200, recipe=AUGMENTING)
    passed_through = [epoch_of(loader, epoch=epoch) for epoch in (1, 2, 3)][-1]
    torch.manual_seed(7)
    resumed = epoch_of(make_loader(200, recipe=AUGMENTING), epoch=3)
    assert all(torch.equal(a, b) for a, b in zip(passed_through, resumed, strict=True))


def test_no_global_random_number_is_drawn(make_loader: Callable[..., Loader]) -> None:
    before = torch.get_rng_state()
    epoch_of(make_loader(200, recipe=AUGMENTING))
    assert torch.equal(torch.get_rng_state(), before)


def test_order_and_flips_differ_by_seed_and_by_epoch(make_loader: Callable[..., Loader]) -> None:
    loader = make_loader(200, recipe=FLIPPING)
    draws = list(itertools.product((1, 2, 3), (1, 2, 3)))
    orders = {tuple(epoch_of(loader, seed=seed, epoch=epoch)[1].tolist()) for seed, epoch in draws}
    flips = {tuple(flipped(loader, seed=seed, epoch=epoch).tolist()) for seed, epoch in draws}
    assert len(orders) == len(flips) == len(draws)
    assert tuple(range(200)) not in orders


def test_the_order_is_no_less_even_than_chance(make_loader: Callable[..., Loader]) -> None:
    # Each of 8 images comes first in about an eighth of the epochs: within four standard deviations of a binomial.
    loader, epochs = make_loader(8), 2000
    first = [int(next(loader.train_batches(seed=1, epoch=epoch))[1][0]) for epoch in range(1, epochs + 1)]
    deviation = 4 * np.sqrt(epochs * (1 / 8) * (7 / 8))
    assert all(abs(first.count(image) - epochs / 8) < deviation for image in range(8))


@pytest.mark.parametrize(("mean", "std"), [(0.5, 0.5), (0.2, 1.0)])
def test_values_are_those_of_torchvision_and_labels_stay_with_their_images(
    make_loader: Callable[..., Loader], mean: float, std: float
) -> None:
    loader, split = make_loader(100, recipe=replace(DIGITS, mean=mean, std=std)), random_split(100)
    images, labels = epoch_of(loader)
    assert images.dtype == torch.float32
    for image, label in zip(images, labels, strict=True):
        torch.testing.assert_close(image, torchvision_tensor(split.images[label], mean=mean, std=std), rtol=0, atol=0)


def test_digits_are_normalised_as_torchvision_does(digits: Dataset) -> None:
    batches = list(Loader(digits.test, recipe=DIGITS, device=CPU).eval_batches())
    expected = torch.stack([torchvision_tensor(image) for image in digits.test.images])
    torch.testing.assert_close(torch.cat([images for images, _ in batches]), expected, rtol=0, atol=0)
    assert torch.cat([labels for _, labels in batches]).tolist() == digits.test.labels.tolist()


def test_every_byte_maps_into_minus_one_to_one() -> None:
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    ((images, _),) = Loader(Split(images=pixels, labels=np.zeros(1, int)), recipe=DIGITS, device=CPU).eval_batches()
    # Normalize(0.5, 0.5) by hand, up to float32 rounding.
    expected = (torch.arange(256, dtype=torch.float64) / 255 - 0.5) / 0.5
    torch.testing.assert_close(images[0, 0].flatten().double(), expected, rtol=0, atol=1e-6)


def test_a_flipped_image_is_torchvisions(make_loader: Callable[..., Loader]) -> None:
    split = random_split(50)
    images, labels = epoch_of(make_loader(50, recipe=replace(DIGITS, flip=1.0)))
    for image, label in zip(images, labels, strict=True):
        expected = transforms_functional.hflip(torchvision_tensor(split.images[label]))
        torch.testing.assert_close(image, expected, rtol=0, atol=0)


@pytest.mark.parametrize("flip", [0.25, 0.5])
def test_flips_come_as_often_as_asked_for(make_loader: Callable[..., Loader], flip: float) -> None:
    loader, epochs = make_loader(1000, recipe=replace(DIGITS, flip=flip)), 20
    flips = torch.stack([flipped(loader, seed=1, epoch=epoch) for epoch in range(1, epochs + 1)]).float()
    # Four standard deviations of a binomial, of all draws and of any epoch's; five of any image's, as there are 1,000.
    spread = np.sqrt(flip * (1 - flip))
    assert abs(flips.mean() - flip) < 4 * spread / np.sqrt(flips.numel())
    assert (flips.mean(dim=1) - flip).abs().max() < 4 * spread / np.sqrt(1000)
    assert (flips.mean(dim=0) - flip).abs().max() < 5 * spread / np.sqrt(epochs)


def test_without_flip_every_image_is_left_as_it_is(make_loader: Callable[..., Loader]) -> None:
    loader = make_loader(300, recipe=replace(DIGITS, flip=0.0))
    assert not any(flipped(loader, seed=1, epoch=epoch).any() for epoch in (1, 2, 3))


@pytest.mark.parametrize("recipe", [DIGITS, FLIPPING, AUGMENTING], ids=["plain", "flipping", "augmenting"])
def test_batches_are_channels_last(make_loader: Callable[..., Loader], recipe: Recipe) -> None:
    loader = make_loader(70, recipe=recipe)
    for images, labels in [*loader.train_batches(seed=1, epoch=1), *loader.eval_batches()]:
        assert images.shape[1:] == (3, 4, 6)
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert labels.dtype == torch.int64


@pytest.mark.parametrize("count", [1, EVAL_BATCH - 1, EVAL_BATCH, EVAL_BATCH + 1, 499, 500, 501, 1437])
def test_evaluation_covers_every_image_in_order_without_augmentation(
    make_loader: Callable[..., Loader], count: int
) -> None:
    batches = list(make_loader(count, recipe=replace(AUGMENTING, flip=1.0)).eval_batches())
    assert torch.cat([labels for _, labels in batches]).tolist() == list(range(count))
    expected = torch.stack([torchvision_tensor(image) for image in random_split(count).images])
    torch.testing.assert_close(torch.cat([images for images, _ in batches]), expected, rtol=0, atol=0)


@pytest.mark.parametrize("recipe", [DIGITS, AUGMENTING], ids=["plain", "augmenting"])
def test_what_a_step_does_to_its_batch_does_not_reach_the_data(recipe: Recipe) -> None:
    split = random_split(20)
    loader = Loader(split, recipe=recipe, device=CPU)
    before = epoch_of(loader)
    for images, labels in loader.train_batches(seed=1, epoch=1):
        images.zero_()
        labels.zero_()
    for images, labels in loader.eval_batches():
        images.zero_()
        assert len(labels)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(epoch_of(loader), before, strict=True))
    # Loaders read the split's own arrays.
    assert (split.images == random_split(20).images).all()
    assert (split.labels == random_split(20).labels).all()
