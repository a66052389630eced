"""The tree in docs/architecture.md has a caption for every file of the two packages."""

from __future__ import annotations

from pathlib import Path

from tests.support.markdown import ROOT, fences, page

PACKAGES = ("ablations", "googlenet")


def _captions(tree: str) -> dict[str, str]:
    """Captions by path; two spaces of indentation a folder."""
    captions: dict[str, str] = {}
    folders: list[str] = []
    for line in tree.splitlines():
        name, _, caption = line.strip().partition(" ")
        depth = (len(line) - len(line.lstrip())) // 2
        folders = folders[:depth]
        path = "/".join([*folders, name.rstrip("/")])
        assert path not in captions, path
        captions[path] = caption.strip()
        if name.endswith("/"):
            folders.append(name.rstrip("/"))
    return captions


def test_every_file_has_a_caption() -> None:
    (tree,) = (block for block in fences(page("docs/architecture.md"), "") if "run_all.py  " in block)
    captions = _captions(tree)
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()]
    # An `__init__.py` below the top says what its folder is, and the folder has a line.
    own = {path.relative_to(ROOT) for path in files if path.name != "__init__.py" or path.parent.parent == ROOT}
    expected = {"run_all.py"} | {path.as_posix() for path in own if "__pycache__" not in path.parts}
    folders = {parent.as_posix() for path in map(Path, expected) for parent in path.parents} - {"."}
    assert set(captions) == expected | folders
    assert all(captions.values())
