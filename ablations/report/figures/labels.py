"""Label placement: the names of points, each where it covers the least.

adjustText, compared on the same figures, lays labels over error bars and takes longer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox


def label(axes: Axes, names: Sequence[str], points: np.ndarray, *, front: np.ndarray) -> None:
    """Write each name where it covers the least; `points` (V, 4) has a row (x, y, low y, high y) for each."""
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
    """Candidate positions of a text's lower left corner relative to its point, the best first; all in points."""
    places = []
    for gap in (7, 13, 20, 28):
        across = ((-width / 2, 0), (gap / 2, 1), (-width - gap / 2, 1))
        places += [(x, gap) for x, _ in across] + [(x, -gap - height / 2) for x, _ in across]
        places += [(gap, -height / 3), (-width - gap, -height / 3)]
    return places
