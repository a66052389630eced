"""Random changes to training images: each operation against torchvision's, and the choices against chance."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torchvision.transforms import functional as per_image
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as v2_functional

from ablations.data.dataset import Split
from ablations.suites.recipe import DIGITS, Recipe
from ablations.training.inputs.loader import Loader
from ablations.training.inputs.transforms import Choices, augment, crop, cut_out, draw, flip, normalise

HEIGHT, WIDTH = 5, 8  # unlike each other, so that no operation can take one for the other
PLAIN = replace(DIGITS, flip=0.0, crop_padding=0, cutout=0)
EVERYTHING = replace(DIGITS, flip=0.5, crop_padding=2, cutout=3)
UNLIKELY = 1e-3  # seeds are fixed: a p-value below this is no bad luck that comes and goes


def random_images(count: int, *, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    """uint8 images (count, 3, height, width) whose memory is that of a loader's: pixel by pixel."""
    source = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (count, height, width, 3), generator=source, dtype=torch.uint8)
    return pixels.permute(0, 3, 1, 2)


def every_place(height: int, width: int) -> Tensor:
    """All (row, column), as (height x width, 2)."""
    return torch.tensor(list(itertools.product(range(height), range(width))))


def to_float(image: Tensor, *, mean: float = 0.5, std: float = 0.5) -> Tensor:
    """An image (3, H, W) of bytes as torchvision's classic pair of transforms has it."""
    array = image.permute(1, 2, 0).contiguous().numpy()
    return per_image.normalize(per_image.to_tensor(array), [mean] * 3, [std] * 3)


def clipped(centre: int, side: int, size: int) -> tuple[int, int]:
    """Begin and length of `side` pixels from ``centre - side // 2`` on, without those outside of [0, size)."""
    inside = [place for place in range(centre - side // 2, centre - side // 2 + side) if 0 <= place < size]
    return inside[0], len(inside)


def one_by_one(images: Tensor, choices: Choices, recipe: Recipe) -> Tensor:
    """What `augment` is to give: torchvision's transforms of each image, one after the other, with these choices."""
    results = []
    for image, flipped, corner, centre in zip(images, *choices, strict=True):
        height, width = image.shape[1:]
        steps: list[Callable[[Tensor], Tensor]] = []
        if recipe.crop_padding:
            top, left = corner.tolist()
            steps.append(v2.Pad(recipe.crop_padding))
            steps.append(partial(v2_functional.crop, top=top, left=left, height=height, width=width))
        if flipped:
            steps.append(v2.RandomHorizontalFlip(p=1.0))
        steps.append(partial(to_float, mean=recipe.mean, std=recipe.std))
        if recipe.cutout:
            row, column = centre.tolist()
            (top, rows), (left, columns) = clipped(row, recipe.cutout, height), clipped(column, recipe.cutout, width)
            steps.append(partial(v2_functional.erase, i=top, j=left, h=rows, w=columns, v=torch.zeros(1)))
        results.append(v2.Compose(steps)(image))
    return torch.stack(results)


def drawn(recipe: Recipe, *, count: int = 20_000, seed: int = 1, epoch: int = 1, side: int = WIDTH) -> Choices:
    """Choices for square images, as all datasets have them."""
    return draw(recipe, count=count, image_size=(side, side), seed=seed, epoch=epoch)


def assert_same(ours: object, theirs: object) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def assert_evenly_spread(values: Tensor, cells: int) -> None:
    """Pearson's chi-square test of N numbers in [0, cells)."""
    counts = np.bincount(values.numpy(), minlength=cells)
    assert len(counts) == cells
    assert stats.chisquare(counts).pvalue > UNLIKELY


# Operations


@pytest.mark.parametrize("padding", [1, 2, 4])
def test_a_crop_is_torchvisions_pad_and_crop_for_every_corner(padding: int) -> None:
    corners = every_place(2 * padding + 1, 2 * padding + 1)
    images = random_images(len(corners))
    expected = [
        v2_functional.crop(v2_functional.pad(image, [padding]), top, left, HEIGHT, WIDTH)
        for image, (top, left) in zip(images, corners.tolist(), strict=True)
    ]
    assert_same(crop(images, corners, padding=padding), torch.stack(expected))


def test_a_crop_pads_with_black() -> None:
    white = torch.full((1, 3, 2, 3), 255, dtype=torch.uint8)
    from_the_top_left = crop(white, torch.tensor([[0, 0]]), padding=1)
    assert from_the_top_left[0].tolist() == [[[0, 0, 0], [0, 255, 255]]] * 3
    from_the_bottom_right = crop(white, torch.tensor([[2, 2]]), padding=1)
    assert from_the_bottom_right[0].tolist() == [[[255, 255, 0], [0, 0, 0]]] * 3


def test_a_crop_does_not_depend_on_the_images_memory_format() -> None:
    images, corners = random_images(25), every_place(5, 5)
    assert_same(crop(images.contiguous(), corners, padding=2), crop(images, corners, padding=2))


def test_images_are_flipped_where_chosen_as_torchvision_does() -> None:
    images, flipped = random_images(40), torch.arange(40) % 3 == 0
    expected = [
        v2_functional.horizontal_flip(image) if chosen else image for image, chosen in zip(images, flipped, strict=True)
    ]
    assert_same(flip(images, flipped), torch.stack(expected))


@pytest.mark.parametrize(("mean", "std"), [(0.5, 0.5), (0.2, 1.0), (0.4734, 0.2515)])
def test_every_byte_is_normalised_as_torchvision_does(mean: float, std: float) -> None:
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(2, 3, 16, 16)
    expected = torch.stack([to_float(image, mean=mean, std=std) for image in images])
    assert_same(normalise(images, replace(DIGITS, mean=mean, std=std)), expected)


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 8, 30])
def test_a_cutout_is_torchvisions_erase_for_every_centre(side: int) -> None:
    centres = every_place(HEIGHT, WIDTH)
    images = torch.stack([to_float(image) for image in random_images(len(centres))])
    expected = []
    for image, (row, column) in zip(images, centres.tolist(), strict=True):
        (top, rows), (left, columns) = clipped(row, side, HEIGHT), clipped(column, side, WIDTH)
        expected.append(per_image.erase(image, top, left, rows, columns, torch.zeros(1)))
    assert_same(cut_out(images.clone(), centres, side=side), torch.stack(expected))


