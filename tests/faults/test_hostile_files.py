"""Files with code in them (pickles, PostScript) are never executed, and no source file loads one unsafely."""

from __future__ import annotations

import ast
import hashlib
import os
import pickle
import shlex
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, Image

from ablations.data.archives import ARCHIVES
from ablations.data.cifar import LAYOUTS
from ablations.data.registry import load_dataset
from ablations.errors import ConfigError, DataError
from ablations.records.run_folder import RunFolder
from ablations.suites.run_config import RunConfig
from ablations.training import checkpoint
from tests.support.archives import pack
from tests.support.image_trees import make_tree

ROOT = Path(__file__).resolve().parents[2]


class Payload:
    """Creates a file by a shell command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {shlex.quote(str(self.marker))}",)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "marker"


def bare_pickle(path: Path, marker: Path) -> None:
    path.write_bytes(pickle.dumps(Payload(marker), protocol=2))


def torch_file(path: Path, marker: Path) -> None:
    torch.save({"model": Payload(marker)}, path)


def old_torch_file(path: Path, marker: Path) -> None:
    torch.save({"model": Payload(marker)}, path, _use_new_zipfile_serialization=False)


def object_array(path: Path, marker: Path) -> None:
    with path.open("wb") as file:
        np.savez(
            file, labels=np.array([Payload(marker)], dtype=object), listing=np.array([Payload(marker)], dtype=object)
        )


def load_unsafely(path: Path) -> None:
    """Load the file with pickles allowed."""
    if path.suffix == ".npz":
        with path.open("rb") as file:
            stored = np.load(file, allow_pickle=True)
            if isinstance(stored, np.lib.npyio.NpzFile):
                assert stored["labels"] is not None
    else:
        with suppress(RuntimeError):  # no checkpoint, as torch notices after unpickling
            torch.load(path, weights_only=False)


@pytest.mark.parametrize("write", [bare_pickle, torch_file, old_torch_file])
@pytest.mark.parametrize("stem", ["epoch-000003", "weights"])
def test_a_hostile_checkpoint_of_the_right_checksum_is_refused(
    stem: str, write: Callable[[Path, Path], None], tmp_path: Path, marker: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    write(folder / "hostile", marker)
    name = f"{stem}-{hashlib.sha256((folder / 'hostile').read_bytes()).hexdigest()}.pt"
    path = (folder / "hostile").rename(folder / name)
    if stem == "weights":
        with pytest.raises(pickle.UnpicklingError):
            checkpoint.load_weights(folder)
    else:
        assert checkpoint.load_newest(folder, at_most=99) is None
        path = path.with_name(f"{name}.damaged")
        assert "holds no training state: UnpicklingError" in caplog.text
    assert path.is_file()
    assert not marker.exists()
    load_unsafely(path)
    assert marker.exists(), "loaded unsafely it runs"


def test_a_hostile_archive_is_refused_by_its_checksum(tmp_path: Path, marker: Path) -> None:
    layout, (archive,) = LAYOUTS["cifar10"], ARCHIVES["cifar10"].files
    members = {name: Payload(marker) for name in (layout.meta_member, *layout.train_members, layout.test_member)}
    (tmp_path / archive.name).write_bytes(pack(members))
    with pytest.raises(DataError, match=archive.md5):
        load_dataset("cifar10", tmp_path)
    assert not marker.exists()
    pickle.loads(pickle.dumps(Payload(marker), protocol=2))
    assert marker.exists(), "loaded unsafely it runs"


@pytest.mark.parametrize("write", [bare_pickle, object_array])
def test_hostile_predictions_are_refused(
    write: Callable[[Path, Path], None], make_config: Callable[..., RunConfig], tmp_path: Path, marker: Path
) -> None:
    folder = RunFolder(tmp_path, make_config())
    folder.path.mkdir()
    path = folder.path / "predictions.npz"
    write(path, marker)
    with pytest.raises(ConfigError, match=r"predictions\.npz cannot be read .*--fresh trains the run again") as raised:
        folder.read_predictions()
    assert str(path) in str(raised.value)
    assert not marker.exists()
    load_unsafely(path)
    assert marker.exists(), "loaded unsafely it runs"


@pytest.mark.parametrize("write", [bare_pickle, object_array])
def test_a_hostile_cache_of_decoded_images_is_replaced(
    write: Callable[[Path, Path], None], tmp_path: Path, marker: Path
) -> None:
    tree = make_tree(tmp_path / "images")
    expected = load_dataset("folder", tree).fingerprint
    (cache,) = tree.glob(".decoded-*.npz")
    write(cache, marker)
    harmful = cache.read_bytes()
    assert load_dataset("folder", tree).fingerprint == expected
    assert not marker.exists()
    assert np.load(cache, allow_pickle=False)["train_labels"].tolist() == [0, 1]
    cache.write_bytes(harmful)
    load_unsafely(cache)
    assert marker.exists(), "loaded unsafely it runs"


def test_postscript_named_as_an_image_reaches_no_interpreter(
    tmp_path: Path, marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter = tmp_path / "programs" / "gs"
    interpreter.parent.mkdir()
    interpreter.write_text(f"#!/bin/sh\n: > {shlex.quote(str(marker))}\n")
    interpreter.chmod(0o755)
    monkeypatch.setenv("PATH", str(interpreter.parent))
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # where Pillow keeps what it has found
    tree = make_tree(tmp_path / "images")
    path = tree / "train" / "bee" / "x.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\nshowpage\n%%EOF\n")
    with pytest.raises(DataError, match=r"x\.png cannot be read as an image \(cannot identify"):
        load_dataset("folder", tree)
    assert not marker.exists()
    with Image.open(path) as image, suppress(OSError):  # the stand-in draws nothing
        image.load()
    assert marker.exists(), "loaded unsafely it runs"


def sources() -> list[Path]:
    folders = ("googlenet", "ablations", "benchmarks")
    return [ROOT / "run_all.py", *(path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))]


# The only function that may unpickle, after the archive's checksum was verified.
UNPICKLING = ("ablations/data/cifar.py", "_unpickle")


def unsafe_calls(tree: ast.AST, *, function: str = "") -> Iterator[tuple[str, int, str]]:
    """Function, line and source of every call that runs code out of a file or a string."""
    for node in ast.iter_child_nodes(tree):
        name = node.name if isinstance(node, ast.FunctionDef) else function
        if isinstance(node, ast.Call) and _is_unsafe(node):
            yield name, node.lineno, ast.unparse(node)
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            if {module.partition(".")[0] for module in modules} & FORBIDDEN_MODULES:
                yield name, node.lineno, ast.unparse(node)
        yield from unsafe_calls(node, function=name)


FORBIDDEN_MODULES = {"yaml", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "compile",
    "os.system",
    "os.popen",
    "torch.jit.load",
    "torch.hub.load",
    "pd.read_pickle",
}
FORBIDDEN_METHODS = {"extract", "extractall", "unpack_archive", "read_pickle"}
PICKLE = {"pickle.load", "pickle.loads", "pickle.Unpickler", "load_pickle"}


def _is_unsafe(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if name == "torch.load":
        return given.get("weights_only") != "True"
    if name in ("np.load", "numpy.load"):
        return given.get("allow_pickle") != "False"
    return (
        name in FORBIDDEN_CALLS | PICKLE
        or name.rpartition(".")[2] in FORBIDDEN_METHODS
        or given.get("shell", "False") != "False"
        or given.get("allow_pickle", "False") != "False"
    )


def test_no_source_file_executes_what_it_reads() -> None:
    found = [
        (path.relative_to(ROOT).as_posix(), function, call)
        for path in sources()
        for function, _, call in unsafe_calls(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == [(*UNPICKLING, "pickle.loads(file.read(), encoding='latin1')")]


@pytest.mark.parametrize(
    "code",
    [
        *("torch.load(path)", "torch.load(path, weights_only=False)", "np.load(path)", "np.load(p, allow_pickle=True)"),
        *(
            "pickle.load(file)",
            "pickle.loads(text)",
            "import yaml",
            "from yaml import load",
            "eval(text)",
            "exec(text)",
        ),
        *("subprocess.run(text, shell=True)", "tar.extractall(folder)", "tar.extract(member)", "os.system(text)"),
        "class A:\n  def f(self):\n    return [pickle.loads(x) for x in y]",
    ],
)
def test_unsafe_calls_are_found(code: str) -> None:
    assert len(list(unsafe_calls(ast.parse(code)))) == 1


def test_safe_calls_are_not_reported() -> None:
    code = "torch.load(p, weights_only=True); np.load(p, allow_pickle=False); model.eval(); torch.compile(model)"
    assert list(unsafe_calls(ast.parse(code + "; json.loads(text); tar.extractfile(member); re.compile(text)"))) == []
