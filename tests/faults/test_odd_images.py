"""Images that are broken, odd or huge: converted as `load_folder` declares, or an error that names the file."""

from __future__ import annotations

import signal
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import run_all
from ablations.data.registry import load_dataset, load_folder
from ablations.errors import DataError

SIZE = 32
RAMP = (np.arange(SIZE * SIZE, dtype=np.uint16) * 64).reshape(SIZE, SIZE)  # 0 to 65,472
PIXELS = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two classes of one sound image each."""
    root = tmp_path / "images"
    for name in ("train/ant", "train/bee", "test/ant", "test/bee"):
        (root / name).mkdir(parents=True)
        Image.fromarray(PIXELS).save(root / name / "0.png")
    return root


def read(tree: Path, odd: str) -> NDArray[np.uint8]:
    """The pixels of the one image of train/ant that has this name, the sound one beside it removed."""
    (tree / "train" / "ant" / "0.png").unlink()
    assert [path.name for path in (tree / "train" / "ant").iterdir()] == [odd]
    return load_dataset("folder", tree).train.images[0]


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
def test_an_odd_image_becomes_the_declared_rgb(
    save: Callable[[Path], NDArray[np.uint8]], name: str, tree: Path
) -> None:
    expected = save(tree / "train" / "ant" / name)
    found = read(tree, name)
    assert (found.shape, found.dtype) == ((SIZE, SIZE, 3), np.uint8)
    # One level for CMYK, whose products may be rounded either way.
    assert np.abs(found.astype(int) - np.broadcast_to(expected, found.shape)).max() <= (name == "cmyk.tif")


def test_the_conversions_are_declared() -> None:
    said = " ".join(str(load_folder.__doc__).split())
    for word in ("Grey", "palette", "CMYK", "16 bits", "transparency", "animation", "32 bits"):
        assert word in said


def header_of(*, side: int) -> bytes:
    """A small PNG file that announces side x side pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    sound = png(np.zeros((1, 1, 3), np.uint16))
    return sound[:12] + header + struct.pack(">I", zlib.crc32(header)) + sound[33:]


def sound_bytes(suffix: str, path: Path) -> bytes:
    Image.fromarray(PIXELS).save(path.with_suffix(suffix))
    return path.with_suffix(suffix).read_bytes()


BROKEN: list[tuple[str, Callable[[Path], bytes]]] = [
    ("empty.png", lambda path: b""),
    ("text.png", lambda path: b"This is no image.\n"),
    ("page.jpg", lambda path: b"<html><body>404</body></html>"),
    ("zeros.png", lambda path: bytes(5_000)),
    ("signature.png", lambda path: b"\x89PNG\r\n\x1a\n"),
    ("half.png", lambda path: sound_bytes(".png", path)[:1_000]),
    ("half.jpg", lambda path: sound_bytes(".jpg", path)[:600]),
    ("half.bmp", lambda path: sound_bytes(".bmp", path)[:1_000]),
    ("half.webp", lambda path: sound_bytes(".webp", path)[:200]),
    ("half.tif", lambda path: sound_bytes(".tif", path)[:1_000]),
    ("bomb.png", lambda path: header_of(side=10_000)),
    ("big-bomb.png", lambda path: header_of(side=60_000)),
]


@pytest.mark.parametrize(("name", "content"), BROKEN, ids=[name for name, _ in BROKEN])
def test_a_broken_image_ends_with_4_and_its_name(
    name: str, content: Callable[[Path], bytes], tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tree / "train" / "bee" / name
    path.write_bytes(content(tmp_path / "sound"))
    before = sorted(tree.rglob("*"))
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with warnings.catch_warnings(action="ignore"):  # as they are by default; Pillow warns of bombs
            status = run_all.main(
                ["--suite", "folder", "--data-dir", str(tree), "--results", str(tmp_path / "results")]
            )
    finally:
        signal.signal(signal.SIGTERM, handler)
    err = capsys.readouterr().err
    assert status == 4
    assert err.startswith(f"error: {path} cannot be read as an image (") and err.endswith("; replace or remove it\n")
    assert err.count("\n") == 1
    assert ("pixels" in err) == ("bomb" in name)
    assert sorted(tree.rglob("*")) == before and not (tmp_path / "results").exists()


@pytest.mark.parametrize("pixels", [RAMP.astype(np.int32), RAMP.astype(np.float32)], ids=["int32", "float32"])
def test_pixels_of_unknown_range_are_an_error(pixels: NDArray[np.generic], tree: Path) -> None:
    path = tree / "test" / "ant" / "deep.tif"
    Image.fromarray(pixels).save(path)
    with pytest.raises(
        DataError, match=r"32 bits a channel \(mode [IF]\), whose range is unknown; use 8 or 16"
    ) as raised:
        load_dataset("folder", tree)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("size", [(31, 32), (32, 33), (1, 1), (500, 20)])
def test_an_image_of_odd_size_is_named_with_its_size(size: tuple[int, int], tree: Path) -> None:
    path = tree / "train" / "ant" / "odd.png"
    Image.new("RGB", size).save(path)
    with pytest.raises(DataError, match=rf"odd\.png is {size[0]}x{size[1]} pixels, not 32x32; pass --image-size N"):
        load_dataset("folder", tree)
    assert load_dataset("folder", tree, image_size=16).train.images.shape == (3, 16, 16, 3)


def test_what_an_older_version_decoded_is_decoded_anew(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tree / "train" / "ant" / "16.png"
    expected = save_grey16(path)
    monkeypatch.setattr("ablations.data.image_folder.DECODING", "1")
    monkeypatch.setattr("ablations.data.image_folder._to_rgb", lambda image: Image.new("RGB", image.size, "white"))
    assert load_dataset("folder", tree).train.images.min() == 255
    monkeypatch.undo()
    found = load_dataset("folder", tree).train.images
    assert np.array_equal(found[1], np.broadcast_to(expected, found[1].shape))
