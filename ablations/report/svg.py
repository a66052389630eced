"""A figure that has text on hovering: its style, its labels, and its files, the same bytes for the same data."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from ablations.storage import atomic

STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.3,
    "savefig.dpi": 150,
    # Without a fixed salt, element ids in an SVG differ from one process to the next.
    "svg.hashsalt": "googlenet-ablations",
}
SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


class Drawing(NamedTuple):
    """A figure, and the text to show on hovering by the gid of the artist that it is about."""

    figure: Figure
    tips: Mapping[str, str]

    def _repr_html_(self) -> str:
        prefix = hashlib.sha256(repr(self.tips).encode()).hexdigest()[:8]
        return to_svg(self, prefix=f"d{prefix}-")


def to_svg(drawing: Drawing, *, prefix: str) -> str:
    """The drawing as SVG that can stand inside HTML: its tips as titles, and every id with the prefix before it."""
    buffer = io.StringIO()
    with mpl.rc_context(STYLE):
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


def write_drawings(drawings: Mapping[str, Drawing], *, folder: Path) -> dict[str, str]:
    """Save each drawing as PNG and SVG, the same bytes for the same data; return the SVGs by name."""
    svgs = {}
    for name, drawing in drawings.items():
        with mpl.rc_context(STYLE), atomic.replacing(folder / f"{name}.png") as temporary:
            drawing.figure.savefig(temporary, format="png", metadata={"Software": None})
        svgs[name] = to_svg(drawing, prefix=f"{name}-")
        atomic.write_text(folder / f"{name}.svg", svgs[name] + "\n")
    return svgs


def lay_out(figure: Figure) -> None:
    """Lay out once for good: every later drawing of the figure, in whatever format, is the same."""
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def label(axes: Axes, names: Sequence[str], points: np.ndarray, *, front: np.ndarray) -> None:
    """Write each name where it covers least; `points` has a row (x, y, low y, high y) a name."""
    to_pixels = axes.transData.transform
    pixel = axes.figure.dpi / 72
    taken = [Bbox([centre, centre]).padded(5 * pixel) for centre in to_pixels(points[:, :2])]
    for x, _, low, high in points[~np.isnan(points).any(axis=1)]:
        taken.append(Bbox([to_pixels((x, low)), to_pixels((x, high))]).padded(3 * pixel))
    line = to_pixels(points[front, :2])
    for start, end in zip(line, line[1:], strict=False):
        taken += [Bbox([spot, spot]).padded(pixel) for spot in np.linspace(start, end, 30)]
    legend = axes.get_legend()
    if legend is not None:
        taken.append(legend.get_window_extent())
    for name, centre in zip(names, points[:, :2], strict=True):
        text = axes.annotate(name, centre, (0, 0), textcoords="offset points", fontsize=9)
        box = text.get_window_extent()

        def cost(offset: tuple[float, float], box: Bbox = box) -> int:
            moved = box.translated(offset[0] * pixel, offset[1] * pixel)
            outside = not (axes.bbox.contains(*moved.min) and axes.bbox.contains(*moved.max))
            return moved.count_overlaps(taken) + 100 * outside

        best = min(_offsets(box.width / pixel, box.height / pixel), key=cost)
        text.set_position(best)
        taken.append(box.translated(best[0] * pixel, best[1] * pixel))


def _offsets(width: float, height: float) -> list[tuple[float, float]]:
    """Where a text's lower left corner may stand from its point, the best first; in points, as are its sizes."""
    places = []
    for gap in (7, 13, 20, 28):
        across = ((-width / 2, 0), (gap / 2, 1), (-width - gap / 2, 1))
        places += [(x, gap) for x, _ in across] + [(x, -gap - height / 2) for x, _ in across]
        places += [(gap, -height / 3), (-width - gap, -height / 3)]
    return places
