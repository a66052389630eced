"""Broken images: one clear error that names the file, and nothing written."""

from __future__ import annotations

import signal
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from ablations.cli.main import main
from ablations.data.registry import load_dataset
from ablations.errors import DataError
from tests.support.image_trees import PIXELS, make_tree


def png_that_claims(*, side: int) -> bytes:
    """A small PNG file whose header announces side x side pixels (a decompression bomb)."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    empty = b"".join(struct.pack(">I", 0) + kind + struct.pack(">I", zlib.crc32(kind)) for kind in (b"IDAT", b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + empty


def sound_bytes(suffix: str, folder: Path) -> bytes:
    path = folder / f"sound{suffix}"
    Image.fromarray(PIXELS).save(path)
    return path.read_bytes()


def flip_byte(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 255]) + content[position + 1 :]


BROKEN: list[tuple[str, Callable[[Path], bytes]]] = [
    ("empty.png", lambda folder: b""),
    ("text.png", lambda folder: b"This is no image.\n"),
    ("page.jpg", lambda folder: b"<html><body>404</body></html>"),
    ("zeros.png", lambda folder: bytes(5_000)),
    ("signature.png", lambda folder: b"\x89PNG\r\n\x1a\n"),
    ("flipped-byte.png", lambda folder: flip_byte(sound_bytes(".png", folder), 100)),
    ("half.png", lambda folder: sound_bytes(".png", folder)[:1_000]),
    ("half.jpg", lambda folder: sound_bytes(".jpg", folder)[:600]),
    ("half.bmp", lambda folder: sound_bytes(".bmp", folder)[:1_000]),
    ("half.webp", lambda folder: sound_bytes(".webp", folder)[:200]),
    ("half.tif", lambda folder: sound_bytes(".tif", folder)[:1_000]),
    ("bomb.png", lambda folder: png_that_claims(side=10_000)),
    ("big-bomb.png", lambda folder: png_that_claims(side=60_000)),
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "images")


@pytest.mark.parametrize(("name", "content"), BROKEN, ids=[name for name, _ in BROKEN])
@pytest.mark.filterwarnings("ignore")  # as by default; Pillow warns of bombs
def test_a_broken_image_is_named_and_nothing_is_written(
    name: str, content: Callable[[Path], bytes], tree: Path, tmp_path: Path
) -> None:
    path = tree / "train" / "bee" / name
    path.write_bytes(content(tmp_path))
    before = sorted(tree.rglob("*"))
    with pytest.raises(DataError) as raised:
        load_dataset("folder", tree)
    message = str(raised.value)
    assert message.startswith(f"{path} cannot be read as an image (") and message.endswith("; replace or remove it")
    assert "\n" not in message
    assert ("pixels" in message) == ("bomb" in name)
    assert sorted(tree.rglob("*")) == before


@pytest.mark.process
def test_a_suite_on_a_broken_image_ends_with_4_and_one_line(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tree / "train" / "bee" / "text.png"
    path.write_bytes(b"This is no image.\n")
    handler = signal.getsignal(signal.SIGTERM)
    try:
        given = ["--suite", "folder", "--data-dir", str(tree), "--results", str(tmp_path / "results")]
        assert main(given) == 4
    finally:
        signal.signal(signal.SIGTERM, handler)
    err = capsys.readouterr().err
    assert err.startswith(f"error: {path} cannot be read as an image (") and err.count("\n") == 1
    assert not (tmp_path / "results").exists()
