"""Drawings: a figure with tooltips, its style, and its PNG and SVG files, the same bytes for the same data."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

from ablations.storage import atomic

# The colours that follow the theme of a page; data have other ones.
INK, PAPER = "#1b232d", "#ffffff"
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "legend.fontsize": 8,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "axes.prop_cycle": cycler(color=[INK]),  # of what is given no colour
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#777777",
    "grid.alpha": 0.25,
    "savefig.dpi": 150,
    # Without a fixed salt, element ids in an SVG differ from one process to the next.
    "svg.hashsalt": "googlenet-ablations",
}
_DEFAULTS: dict[Any, Any] = {name: value for name, value in mpl.rcParamsDefault.items() if name != "backend"}
SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


@contextmanager
def own_style() -> Iterator[None]:
    """Draw with matplotlib's defaults and STYLE, whatever the user's matplotlibrc says; restores the settings."""
    with mpl.rc_context({**_DEFAULTS, **STYLE}):
        yield


class Drawing(NamedTuple):
    """A figure with tooltips, by the gid of the artist that each belongs to."""

    figure: Figure
    tips: Mapping[str, str]

    def _repr_html_(self) -> str:
        prefix = hashlib.sha256(repr(self.tips).encode()).hexdigest()[:8]
        return to_svg(self, prefix=f"d{prefix}-")


def to_svg(drawing: Drawing, *, prefix: str) -> str:
    """The drawing as SVG to embed in HTML: tooltips as titles, and the prefix before every id."""
    buffer = io.StringIO()
    with own_style():
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        drawing.figure.savefig(buffer, format="svg", metadata=metadata)
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    root = ElementTree.fromstring(buffer.getvalue(), parser=parser)
    add_prefix = partial(re.sub, r"url\(#", f"url(#{prefix}")
    for element in list(root.iter()):
        tip = drawing.tips.get(element.get("id", ""))
        for name, value in element.items():
            if name == "id":
                element.set(name, prefix + value)
            elif name in ("href", f"{{{XLINK}}}href") and value.startswith("#"):
                element.set(name, f"#{prefix}{value[1:]}")
            else:
                element.set(name, add_prefix(value))
        if tip is not None:
            title = ElementTree.Element(f"{{{SVG}}}title")
            title.text = tip
            element.insert(0, title)
    for name, uri in (("", SVG), ("xlink", XLINK)):
        ElementTree.register_namespace(name, uri)
    return ElementTree.tostring(root, encoding="unicode")


def themed(svg: str) -> str:
    """An SVG in the colours of the page that embeds it: INK as its text, PAPER as the custom property `--page`."""
    return svg.replace(INK, "currentColor").replace(PAPER, "var(--page)")


def write_drawings(drawings: Mapping[str, Drawing], *, folder: Path) -> dict[str, str]:
    """Save each drawing as PNG and SVG, the same bytes for the same data; return the SVGs by name."""
    svgs = {}
    for name, drawing in drawings.items():
        with own_style(), atomic.replacing(folder / f"{name}.png") as temporary:
            drawing.figure.savefig(temporary, format="png", metadata={"Software": None})
        svgs[name] = to_svg(drawing, prefix=f"{name}-")
        atomic.write_text(folder / f"{name}.svg", svgs[name] + "\n")
    return svgs


def lay_out(figure: Figure) -> None:
    """Lay the figure out once, so that every format shows the same."""
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
