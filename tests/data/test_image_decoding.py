"""Decoding to 8-bit RGB: colour modes, bit depths, formats and sizes."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ablations.data.image_decoding import decode_images
from ablations.errors import DataError
from tests.support.image_trees import PIXELS

SIZE = 32
RAMP = (np.arange(SIZE * SIZE, dtype=np.uint16) * 64).reshape(SIZE, SIZE)  # 0 to 65,472


def png(pixels: NDArray[np.uint16]) -> bytes:
    """A 16-bit RGB PNG, which Pillow reads and does not write."""
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def save_grey(path: Path) -> NDArray[np.uint8]:
    Image.fromarray(PIXELS[..., 0]).save(path)
    return PIXELS[..., :1]


def save_bilevel(path: Path) -> NDArray[np.uint8]:
    Image.fromarray(PIXELS[..., 0] > 99).save(path)
    return np.where(PIXELS[..., :1] > 99, 255, 0).astype(np.uint8)


def save_palette(path: Path) -> NDArray[np.uint8]:
    image = Image.fromarray(PIXELS[..., 0], "P")
    colours = np.random.default_rng(1).integers(0, 256, (256, 3), np.uint8)
    image.putpalette(colours.tobytes())
    image.save(path)
    return colours[PIXELS[..., 0]]


def save_transparent_palette(path: Path) -> NDArray[np.uint8]:
    expected = save_palette(path)
    with Image.open(path) as image:
        image.load()
    image.save(path, transparency=bytes(range(256)))
    return expected


def save_alpha(path: Path) -> NDArray[np.uint8]:
    Image.fromarray(np.dstack([PIXELS, PIXELS[..., 1]])).save(path)
    return PIXELS


def save_grey_alpha(path: Path) -> NDArray[np.uint8]:
    Image.fromarray(PIXELS[..., :2], "LA").save(path)
    return PIXELS[..., :1]


def save_cmyk(path: Path) -> NDArray[np.uint8]:
    inks = np.dstack([PIXELS, PIXELS[..., 0] // 2])
    Image.fromarray(inks, "CMYK").save(path)
    left = (255.0 - inks) / 255
    return np.rint(255 * left[..., :3] * left[..., 3:]).astype(np.uint8)


def save_grey16(path: Path) -> NDArray[np.uint8]:
    Image.fromarray(RAMP).save(path)
    return (RAMP // 256)[..., None].astype(np.uint8)


def save_pgm16(path: Path) -> NDArray[np.uint8]:
    path.write_bytes(b"P5 32 32 65535\n" + RAMP.astype(">u2").tobytes())
    return (RAMP // 256)[..., None].astype(np.uint8)


def save_rgb16(path: Path) -> NDArray[np.uint8]:
    deep = np.dstack([RAMP, RAMP[::-1], RAMP.T])
    path.write_bytes(png(deep))
    return (deep // 256).astype(np.uint8)


def save_frames(path: Path) -> NDArray[np.uint8]:
    frames = [Image.fromarray(np.roll(PIXELS, number, axis=0)) for number in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    with Image.open(path) as image:
        assert getattr(image, "n_frames", 1) == 3
    return PIXELS


@pytest.mark.parametrize(
    ("save", "name"),
    [
        *((save_grey, "grey.png"), (save_grey, "grey.bmp"), (save_bilevel, "bilevel.png"), (save_palette, "p.png")),
        *((save_transparent_palette, "p-alpha.png"), (save_alpha, "alpha.png"), (save_alpha, "alpha.tiff")),
        *((save_grey_alpha, "grey-alpha.png"), (save_cmyk, "cmyk.tif"), (save_grey16, "16.png")),
        *((save_grey16, "16.tif"), (save_pgm16, "16.pgm"), (save_rgb16, "rgb16.png")),
        *((save_frames, "frames.png"), (save_frames, "frames.webp"), (save_frames, "frames.tif")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_mode_becomes_8_bit_rgb(save: Callable[[Path], NDArray[np.uint8]], name: str, tmp_path: Path) -> None:
    expected = save(tmp_path / name)
    (found,) = decode_images([str(tmp_path / name)], image_size=None)
    assert (found.shape, found.dtype) == ((SIZE, SIZE, 3), np.uint8)
    # One level for CMYK, whose products may be rounded either way.
    assert np.abs(found.astype(int) - np.broadcast_to(expected, found.shape)).max() <= (name == "cmyk.tif")


@pytest.mark.parametrize("pixels", [RAMP.astype(np.int32), RAMP.astype(np.float32)], ids=["int32", "float32"])
def test_pixels_of_32_bits_are_refused_as_their_range_is_unknown(pixels: NDArray[np.generic], tmp_path: Path) -> None:
    path = tmp_path / "deep.tif"
    Image.fromarray(pixels).save(path)
    said = r"32 bits a channel \(mode [IF]\), whose range is unknown; use 8 or 16"
    with pytest.raises(DataError, match=f"{re.escape(str(path))} .*{said}"):
        decode_images([str(path)], image_size=None)


@pytest.mark.parametrize("size", [(31, 32), (32, 33), (1, 1), (500, 20)])
def test_an_image_of_another_size_is_named_and_resized_on_request(size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "odd.png"
    Image.new("RGB", size).save(path)
    said = f"{path} is {size[0]}x{size[1]} pixels, not 32x32; pass --image-size N to resize all images to NxN"
    with pytest.raises(DataError) as raised:
        decode_images([str(path)], image_size=None)
    assert str(raised.value) == said
    assert decode_images([str(path)], image_size=16).shape == (1, 16, 16, 3)


def test_images_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(20)]
    for number, path in enumerate(paths):
        Image.new("RGB", (32, 32), (number, 0, 0)).save(path)
    assert decode_images([str(path) for path in paths], image_size=None)[:, 0, 0, 0].tolist() == list(range(20))
