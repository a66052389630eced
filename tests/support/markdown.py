"""Fences, commands and tables of the project's Markdown pages, for the tests that hold them against the code."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
_CELL_BORDER = re.compile(r"\s*(?<!\\)\|\s*")


def page(name: str) -> str:
    """The text of a page, by its path from the repository's root."""
    return (ROOT / name).read_text(encoding="utf-8")


def fences(text: str, language: str) -> list[str]:
    """The contents of the fenced blocks of a language, "" for those without one."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [content for name, content in found if name == language]


def commands(text: str) -> list[str]:
    """The shell commands of a page, one by one and without comments."""
    lines = "".join(fences(text, "")).splitlines()
    parts = [part.strip() for line in lines for part in line.partition("#")[0].split("&&")]
    return [part for part in parts if part.startswith(("python ", "pip ", "pytest", "mkdocs "))]


def section(text: str, heading: str) -> str:
    """The text under a second-level heading, up to the next one."""
    _, _, rest = text.partition(f"\n## {heading}\n")
    assert rest, f"there is no heading {heading!r}"
    return rest.partition("\n## ")[0]


def tables(text: str) -> list[list[dict[str, str]]]:
    """Every table, as rows by column name, with code marks and links left as they are."""
    found: list[list[dict[str, str]]] = []
    for block in re.findall(r"(?:^\|.*\|\n)+", text + "\n", flags=re.MULTILINE):
        header, _, *rows = (_CELL_BORDER.split(line.strip().strip("|").strip()) for line in block.splitlines())
        found.append([dict(zip(header, row, strict=True)) for row in rows])
    return found


def plain(cell: str) -> str:
    """A cell without code marks."""
    return cell.replace("`", "")
