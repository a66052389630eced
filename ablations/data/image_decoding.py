"""Decode image files to 8-bit RGB arrays."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from ablations.data.dataset import Images
from ablations.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

# The formats of `image_folder.IMAGE_SUFFIXES`. Pillow goes by content; other decoders of its start a program
# (Ghostscript for EPS).
PILLOW_FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP")
DEFAULT_IMAGE_SIZE = 32
DECODING_VERSION = "3"  # raise it when the same file decodes to other pixels: caches are then renewed


def decode_images(paths: Sequence[str], *, image_size: int | None) -> Images:
    """Decode files in parallel to (N, S, S, 3), resized to S = `image_size`; None requires 32x32 pixels.

    Grey, palette and CMYK images become RGB; 16 bits per channel are scaled to 8; transparency is dropped without
    blending; of an animation the first frame is taken. An orientation in the EXIF data is ignored, as torchvision does.

    Raises:
        DataError: naming a file that is no image, has 32 bits per channel (whose range is unknown), has more pixels
            than Pillow's limit, or is not 32x32 where `image_size` is None.
    """
    with ThreadPoolExecutor() as pool:
        return np.stack(list(pool.map(functools.partial(_decode, image_size=image_size), paths)))


def printable(text: object) -> str:
    """Text as a terminal can show it: control characters and invalid Unicode are escaped."""
    text = str(text)
    return text if text.isprintable() else repr(text)


def _decode(path: str, *, image_size: int | None) -> Images:
    from PIL import Image

    try:
        with Image.open(path, formats=PILLOW_FORMATS) as file:
            image = _to_rgb(file)
    except Exception as error:  # Pillow's decoders can raise any exception on broken files
        why = printable(error)
        raise DataError(f"{printable(path)} cannot be read as an image ({why}); replace or remove it") from error
    if image_size is not None and image.size != (image_size, image_size):
        image = image.resize((image_size, image_size), Image.Resampling.BILINEAR)
    if image_size is None and image.size != (DEFAULT_IMAGE_SIZE, DEFAULT_IMAGE_SIZE):
        size = f"{image.size[0]}x{image.size[1]}"
        raise DataError(
            f"{printable(path)} is {size} pixels, not {DEFAULT_IMAGE_SIZE}x{DEFAULT_IMAGE_SIZE}; "
            "pass --image-size N to resize all images to NxN"
        )
    return np.asarray(image, dtype=np.uint8)


def _to_rgb(image: Image.Image) -> Image.Image:
    from PIL import Image

    limit = Image.MAX_IMAGE_PIXELS  # Pillow only warns up to twice this limit
    if limit is not None and image.width * image.height > limit:
        raise ValueError(f"{image.width}x{image.height} pixels are over the limit of {limit:,}")
    # Some versions and formats of Pillow keep 16 bits in a 32-bit mode.
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"it has 32 bits a channel (mode {image.mode}), whose range is unknown; use 8 or 16")
    image.info.pop("transparency", None)  # Pillow would warn about it
    return image.convert("RGB")
