"""Figures of a gallery: images with their masks and errors, and reliability.

Matplotlib's objects are used without pyplot, whose state is shared by all sessions.
"""

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from terrainlib.data.palette import Classes, colorize, hex_color
from terrainlib.errors import InputError
from terrainlib.mask.scores.gallery import WRONG_COLOR, Row, error_picture
from terrainlib.mask.scores.reliability import BINS, Reliability
from terrainlib.mask.tiles.resampling import shrink
from terrainlib.metrics import decimal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS: Final = ("Image", "Predicted mask", "True mask", "Errors")
MAX_ROWS: Final = 24
DPI: Final = 120

_PANEL_INCHES: Final = 2.4
_TITLE_INCHES: Final = 0.25
_LEGEND_ROW_INCHES: Final = 0.28
_LEGEND_COLUMNS: Final = 4
_MAX_PANEL_PX: Final = 512
_DIAGRAM_INCHES: Final = (4.5, 5.0)
_BAR_COLOR: Final = "#2f6b3a"


def rows_figure(rows: Sequence[Row], classes: Classes) -> "Figure":
    """Draw images with their predicted and true masks and errors, and the legend.

    Args:
        rows: 1 to 24 rows of a gallery.
        classes: The K classes.

    Returns:
        A Matplotlib figure with an Agg canvas, one line a row.

    Raises:
        InputError: If there is no row, or too many.
    """
    if not 1 <= len(rows) <= MAX_ROWS:
        raise InputError(
            f"a figure shows 1 to {MAX_ROWS} images, not {len(rows)}. Choose fewer, "
            "or draw several figures."
        )
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure  # slow to import: only where one is drawn

    shapes = [row.prediction.shape for row in rows]
    heights = [_PANEL_INCHES * min(2.0, max(0.25, h / w)) for h, w in shapes]
    legend_lines = math.ceil((len(classes) + 2) / _LEGEND_COLUMNS)
    bottom = legend_lines * _LEGEND_ROW_INCHES + 0.2
    size = (
        len(COLUMNS) * _PANEL_INCHES,
        sum(heights) + _TITLE_INCHES * (len(rows) + 1) + bottom,
    )
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(
        len(rows), len(COLUMNS), squeeze=False, height_ratios=heights
    )
    for number, (row, axes) in enumerate(zip(rows, grid, strict=True)):
        _draw_row(row, axes, classes, with_titles=number == 0)
    _draw_legend(figure, classes)
    return figure


def rows_png(rows: Sequence[Row], classes: Classes) -> bytes:
    """Return the figure of `rows_figure` as a PNG file.

    Raises:
        InputError: If there is no row, or too many.
    """
    return _png(rows_figure(rows, classes))


def reliability_figure(reliability: Reliability) -> "Figure":
    """Draw how often a model was right against how sure it was.

    Args:
        reliability: Pixels by confidence.

    Returns:
        A Matplotlib figure with an Agg canvas: the accuracy of each bin beside the
        dashed line of a model that means what it says, and the share of the pixels
        below it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_DIAGRAM_INCHES, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    frame = reliability.frame()
    place = {"x": frame["from"], "width": 1 / BINS, "align": "edge", "edgecolor": "w"}
    above.bar(height=np.nan_to_num(reliability.accuracy), color=_BAR_COLOR, **place)
    above.plot([0, 1], [0, 1], color="0.4", linestyle="--")
    above.set(xlim=(0, 1), ylim=(0, 1), ylabel="Accuracy")
    error = reliability.expected_calibration_error
    above.set_title(f"Expected calibration error {decimal(error)}", fontsize=10)
    below.bar(height=np.nan_to_num(reliability.shares), color="0.7", **place)
    below.set(xlabel="Confidence", ylabel="Share of pixels")
    return figure


def reliability_png(reliability: Reliability) -> bytes:
    """Return the figure of `reliability_figure` as a PNG file."""
    return _png(reliability_figure(reliability))


def _png(figure: "Figure") -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI)
    return stream.getvalue()


def _draw_row(
    row: Row, axes: "Sequence[Axes]", classes: Classes, *, with_titles: bool
) -> None:
    panels = (
        np.clip(shrink(row.rgb, _MAX_PANEL_PX, nearest=False), 0, None),
        colorize(shrink(row.prediction, _MAX_PANEL_PX, nearest=True), classes),
        colorize(shrink(row.truth, _MAX_PANEL_PX, nearest=True), classes),
        error_picture(shrink(row.errors, _MAX_PANEL_PX, nearest=True)),
    )
    for panel, title, axis in zip(panels, COLUMNS, axes, strict=True):
        axis.imshow(panel, interpolation="nearest")
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
        if with_titles:
            axis.set_title(title, fontsize=10)
    # Names come from files: a dollar sign in one is no formula.
    axes[0].set_ylabel(row.id, fontsize=9, parse_math=False)
    axes[3].set_xlabel(
        f"accuracy {decimal(row.pixel_accuracy)}, mIoU {decimal(row.miou)}",
        fontsize=8,
    )


def _draw_legend(figure: "Figure", classes: Classes) -> None:
    from matplotlib.patches import Patch

    entries = [
        *((item.name, item.color) for item in classes),
        ("No data", (0, 0, 0)),
        ("Wrong class", WRONG_COLOR),
    ]
    legend = figure.legend(
        [Patch(facecolor=hex_color(color), edgecolor="0.6") for _, color in entries],
        # Matplotlib would leave out a name that begins with an underscore.
        [f" {name}" if name.startswith("_") else name for name, _ in entries],
        loc="outside lower center",
        ncols=_LEGEND_COLUMNS,
        fontsize=8,
        frameon=False,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