@pytest.mark.parametrize(
    ("centre", "side", "expected"),
    [
        ((1, 2), 3, ["1...11", "1...11", "1...11", "111111"]),
        ((1, 2), 2, ["1..111", "1..111", "111111", "111111"]),
        ((0, 0), 3, ["..1111", "..1111", "111111", "111111"]),
        ((0, 0), 2, [".11111", "111111", "111111", "111111"]),
        ((3, 5), 3, ["111111", "111111", "1111..", "1111.."]),
        ((3, 5), 2, ["111111", "111111", "1111..", "1111.."]),
        ((0, 5), 4, ["111...", "111...", "111111", "111111"]),
        ((3, 0), 1, ["111111", "111111", "111111", ".11111"]),
        ((2, 3), 12, ["......", "......", "......", "......"]),
    ],
)
def test_cutouts_drawn_by_hand(centre: tuple[int, int], side: int, expected: list[str]) -> None:
    # An even square has one pixel more before its centre than after it.
    (image,) = cut_out(torch.ones(1, 3, 4, 6), torch.tensor([centre]), side=side)
    for channel in image:
        assert ["".join("1" if value else "." for value in row) for row in channel.tolist()] == expected


# All together


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"flip": 0.5},
        {"crop_padding": 2},
        {"cutout": 3},
        {"flip": 1.0, "crop_padding": 1, "cutout": 4},
        {"flip": 0.5, "crop_padding": 4, "cutout": 2, "mean": 0.4734, "std": 0.2515},
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (7, 4), (8, 8)], ids=str)
def test_augmentation_is_torchvisions_image_by_image(changes: dict[str, float], size: tuple[int, int]) -> None:
    # The order shows: padding is black (-1), a cutout is the mean (0), and a flipped crop is not the crop of a flip.
    recipe, (height, width) = replace(PLAIN, **changes), size
    images = random_images(200, height=height, width=width)
    choices = draw(recipe, count=200, image_size=size, seed=1, epoch=1)
    assert_same(augment(images, choices, recipe), one_by_one(images, choices, recipe))


def test_with_nothing_to_do_images_are_only_normalised() -> None:
    images = random_images(50)
    choices = draw(PLAIN, count=50, image_size=(HEIGHT, WIDTH), seed=1, epoch=1)
    assert_same(augment(images, choices, PLAIN), torch.stack([to_float(image) for image in images]))


@pytest.mark.parametrize("recipe", [PLAIN, EVERYTHING], ids=["plain", "everything"])
@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format], ids=str)
def test_results_are_single_precision_in_channels_last_memory(
    recipe: Recipe, memory_format: torch.memory_format
) -> None:
    images = random_images(6).contiguous(memory_format=memory_format)
    found = augment(images, draw(recipe, count=6, image_size=(HEIGHT, WIDTH), seed=1, epoch=1), recipe)
    assert found.dtype == torch.float32
    assert found.shape == images.shape
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("recipe", [PLAIN, EVERYTHING], ids=["plain", "everything"])
def test_the_images_given_stay_as_they_are(recipe: Recipe) -> None:
    images = random_images(50)
    augment(images, draw(recipe, count=50, image_size=(HEIGHT, WIDTH), seed=1, epoch=1), recipe).zero_()
    assert_same(images, random_images(50))


