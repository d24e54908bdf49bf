"""Pictures of results: bars with their spread, and images side by side."""

import statistics
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from casae.image import Image, resize
from casae.inspection.overlay import FONT, GREEN, to_rgb

Picture = NDArray[np.uint8]

CELL, GAP, HEADING = 220, 6, 28  # px
LEGEND_COLUMNS = 3
GREEN_SHARE = 0.55  # of the colour of a defective pixel
INK = (30, 40, 50)


def bars(
    series: Mapping[str, Mapping[str, Sequence[float]]], y_title: str, published: Mapping[str, float] | None = None
) -> Picture:
    """Grouped bars, the mean of each list with its standard deviation, (h, w, 3) uint8 RGB.

    Args:
        series: name -> label on the x axis -> values, one a seed; none where nothing is known.
        y_title: beside the y axis, which goes from 0 to 1.
        published: label -> value of others, drawn as a mark on its bars.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    labels = list(next(iter(series.values())))
    across = max(1.15 * len(labels), 0.52 * len(labels) * len(series))
    figure = Figure(figsize=(max(6.0, across + 1), 4.6), dpi=130, layout="constrained")
    canvas, axes = FigureCanvasAgg(figure), figure.add_subplot()
    step = 0.8 / len(series)
    for index, (name, values) in enumerate(series.items()):
        place = np.arange(len(labels)) + (index - (len(series) - 1) / 2) * step
        means = [statistics.mean(values[label]) if values[label] else 0.0 for label in labels]
        spreads = [statistics.stdev(values[label]) if len(values[label]) > 1 else 0.0 for label in labels]
        drawn = axes.bar(place, means, 0.92 * step, yerr=spreads if any(spreads) else None, capsize=3, label=name)
        said = [f"{mean:.3f}" if values[label] else "-" for mean, label in zip(means, labels, strict=True)]
        axes.bar_label(drawn, said, padding=2, fontsize=8)
    if published:
        known = [(place, published[label]) for place, label in enumerate(labels) if label in published]
        axes.plot(*zip(*known, strict=True), "D", color="black", markersize=6, label="published, on other images")
    axes.set_xticks(range(len(labels)), [_wrapped(label) for label in labels], fontsize=8)
    axes.set(ylim=(0, 1.05), ylabel=y_title)
    axes.spines[["top", "right"]].set_visible(False)
    if len(series) > 1 or published:
        figure.legend(frameon=False, ncols=LEGEND_COLUMNS, loc="outside upper center", fontsize=8)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def painted(image: Image, mask: NDArray[np.bool_]) -> Picture:
    """An image with its defective pixels green, as in the paper's Figure 6."""
    picture = to_rgb(image)
    picture[mask] = ((1 - GREEN_SHARE) * picture[mask] + GREEN_SHARE * np.array(GREEN)).astype(np.uint8)
    return picture


def mosaic(rows: Sequence[Sequence[Picture]], headings: Sequence[str]) -> Picture:
    """Pictures in rows, each `CELL` px wide, under headings."""
    scaled = [[resize(p, round(CELL * p.shape[0] / p.shape[1]), CELL) for p in row] for row in rows]
    heights = [max(picture.shape[0] for picture in row) for row in scaled]
    width = len(headings) * (CELL + GAP) + GAP
    sheet = np.full((HEADING + sum(heights) + GAP * len(rows), width, 3), 255, np.uint8)
    for column, heading in enumerate(headings):
        cv2.putText(sheet, heading, (GAP + column * (CELL + GAP), HEADING - 9), FONT, 0.5, INK, 1, cv2.LINE_AA)
    top = HEADING
    for row, height in zip(scaled, heights, strict=True):
        for column, picture in enumerate(row):
            left = GAP + column * (CELL + GAP)
            sheet[top : top + picture.shape[0], left : left + CELL] = picture
        top += height + GAP
    return sheet


def _wrapped(label: str) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(label, 14))
