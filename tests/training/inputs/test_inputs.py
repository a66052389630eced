"""What images become before augmentation: grey as Pillow's, resized as torchvision's; and flips of test images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from ablations.data.dataset import Dataset, Split
from ablations.records.run_folder import RunFolder
from ablations.suites.recipe import BN_AUX_ADAM, GRAY_ADAM, PUBLISHED, Recipe
from ablations.suites.run_config import RunConfig
from ablations.training.inputs.loader import Loader
from ablations.training.inputs.transforms import draw_test_flips, to_input
from ablations.training.options import ExecutionOptions
from ablations.training.train import train
from tests.support.training import CPU, rebuilt

PLAIN = replace(PUBLISHED, flip=0.0)


def photographs(count: int, *, side: int, channels: int = 3) -> np.ndarray:
    """Images (count, side, side, channels) that are neither noise nor flat: smooth waves, edges and some noise."""
    rng = np.random.default_rng(0)
    axis = np.arange(side)
    waves = np.sin(axis[:, None, None] / rng.uniform(1, 9, (count, 1, 1, channels)) + axis[:, None] / 3)
    pixels = 128 + 90 * waves + rng.normal(0, 20, (count, side, side, channels))
    pixels[:, side // 2 :, : side // 3] = 255
    return pixels.clip(0, 255).astype(np.uint8)


def pillow(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("side", "resize"), [(32, 224), (32, 48), (64, 32), (33, 8), (28, 224)])
def test_resized_images_are_torchvisions_to_within_one_grey_level(side: int, resize: int, channels: int) -> None:
    images = photographs(5, side=side, channels=channels)
    ours = to_input(torch.from_numpy(images), replace(PLAIN, resize=resize))
    assert ours.dtype == torch.uint8 and ours.shape == (5, channels, resize, resize)
    theirs = [np.asarray(transforms.Resize((resize, resize))(pillow(image))) for image in images]
    difference = ours.permute(0, 2, 3, 1).int() - torch.from_numpy(np.stack(theirs)).view(5, resize, resize, -1).int()
    assert difference.abs().max() <= 1


def test_images_of_that_size_stay_as_they_are() -> None:
    images = torch.from_numpy(photographs(2, side=32))
    assert torch.equal(to_input(images, replace(PLAIN, resize=32)), images.permute(0, 3, 1, 2))


def test_every_colour_becomes_pillows_grey() -> None:
    rng = np.random.default_rng(1)
    colours = rng.integers(0, 256, (1, 256, 256, 3), np.uint8)
    grey = to_input(torch.from_numpy(colours), replace(PLAIN, grayscale=True))
    assert np.array_equal(grey[0, 0].numpy(), np.asarray(Image.fromarray(colours[0]).convert("L")))
    assert torch.equal(to_input(grey.permute(0, 2, 3, 1), replace(PLAIN, grayscale=True)), grey), "it is grey already"


@pytest.mark.parametrize("recipe", [BN_AUX_ADAM, GRAY_ADAM], ids=lambda recipe: recipe.name)
def test_batches_are_what_the_write_ups_transforms_give(recipe: Recipe) -> None:
    split = Split(images=photographs(20, side=32), labels=np.arange(20))
    loader = Loader(split, recipe=recipe, device=CPU)
    steps = [transforms.Grayscale()] if recipe.grayscale else []
    transform = transforms.Compose([*steps, transforms.Resize((224, 224)), transforms.ToTensor()])
    expected = torch.stack([torch.as_tensor(transform(Image.fromarray(image))) for image in split.images])
    for batches in (loader.eval_batches(), loader.train_batches(seed=1, epoch=1)):
        for images, labels in batches:
            assert images.shape[1:] == (1 if recipe.grayscale else 3, 224, 224)
            torch.testing.assert_close(images, expected[labels], rtol=0, atol=1.01 / 255)


def test_images_stay_at_their_own_size_in_memory() -> None:
    # A split of 50,000 at 224x224 would take 7.5 GB.
    loader = Loader(Split(images=photographs(4, side=32), labels=np.arange(4)), recipe=BN_AUX_ADAM, device=CPU)
    assert loader._images.nbytes == 4 * 32 * 32 * 3


def test_half_of_the_test_images_are_flipped_as_the_seed_says() -> None:
    recipe = replace(PUBLISHED, flip_test=True)
    drawn = [draw_test_flips(recipe, count=10_000, seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert drawn[0].float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert not draw_test_flips(PUBLISHED, count=10_000, seed=1).any()


def test_flipped_test_images_are_tested_once_and_nothing_else_changes(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path
) -> None:
    folders = {}
    for flip_test in (False, True):
        config = make_config(epochs=1, flip=0.5, flip_test=flip_test, validation_fraction=0.2)
        folder = folders[flip_test] = RunFolder(tmp_path / str(flip_test), config)
        record = train(config, dataset=tiny_digits, folder=folder, options=ExecutionOptions())
        assert record.test_accesses == 1
    plain, flipped = folders[False], folders[True]
    weights = [rebuilt(folder.config, folder) for folder in (plain, flipped)]
    for mine, theirs in zip(weights[0].parameters(), weights[1].parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert plain.epochs.read()[0].validation_error == flipped.epochs.read()[0].validation_error
    mirrored = draw_test_flips(flipped.config.recipe, count=60, seed=flipped.config.seed).numpy()
    same = np.isclose(plain.read_predictions().loss, flipped.read_predictions().loss, rtol=1e-6)
    assert 20 < mirrored.sum() < 40
    assert same[~mirrored].all() and not same[mirrored].any()