def test_a_loader_gives_each_image_of_an_epoch_choices_of_its_own() -> None:
    pixels = random_images(70).permute(0, 2, 3, 1).numpy()
    recipe = replace(EVERYTHING, batch_size=32)
    loader = Loader(Split(images=pixels, labels=np.arange(70)), recipe=recipe, device=torch.device("cpu"))
    images, labels = map(torch.cat, zip(*loader.train_batches(seed=3, epoch=2), strict=True))
    choices = draw(recipe, count=70, image_size=(HEIGHT, WIDTH), seed=3, epoch=2)
    assert_same(images, one_by_one(random_images(70)[labels], choices, recipe))


# Choices


@pytest.mark.parametrize("padding", [1, 2, 4])
def test_corners_are_spread_evenly(padding: int) -> None:
    corners = 2 * padding + 1
    rows, columns = drawn(replace(EVERYTHING, crop_padding=padding)).corner.unbind(1)
    assert_evenly_spread(rows * corners + columns, corners**2)


def test_without_padding_the_only_corner_is_the_images_own() -> None:
    assert not drawn(PLAIN).corner.any()


@pytest.mark.parametrize("size", [(8, 8), (4, 6), (5, 8), (6, 3)], ids=str)
def test_centres_are_spread_evenly(size: tuple[int, int]) -> None:
    height, width = size
    rows, columns = draw(EVERYTHING, count=20_000, image_size=size, seed=1, epoch=1).centre.unbind(1)
    assert_evenly_spread(rows, height)
    assert_evenly_spread(columns, width)
    assert_evenly_spread(rows * width + columns, height * width)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.75])
def test_flips_come_as_often_as_asked_for(rate: float) -> None:
    flips = int(drawn(replace(EVERYTHING, flip=rate)).flipped.sum())
    assert stats.binomtest(flips, 20_000, rate).pvalue > UNLIKELY


@pytest.mark.parametrize(("rate", "flips"), [(0.0, 0), (1.0, 20_000)])
def test_never_and_always_flipping_are_exact(rate: float, flips: int) -> None:
    assert int(drawn(replace(EVERYTHING, flip=rate)).flipped.sum()) == flips


def test_what_is_drawn_for_an_image_is_independent() -> None:
    # With a padding of 2, corners have 5 rows and columns, as have the centres of 5x5 images: numbers that came of
    # one source would be the same numbers.
    choices = drawn(EVERYTHING, side=5)
    places = (*choices.corner.unbind(1), *choices.centre.unbind(1))
    for ours, theirs in itertools.combinations(places, 2):
        assert_evenly_spread(ours * 5 + theirs, 25)
    for place in places:
        assert_evenly_spread(choices.flipped * 5 + place, 10)
    assert_evenly_spread(choices.corner.flatten()[:20_000] * 5 + choices.centre[:, 0], 25)  # in the order of drawing


def test_what_is_drawn_for_one_image_says_nothing_of_the_next() -> None:
    rows = drawn(EVERYTHING).corner[:, 0]
    assert_evenly_spread(rows[:-1] * 5 + rows[1:], 25)


def test_the_same_seed_and_epoch_draw_the_same_whatever_else_was_drawn() -> None:
    before = drawn(EVERYTHING)
    torch.manual_seed(7)
    drawn(EVERYTHING, epoch=2)
    assert_same(drawn(EVERYTHING), before)


def test_no_global_random_number_is_drawn() -> None:
    before = torch.get_rng_state()
    drawn(EVERYTHING)
    assert_same(torch.get_rng_state(), before)


def test_every_seed_and_epoch_draws_anew() -> None:
    draws = [drawn(EVERYTHING, seed=seed, epoch=epoch) for seed, epoch in itertools.product((1, 2, 3), (1, 2, 3))]
    for ours, theirs in itertools.combinations(draws, 2):
        assert not any(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"crop_padding": 0}, ("flipped", "centre")),
        ({"crop_padding": 7}, ("flipped", "centre")),
        ({"flip": 0.0}, ("corner", "centre")),
        ({"flip": 0.9}, ("corner", "centre")),
        ({"cutout": 0}, ("flipped", "corner")),
        ({"cutout": 8}, ("flipped", "corner")),
    ],
    ids=str,
)
def test_a_change_of_one_operation_leaves_the_others_choices(changes: dict[str, float], kept: tuple[str, ...]) -> None:
    # Else recipes that differ in one operation would differ in all, and seeds would not pair.
    before, after = drawn(EVERYTHING), drawn(replace(EVERYTHING, **changes))
    for name in kept:
        assert_same(getattr(after, name), getattr(before, name))


def test_the_size_of_batches_changes_no_choice() -> None:
    assert_same(drawn(replace(EVERYTHING, batch_size=512)), drawn(replace(EVERYTHING, batch_size=2)))
