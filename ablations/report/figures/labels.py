"""Names in figures: of points beside them or in a key, of lines in a legend, of rows beside the axes.

adjustText, compared on the same figures, lays labels over error bars and takes longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from ablations.report.figures.figure import GREY
from ablations.report.svg import lay_out

ROOM = 2.9  # inches for axes beside their names
NEAR = (7, 13, 20, 28)  # gaps between a point and its label, in points; from the second on a line joins the two
FAR = (*NEAR, *range(36, 180, 12))
APART = 3  # points between two labels side by side
# What it costs to cover something, by kind; a label that costs LABEL or more has no room.
LABEL, INTERVAL, FRONT = 1000, 10, 1


def label(axes: Axes, names: Sequence[str], points: np.ndarray, *, front: np.ndarray) -> None:
    """Write each name beside its point, `points` (V, 4) with a row (x, y, low y, high y) for each.

    If they have no room there, numbers stand at the points, and a key of numbers and names beside the axes.
    The figure is laid out anew.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    lay_out(figure)
    if _write(axes, names, points, front=front, gaps=NEAR):
        return
    numbers = [str(number) for number in range(1, len(names) + 1)]
    key = [f"{number}  {name}" for number, name in zip(numbers, names, strict=True)]
    figure.set_layout_engine("constrained")
    legend_beside(figure, [Line2D([], [], linestyle="none")] * len(key), key, handlelength=0, handletextpad=0)
    lay_out(figure)
    _write(axes, numbers, points, front=front, gaps=FAR, always=True)


def names_beside(axes: Axes, names: Sequence[str], *, room: float = ROOM) -> None:
    """The names of rows 0, 1, 2 and so on to the left of the axes.

    The figure gets wider where the longest name leaves less than `room` inches.
    """
    axes.set_yticks(range(len(names)), names)
    figure = axes.get_figure(root=True)
    assert figure is not None
    longest = max((text.get_window_extent().width for text in axes.get_yticklabels()), default=0)
    _leave_room(figure, room, beside=longest)


def legend_beside(
    figure: Figure, handles: Sequence[Line2D], names: Sequence[str], *, room: float = ROOM, **style: float
) -> None:
    """A legend to the right of the axes, in as many columns as its height asks for.

    The figure gets wider where it leaves less than `room` inches.
    """
    for columns in range(1, len(names) + 1):
        legend = figure.legend(handles, names, loc="outside right upper", ncols=columns, frameon=False, **style)
        box = legend.get_window_extent()
        if box.height <= figure.bbox.height:
            _leave_room(figure, room, beside=box.width)
            return
        legend.remove()


def _leave_room(figure: Figure, room: float, *, beside: float) -> None:
    width, height = figure.get_size_inches()
    figure.set_size_inches(max(width, room + beside / figure.dpi), height)


def _write(
    axes: Axes,
    names: Sequence[str],
    points: np.ndarray,
    *,
    front: np.ndarray,
    gaps: Sequence[int],
    always: bool = False,
) -> bool:
    """Write the names where each covers the least, `always` or if all have room; return whether they are written."""
    to_pixels = axes.transData.transform
    pixel = axes.figure.dpi / 72
    centres = to_pixels(points[:, :2]) / pixel  # in points from here on
    taken: list[Any] = [Bbox([centre, centre]).padded(5).extents for centre in centres]
    costs = [LABEL] * len(taken)
    for x, _, low, high in points[~np.isnan(points).any(axis=1)]:
        taken.append(Bbox(to_pixels([(x, low), (x, high)]) / pixel).padded(3).extents)
        costs.append(INTERVAL)
    line = centres[front]
    for start, end in zip(line, line[1:], strict=False):
        spots = np.linspace(start, end, 30)
        taken += [Bbox([spot, spot]).padded(1).extents for spot in spots]
        costs += [FRONT] * len(spots)
    legend = axes.get_legend()
    if legend is not None:
        taken.append(np.asarray(legend.get_window_extent().extents) / pixel)
        costs.append(LABEL)
    written = []
    for name, point, centre in zip(names, points[:, :2], centres, strict=True):
        text = axes.annotate(name, point, (0, 0), textcoords="offset points", fontsize=8)
        written.append(text)
        box = np.asarray(text.get_window_extent().extents) / pixel
        offsets, lengths = _offsets(box[2] - box[0], box[3] - box[1], gaps=gaps)
        boxes = np.tile(offsets, 2) + box
        cost = _overlaps(boxes, np.array(taken)) @ np.array(costs)
        cost += LABEL * ~_inside(boxes, np.asarray(axes.bbox.extents) / pixel)
        best = int(cost.argmin())
        if cost[best] >= LABEL and not always:
            for other in written:
                other.remove()
            return False
        text.set_position(tuple(offsets[best]))
        taken.append(boxes[best] + (-APART, 0, APART, 0))
        costs.append(LABEL)
        if lengths[best] >= NEAR[1]:
            nearest = np.clip(centre, boxes[best, :2], boxes[best, 2:])
            ends = axes.transData.inverted().transform(np.array([centre, nearest]) * pixel)
            axes.add_artist(Line2D(*ends.T, color=GREY, linewidth=0.5, zorder=1))
    return True


def _offsets(width: float, height: float, *, gaps: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Candidate positions (K, 2) of a text's lower left corner relative to its point, the best first, and their gaps.

    All are in points.
    """
    places, lengths = [], []
    for gap in gaps:
        across = (-width / 2, gap / 2, -width - gap / 2)
        ring = [(x, gap) for x in across] + [(x, -gap - height / 2) for x in across]
        ring += [(gap, -height / 3), (-width - gap, -height / 3)]
        places += ring
        lengths += [gap] * len(ring)
    return np.array(places), np.array(lengths)


def _overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether boxes (K, 4) overlap others (T, 4), each (left, bottom, right, top), as (K, T)."""
    a, b = boxes[:, None], others[None]
    return np.all((a[..., :2] < b[..., 2:]) & (b[..., :2] < a[..., 2:]), axis=2)


def _inside(boxes: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Whether boxes (K, 4) lie within the frame (4,), as (K,)."""
    return np.all((boxes[:, :2] >= frame[:2]) & (boxes[:, 2:] <= frame[2:]), axis=1)
