"""What images go through on their way to the network, in whole batches on the device.

Grey, resized, then augmented by a random crop, a horizontal flip and cutout, which are drawn for an epoch.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ablations.seeding import Purpose, derive_seed
from ablations.suites.recipe import Recipe

# Weights of red, green and blue by ITU-R 601, of 2^16; so Pillow converts to mode "L".
GRAY_WEIGHTS = (19595, 38470, 7471)


class Choices(NamedTuple):
    """What was drawn for N images: whether to flip (N,), and as (row, column) pairs (N, 2) the top left corner of the
    crop in the padded image and the centre of the cutout."""

    flipped: Tensor
    corner: Tensor
    centre: Tensor


def draw(recipe: Recipe, *, count: int, image_size: tuple[int, int], seed: int, epoch: int) -> Choices:
    """Independent choices for `count` images (H, W), which (seed, epoch) alone decide.

    They are drawn on the CPU for every device, as generators differ between devices.
    """

    def rng(purpose: Purpose) -> torch.Generator:
        return torch.Generator().manual_seed(derive_seed(seed, purpose=purpose, epoch=epoch))

    height, width = image_size
    corners = 2 * recipe.crop_padding + 1
    cutout_rng = rng("cutout")
    rows, columns = (torch.randint(side, (count,), generator=cutout_rng) for side in (height, width))
    return Choices(
        flipped=torch.rand(count, generator=rng("flip")) < recipe.flip,
        corner=torch.randint(corners, (count, 2), generator=rng("crop")),
        centre=torch.stack([rows, columns], dim=1),
    )


def draw_test_flips(recipe: Recipe, *, count: int, seed: int) -> Tensor:
    """Which of the test images (N,) are flipped: none, or with `flip_test` each with the recipe's probability."""
    rng = torch.Generator().manual_seed(derive_seed(seed, purpose="test-flip"))
    return torch.rand(count, generator=rng) < (recipe.flip if recipe.flip_test else 0)


def to_input(images: Tensor, recipe: Recipe) -> Tensor:
    """uint8 images (B, H, W, C) as uint8 (B, 1 or C, S, S): grey and resized to S pixels a side where the recipe says.

    Both are Pillow's conversions, to within one grey level (see torchvision's Grayscale and Resize on its images).
    """
    images = images.permute(0, 3, 1, 2)
    if recipe.grayscale and images.shape[1] == 3:
        weights = torch.tensor(GRAY_WEIGHTS, dtype=torch.int32, device=images.device)[:, None, None]
        images = ((images.to(torch.int32) * weights).sum(dim=1, keepdim=True) + 2**15 >> 16).to(torch.uint8)
    if recipe.resize is None or images.shape[2:] == (recipe.resize, recipe.resize):
        return images
    side = (recipe.resize, recipe.resize)
    # In single precision, as only CPUs have a kernel for bytes; Pillow rounds halves up.
    floats = functional.interpolate(images.float(), side, mode="bilinear", antialias=True, align_corners=False)
    return floats.add_(0.5).floor_().clamp_(0, 255).to(torch.uint8)


def augment(images: Tensor, choices: Choices, recipe: Recipe) -> Tensor:
    """uint8 images (B, C, H, W) as the network sees them in training: float32, of the same shape."""
    if recipe.crop_padding:
        images = crop(images, choices.corner, padding=recipe.crop_padding)
    if recipe.flip:
        images = flip(images, choices.flipped)
    floats = normalise(images, recipe)
    return cut_out(floats, choices.centre, side=recipe.cutout) if recipe.cutout else floats


def normalise(images: Tensor, recipe: Recipe) -> Tensor:
    """uint8 images (B, C, H, W) as float32 (x / 255 - mean) / std, in channels-last memory."""
    floats = images.to(torch.float32, memory_format=torch.channels_last).div_(255)
    return floats.sub_(recipe.mean).div_(recipe.std)


def flip(images: Tensor, flipped: Tensor) -> Tensor:
    """Images (B, C, H, W), mirrored left to right where `flipped` (B,) says so."""
    return torch.where(flipped[:, None, None, None], images.flip(-1), images)


def crop(images: Tensor, corner: Tensor, *, padding: int) -> Tensor:
    """Images (B, C, H, W) padded with zeros and cut back to (H, W) from the given corner (B, 2)."""
    count, channels, height, width = images.shape
    padded = functional.pad(images.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding))
    # A view of every crop there is (B, top, left, H, W x C), whole rows of which are copied: on a CPU this is seven
    # times as fast as gathering pixel by pixel.
    crops = padded.flatten(2).unfold(1, height, 1).unfold(2, width * channels, channels)
    taken = crops[torch.arange(count, device=images.device), corner[:, 0], corner[:, 1]]
    return taken.view(count, height, width, channels).permute(0, 3, 1, 2)


def cut_out(images: Tensor, centre: Tensor, *, side: int) -> Tensor:
    """Set to 0, in place, a square of images (B, C, H, W) around `centre` (B, 2), as far as it lies in the image.

    Source: arXiv:1708.04552, where the square may also reach over the edge.
    """
    first = centre - side // 2
    masks = []
    for axis, size in enumerate(images.shape[2:]):
        position = torch.arange(size, device=images.device)
        begin = first[:, axis, None]
        masks.append((position >= begin) & (position < begin + side))
    return images.masked_fill_(masks[0][:, None, :, None] & masks[1][:, None, None, :], 0)
